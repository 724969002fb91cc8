/* The unpacking stage: a tar archive into an empty folder, holes kept.
 *
 * Every name is walked from the folder's descriptor one component at a time without following
 * links, and created anew: nothing outside the folder can be reached, nothing in it is written
 * twice. Blocks of zeros become holes as well, whether the archive knew of them or not.
 */
#ifndef SNAPSHOT_UNPACK_H
#define SNAPSHOT_UNPACK_H

#include <stdatomic.h>
#include "necoops/base/err.h"
#include "necoops/base/strv.h"
#include "snapshot/queue.h"
#include "snapshot/tar.h"

struct unpack_limits {
    uint64_t apparent_bytes; /* of all files together, holes included; 0: no limit */
    uint64_t disk_bytes;     /* written; 0: no limit */
    bool disk_is_room;       /* that is all there is, rather than what was said */
    uint64_t entries;        /* 0: no limit */
};

struct unpack_stats {
    uint64_t entries;
    uint64_t files;
    uint64_t apparent_bytes;
    _Atomic uint64_t disk_bytes; /* written so far; read by the thread that shows progress */
    struct strv names;           /* of the first UNPACK_NAMES files */
};
#define UNPACK_NAMES 1000
void unpack_stats_clear(struct unpack_stats *stats);

/* Within the content of one file: where a killed run can go on. */
struct unpack_place {
    struct mark mark; /* where in the object its content goes on */
    struct tar_entry entry;
    size_t extent;      /* of the entry's, */
    uint64_t extent_at; /* and where within it */
    uint64_t left;      /* stored content that is still to come, */
    size_t pad;         /* and what fills its last block up */
};

struct journal;
struct reserve;
struct unpack_job {
    int tree_fd;
    struct unpack_limits limits;
    struct unpack_stats *stats; /* counted on from what they are */
    struct journal *journal;    /* gets what is needed to go on; or NULL */
    struct reserve *reserve;    /* gives way to what is written; or NULL */
    /* Of a killed run, or NULL: where it was, and folders whose attributes are still to be set. */
    const struct unpack_place *from;
    const struct tar_entry *dirs;
    size_t dir_count;
};

/* Unpacks all of `in` below the job's folder; owners are kept when we are root. Modification times
 * and modes of folders are set at the end. -1: what was unpacked stays for the caller to remove. */
int unpack(struct reader *in, const struct unpack_job *job, struct err *err) MUST_CHECK;

/* Writes `len` bytes at `offset` of a new file, leaving out whole blocks of zeros; `*written` grows
 * by what went to the disk. */
int write_sparse(int fd, uint64_t offset, const void *data, size_t len, uint64_t *written,
                 struct err *err) MUST_CHECK;

#endif
