#include "necoops/base/mem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/internal.h"

_Noreturn void mem_exhausted(void)
{
    static const char text[] = "out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

    (void)ignored;
    abort();
}

void *xmalloc(size_t size)
{
    void *ptr = malloc(size > 0 ? size : 1);

    if (ptr == NULL)
        mem_exhausted();
    return ptr;
}

void *xcalloc(size_t count, size_t size)
{
    void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (ptr == NULL)
        mem_exhausted();
    return ptr;
}

void *xrealloc(void *ptr, size_t size)
{
    void *grown = realloc(ptr, size > 0 ? size : 1);

    if (grown == NULL)
        mem_exhausted();
    return grown;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
    size_t used = strnlen(text, len);
    char *copy = xmalloc(used + 1);

    memcpy(copy, text, used);
    copy[used] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    return text;
}

char *xvasprintf(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        mem_exhausted();
    return text;
}

void free_charp(char **ptr)
{
    free(*ptr);
    *ptr = NULL;
}

void close_fdp(int *fd)
{
    int saved = errno; /* runs between a failure and the reading of its errno */

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}
