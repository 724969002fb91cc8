/* The timeline: a lane for what went side by side, a bar for each application. */
#include "report/page.h"

#include "necoops/base/timefmt.h"

#define TICKS 4

static double percent(int64_t ms, int64_t all)
{
    double share = all > 0 ? 100.0 * (double)ms / (double)all : 0;

    return share < 0 ? 0 : share > 100 ? 100 : share;
}

static void add_scale(struct buf *out, int64_t ms)
{
    buf_adds(out, "<div class=\"scale\" aria-hidden=\"true\">");
    for (int i = 0; i <= TICKS; i++) {
        buf_addf(out, "<span>%s</span>", i ? duration_format(ms * i / TICKS).text : "0");
    }
    buf_adds(out, "</div>\n");
}

static void add_span(struct buf *out, const struct page_span *span, int64_t ms)
{
    double left = percent(span->from_ms, ms);

    buf_addf(out, "<span class=\"%s\" style=\"left:%.2f%%;width:%.2f%%\"",
             page_tone_class(span->tone), left, percent(span->to_ms, ms) - left);
    page_add_attribute(out, "title", span->text);
    buf_adds(out, "></span>");
}

static void add_bar(struct buf *out, const struct page_bar *bar, int64_t ms)
{
    buf_adds(out, "<li><span class=\"name\">");
    page_add_text(out, bar->name, PAGE_LINE_MOST);
    buf_adds(out, "</span> <span class=\"note\">");
    page_add_text(out, bar->note, PAGE_LINE_MOST);
    buf_adds(out, "</span><span class=\"bar\" aria-hidden=\"true\">");
    for (size_t i = 0; i < bar->len; i++) {
        add_span(out, &bar->spans[i], ms);
    }
    buf_adds(out, "</span></li>\n");
}

void page_add_timeline(struct buf *out, const struct page *page)
{
    if (page->lanes_len == 0) {
        return;
    }
    buf_adds(out, "<section aria-labelledby=\"timeline\">\n<h2 id=\"timeline\">Timeline</h2>\n"
                  "<p class=\"legend\" aria-hidden=\"true\"><span class=\"key wait\"></span> under "
                  "way <span class=\"key good\"></span> live <span class=\"key bad\"></span> "
                  "failing</p>\n");
    add_scale(out, page->ms);
    for (size_t i = 0; i < page->lanes_len; i++) {
        const struct page_lane *lane = &page->lanes[i];

        buf_addf(out, "<h3 id=\"lane-%zu\">", i);
        page_add_text(out, lane->name, PAGE_LINE_MOST);
        buf_addf(out, "</h3>\n<ul class=\"bars\" aria-labelledby=\"lane-%zu\">\n", i);
        for (size_t j = 0; j < lane->len; j++) {
            add_bar(out, &lane->bars[j], page->ms);
        }
        buf_adds(out, "</ul>\n");
    }
    buf_adds(out, "</section>\n");
}
