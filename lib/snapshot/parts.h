/* The cutting stage: frames of zstd, as they come out of the queue, become parts of one size that
 * are uploaded side by side. It adds the index of the frames at the end (a seek table in a
 * skippable frame, as the zstd project's "seekable format" has it, which decoders pass over).
 *
 * A thread fills parts from a pool; the main thread takes them, and gives them back when they are
 * stored. Memory is bounded by the pool.
 */
#ifndef SNAPSHOT_PARTS_H
#define SNAPSHOT_PARTS_H

#include "necoops/base/err.h"
#include "snapshot/flow.h"

struct part {
    unsigned char *data;
    size_t len;
    size_t index; /* in the archive */
    uint32_t crc; /* CRC32C */
    uint64_t id;  /* CRC-64: what else tells its content */
};

struct parts; /* opaque */

/* Begins to read `in`, which has one frame a span. `flow` is woken when there is a part, and has
 * the error when anything fails. */
int parts_start(struct queue *in, size_t part_size, size_t pool, struct flow *flow,
                struct parts **out, struct err *err) MUST_CHECK;
/* Aborts `in` unless it was read to its end, waits, and frees. NULL is nothing. */
void parts_join(struct parts *parts);

/* A part, in order, or NULL when there is none now. Main thread. */
struct part *parts_take(struct parts *parts);
void parts_give_back(struct parts *parts, struct part *part);
/* All parts have been taken, and nothing failed. */
bool parts_ended(struct parts *parts);

#endif
