#include "necoops/base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the NUL; -1 when that goes beyond the cap. A buffer that overflowed
 * takes nothing more: a text with a hole in it is worse than a short one. */
static int reserve(struct buf *buf, size_t more)
{
    size_t need;
    size_t size = buf->size > 0 ? buf->size : 64;

    if (buf->overflowed || more > buf->cap - buf->len || buf->len + more == SIZE_MAX) {
        buf->overflowed = true;
        return -1;
    }
    need = buf->len + more + 1;
    if (need <= buf->size)
        return 0;
    while (size < need)
        size = size > SIZE_MAX / 2 ? need : size * 2;
    if (size - 1 > buf->cap)
        size = buf->cap + 1;
    buf->data = xrealloc(buf->size > 0 ? buf->data : NULL, size);
    buf->size = size;
    return 0;
}

void buf_init(struct buf *buf, size_t cap)
{
    *buf = (struct buf)BUF_INIT(cap);
}

void buf_clear(struct buf *buf)
{
    if (buf->size > 0)
        free(buf->data);
    buf_init(buf, buf->cap);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->overflowed = false;
    if (buf->size > 0)
        buf->data[0] = '\0';
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
    if (reserve(buf, len) < 0)
        return -1;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_adds(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_addc(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

int buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int result;

    va_start(args, format);
    result = buf_vaddf(buf, format, args);
    va_end(args);
    return result;
}

int buf_vaddf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) {
        buf->overflowed = true;
        return -1;
    }
    if (reserve(buf, (size_t)len) < 0)
        return -1;
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
    buf->len += (size_t)len;
    return 0;
}

char *buf_steal(struct buf *buf)
{
    char *text = buf->size > 0 ? buf->data : xstrdup("");

    buf_init(buf, buf->cap);
    return text;
}
