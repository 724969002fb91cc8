#include "snapshot/unpack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "snapshot/journal.h"
#include "snapshot/reserve.h"
#include "snapshot/tree.h"

struct unpacker {
    struct reader *in;
    struct tar *tar;
    struct tree *tree;
    const struct unpack_job *job;
    struct unpack_stats *stats;
};

/* Where in the extents the next byte of the stored content goes. */
struct target {
    size_t extent;
    uint64_t at;
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
    if (check_limit(stats->entries, u->job->limits.entries, "entries", err) != 0)
        return -1;
    if (entry->type != TAR_FILE)
        return 0;
    stats->files++;
    if (stats->names.len < UNPACK_NAMES)
        strv_add(&stats->names, entry->path);
    if (__builtin_add_overflow(stats->apparent_bytes, entry->size, &stats->apparent_bytes))
        stats->apparent_bytes = UINT64_MAX;
    return check_limit(stats->apparent_bytes, u->job->limits.apparent_bytes, "bytes", err);
}

static int write_piece(struct unpacker *u, int fd, uint64_t offset, const unsigned char *data,
                       size_t len, struct err *err)
{
    uint64_t written = 0;
    if (u->job->reserve)
        reserve_yield(u->job->reserve, atomic_load(&u->stats->disk_bytes) + len);
    if (write_sparse(fd, offset, data, len, &written, err) != 0)
        return -1;
    uint64_t sum = atomic_fetch_add(&u->stats->disk_bytes, written) + written;
    if (u->job->limits.disk_is_room && sum > u->job->limits.disk_bytes)
        return err_set_errno(err, ERR_FAILED, ENOSPC, "cannot write");
    return check_limit(sum, u->job->limits.disk_bytes, "bytes of disk space", err);
}

static int write_to_extents(struct unpacker *u, const struct tar_entry *entry, int fd,
                            struct target *target, const unsigned char *data, size_t len,
                            struct err *err)
{
    while (len > 0) {
        const struct tar_extent *extent = &entry->extents[target->extent];
        uint64_t room = extent->len - target->at;
        size_t piece = room < len ? (size_t)room : len;
        if (piece > 0 && write_piece(u, fd, extent->offset + target->at, data, piece, err) != 0)
            return -1;
        data += piece;
        len -= piece;
        target->at += piece;
        if (target->at == extent->len) {
            target->extent++;
            target->at = 0;
        }
    }
    return 0;
}

/* When the piece of content at hand begins where a killed run could go on, that is noted. */
static void note_place(struct unpacker *u, const struct tar_entry *entry,
                       const struct target *target)
{
    struct mark mark = reader_span_mark(u->in);
    if (!mark.format || !u->job->journal)
        return;
    struct unpack_place place = {
        .mark = mark, .entry = *entry, .extent = target->extent, .extent_at = target->at};
    tar_where(u->tar, &place.left, &place.pad);
    journal_place(u->job->journal, &place, u->stats);
}

/* The content as stored goes to the extents, one after another. */
static int write_content(struct unpacker *u, const struct tar_entry *entry, int fd,
                         struct target target, struct err *err)
{
    for (;;) {
        const unsigned char *data;
        size_t len;
        if (tar_data(u->tar, &data, &len, err) != 0)
            return -1;
        if (len == 0)
            return tree_set_attributes(fd, entry, err);
        note_place(u, entry, &target);
        if (write_to_extents(u, entry, fd, &target, data, len, err) != 0)
            return -1;
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
    return write_content(u, entry, fd, (struct target){0}, err);
}

static int unpack_entry(struct unpacker *u, const struct tar_entry *entry, struct err *err)
{
    if (count_entry(u, entry, err) != 0)
        return -1;
    if (u->job->journal)
        journal_entry(u->job->journal, entry);
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

/* Goes on within the file that a killed run was at. */
static int resume(struct unpacker *u, struct err *err)
{
    const struct unpack_place *from = u->job->from;
    autoclose int fd = -1;
    for (size_t i = 0; i < u->job->dir_count; i++) {
        if (tree_dir(u->tree, &u->job->dirs[i], err) != 0)
            return -1;
    }
    if (tree_reopen(u->tree, &from->entry, &fd, err) != 0)
        return -1;
    tar_resume(u->tar, from->left, from->pad);
    struct target target = {.extent = from->extent, .at = from->extent_at};
    return write_content(u, &from->entry, fd, target, err);
}

static int unpack_all(struct unpacker *u, struct err *err)
{
    CLEANUP(tar_entry_clear) struct tar_entry entry = {0};
    if (u->job->from && resume(u, err) != 0)
        return err_prefix(err, "entry '%s'", u->job->from->entry.path);
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

int unpack(struct reader *in, const struct unpack_job *job, struct err *err)
{
    struct unpacker u = {.in = in, .job = job, .stats = job->stats};
    u.tar = tar_new(in);
    u.tree = tree_new(job->tree_fd);
    int result = unpack_all(&u, err);
    tree_free(u.tree);
    tar_free(u.tar);
    return result;
}
