/* What the files of the page share. */
#ifndef REPORT_PAGE_PARTS_H
#define REPORT_PAGE_PARTS_H

#include "necoops/base/buf.h"
#include "necoops/report/page.h"

#define PAGE_LINE_MOST ((size_t)2 << 10)  /* bytes of a cell, a name, a headline */
#define PAGE_TEXT_MOST ((size_t)32 << 10) /* of a log or an excerpt */

extern const char page_style[];

/* Escaped text, at most `most` bytes of it; with less, how much is missing is said. */
void page_add_text(struct buf *out, const char *text, size_t most);
/* ` name="value"`, escaped. */
void page_add_attribute(struct buf *out, const char *name, const char *value);
/* Text, linked when the URL is http or https. */
void page_add_link(struct buf *out, const char *text, const char *url);
void page_add_facts(struct buf *out, const struct page_facts *facts);
/* "good", "bad", "wait", "plain": a class; and its sign, which does not need colour. */
const char *page_tone_class(enum page_tone tone);
const char *page_tone_sign(enum page_tone tone);

/* page_timeline.c, page_items.c */
/* "file:line", linked, and whether this commit changed it; the cause has a file. */
void page_add_place(struct buf *out, const struct page_cause *cause);
void page_add_timeline(struct buf *out, const struct page *page);
void page_add_items(struct buf *out, const struct page *page);

#endif
