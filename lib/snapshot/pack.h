/* The packing stage: a folder becomes a tar archive in independent zstd frames.
 *
 * One thread reads the files and writes the archive into frames of PACK_FRAME bytes; others
 * compress them. The frames come out of a queue in order, each a span of its own. The same folder
 * gives the same bytes (with the same libzstd and level).
 */
#ifndef SNAPSHOT_PACK_H
#define SNAPSHOT_PACK_H

#include <stdatomic.h>
#include <stdlib.h>
#include "snapshot/flow.h"
#include "snapshot/scan.h"

#define PACK_FRAME ((size_t)1 << 20)

struct pack_spec {
    int folder_fd;
    const struct scan *scan;
    int level; /* of zstd */
    struct flow *flow;
    struct queue *out;
};
struct pack; /* opaque */

/* Begins; a failure goes to the flow and aborts the queue. ERR_FAILED: no memory, no thread. */
int pack_start(const struct pack_spec *spec, struct pack **out, struct err *err) MUST_CHECK;
/* Bytes of the files read so far, holes not counted; and those that were content of the archive in
 * the end. */
uint64_t pack_done(const struct pack *pack);
/* Waits for its end (the queue must be read to its end, or aborted), and frees. NULL is nothing. */
void pack_join(struct pack *pack);

/* ---- its parts, apart for the tests ---- */

/* The extents of the file's first `size` bytes that have content, at most TAR_WRITE_EXTENTS; where
 * there are more, small holes count as content. The caller frees. */
int extents_find(int fd, uint64_t size, struct tar_extent **out, size_t *count,
                 struct err *err) MUST_CHECK;

#endif
