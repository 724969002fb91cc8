#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/log.h"
#include "snapshot/tar.h"
#include "snapshot/tree.h"
#include "snapshot/unpack.h"

struct unpacker {
    struct tar *tar;
    struct tree *tree;
    const struct unpack_limits *limits;
    struct unpack_stats *stats;
};

void unpack_stats_clear(struct unpack_stats *stats)
{
    strv_clear(&stats->names);
    *stats = (struct unpack_stats){0};
}

static int check_limit(uint64_t value, uint64_t limit, const char *what, struct err *err)
{
    if (limit == 0 || value <= limit)
        return 0;
    return err_set(err, ERR_FAILED, "archive holds more than the %llu %s that are allowed",
                   (unsigned long long)limit, what);
}

static int count_entry(struct unpacker *u, const struct tar_entry *entry, struct err *err)
{
    struct unpack_stats *stats = u->stats;
    stats->entries++;
    if (check_limit(stats->entries, u->limits->entries, "entries", err) != 0)
        return -1;
    if (entry->type != TAR_FILE)
        return 0;
    stats->files++;
    if (stats->names.len < UNPACK_NAMES)
        strv_add(&stats->names, entry->path);
    if (__builtin_add_overflow(stats->apparent_bytes, entry->size, &stats->apparent_bytes))
        stats->apparent_bytes = UINT64_MAX;
    return check_limit(stats->apparent_bytes, u->limits->apparent_bytes, "bytes", err);
}

static int write_piece(struct unpacker *u, int fd, uint64_t offset, const unsigned char *data,
                       size_t len, struct err *err)
{
    uint64_t written = 0;
    if (write_sparse(fd, offset, data, len, &written, err) != 0)
        return -1;
    uint64_t sum = atomic_fetch_add(&u->stats->disk_bytes, written) + written;
    return check_limit(sum, u->limits->disk_bytes, "bytes of disk space", err);
}

/* The content as stored goes to the extents, one after another. */
static int write_extents(struct unpacker *u, const struct tar_entry *entry, int fd, struct err *err)
{
    size_t i = 0;
    uint64_t at = 0; /* within the extent */
    for (;;) {
        const unsigned char *data;
        size_t len;
        if (tar_data(u->tar, &data, &len, err) != 0)
            return -1;
        if (len == 0)
            return 0;
        while (len > 0) {
            const struct tar_extent *extent = &entry->extents[i];
            uint64_t room = extent->len - at;
            size_t piece = room < len ? (size_t)room : len;
            if (piece > 0 && write_piece(u, fd, extent->offset + at, data, piece, err) != 0)
                return -1;
            data += piece;
            len -= piece;
            at += piece;
            if (at == extent->len) {
                i++;
                at = 0;
            }
        }
    }
}

static int unpack_file(struct unpacker *u, const struct tar_entry *entry, struct err *err)
{
    autoclose int fd = -1;
    if (tree_file(u->tree, entry, &fd, err) != 0)
        return -1;
    if (entry->size > INT64_MAX || ftruncate(fd, (off_t)entry->size) != 0)
        return err_set_errno(err, ERR_FAILED, entry->size > INT64_MAX ? EFBIG : errno,
                             "cannot make a file of %llu bytes", (unsigned long long)entry->size);
    if (write_extents(u, entry, fd, err) != 0)
        return -1;
    return tree_set_attributes(fd, entry, err);
}

static int unpack_entry(struct unpacker *u, const struct tar_entry *entry, struct err *err)
{
    if (count_entry(u, entry, err) != 0)
        return -1;
    switch (entry->type) {
    case TAR_FILE:
        return unpack_file(u, entry, err);
    case TAR_DIR:
        return tree_dir(u->tree, entry, err);
    case TAR_SYMLINK:
        return tree_symlink(u->tree, entry, err);
    case TAR_HARDLINK:
        return tree_hardlink(u->tree, entry, err);
    }
    return 0;
}

static int unpack_all(struct unpacker *u, struct err *err)
{
    CLEANUP(tar_entry_clear) struct tar_entry entry = {0};
    for (;;) {
        int result = tar_next(u->tar, &entry, err);
        if (result < 0)
            return -1;
        if (result == 0)
            return tree_finish(u->tree, err);
        if (unpack_entry(u, &entry, err) != 0)
            return err_prefix(err, "entry '%s'", entry.path);
    }
}

int unpack(struct reader *in, int dir_fd, const struct unpack_limits *limits,
           struct unpack_stats *stats, struct err *err)
{
    struct unpacker u = {.limits = limits, .stats = stats};
    u.tar = tar_new(in);
    u.tree = tree_new(dir_fd);
    int result = unpack_all(&u, err);
    tree_free(u.tree);
    tar_free(u.tar);
    return result;
}
