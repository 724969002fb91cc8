/* How bytes travel between the threads of a load: spans in order through a bounded queue.
 *
 * One thread puts, one gets. A span borrows memory of whoever made it; who got it gives it back
 * with span_release, in the order of getting. A queue ends in one of two ways: `queue_end` (nothing
 * more comes, what is in it is still delivered) or `queue_abort` (a stage failed: both sides return
 * at once). Readers and writers block; the thread that drives HTTP never calls a blocking one.
 *
 * Only the getting thread ever gives spans back, so that nobody overwrites what it still reads; it
 * ends with reader_close, which also gives back what it never got to.
 */
#ifndef SNAPSHOT_QUEUE_H
#define SNAPSHOT_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "necoops/base/mem.h"

/* A place in the object from where a killed run can go on: what follows it can be decoded without
 * what comes before. */
struct mark {
    char format;     /* 'z': zstd frames follow, 'n': not compressed; 0: no mark */
    uint64_t offset; /* in the object */
    uint32_t crc;    /* CRC32C of the object up to there */
};

struct span {
    const unsigned char *data;
    size_t len;
    struct mark mark;                            /* of its first byte */
    void (*release)(void *arg, uint64_t cookie); /* NULL: nothing to give back */
    void *arg;
    uint64_t cookie; /* the maker's own */
};

void span_release(struct span *span);

struct queue; /* opaque */

struct queue *queue_new(size_t capacity);
void queue_free(struct queue *queue); /* releases what was never got */

/* Blocks while the queue is full. False when it was aborted; the span was not taken then. */
bool queue_put(struct queue *queue, struct span span);
enum queue_state { QUEUE_SPAN, QUEUE_ENDED, QUEUE_ABORTED };
/* Blocks while the queue is empty and neither ended nor aborted. */
enum queue_state queue_get(struct queue *queue, struct span *span);
void queue_end(struct queue *queue);
void queue_abort(struct queue *queue);

/* Reads a queue as a run of bytes, without copying where a span holds all that is asked for. */
struct reader {
    struct queue *queue;
    struct span span;
    size_t at;      /* within the span */
    uint64_t total; /* bytes read so far */
    bool ended;
    bool aborted;
    uint64_t offset; /* in the object, where the first byte that is read lies */
    uint32_t crc;    /* of the object up to `crc_at` within the span */
    size_t crc_at;
};

void reader_init(struct reader *reader, struct queue *queue);
/* The getting thread is done: gives back its span and all that is still queued, and aborts the
 * queue, so that whoever puts stops. Nothing to abort when the end was reached. */
void reader_close(struct reader *reader);
#define autoreader CLEANUP(reader_close)

/* What lies ready, at least one byte unless the end was reached or the queue aborted; blocks. */
const unsigned char *reader_peek(struct reader *reader, size_t *len);
/* The mark of the next byte to read. Only where the spans carry marks, and once something was
 * peeked at. */
struct mark reader_mark(struct reader *reader, char format);
/* The mark that the next byte has been given, if any: that of a span of which nothing was read. */
struct mark reader_span_mark(const struct reader *reader);
/* Bytes that lie ready without waiting. */
size_t reader_ready(const struct reader *reader);
void reader_skip(struct reader *reader, size_t len);
/* `len` bytes at once: borrowed from the span where it holds them, else assembled in `scratch` (at
 * least `len` long). They are read when it returns. Fewer at the end: `*got` tells, may be 0. */
const unsigned char *reader_take(struct reader *reader, void *scratch, size_t len, size_t *got);

#endif
