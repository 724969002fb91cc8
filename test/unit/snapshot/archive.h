/* Tar archives made by hand, byte by byte, so that hostile ones can be made as well. */
#ifndef TEST_SNAPSHOT_ARCHIVE_H
#define TEST_SNAPSHOT_ARCHIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"
#include "snapshot/queue.h"

#define assert_error(err, wanted, message)                                                         \
    do {                                                                                           \
        assert_string_equal(err_text(&(err)), (message));                                          \
        assert_int_equal((err).code, (wanted));                                                    \
        err_clear(&(err));                                                                         \
    } while (0)

#define assert_good(call, err)                                                                     \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err_text(&(err)));                                           \
    } while (0)

struct header {
    const char *name;
    char type; /* 0: '0' */
    const char *link;
    unsigned mode; /* 0: 0644 */
    uint64_t size;
    const char *prefix;
    bool gnu;
};

static void put_text(unsigned char *field, const char *text, size_t size)
{
    size_t len = strlen(text);
    memcpy(field, text, len < size ? len : size);
}

/* One header block with its checksum. */
static void tar_header(struct buf *out, const struct header *header)
{
    unsigned char block[512] = {0};
    unsigned sum = 0;
    char field[24];
    put_text(block, header->name, 100);
    snprintf(field, sizeof(field), "%07o", header->mode ? header->mode : 0644);
    memcpy(block + 100, field, 8);
    snprintf(field, sizeof(field), "%07o", 1000);
    memcpy(block + 108, field, 8);
    memcpy(block + 116, field, 8);
    snprintf(field, sizeof(field), "%011llo", (unsigned long long)header->size);
    memcpy(block + 124, field, 12);
    snprintf(field, sizeof(field), "%011llo", 1700000000ULL);
    memcpy(block + 136, field, 12);
    block[156] = (unsigned char)(header->type ? header->type : '0');
    if (header->link)
        put_text(block + 157, header->link, 100);
    memcpy(block + 257, header->gnu ? "ustar  " : "ustar\00000", 8);
    if (header->prefix)
        put_text(block + 345, header->prefix, 155);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < sizeof(block); i++)
        sum += block[i];
    snprintf(field, sizeof(field), "%06o", sum);
    memcpy(block + 148, field, 7);
    block[155] = ' ';
    assert_int_equal(buf_add(out, block, sizeof(block)), 0);
}

/* Content, filled up to a block. */
static void tar_content(struct buf *out, const void *data, size_t len)
{
    static const char zeros[512];
    assert_int_equal(buf_add(out, data, len), 0);
    assert_int_equal(buf_add(out, zeros, -len % 512), 0);
}

static inline void tar_file(struct buf *out, const char *name, const char *text)
{
    struct header header = {.name = name, .size = strlen(text)};
    tar_header(out, &header);
    tar_content(out, text, strlen(text));
}

static inline void tar_end(struct buf *out)
{
    static const char zeros[1024];
    assert_int_equal(buf_add(out, zeros, sizeof(zeros)), 0);
}

/* One pax header from records "key=value" (NULL at the end). */
static inline void tar_pax(struct buf *out, char type, const char *const *records)
{
    struct buf text = BUF_INIT(BUF_MEDIUM);
    for (; *records; records++) {
        size_t len = strlen(*records) + 3; /* blank, newline, one digit */
        while (snprintf(NULL, 0, "%zu %s\n", len, *records) != (int)len)
            len++;
        assert_int_equal(buf_addf(&text, "%zu %s\n", len, *records), 0);
    }
    struct header header = {.name = "pax", .type = type, .size = text.len};
    tar_header(out, &header);
    tar_content(out, text.data, text.len);
    buf_clear(&text);
}

/* A queue that holds all of `data` in spans of `step` bytes, ended. */
static inline struct queue *queue_of(const void *data, size_t len, size_t step)
{
    struct queue *queue = queue_new(len / step + 2);
    for (size_t at = 0; at < len; at += step) {
        size_t piece = len - at < step ? len - at : step;
        assert_true(queue_put(
            queue, (struct span){.data = (const unsigned char *)data + at, .len = piece}));
    }
    queue_end(queue);
    return queue;
}

#endif
