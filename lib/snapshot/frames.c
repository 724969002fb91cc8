#include "snapshot/frames.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <zstd.h>
#include "snapshot/decode.h"

#define MEMORY_MAX  ((size_t)40 << 20)
#define SLOTS_MIN   2
#define SLOTS_MAX   16
#define WORKERS_MAX 8

enum slot_state { SLOT_FREE, SLOT_READY, SLOT_WORKING, SLOT_DONE, SLOT_BROKEN };

struct slot {
    unsigned char *packed;
    unsigned char *plain;
    size_t len;
    size_t content;
    struct mark mark;
    enum slot_state state;
};

/* Frames are numbered; number n has slot n modulo `slots`. Slots are filled, put and released in
 * that order. */
struct frames {
    struct queue *out;
    unsigned char *memory;
    size_t memory_len;
    size_t content_max, packed_max;
    struct slot slot[SLOTS_MAX];
    size_t slots;
    pthread_t worker[WORKERS_MAX];
    int workers;

    pthread_mutex_t lock;
    pthread_cond_t moved;
    size_t submitted; /* frames handed in */
    size_t taken;     /* begun by a worker */
    size_t put;       /* in the queue */
    size_t released;
    bool putting; /* one worker puts at a time, without the lock */
    bool stopping;
    bool aborted;
    bool broken;
    struct err err; /* of the first frame that was broken */
};

/* ---- workers ---- */

static int decode_slot(ZSTD_DCtx *context, struct slot *slot, struct err *err)
{
    size_t made = ZSTD_decompressDCtx(context, slot->plain, slot->content, slot->packed, slot->len);
    if (ZSTD_isError(made))
        return err_set(err, ERR_FAILED, "zstd stream is corrupt: %s", ZSTD_getErrorName(made));
    if (made != slot->content)
        return err_set(err, ERR_FAILED, "zstd stream is corrupt: a frame is shorter than it says");
    return 0;
}

static void release(void *arg, uint64_t number)
{
    struct frames *frames = arg;
    pthread_mutex_lock(&frames->lock);
    frames->slot[number % frames->slots].state = SLOT_FREE;
    frames->released = (size_t)number + 1;
    pthread_cond_broadcast(&frames->moved);
    pthread_mutex_unlock(&frames->lock);
}

/* Puts what is done, in order. The lock is held, but for the put itself. */
static void put_done(struct frames *frames)
{
    if (frames->putting)
        return;
    frames->putting = true;
    while (!frames->aborted && frames->put < frames->submitted) {
        size_t number = frames->put;
        struct slot *slot = &frames->slot[number % frames->slots];
        if (slot->state != SLOT_DONE)
            break;
        struct span span = {.data = slot->plain,
                            .len = slot->content,
                            .release = release,
                            .arg = frames,
                            .cookie = number,
                            .mark = slot->mark};
        /* Counted before: it may be released before the put returns. */
        frames->put++;
        pthread_mutex_unlock(&frames->lock);
        bool taken = queue_put(frames->out, span);
        pthread_mutex_lock(&frames->lock);
        if (!taken) {
            frames->put--;
            frames->aborted = true;
        }
    }
    frames->putting = false;
    pthread_cond_broadcast(&frames->moved);
}

/* The lock is held. */
static void finish_slot(struct frames *frames, struct slot *slot, struct err *err)
{
    if (err->code == ERR_NONE) {
        slot->state = SLOT_DONE;
    } else {
        slot->state = SLOT_BROKEN;
        if (!frames->broken)
            err_move(&frames->err, err);
        frames->broken = true;
        err_clear(err);
    }
    put_done(frames);
}

static void *worker_main(void *arg)
{
    struct frames *frames = arg;
    struct err err = ERR_INIT;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    pthread_mutex_lock(&frames->lock);
    for (;;) {
        while (frames->taken == frames->submitted && !frames->stopping)
            pthread_cond_wait(&frames->moved, &frames->lock);
        if (frames->taken == frames->submitted || frames->stopping)
            break;
        struct slot *slot = &frames->slot[frames->taken++ % frames->slots];
        slot->state = SLOT_WORKING;
        pthread_mutex_unlock(&frames->lock);
        if (!context)
            err_set(&err, ERR_FAILED, "out of memory");
        else
            (void)decode_slot(context, slot, &err);
        pthread_mutex_lock(&frames->lock);
        finish_slot(frames, slot, &err);
    }
    pthread_mutex_unlock(&frames->lock);
    ZSTD_freeDCtx(context);
    return NULL;
}

/* ---- set-up ---- */

static int processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static int start_workers(struct frames *frames, struct err *err)
{
    int wanted = processors();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = 0;
    while (frames->workers < wanted && code == 0) {
        code = pthread_create(&frames->worker[frames->workers], NULL, worker_main, frames);
        frames->workers += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (frames->workers > 0)
        return 0;
    return err_set_errno(err, ERR_FAILED, code, "cannot start a thread");
}

static void divide_memory(struct frames *frames)
{
    size_t each = frames->packed_max + frames->content_max;
    for (size_t i = 0; i < frames->slots; i++) {
        frames->slot[i].packed = frames->memory + i * each;
        frames->slot[i].plain = frames->memory + i * each + frames->packed_max;
    }
}

int frames_new(size_t content, struct queue *out, struct frames **result, struct err *err)
{
    /* What does not pack grows a little; blocks that were flushed early add to that. */
    size_t packed = ZSTD_compressBound(content) + content / 8 + ((size_t)64 << 10);
    size_t slots = MEMORY_MAX / (packed + content);
    slots = slots < SLOTS_MIN ? SLOTS_MIN : slots > SLOTS_MAX ? SLOTS_MAX : slots;
    size_t len = slots * (packed + content);
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, ERR_FAILED, "out of memory for %zu frames", slots);
    struct frames *frames = xcalloc(1, sizeof(*frames));
    frames->out = out;
    frames->memory = memory;
    frames->memory_len = len;
    frames->content_max = content;
    frames->packed_max = packed;
    frames->slots = slots;
    pthread_mutex_init(&frames->lock, NULL);
    pthread_cond_init(&frames->moved, NULL);
    divide_memory(frames);
    if (start_workers(frames, err) != 0) {
        frames_retire(frames);
        return -1;
    }
    *result = frames;
    return 0;
}

void frames_retire(struct frames *frames)
{
    if (!frames)
        return;
    pthread_mutex_lock(&frames->lock);
    frames->stopping = true;
    pthread_cond_broadcast(&frames->moved);
    pthread_mutex_unlock(&frames->lock);
    for (int i = 0; i < frames->workers; i++)
        pthread_join(frames->worker[i], NULL);
    /* Whoever gets from the queue releases all of it, also when it gives up. */
    pthread_mutex_lock(&frames->lock);
    while (frames->released < frames->put)
        pthread_cond_wait(&frames->moved, &frames->lock);
    pthread_mutex_unlock(&frames->lock);
    munmap(frames->memory, frames->memory_len);
    pthread_cond_destroy(&frames->moved);
    pthread_mutex_destroy(&frames->lock);
    err_clear(&frames->err);
    free(frames);
}

size_t frames_content_max(const struct frames *frames)
{
    return frames->content_max;
}

/* ---- the collecting thread ---- */

unsigned char *frames_begin(struct frames *frames, size_t *size)
{
    struct slot *slot = &frames->slot[frames->submitted % frames->slots];
    pthread_mutex_lock(&frames->lock);
    while (slot->state != SLOT_FREE && !frames->broken && !frames->aborted)
        pthread_cond_wait(&frames->moved, &frames->lock);
    bool free_slot = !frames->broken && !frames->aborted;
    pthread_mutex_unlock(&frames->lock);
    *size = frames->packed_max;
    return free_slot ? slot->packed : NULL;
}

void frames_submit(struct frames *frames, size_t len, size_t content, struct mark mark)
{
    struct slot *slot = &frames->slot[frames->submitted % frames->slots];
    pthread_mutex_lock(&frames->lock);
    slot->len = len;
    slot->content = content;
    slot->mark = mark;
    slot->state = SLOT_READY;
    frames->submitted++;
    pthread_cond_broadcast(&frames->moved);
    pthread_mutex_unlock(&frames->lock);
}

int frames_drain(struct frames *frames, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&frames->lock);
    while ((frames->put < frames->submitted || frames->putting) && !frames->broken &&
           !frames->aborted)
        pthread_cond_wait(&frames->moved, &frames->lock);
    if (frames->broken)
        result = err_set(err, frames->err.code, "%s", err_text(&frames->err));
    else if (frames->aborted)
        result = decode_stopped(err);
    pthread_mutex_unlock(&frames->lock);
    return result;
}
