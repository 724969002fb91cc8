/* The applications: a fold each, open where something is wrong. */
#include "report/page.h"

#include <string.h>

/* ---- what is behind a failure ---- */

/* The lines around the place, numbered, the one that matters marked. */
static void add_excerpt(struct buf *out, const struct page_cause *cause)
{
    const char *line = cause->excerpt;
    int number = cause->excerpt_line;

    buf_adds(out, "<pre tabindex=\"0\" aria-label=\"excerpt of the manifest\"><code>");
    while (*line) {
        size_t len = strcspn(line, "\n");
        autofree char *text = xstrndup(line, len);
        bool marked = number == cause->line;

        buf_addf(out, "%s<span class=\"number\">%4d</span> ", marked ? "<mark>" : "", number);
        page_add_text(out, text, PAGE_LINE_MOST);
        buf_adds(out, marked ? "</mark>\n" : "\n");
        line += len + (line[len] == '\n');
        number++;
    }
    buf_adds(out, "</code></pre>\n");
}

void page_add_place(struct buf *out, const struct page_cause *cause)
{
    autofree char *place =
        cause->line > 0 ? xasprintf("%s:%d", cause->file, cause->line) : xstrdup(cause->file);

    buf_adds(out, "<span class=\"place\">");
    page_add_link(out, place, cause->url);
    buf_adds(out, cause->changed
                      ? " <strong class=\"changed\">changed by this commit</strong></span>"
                      : "</span>");
}

static void add_figure(struct buf *out, const struct page_cause *cause)
{
    buf_adds(out, "<figure><figcaption>");
    page_add_place(out, cause);
    buf_adds(out, "</figcaption>\n");
    if (cause->excerpt) {
        add_excerpt(out, cause);
    }
    buf_adds(out, "</figure>\n");
}

static void add_cause(struct buf *out, const struct page_cause *cause)
{
    size_t head = strcspn(cause->text, "\n");
    autofree char *first = xstrndup(cause->text, head);

    buf_adds(out, "<li><p>");
    page_add_text(out, first, PAGE_TEXT_MOST);
    buf_adds(out, "</p>\n");
    if (cause->text[head]) {
        buf_adds(out, "<pre tabindex=\"0\" aria-label=\"more about it\">");
        page_add_text(out, cause->text + head + 1, PAGE_TEXT_MOST);
        buf_adds(out, "</pre>\n");
    }
    if (cause->file) {
        add_figure(out, cause);
    }
    buf_adds(out, "</li>\n");
}

static void add_causes(struct buf *out, const struct page_item *item)
{
    if (item->causes_len == 0) {
        return;
    }
    buf_adds(out, "<h4>Reasons</h4>\n<ol class=\"causes\">\n");
    for (size_t i = 0; i < item->causes_len; i++) {
        add_cause(out, &item->causes[i]);
    }
    buf_adds(out, "</ol>\n");
}

/* ---- its resources ---- */

static void add_row(struct buf *out, const struct page_table *table, size_t row, size_t columns)
{
    buf_adds(out, "<tr>");
    for (size_t i = 0; i < columns; i++) {
        const char *cell = table->cells[row * columns + i];

        buf_adds(out, "<td");
        page_add_attribute(out, "data-name", table->heading[i]);
        buf_addc(out, '>');
        page_add_text(out, cell, PAGE_LINE_MOST);
        buf_adds(out, "</td>");
    }
    buf_adds(out, "</tr>\n");
}

static void add_table(struct buf *out, const struct page_table *table)
{
    size_t columns = 0;

    if (!table || table->rows == 0) {
        return;
    }
    buf_adds(out, "<table><caption>");
    page_add_text(out, table->caption, PAGE_LINE_MOST);
    buf_adds(out, "</caption>\n<thead><tr>");
    for (; table->heading[columns]; columns++) {
        buf_adds(out, "<th scope=\"col\">");
        page_add_text(out, table->heading[columns], PAGE_LINE_MOST);
        buf_adds(out, "</th>");
    }
    buf_adds(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < table->rows; i++) {
        add_row(out, table, i, columns);
    }
    buf_adds(out, "</tbody></table>\n");
}

/* ---- one of them ---- */

static void add_item(struct buf *out, const struct page_item *item, size_t index)
{
    buf_addf(out,
             "<details class=\"item %s\" id=\"item-%zu\"%s>\n<summary><span class=\"state\">"
             "<span aria-hidden=\"true\">%s</span> ",
             page_tone_class(item->tone), index, item->tone == PAGE_BAD ? " open" : "",
             page_tone_sign(item->tone));
    page_add_text(out, item->state, PAGE_LINE_MOST);
    buf_adds(out, "</span> <span class=\"name\">");
    page_add_text(out, item->name, PAGE_LINE_MOST);
    buf_adds(out, "</span>");
    if (item->message && item->message[0]) {
        buf_adds(out, " <span class=\"message\">");
        page_add_text(out, item->message, PAGE_LINE_MOST);
        buf_adds(out, "</span>");
    }
    buf_adds(out, "</summary>\n<div class=\"inside\">\n");
    page_add_facts(out, &item->facts);
    add_causes(out, item);
    add_table(out, item->table);
    buf_adds(out, "</div></details>\n");
}

void page_add_items(struct buf *out, const struct page *page)
{
    if (page->items_len == 0) {
        return;
    }
    buf_adds(out, "<section aria-labelledby=\"items\">\n<h2 id=\"items\">");
    page_add_text(out, page->items_name, PAGE_LINE_MOST);
    buf_adds(out, "</h2>\n");
    for (size_t i = 0; i < page->items_len; i++) {
        add_item(out, &page->items[i], i);
    }
    buf_adds(out, "</section>\n");
}
