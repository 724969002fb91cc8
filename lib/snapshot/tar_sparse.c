#include <string.h>
#include "snapshot/tar_internal.h"

#define OLD_MAP      386 /* four extents in the header */
#define OLD_EXTENDED 482
#define OLD_REALSIZE 483
#define MORE_EXTENTS 21 /* in a block that goes on with the map */

static bool field_is_empty(const unsigned char *field)
{
    return field[0] == '\0';
}

static int old_extents(struct tar_extra *extra, const unsigned char *at, size_t count,
                       struct err *err)
{
    for (size_t i = 0; i < count && !field_is_empty(at + 12); i++, at += 24) {
        uint64_t offset = 0, len = 0;
        if (!tar_number(at, 12, &offset) || !tar_number(at + 12, 12, &len))
            return err_set(err, ERR_FAILED, "sparse map is malformed");
        if (tar_extra_add_extent(extra, offset, len, err) != 0)
            return -1;
    }
    return 0;
}

int tar_sparse_gnu(struct tar *tar, const unsigned char *header, struct tar_extra *extra,
                   struct err *err)
{
    extra->sparse = true;
    extra->has_real_size = true;
    if (!tar_number(header + OLD_REALSIZE, 12, &extra->real_size))
        return err_set(err, ERR_FAILED, "sparse file's size is malformed");
    if (old_extents(extra, header + OLD_MAP, 4, err) != 0)
        return -1;
    bool more = header[OLD_EXTENDED] != 0;
    while (more) {
        const unsigned char *block = tar_block(tar, err);
        if (!block || old_extents(extra, block, MORE_EXTENTS, err) != 0)
            return -1;
        more = block[24 * MORE_EXTENTS] != 0;
    }
    return 0;
}

/* The numbers of a 1.0 map: one a line, in blocks that are part of the content. */
struct lines {
    struct tar *tar;
    uint64_t *left;
    unsigned char block[TAR_BLOCK];
    size_t at;
};

static int next_line(struct lines *lines, uint64_t *out, struct err *err)
{
    char text[24];
    size_t len = 0;
    for (;;) {
        if (lines->at == TAR_BLOCK) {
            if (*lines->left < TAR_BLOCK)
                return err_set(err, ERR_FAILED, "sparse map is longer than its file");
            const unsigned char *block = tar_block(lines->tar, err);
            if (!block)
                return -1;
            memcpy(lines->block, block, TAR_BLOCK);
            *lines->left -= TAR_BLOCK;
            lines->at = 0;
        }
        char c = (char)lines->block[lines->at++];
        if (c == '\n')
            break;
        if (len == sizeof(text))
            return err_set(err, ERR_FAILED, "sparse map is malformed");
        text[len++] = c;
    }
    const char *at = text;
    if (!tar_decimal(&at, text + len, out) || at != text + len)
        return err_set(err, ERR_FAILED, "sparse map is malformed");
    return 0;
}

int tar_sparse_head(struct tar *tar, uint64_t *left, struct tar_extra *extra, struct err *err)
{
    struct lines lines = {.tar = tar, .left = left, .at = TAR_BLOCK};
    uint64_t count = 0;
    if (next_line(&lines, &count, err) != 0)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = 0, len = 0;
        if (next_line(&lines, &offset, err) != 0 || next_line(&lines, &len, err) != 0 ||
            tar_extra_add_extent(extra, offset, len, err) != 0)
            return -1;
    }
    return 0;
}

int tar_sparse_check(const struct tar_extra *extra, uint64_t content, struct err *err)
{
    uint64_t end = 0, sum = 0;
    if (!extra->has_real_size)
        return err_set(err, ERR_FAILED, "sparse file without a size");
    for (size_t i = 0; i < extra->extent_count; i++) {
        const struct tar_extent *extent = &extra->extents[i];
        uint64_t stop = 0;
        if (extent->offset < end || __builtin_add_overflow(extent->offset, extent->len, &stop) ||
            stop > extra->real_size)
            return err_set(err, ERR_FAILED, "sparse map does not fit its file");
        end = stop;
        sum += extent->len;
    }
    if (sum != content)
        return err_set(err, ERR_FAILED, "sparse map covers %llu bytes, the archive has %llu for it",
                       (unsigned long long)sum, (unsigned long long)content);
    return 0;
}
