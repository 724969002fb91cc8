#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "snapshot/unpack.h"

/* The unit in which file systems keep holes. */
#define HOLE_BLOCK 4096

static bool is_zero(const unsigned char *data, size_t len)
{
    /* The first word decides for nearly all blocks that are not zero. */
    uint64_t word = 0;
    memcpy(&word, data, len < sizeof(word) ? len : sizeof(word));
    return word == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static int write_all(int fd, uint64_t offset, const unsigned char *data, size_t len,
                     struct err *err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot write");
        data += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Up to the end of the block that `offset` lies in. */
static size_t block_len(uint64_t offset, size_t left)
{
    size_t len = HOLE_BLOCK - (size_t)(offset % HOLE_BLOCK);
    return len < left ? len : left;
}

int write_sparse(int fd, uint64_t offset, const void *data, size_t len, uint64_t *written,
                 struct err *err)
{
    const unsigned char *at = data, *end = at + len;
    const unsigned char *run = at; /* start of what has content and is not written yet */
    while (at < end) {
        size_t piece =
            block_len(offset + (uint64_t)(at - (const unsigned char *)data), (size_t)(end - at));
        bool hole = is_zero(at, piece);
        at += piece;
        if (!hole && at < end)
            continue;
        const unsigned char *stop = hole ? at - piece : at;
        uint64_t where = offset + (uint64_t)(run - (const unsigned char *)data);
        if (stop > run && write_all(fd, where, run, (size_t)(stop - run), err) != 0)
            return -1;
        *written += (uint64_t)(stop - run);
        run = at;
    }
    return 0;
}
