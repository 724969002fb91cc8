/* One self-contained HTML page that a person opens: the result at a glance, a timeline, the
 * applications with what is behind a failure, what happened. No script, nothing from a network.
 *
 * Readable on a phone, in the dark, printed, with a keyboard and a screen reader. All strings are
 * borrowed, may come from anywhere, are bounded, and show as text: markup is escaped, controls,
 * bidirectional overrides and broken UTF-8 are made visible (log.h). A NULL or empty part is left
 * out.
 */
#ifndef NECOOPS_REPORT_PAGE_H
#define NECOOPS_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "necoops/base/err.h"

enum page_tone { PAGE_PLAIN, PAGE_GOOD, PAGE_BAD, PAGE_WAIT };

struct page_fact {
    const char *name, *value;
    const char *url; /* linked when it is http or https */
};

struct page_facts {
    const struct page_fact *items;
    size_t len;
};

/* A part of a bar, in milliseconds since the page's start. */
struct page_span {
    int64_t from_ms, to_ms;
    enum page_tone tone;
    const char *text;
};

struct page_bar {
    const char *name;
    const char *
        note; /* the same for who does not see the bar: "waited for x until +3.1s; live after 8s" */
    const struct page_span *spans;
    size_t len;
};

/* What went side by side. */
struct page_lane {
    const char *name;
    const struct page_bar *bars;
    size_t len;
};

/* One thing behind a failure. The first line of the text is the heading, the others (a log) stand
 * below it. */
struct page_cause {
    const char *text;
    const char *file;    /* manifest, or NULL */
    int line;            /* 0: unknown */
    const char *url;     /* of that line, or NULL */
    bool changed;        /* by this commit */
    const char *excerpt; /* lines around it, or NULL */
    int excerpt_line;    /* number of its first line */
};

struct page_table {
    const char *caption;
    const char *const *heading; /* NULL-terminated */
    const char *const *cells;   /* rows * columns, row by row; NULL: empty */
    size_t rows;
};

struct page_item {
    const char *name;
    const char *state; /* one word */
    enum page_tone tone;
    const char *message; /* one line */
    struct page_facts facts;
    const struct page_cause *causes;
    size_t causes_len;
    const struct page_table *table; /* its resources, or NULL */
};

struct page_event {
    int64_t at_ms; /* since the page's start */
    enum page_tone tone;
    const char *who, *what;
};

struct page {
    const char *title;    /* "Deploy to neco-ops" */
    const char *result;   /* one word */
    const char *headline; /* one line */
    enum page_tone tone;
    int64_t started_ms; /* wall clock */
    int64_t ms;         /* how long it took; the timeline's length */
    struct page_facts facts;
    const char *const *notes; /* warnings */
    size_t notes_len;
    const struct page_lane *lanes;
    size_t lanes_len;
    const char *items_name; /* "Applications" */
    const struct page_item *items;
    size_t items_len;
    const struct page_event *events;
    size_t events_len;
    const char *seen;    /* instead of when it began and how long it took, or NULL */
    const char *made_by; /* program and version */
};

/* Written whole or not at all. */
int page_write(const char *path, const struct page *page, struct err *err) MUST_CHECK;

#endif
