#include "necoops/base/strv.h"

#include <stdlib.h>
#include <string.h>

void strv_add(struct strv *list, const char *text)
{
    strv_take(list, xstrdup(text));
}

void strv_take(struct strv *list, char *text)
{
    if (list->len + 2 > list->size) {
        list->size = list->size > 0 ? list->size * 2 : 8;
        list->items = xrealloc(list->items, list->size * sizeof(*list->items));
    }
    list->items[list->len++] = text;
    list->items[list->len] = NULL;
}

void strv_addf(struct strv *list, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    strv_take(list, xvasprintf(format, args));
    va_end(args);
}

bool strv_has(const struct strv *list, const char *text)
{
    for (size_t i = 0; i < list->len; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return false;
}

void strv_split(struct strv *list, const char *text, char separator)
{
    const char *start = text;

    for (const char *at = text;; at++) {
        if (*at != separator && *at != '\0')
            continue;
        if (at > start)
            strv_take(list, xstrndup(start, (size_t)(at - start)));
        if (*at == '\0')
            return;
        start = at + 1;
    }
}

char *strv_join(const struct strv *list, const char *separator)
{
    size_t gap = strlen(separator);
    size_t size = 1;
    char *text;
    char *end;

    for (size_t i = 0; i < list->len; i++)
        size += strlen(list->items[i]) + gap;
    text = end = xmalloc(size);
    for (size_t i = 0; i < list->len; i++) {
        if (i > 0)
            end = mempcpy(end, separator, gap);
        end = mempcpy(end, list->items[i], strlen(list->items[i]));
    }
    *end = '\0';
    return text;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *list)
{
    if (list->len > 1)
        qsort(list->items, list->len, sizeof(*list->items), compare);
}

void strv_clear(struct strv *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct strv)STRV_INIT;
}
