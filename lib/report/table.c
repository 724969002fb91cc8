#include "necoops/report/table.h"

#include <string.h>
#include "necoops/base/log.h"

void table_init(struct table *table, const char *const *heading)
{
    struct table_row *row;

    *table = (struct table){0};
    while (heading[table->columns]) {
        table->columns++;
    }
    row = table_add(table, TABLE_PLAIN);
    for (size_t i = 0; i < table->columns; i++) {
        strv_add(&row->cells, heading[i]);
    }
}

void table_clear(struct table *table)
{
    for (size_t i = 0; i < table->len; i++) {
        strv_clear(&table->rows[i].cells);
    }
    free(table->rows);
    *table = (struct table){0};
}

struct table_row *table_add(struct table *table, enum table_color color)
{
    table->rows = xrealloc(table->rows, (table->len + 1) * sizeof(*table->rows));
    table->rows[table->len] = (struct table_row){.color = color};
    return &table->rows[table->len++];
}

static char *cell_text(const struct table_row *row, size_t column)
{
    const char *text = column < row->cells.len ? row->cells.items[column] : "";

    return text_visible(text, strlen(text), false);
}

static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = 0;

    for (size_t i = 0; i < table->len; i++) {
        autofree char *text = cell_text(&table->rows[i], column);
        size_t len = characters(text);

        width = len > width ? len : width;
    }
    return width;
}

static const char *color_start(enum table_color color)
{
    switch (color) {
    case TABLE_GOOD:
        return "\033[32m";
    case TABLE_BAD:
        return "\033[31m";
    case TABLE_WAIT:
        return "\033[33m";
    default:
        return "";
    }
}

static void print_row(const struct table *table, size_t index, const size_t *widths, FILE *stream,
                      bool color)
{
    const struct table_row *row = &table->rows[index];
    bool colored = color && row->color != TABLE_PLAIN;

    for (size_t i = 0; i < table->columns; i++) {
        autofree char *text = cell_text(row, i);
        int pad = i + 1 < table->columns ? (int)(widths[i] - characters(text)) + 2 : 0;

        fprintf(stream, "%s%s%s%*s", colored && i == 0 ? color_start(row->color) : "", text,
                colored && i == 0 ? "\033[0m" : "", pad, "");
    }
    fputc('\n', stream);
}

void table_print(const struct table *table, FILE *stream, bool color)
{
    size_t *widths = xcalloc(table->columns, sizeof(*widths));

    for (size_t i = 0; i < table->columns; i++) {
        widths[i] = column_width(table, i);
    }
    for (size_t i = 0; i < table->len; i++) {
        print_row(table, i, widths, stream, color);
    }
    free(widths);
}
