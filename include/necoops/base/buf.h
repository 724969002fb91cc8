/* A growing run of bytes with a cap.
 *
 * The cap is given when it is made. What would go beyond it is refused as a whole: the call returns
 * -1, the bytes before stay, `overflowed` is set, and nothing more is taken (a text with a hole in
 * it is worse than a short one) until buf_reset or buf_clear. `data` is always NUL-terminated (the
 * NUL is not counted in `len`), so it reads as a string where it holds no NUL of its own.
 */
#ifndef NECOOPS_BASE_BUF_H
#define NECOOPS_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/mem.h"

struct buf {
    char *data; /* "" (not on the heap) while nothing was added */
    size_t len;
    size_t size;
    size_t cap; /* most bytes it takes */
    bool overflowed;
};

#define BUF_SMALL  ((size_t)64 << 10)
#define BUF_MEDIUM ((size_t)4 << 20)
#define BUF_LARGE  ((size_t)256 << 20)

void buf_init(struct buf *buf, size_t cap);
void buf_clear(struct buf *buf); /* frees; may be used again with the same cap */
void buf_reset(struct buf *buf); /* len = 0, memory kept, overflowed cleared */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_adds(struct buf *buf, const char *text);
int buf_addc(struct buf *buf, char c);
int buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
int buf_vaddf(struct buf *buf, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* The bytes as a heap string of the caller's; the buffer is empty afterwards. */
char *buf_steal(struct buf *buf);

#define BUF_INIT(limit)                                                                            \
    {                                                                                              \
        .data = (char *)"", .cap = (limit)                                                         \
    }
#define autobuf CLEANUP(buf_clear)

#endif
