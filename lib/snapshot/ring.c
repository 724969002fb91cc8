#include <sys/mman.h>
#include "snapshot/ring.h"

/* Positions count bytes since the start, those skipped at a wrap included. */
struct ring {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct queue *queue;
    unsigned char *base;
    size_t size;
    uint64_t head;      /* writer's: next byte to write */
    uint64_t published; /* writer's: first byte not in the queue yet */
    struct mark mark;   /* writer's: of the next span */
    uint64_t last;      /* writer's: end of the last span published */
    uint64_t tail;      /* locked: everything before was released */
};

struct ring *ring_new(size_t size, struct queue *queue)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    struct ring *ring = xcalloc(1, sizeof(*ring));
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->freed, NULL);
    ring->queue = queue;
    ring->base = base;
    ring->size = size;
    return ring;
}

size_t ring_size(const struct ring *ring)
{
    return ring->size;
}

static void release(void *arg, uint64_t cookie)
{
    struct ring *ring = arg;
    pthread_mutex_lock(&ring->lock);
    ring->tail = cookie;
    pthread_cond_signal(&ring->freed);
    pthread_mutex_unlock(&ring->lock);
}

/* Ends in every case: whoever gets from the queue releases all of it, also when it gives up. */
static void wait_for_tail(struct ring *ring, uint64_t at_least)
{
    pthread_mutex_lock(&ring->lock);
    while (ring->tail < at_least)
        pthread_cond_wait(&ring->freed, &ring->lock);
    pthread_mutex_unlock(&ring->lock);
}

unsigned char *ring_reserve(struct ring *ring, size_t need)
{
    size_t at = (size_t)(ring->head % ring->size);
    if (ring->size - at < need) {
        if (!ring_publish(ring))
            return NULL;
        ring->head += ring->size - at;
        ring->published = ring->head;
        at = 0;
    }
    uint64_t end = ring->head + need;
    uint64_t wanted = end > ring->size ? end - ring->size : 0;
    /* What waits unpublished could be what the room is waiting for. */
    if (wanted > ring->published && !ring_publish(ring))
        return NULL;
    wait_for_tail(ring, wanted);
    return ring->base + at;
}

void ring_commit(struct ring *ring, size_t len)
{
    ring->head += len;
}

size_t ring_unpublished(const struct ring *ring)
{
    return (size_t)(ring->head - ring->published);
}

bool ring_publish(struct ring *ring)
{
    if (ring->head == ring->published)
        return true;
    struct span span = {
        .data = ring->base + ring->published % ring->size,
        .len = (size_t)(ring->head - ring->published),
        .release = release,
        .arg = ring,
        .cookie = ring->head,
        .mark = ring->mark,
    };
    ring->mark = (struct mark){0};
    ring->published = ring->head;
    /* A span that was not taken is released by nobody. */
    if (!queue_put(ring->queue, span))
        return false;
    ring->last = ring->published;
    return true;
}

bool ring_mark(struct ring *ring, struct mark mark)
{
    bool ok = ring_publish(ring);
    ring->mark = mark;
    return ok;
}

bool ring_drain(struct ring *ring)
{
    if (!ring_publish(ring))
        return false;
    wait_for_tail(ring, ring->last);
    return true;
}

void ring_retire(struct ring *ring)
{
    if (!ring)
        return;
    wait_for_tail(ring, ring->last);
    munmap(ring->base, ring->size);
    pthread_cond_destroy(&ring->freed);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}
