/* Works on independent frames side by side, and puts what becomes of them into a queue in their
 * order.
 *
 * One thread collects the frames and hands them in; several others work on them. Each frame has a
 * slot with room for both its forms, which is free again once the next stage has read it: memory is
 * bounded by the slots.
 */
#ifndef SNAPSHOT_FRAMES_H
#define SNAPSHOT_FRAMES_H

#include "necoops/base/err.h"
#include "snapshot/queue.h"

struct frames; /* opaque */

#define FRAMES_WORKERS_MAX 64

/* What is done with a frame. Each worker has a context of its own; `open` gives NULL when there is
 * no memory. `work` makes `*out_len` bytes at `out` from the `len` at `in`; before, `*out_len` is
 * what frames_submit was told. */
struct frames_spec {
    size_t in_max, out_max; /* bytes of a frame, before and after */
    size_t slots;
    int workers;
    int level; /* for `open` */
    void *(*open)(int level);
    void (*close)(void *context);
    int (*work)(void *context, const unsigned char *in, size_t len, unsigned char *out,
                size_t *out_len, struct err *err);
};

/* As many workers as there are processors, but at most so many. */
int frames_workers(int most);

/* ERR_FAILED when there is no memory or no thread. */
int frames_new(const struct frames_spec *spec, struct queue *out, struct frames **result,
               struct err *err) MUST_CHECK;
/* Ends the threads, waits until what was put is released, and frees. NULL is nothing. */
void frames_retire(struct frames *frames);
size_t frames_out_max(const struct frames *frames);

/* Room for a frame, when a slot is free; `*size` is how much. NULL when a frame before it was
 * broken or the queue aborted: frames_drain says which. */
unsigned char *frames_begin(struct frames *frames, size_t *size);
/* The room holds a frame of `len` bytes, of which `out_len` will become; it lies at `mark`. */
void frames_submit(struct frames *frames, size_t len, size_t out_len, struct mark mark);
/* Waits until all that was handed in is in the queue. */
int frames_drain(struct frames *frames, struct err *err) MUST_CHECK;

#endif
