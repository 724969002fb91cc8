/* Brings an object into a folder: an archive is unpacked while it comes, any other object becomes a
 * file. Returns once every byte is there and the checksum of the whole object was right. */
#ifndef SNAPSHOT_DOWNLOAD_H
#define SNAPSHOT_DOWNLOAD_H

#include "necoops/gcs/gcs.h"
#include "snapshot/journal.h"

struct download {
    struct http *http;
    struct gcs *gcs;
    const struct gcs_object *object;
    int connections;
    uint64_t part_size; /* at most */
    int64_t stall_ms;
    int tree_fd;
    struct unpack_limits limits;
    struct reserve *reserve;         /* room for what is written; or NULL */
    struct journal *journal;         /* gets what is finished; or NULL */
    const struct journal_past *past; /* what a killed run finished; or NULL */
};

struct download_stats {
    struct unpack_stats unpacked;
    uint64_t received;
};

/* *.tar, *.tar.zst, … */
bool download_is_archive(const char *name);
int download_archive(const struct download *download, struct download_stats *stats,
                     struct err *err) MUST_CHECK;
/* Becomes the file `path` (as tar_clean_path makes it) below the folder. */
int download_file(const struct download *download, const char *path, struct download_stats *stats,
                  struct err *err) MUST_CHECK;

#endif
