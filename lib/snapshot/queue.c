#include <string.h>
#include "necoops/base/digest.h"
#include "snapshot/queue.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_cond_t drained;
    struct span *items;
    size_t capacity;
    size_t first;
    size_t count;
    bool ended;
    bool aborted;
};

void span_release(struct span *span)
{
    if (span->release)
        span->release(span->arg, span->cookie);
    *span = (struct span){0};
}

struct queue *queue_new(size_t capacity)
{
    struct queue *queue = xcalloc(1, sizeof(*queue));
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    pthread_cond_init(&queue->drained, NULL);
    queue->items = xcalloc(capacity, sizeof(*queue->items));
    queue->capacity = capacity;
    return queue;
}

/* Releases what was never got; the lock is not held while the makers are told. */
static void discard(struct queue *queue)
{
    for (;;) {
        struct span span = {0};
        pthread_mutex_lock(&queue->lock);
        bool any = queue->count > 0;
        if (any) {
            span = queue->items[queue->first];
            queue->first = (queue->first + 1) % queue->capacity;
            queue->count--;
        }
        pthread_mutex_unlock(&queue->lock);
        if (!any)
            return;
        span_release(&span);
    }
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    discard(queue);
    pthread_cond_destroy(&queue->drained);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue->items);
    free(queue);
}

bool queue_put(struct queue *queue, struct span span)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == queue->capacity && !queue->aborted)
        pthread_cond_wait(&queue->drained, &queue->lock);
    bool put = !queue->aborted;
    if (put) {
        queue->items[(queue->first + queue->count) % queue->capacity] = span;
        queue->count++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return put;
}

enum queue_state queue_get(struct queue *queue, struct span *span)
{
    enum queue_state state = QUEUE_SPAN;
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->ended && !queue->aborted)
        pthread_cond_wait(&queue->filled, &queue->lock);
    if (queue->aborted) {
        state = QUEUE_ABORTED;
    } else if (queue->count == 0) {
        state = QUEUE_ENDED;
    } else {
        *span = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->count--;
        pthread_cond_signal(&queue->drained);
    }
    pthread_mutex_unlock(&queue->lock);
    return state;
}

void queue_end(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->ended = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

void queue_abort(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->aborted = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->lock);
}

void reader_init(struct reader *reader, struct queue *queue)
{
    *reader = (struct reader){.queue = queue};
}

static void next_span(struct reader *reader)
{
    span_release(&reader->span);
    reader->at = 0;
}

void reader_close(struct reader *reader)
{
    if (!reader->queue)
        return;
    queue_abort(reader->queue);
    next_span(reader);
    discard(reader->queue);
    reader->queue = NULL;
}

const unsigned char *reader_peek(struct reader *reader, size_t *len)
{
    while (reader->at == reader->span.len && !reader->ended && !reader->aborted) {
        next_span(reader);
        switch (queue_get(reader->queue, &reader->span)) {
        case QUEUE_SPAN:
            reader->crc = reader->span.mark.crc;
            reader->crc_at = 0;
            break;
        case QUEUE_ENDED:
            reader->ended = true;
            break;
        case QUEUE_ABORTED:
            reader->aborted = true;
            break;
        }
    }
    *len = reader_ready(reader);
    return reader->span.data ? reader->span.data + reader->at : NULL;
}

struct mark reader_mark(struct reader *reader, char format)
{
    size_t more = reader->at - reader->crc_at;
    reader->crc = crc32c(reader->crc, reader->span.data + reader->crc_at, more);
    reader->crc_at = reader->at;
    return (struct mark){
        .format = format, .offset = reader->offset + reader->total, .crc = reader->crc};
}

struct mark reader_span_mark(const struct reader *reader)
{
    return reader->at == 0 ? reader->span.mark : (struct mark){0};
}

size_t reader_ready(const struct reader *reader)
{
    return reader->span.len - reader->at;
}

void reader_skip(struct reader *reader, size_t len)
{
    reader->at += len;
    reader->total += len;
}

const unsigned char *reader_take(struct reader *reader, void *scratch, size_t len, size_t *got)
{
    size_t ready = 0;
    const unsigned char *data = reader_peek(reader, &ready);
    if (ready >= len) {
        reader_skip(reader, len);
        *got = len;
        return data;
    }
    size_t have = 0;
    while (have < len && ready > 0) {
        size_t piece = ready < len - have ? ready : len - have;
        memcpy((unsigned char *)scratch + have, data, piece);
        reader_skip(reader, piece);
        have += piece;
        if (have < len)
            data = reader_peek(reader, &ready);
    }
    *got = have;
    return scratch;
}
