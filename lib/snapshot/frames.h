/* Decodes independent zstd frames side by side, and puts what they hold into a queue in their
 * order.
 *
 * One thread collects the frames and hands them in; as many threads as there are processors decode
 * them. Each frame has a slot with room for both its forms, which is free again once the next stage
 * has read it: memory is bounded by the slots.
 */
#ifndef SNAPSHOT_FRAMES_H
#define SNAPSHOT_FRAMES_H

#include "necoops/base/err.h"
#include "snapshot/queue.h"

struct frames; /* opaque */

/* The largest content of a frame that is worth a slot; larger ones are decoded as a stream. */
#define FRAMES_CONTENT_MAX ((size_t)4 << 20)

/* For frames of at most `content` bytes. ERR_FAILED when there is no memory or no thread. */
int frames_new(size_t content, struct queue *out, struct frames **result,
               struct err *err) MUST_CHECK;
/* Ends the threads, waits until what was put is released, and frees. NULL is nothing. */
void frames_retire(struct frames *frames);
size_t frames_content_max(const struct frames *frames);

/* Room for a packed frame, when a slot is free; `*size` is how much. NULL when a frame before it
 * was broken or the queue aborted: frames_drain says which. */
unsigned char *frames_begin(struct frames *frames, size_t *size);
/* The room holds a frame of `len` bytes that unpacks to `content` bytes, and lies at `mark`. */
void frames_submit(struct frames *frames, size_t len, size_t content, struct mark mark);
/* Waits until all that was handed in is in the queue. */
int frames_drain(struct frames *frames, struct err *err) MUST_CHECK;

#endif
