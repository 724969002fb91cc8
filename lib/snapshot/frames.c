#include "snapshot/frames.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include "snapshot/decode.h"
#include "snapshot/flow.h"

#define SLOTS_MIN 2
#define SLOTS_MAX (FRAMES_WORKERS_MAX + 8)

enum slot_state { SLOT_FREE, SLOT_READY, SLOT_WORKING, SLOT_DONE, SLOT_BROKEN };

struct slot {
    unsigned char *in;
    unsigned char *out;
    size_t in_len;
    size_t out_len;
    struct mark mark;
    enum slot_state state;
};

/* Frames are numbered; number n has slot n modulo `slots`. Slots are filled, put and released in
 * that order. */
struct frames {
    struct queue *out;
    struct frames_spec spec;
    unsigned char *memory;
    size_t memory_len;
    struct slot slot[SLOTS_MAX];
    size_t slots;
    pthread_t worker[FRAMES_WORKERS_MAX];
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
        struct span span = {.data = slot->out,
                            .len = slot->out_len,
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
    const struct frames_spec *spec = &frames->spec;
    void *context = spec->open(spec->level);
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
            (void)!spec->work(context, slot->in, slot->in_len, slot->out, &slot->out_len, &err);
        pthread_mutex_lock(&frames->lock);
        finish_slot(frames, slot, &err);
    }
    pthread_mutex_unlock(&frames->lock);
    spec->close(context);
    return NULL;
}

/* ---- set-up ---- */

int frames_workers(int most)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < most ? count : most;
}

static int start_workers(struct frames *frames, struct err *err)
{
    int wanted = frames->spec.workers;
    int code = 0;
    while (frames->workers < wanted && code == 0) {
        code = flow_thread(&frames->worker[frames->workers], worker_main, frames);
        frames->workers += code == 0;
    }
    if (frames->workers > 0)
        return 0;
    return err_set_errno(err, ERR_FAILED, code, "cannot start a thread");
}

static void divide_memory(struct frames *frames)
{
    size_t each = frames->spec.in_max + frames->spec.out_max;
    for (size_t i = 0; i < frames->slots; i++) {
        frames->slot[i].in = frames->memory + i * each;
        frames->slot[i].out = frames->memory + i * each + frames->spec.in_max;
    }
}

int frames_new(const struct frames_spec *spec, struct queue *out, struct frames **result,
               struct err *err)
{
    size_t slots = spec->slots;
    slots = slots < SLOTS_MIN ? SLOTS_MIN : slots > SLOTS_MAX ? SLOTS_MAX : slots;
    size_t len = slots * (spec->in_max + spec->out_max);
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, ERR_FAILED, "out of memory for %zu frames", slots);
    struct frames *frames = xcalloc(1, sizeof(*frames));
    frames->out = out;
    frames->spec = *spec;
    frames->memory = memory;
    frames->memory_len = len;
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

size_t frames_out_max(const struct frames *frames)
{
    return frames->spec.out_max;
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
    *size = frames->spec.in_max;
    return free_slot ? slot->in : NULL;
}

void frames_submit(struct frames *frames, size_t len, size_t out_len, struct mark mark)
{
    struct slot *slot = &frames->slot[frames->submitted % frames->slots];
    pthread_mutex_lock(&frames->lock);
    slot->in_len = len;
    slot->out_len = out_len;
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
