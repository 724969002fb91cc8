/* A list of strings, each owned by the list; `items` is NULL-terminated (fit for execve). */
#ifndef NECOOPS_BASE_STRV_H
#define NECOOPS_BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/mem.h"

struct strv {
    char **items; /* NULL while nothing was added */
    size_t len;
    size_t size;
};

#define STRV_INIT {.items = NULL}

void strv_add(struct strv *list, const char *text); /* copies */
void strv_take(struct strv *list, char *text);      /* takes the heap string over */
void strv_addf(struct strv *list, const char *format, ...) PRINTF_LIKE(2, 3);
bool strv_has(const struct strv *list, const char *text);
/* Pieces between `separator`s; empty pieces are left out. */
void strv_split(struct strv *list, const char *text, char separator);
char *strv_join(const struct strv *list, const char *separator); /* caller frees */
void strv_sort(struct strv *list);
void strv_clear(struct strv *list);

#define autostrv CLEANUP(strv_clear)

#endif
