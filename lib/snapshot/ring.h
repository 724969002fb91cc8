/* Where a decoder writes what it decodes: a ring that hands out contiguous room and publishes what
 * was written as spans, in order. The bytes behind the head stay as they are until the head has
 * come round again, so a decoder may refer back into them: up to size minus twice the largest
 * `need`.
 */
#ifndef SNAPSHOT_RING_H
#define SNAPSHOT_RING_H

#include "snapshot/queue.h"

struct ring; /* opaque; one thread writes, another releases */

/* NULL when the memory cannot be had. The ring publishes to `queue`, borrowed. */
struct ring *ring_new(size_t size, struct queue *queue);
/* Waits until every span that was published is released, then frees. NULL is nothing. */
void ring_retire(struct ring *ring);
size_t ring_size(const struct ring *ring);

/* Contiguous room for `need` bytes (at most half the size) following what was committed, or at the
 * start of the ring; blocks until it is free. NULL when the queue was aborted. */
unsigned char *ring_reserve(struct ring *ring, size_t need);
/* The first `len` bytes of the room are content now. */
void ring_commit(struct ring *ring, size_t len);
/* Puts all that was committed into the queue; false when that was aborted. */
bool ring_publish(struct ring *ring);
/* What is committed next begins at this mark; what was committed before is published first. */
bool ring_mark(struct ring *ring, struct mark mark);
size_t ring_unpublished(const struct ring *ring);
/* Blocks until everything published was released; false when aborted. */
bool ring_drain(struct ring *ring);

#endif
