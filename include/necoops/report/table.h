/* A table for people: aligned columns on standard output. Widths count characters, not bytes; cells
 * come from anywhere and are made visible (log.h) before they reach a terminal. */
#ifndef NECOOPS_REPORT_TABLE_H
#define NECOOPS_REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "necoops/base/strv.h"

enum table_color { TABLE_PLAIN, TABLE_GOOD, TABLE_BAD, TABLE_WAIT };

struct table_row {
    struct strv cells;
    enum table_color color; /* of the whole row's first column */
};

struct table {
    size_t columns;
    struct table_row *rows; /* the first one is the heading */
    size_t len;
};

/* `heading` ends with NULL. */
void table_init(struct table *table, const char *const *heading);
void table_clear(struct table *table);
/* A new row; cells are added to it in order, missing ones are empty. */
struct table_row *table_add(struct table *table, enum table_color color);
/* The last column is not padded; `color`: mark rows with ANSI colours. */
void table_print(const struct table *table, FILE *stream, bool color);
#define autotable CLEANUP(table_clear)

#endif
