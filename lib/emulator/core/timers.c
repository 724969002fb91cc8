/* Things to do later: a heap by due time and one thread. */
#include "emulator/core/internal.h"

#include <errno.h>

struct timer {
    int64_t due; /* monotonic milliseconds */
    uint64_t order;
    void (*fn)(void *arg);
    void *arg;
};

struct timers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct timer *heap;
    size_t count, size;
    uint64_t next_order;
    bool stopping;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool sooner(const struct timer *a, const struct timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void sift_up(struct timer *heap, size_t i)
{
    while (i > 0 && sooner(&heap[i], &heap[(i - 1) / 2])) {
        struct timer parent = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = heap[i];
        heap[i] = parent;
        i = (i - 1) / 2;
    }
}

static void sift_down(struct timer *heap, size_t count)
{
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++) {
            if (sooner(&heap[child], &heap[least]))
                least = child;
        }
        if (least == i)
            return;
        struct timer other = heap[least];
        heap[least] = heap[i];
        heap[i] = other;
        i = least;
    }
}

static struct timer take_first(struct timers *timers)
{
    struct timer first = timers->heap[0];
    timers->heap[0] = timers->heap[--timers->count];
    sift_down(timers->heap, timers->count);
    return first;
}

static void wait_until(struct timers *timers, int64_t due)
{
    struct timespec when = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    pthread_cond_timedwait(&timers->changed, &timers->lock, &when);
}

static void *timers_run(void *arg)
{
    struct timers *timers = arg;
    pthread_mutex_lock(&timers->lock);
    while (!timers->stopping) {
        if (timers->count == 0) {
            pthread_cond_wait(&timers->changed, &timers->lock);
        } else if (timers->heap[0].due > now_ms()) {
            wait_until(timers, timers->heap[0].due);
        } else {
            struct timer timer = take_first(timers);
            pthread_mutex_unlock(&timers->lock);
            timer.fn(timer.arg);
            pthread_mutex_lock(&timers->lock);
        }
    }
    pthread_mutex_unlock(&timers->lock);
    return NULL;
}

struct timers *timers_new(void)
{
    struct timers *timers = xcalloc(1, sizeof *timers);
    pthread_condattr_t attr;
    pthread_mutex_init(&timers->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&timers->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&timers->thread, NULL, timers_run, timers) != 0) {
        pthread_cond_destroy(&timers->changed);
        pthread_mutex_destroy(&timers->lock);
        free(timers);
        return NULL;
    }
    return timers;
}

void timers_stop(struct timers *timers)
{
    if (timers == NULL)
        return;
    pthread_mutex_lock(&timers->lock);
    bool running = !timers->stopping;
    timers->stopping = true;
    pthread_cond_signal(&timers->changed);
    pthread_mutex_unlock(&timers->lock);
    if (running)
        pthread_join(timers->thread, NULL);
}

void timers_free(struct timers *timers)
{
    if (timers == NULL)
        return;
    timers_stop(timers);
    pthread_cond_destroy(&timers->changed);
    pthread_mutex_destroy(&timers->lock);
    free(timers->heap);
    free(timers);
}

void timers_add(struct timers *timers, int64_t ms, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&timers->lock);
    if (timers->count == timers->size) {
        timers->size = timers->size ? timers->size * 2 : 64;
        timers->heap = xrealloc(timers->heap, timers->size * sizeof *timers->heap);
    }
    timers->heap[timers->count] = (struct timer){
        .due = now_ms() + (ms > 0 ? ms : 0), .order = timers->next_order++, .fn = fn, .arg = arg};
    sift_up(timers->heap, timers->count++);
    pthread_cond_signal(&timers->changed);
    pthread_mutex_unlock(&timers->lock);
}
