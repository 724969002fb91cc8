/* Where a file has content, and where holes (lseek(2), SEEK_DATA). */
#include <errno.h>
#include <unistd.h>
#include "snapshot/pack.h"
#include "snapshot/tar_write.h"

struct finder {
    struct tar_extent *extents;
    size_t count, room;
    uint64_t least_hole; /* smaller ones count as content */
};

/* Joins extents across holes that are too small now. */
static void join(struct finder *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct tar_extent *last = kept > 0 ? &f->extents[kept - 1] : NULL;
        const struct tar_extent *next = &f->extents[i];
        if (last && next->offset - (last->offset + last->len) < f->least_hole)
            last->len = next->offset + next->len - last->offset;
        else
            f->extents[kept++] = *next;
    }
    f->count = kept;
}

static void add(struct finder *f, uint64_t offset, uint64_t len)
{
    while (f->count == TAR_WRITE_EXTENTS) {
        f->least_hole *= 2;
        join(f);
    }
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 16;
        f->extents = xrealloc(f->extents, f->room * sizeof(*f->extents));
    }
    f->extents[f->count++] = (struct tar_extent){.offset = offset, .len = len};
}

/* 1: an extent; 0: nothing but a hole follows; -1. */
static int next_extent(int fd, uint64_t at, uint64_t size, struct tar_extent *out, struct err *err)
{
    off_t start = lseek(fd, (off_t)at, SEEK_DATA);
    if (start < 0 && errno == ENXIO)
        return 0;
    if (start < 0 && errno == EINVAL) { /* the file system knows no holes */
        *out = (struct tar_extent){.offset = at, .len = size - at};
        return 1;
    }
    off_t stop = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
    if (stop < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot look for its holes");
    if ((uint64_t)start >= size)
        return 0;
    uint64_t end = (uint64_t)stop < size ? (uint64_t)stop : size;
    *out = (struct tar_extent){.offset = (uint64_t)start, .len = end - (uint64_t)start};
    return 1;
}

int extents_find(int fd, uint64_t size, struct tar_extent **out, size_t *count, struct err *err)
{
    struct finder f = {.least_hole = 1};
    for (uint64_t at = 0; at < size;) {
        struct tar_extent extent = {0};
        int found = next_extent(fd, at, size, &extent, err);
        if (found < 0) {
            free(f.extents);
            return -1;
        }
        if (found == 0)
            break;
        add(&f, extent.offset, extent.len);
        at = extent.offset + extent.len;
    }
    join(&f);
    *out = f.extents;
    *count = f.count;
    return 0;
}
