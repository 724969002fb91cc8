#include "snapshot/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#define STEP ((uint64_t)64 << 20) /* what is about to be written is given back in such pieces */

struct reserve {
    int fd; /* -1: nothing is held */
    uint64_t total;
    uint64_t held;
};

static bool is_memory(int dir_fd)
{
    struct statfs fs;
    return fstatfs(dir_fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Not all file systems know files without a name, or room without content. */
static bool is_unsupported(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EISDIR ||
           error == ENOENT;
}

static int hold(struct reserve *reserve, int dir_fd, uint64_t len, struct err *err)
{
    autoclose int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, (off_t)len) != 0) {
        if (is_unsupported(errno))
            return 0;
        return err_set_errno(err, ERR_FAILED, errno, "cannot reserve %llu bytes",
                             (unsigned long long)len);
    }
    reserve->fd = fd;
    reserve->held = len;
    fd = -1;
    return 0;
}

int reserve_new(int dir_fd, uint64_t total, uint64_t written, struct reserve **out, struct err *err)
{
    struct reserve *reserve = xcalloc(1, sizeof(*reserve));
    *reserve = (struct reserve){.fd = -1, .total = total};
    if (total > written && total <= INT64_MAX && !is_memory(dir_fd) &&
        hold(reserve, dir_fd, total - written, err) != 0) {
        reserve_free(reserve);
        return -1;
    }
    *out = reserve;
    return 0;
}

void reserve_free(struct reserve *reserve)
{
    if (!reserve)
        return;
    close_fdp(&reserve->fd);
    free(reserve);
}

void reserve_yield(struct reserve *reserve, uint64_t written)
{
    uint64_t ahead = written + STEP;
    uint64_t wanted = reserve->total > ahead ? reserve->total - ahead : 0;
    if (reserve->fd < 0 || reserve->held <= wanted || (wanted > 0 && reserve->held - wanted < STEP))
        return;
    /* Should that fail, the write that wants the room tells. */
    if (ftruncate(reserve->fd, (off_t)wanted) == 0)
        reserve->held = wanted;
}

uint64_t reserve_held(const struct reserve *reserve)
{
    return reserve->held;
}
