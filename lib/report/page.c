/* The page as a whole. */
#include "report/page.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/timefmt.h"

#define PAGE_CAP (BUF_LARGE / 4)

static void add_head(struct buf *out, const struct page *page)
{
    buf_adds(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  /* nothing is loaded and no script runs, whatever slipped through */
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'; img-src data:\">\n"
                  "<link rel=\"icon\" href=\"data:,\">\n<title>");
    page_add_text(out, page->result, PAGE_LINE_MOST);
    buf_adds(out, ": ");
    page_add_text(out, page->title, PAGE_LINE_MOST);
    buf_adds(out, "</title>\n<style>\n");
    buf_adds(out, page_style);
    buf_adds(out, "</style>\n</head>\n");
}

static void add_banner(struct buf *out, const struct page *page)
{
    buf_addf(out,
             "<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n"
             "<header class=\"%s\">\n<h1>",
             page_tone_class(page->tone));
    page_add_text(out, page->title, PAGE_LINE_MOST);
    buf_addf(out, "</h1>\n<p class=\"result\"><strong><span aria-hidden=\"true\">%s</span> ",
             page_tone_sign(page->tone));
    page_add_text(out, page->result, PAGE_LINE_MOST);
    buf_adds(out, "</strong> <span>");
    page_add_text(out, page->headline, PAGE_LINE_MOST);
    buf_adds(out, "</span></p>\n</header>\n");
}

static void add_navigation(struct buf *out, const struct page *page)
{
    buf_adds(out, "<nav aria-label=\"Parts of this page\"><a href=\"#glance\">At a glance</a>");
    if (page->lanes_len) {
        buf_adds(out, " <a href=\"#timeline\">Timeline</a>");
    }
    if (page->items_len) {
        buf_adds(out, " <a href=\"#items\">");
        page_add_text(out, page->items_name, PAGE_LINE_MOST);
        buf_adds(out, "</a>");
    }
    if (page->events_len) {
        buf_adds(out, " <a href=\"#events\">What happened</a>");
    }
    buf_adds(out, "</nav>\n");
}

/* The place to look at first: what this commit changed, else the first one with a line. */
static const struct page_cause *first_place(const struct page_item *item)
{
    const struct page_cause *found = NULL;

    for (size_t i = 0; i < item->causes_len; i++) {
        const struct page_cause *cause = &item->causes[i];

        if (cause->file && cause->line > 0 && cause->changed) {
            return cause;
        }
        if (!found && cause->file && cause->line > 0) {
            found = cause;
        }
    }
    return found;
}

/* Why, where that says more than the item's message, and the place. */
static void add_first_place(struct buf *out, const struct page_item *item)
{
    const struct page_cause *cause = first_place(item);

    if (!cause) {
        return;
    }
    autofree char *first = xstrndup(cause->text, strcspn(cause->text, "\n"));

    if (!item->message || !strstr(item->message, first)) {
        buf_adds(out, "<br><span class=\"why\">");
        page_add_text(out, first, PAGE_LINE_MOST);
        buf_adds(out, "</span>");
    }
    buf_adds(out, "<br>");
    page_add_place(out, cause);
}

static void add_wrong(struct buf *out, const struct page *page)
{
    bool any = false;

    for (size_t i = 0; i < page->items_len; i++) {
        const struct page_item *item = &page->items[i];

        if (item->tone != PAGE_BAD) {
            continue;
        }
        buf_adds(out, any ? "" : "<ul class=\"wrong\">\n");
        any = true;
        buf_addf(out, "<li><a href=\"#item-%zu\">", i);
        page_add_text(out, item->name, PAGE_LINE_MOST);
        buf_adds(out, "</a> <span>");
        page_add_text(out, item->message, PAGE_LINE_MOST);
        buf_adds(out, "</span>");
        add_first_place(out, item);
        buf_adds(out, "</li>\n");
    }
    buf_adds(out, any ? "</ul>\n" : "");
}

static void add_glance(struct buf *out, const struct page *page)
{
    buf_adds(out, "<section aria-labelledby=\"glance\">\n<h2 id=\"glance\">At a glance</h2>\n");
    add_wrong(out, page);
    page_add_facts(out, &page->facts);
    if (page->notes_len) {
        buf_adds(out, "<h3>Warnings</h3>\n<ul class=\"notes\">\n");
    }
    for (size_t i = 0; i < page->notes_len; i++) {
        buf_adds(out, "<li>");
        page_add_text(out, page->notes[i], PAGE_LINE_MOST);
        buf_adds(out, "</li>\n");
    }
    buf_adds(out, page->notes_len ? "</ul>\n</section>\n" : "</section>\n");
}

static void add_event(struct buf *out, const struct page_event *event)
{
    buf_addf(out, "<li class=\"%s\"><span class=\"at\">+%s</span> <span class=\"name\">",
             page_tone_class(event->tone), duration_format(event->at_ms).text);
    page_add_text(out, event->who, PAGE_LINE_MOST);
    buf_adds(out, "</span> <span>");
    page_add_text(out, event->what, PAGE_LINE_MOST);
    buf_adds(out, "</span></li>\n");
}

static void add_events(struct buf *out, const struct page *page)
{
    if (page->events_len == 0) {
        return;
    }
    buf_addf(out,
             "<section aria-labelledby=\"events\">\n<h2 id=\"events\">What happened</h2>\n"
             "<details><summary>%zu change%s of state</summary>\n<ol class=\"events\">\n",
             page->events_len, page->events_len == 1 ? "" : "s");
    for (size_t i = 0; i < page->events_len; i++) {
        add_event(out, &page->events[i]);
    }
    buf_adds(out, "</ol>\n</details>\n</section>\n");
}

static void add_footer(struct buf *out, const struct page *page)
{
    struct time_text started = time_rfc3339(page->started_ms);

    buf_adds(out, "</main>\n<footer><p>");
    if (page->seen) {
        page_add_text(out, page->seen, PAGE_LINE_MOST);
        buf_adds(out, ". ");
    } else {
        buf_addf(out, "Began <time datetime=\"%s\">%s</time>, took %s. ", started.text,
                 started.text, duration_format(page->ms).text);
    }
    page_add_text(out, page->made_by, PAGE_LINE_MOST);
    buf_adds(out, "</p></footer>\n</body>\n</html>\n");
}

int page_write(const char *path, const struct page *page, struct err *err)
{
    autobuf struct buf out = BUF_INIT(PAGE_CAP);

    add_head(&out, page);
    add_banner(&out, page);
    add_navigation(&out, page);
    buf_adds(&out, "<main id=\"main\">\n");
    add_glance(&out, page);
    page_add_timeline(&out, page);
    page_add_items(&out, page);
    add_events(&out, page);
    add_footer(&out, page);
    if (out.overflowed) {
        return err_set(err, ERR_FAILED, "the report '%s' would be larger than %zu bytes", path,
                       out.cap);
    }
    return fs_write(path, out.data, out.len, 0644, err);
}
