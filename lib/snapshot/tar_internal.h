#ifndef SNAPSHOT_TAR_INTERNAL_H
#define SNAPSHOT_TAR_INTERNAL_H

#include "snapshot/tar.h"

/* What pax records and GNU long names say about the entry that follows. */
struct tar_extra {
    char *path;
    char *link;
    bool has_size, has_mtime, has_uid, has_gid;
    uint64_t size, uid, gid;
    int64_t mtime;
    long mtime_nsec;
    /* GNU.sparse.* */
    char *sparse_name;
    bool sparse;      /* a map is here (0.0, 0.1) */
    bool sparse_head; /* the map leads the content (1.0) */
    bool has_real_size;
    uint64_t real_size;
    uint64_t pending_offset; /* 0.0: an offset whose numbytes has not come yet */
    bool has_pending;
    struct tar_extent *extents;
    size_t extent_count, extent_room;
};

void tar_extra_clear(struct tar_extra *extra);
/* Adds the records of one pax header; `global`: those that apply to all that follow, of which none
 * that changes what an entry is will be taken. */
int tar_pax_parse(struct tar_extra *extra, const char *text, size_t len, bool global,
                  struct err *err) MUST_CHECK;
int tar_extra_add_extent(struct tar_extra *extra, uint64_t offset, uint64_t len,
                         struct err *err) MUST_CHECK;
/* Decimal digits up to `end`; moves `*at` behind them. False when there are none or they do not
 * fit. */
bool tar_decimal(const char **at, const char *end, uint64_t *out);

/* Reads `len` bytes, which are in the way: fails at the end of the archive. */
struct tar {
    struct reader *in;
    struct tar_extra extra;
    uint64_t left; /* content of the current entry not read yet */
    size_t pad;    /* up to the next block */
    size_t handed; /* of the piece that tar_data handed out */
    unsigned char block[TAR_BLOCK];
    size_t entries;
};

/* A whole block, borrowed until the next read. NULL with the error set, also at the end. */
const unsigned char *tar_block(struct tar *tar, struct err *err);
/* Old GNU: the map in the header and in the blocks that follow it. */
int tar_sparse_gnu(struct tar *tar, const unsigned char *header, struct tar_extra *extra,
                   struct err *err) MUST_CHECK;
/* pax 1.0: the map that leads the content; what it takes is counted off `*left`. */
int tar_sparse_head(struct tar *tar, uint64_t *left, struct tar_extra *extra,
                    struct err *err) MUST_CHECK;
/* Ascending, inside the file, and as long together as the content. */
int tar_sparse_check(const struct tar_extra *extra, uint64_t content, struct err *err) MUST_CHECK;

#endif
