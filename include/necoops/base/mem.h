/* Memory, and the clean-up attributes that keep error paths short.
 *
 * The x-functions end the process (abort, after one line on standard error) when a small allocation
 * of our own fails; sizes that come from outside never reach them unchecked (see buf.h for caps).
 *
 * A function that has one automatic clean-up has no `goto`: a jump over such a variable goes
 * unnoticed with some compilers.
 */
#ifndef NECOOPS_BASE_MEM_H
#define NECOOPS_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(fn)       __attribute__((cleanup(fn)))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2);
char *xvasprintf(const char *format, va_list args) PRINTF_LIKE(1, 0);

void free_charp(char **ptr);
void close_fdp(int *fd);

/* `autofree char *s = …;` is freed, `autoclose int fd = -1;` is closed, when the scope ends. */
#define autofree  CLEANUP(free_charp)
#define autoclose CLEANUP(close_fdp)

/* Hands a pointer over: returns it and leaves NULL behind. */
#define steal(ptr)                                                                                 \
    ({                                                                                             \
        __typeof__(ptr) stolen_ = (ptr);                                                           \
        (ptr) = NULL;                                                                              \
        stolen_;                                                                                   \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
