#include <string.h>
#include "necoops/base/log.h"
#include "snapshot/tar_internal.h"

#define PAX_HEADER_MAX ((uint64_t)24 << 20) /* a sparse map in a header is long */
#define ENTRIES_MAX    ((size_t)1 << 20)

/* Where the fields of a header block lie (POSIX.1, "ustar Header Block"). */
enum {
    NAME = 0,
    NAME_LEN = 100,
    MODE = 100,
    UID = 108,
    GID = 116,
    ID_LEN = 8,
    SIZE = 124,
    MTIME = 136,
    WIDE_LEN = 12,
    CHECKSUM = 148,
    TYPE = 156,
    LINK = 157,
    LINK_LEN = 100,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_LEN = 155,
};

void tar_entry_clear(struct tar_entry *entry)
{
    free(entry->path);
    free(entry->link);
    free(entry->extents);
    *entry = (struct tar_entry){0};
}

struct tar *tar_new(struct reader *in)
{
    struct tar *tar = xcalloc(1, sizeof(*tar));
    tar->in = in;
    return tar;
}

void tar_free(struct tar *tar)
{
    if (!tar)
        return;
    tar_extra_clear(&tar->extra);
    free(tar);
}

static int no_input(struct tar *tar, struct err *err)
{
    if (tar->in->aborted)
        return err_set(err, ERR_FAILED, "stopped because another stage failed");
    return err_set(err, ERR_FAILED, "archive is truncated");
}

const unsigned char *tar_block(struct tar *tar, struct err *err)
{
    size_t got = 0;
    const unsigned char *block = reader_take(tar->in, tar->block, TAR_BLOCK, &got);
    if (got == TAR_BLOCK)
        return block;
    no_input(tar, err);
    return NULL;
}

static bool base256(const unsigned char *field, size_t len, uint64_t *out)
{
    uint64_t value = field[0] & 0x3f; /* 0x80 marks it, 0x40 would be negative */
    if (field[0] & 0x40)
        return false;
    for (size_t i = 1; i < len; i++) {
        if (value >> 55)
            return false;
        value = value << 8 | field[i];
    }
    *out = value;
    return true;
}

bool tar_number(const unsigned char *field, size_t len, uint64_t *out)
{
    if (field[0] & 0x80)
        return base256(field, len, out);
    size_t i = 0;
    uint64_t value = 0;
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        if (value >> 60)
            return false;
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    for (; i < len; i++) {
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    }
    *out = value;
    return true;
}

/* Some old writers sum signed characters. */
static bool checksum_is_right(const unsigned char *block)
{
    uint64_t given = 0;
    uint64_t sum = 0;
    int64_t signed_sum = 0;
    if (!tar_number(block + CHECKSUM, ID_LEN, &given))
        return false;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        bool blank = i >= CHECKSUM && i < CHECKSUM + ID_LEN;
        sum += blank ? ' ' : block[i];
        signed_sum += blank ? ' ' : (signed char)block[i];
    }
    return given == sum || (int64_t)given == signed_sum;
}

static bool is_zero(const unsigned char *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static int skip(struct tar *tar, uint64_t len, struct err *err)
{
    while (len > 0) {
        size_t ready = 0;
        (void)reader_peek(tar->in, &ready);
        if (ready == 0)
            return no_input(tar, err);
        size_t piece = len < ready ? (size_t)len : ready;
        reader_skip(tar->in, piece);
        len -= piece;
    }
    return 0;
}

/* After the first zero block: another, and nothing else to the end. */
static int read_end(struct tar *tar, struct err *err)
{
    const unsigned char *block = tar_block(tar, err);
    if (!block)
        return -1;
    bool zero = is_zero(block, TAR_BLOCK);
    while (zero) {
        size_t len = 0;
        const unsigned char *data = reader_peek(tar->in, &len);
        if (len == 0)
            return tar->in->aborted ? no_input(tar, err) : 0;
        zero = is_zero(data, len);
        reader_skip(tar->in, len);
    }
    return err_set(err, ERR_FAILED, "garbage after the end of the archive");
}

static void set_content(struct tar *tar, uint64_t size)
{
    tar->left = size;
    tar->pad = (size_t)(-size % TAR_BLOCK);
}

/* The content of a header that describes the next entry, as text. */
static int read_text(struct tar *tar, uint64_t size, struct buf *out, struct err *err)
{
    set_content(tar, size);
    while (tar->left > 0) {
        const unsigned char *data;
        size_t len;
        if (tar_data(tar, &data, &len, err) != 0)
            return -1;
        if (buf_add(out, data, len) != 0)
            return err_set(err, ERR_FAILED, "archive has a header of %llu bytes",
                           (unsigned long long)size);
    }
    return 0;
}

static int read_long_name(struct tar *tar, uint64_t size, char **to, struct err *err)
{
    autobuf struct buf text = BUF_INIT(TAR_PATH_MAX);
    if (read_text(tar, size, &text, err) != 0)
        return -1;
    if (strlen(text.data) + 1 < text.len)
        return err_set(err, ERR_FAILED, "long name has a NUL byte in it");
    free(*to);
    *to = xstrdup(text.data);
    return 0;
}

static int read_pax(struct tar *tar, uint64_t size, bool global, struct err *err)
{
    autobuf struct buf text = BUF_INIT(PAX_HEADER_MAX);
    if (read_text(tar, size, &text, err) != 0)
        return -1;
    return tar_pax_parse(&tar->extra, text.data, text.len, global, err);
}

static char *header_path(const unsigned char *block)
{
    const char *name = (const char *)block + NAME;
    const char *prefix = (const char *)block + PREFIX;
    /* GNU's magic ("ustar  ") uses the room of the prefix for other things. */
    bool posix = memcmp(block + MAGIC, "ustar\0", 6) == 0;
    if (!posix || prefix[0] == '\0')
        return xstrndup(name, NAME_LEN);
    return xasprintf("%.*s/%.*s", PREFIX_LEN, prefix, NAME_LEN, name);
}

static int entry_type(const unsigned char *block, const char *path, enum tar_type *type,
                      struct err *err)
{
    switch (block[TYPE]) {
    case '\0':
    case '0':
    case '7': {
        size_t len = strlen(path);
        *type = len > 0 && path[len - 1] == '/' ? TAR_DIR : TAR_FILE;
        return 0;
    }
    case 'S':
        *type = TAR_FILE;
        return 0;
    case '1':
        *type = TAR_HARDLINK;
        return 0;
    case '2':
        *type = TAR_SYMLINK;
        return 0;
    case '5':
        *type = TAR_DIR;
        return 0;
    case '3':
    case '4':
        return err_set(err, ERR_FAILED, "devices are not taken from an archive");
    case '6':
        return err_set(err, ERR_FAILED, "FIFOs are not taken from an archive");
    default:
        return err_set(err, ERR_FAILED, "entry type 0x%02x is not supported", block[TYPE]);
    }
}

static int set_link(struct tar_entry *entry, const char *link, struct err *err)
{
    if (entry->type == TAR_HARDLINK)
        return tar_clean_path(link, &entry->link, err);
    if (tar_check_link(entry->path, link, err) != 0)
        return -1;
    entry->link = xstrdup(link);
    return 0;
}

static int set_attributes(struct tar_entry *entry, const unsigned char *block,
                          const struct tar_extra *extra, struct err *err)
{
    uint64_t mode = 0, mtime = 0;
    if (!tar_number(block + MODE, ID_LEN, &mode) ||
        (!extra->has_uid && !tar_number(block + UID, ID_LEN, &entry->uid)) ||
        (!extra->has_gid && !tar_number(block + GID, ID_LEN, &entry->gid)) ||
        (!extra->has_mtime && !tar_number(block + MTIME, WIDE_LEN, &mtime)))
        return err_set(err, ERR_FAILED, "header is malformed");
    if (mode & 06000)
        return err_set(err, ERR_FAILED, "setuid and setgid bits are not taken from an archive");
    entry->mode = (mode_t)(mode & 01777);
    entry->mtime = extra->has_mtime ? extra->mtime : (int64_t)mtime;
    entry->mtime_nsec = extra->mtime_nsec;
    if (extra->has_uid)
        entry->uid = extra->uid;
    if (extra->has_gid)
        entry->gid = extra->gid;
    if (entry->uid >= UINT32_MAX || entry->gid >= UINT32_MAX)
        return err_set(err, ERR_FAILED, "owner is no number that a system can have");
    return 0;
}

static int set_extents(struct tar *tar, struct tar_entry *entry, const unsigned char *block,
                       uint64_t content, struct err *err)
{
    struct tar_extra *extra = &tar->extra;
    if (block[TYPE] == 'S' && tar_sparse_gnu(tar, block, extra, err) != 0)
        return -1;
    if (extra->sparse_head && tar_sparse_head(tar, &content, extra, err) != 0)
        return -1;
    if (!extra->sparse && !extra->sparse_head) {
        if (tar_extra_add_extent(extra, 0, content, err) != 0)
            return -1;
        extra->has_real_size = true;
        extra->real_size = content;
    }
    if (tar_sparse_check(extra, content, err) != 0)
        return -1;
    entry->size = extra->real_size;
    entry->extents = steal(extra->extents);
    entry->extent_count = extra->extent_count;
    set_content(tar, content);
    return 0;
}

static int set_content_of(struct tar *tar, struct tar_entry *entry, const unsigned char *block,
                          uint64_t size, struct err *err)
{
    if (entry->type == TAR_FILE)
        return set_extents(tar, entry, block, size, err);
    if (size != 0)
        return err_set(err, ERR_FAILED, "entry that is no file has content");
    return 0;
}

static int describe(struct tar *tar, struct tar_entry *entry, const unsigned char *header,
                    const char *path, uint64_t size, struct err *err)
{
    struct tar_extra *extra = &tar->extra;
    autofree char *link =
        extra->link ? xstrdup(extra->link) : xstrndup((const char *)header + LINK, LINK_LEN);
    if (extra->has_size)
        size = extra->size;
    if (tar_clean_path(path, &entry->path, err) != 0 ||
        entry_type(header, path, &entry->type, err) != 0 ||
        set_attributes(entry, header, extra, err) != 0)
        return -1;
    if ((entry->type == TAR_SYMLINK || entry->type == TAR_HARDLINK) &&
        set_link(entry, link, err) != 0)
        return -1;
    return set_content_of(tar, entry, header, size, err);
}

static int build_entry(struct tar *tar, struct tar_entry *entry, const unsigned char *block,
                       uint64_t size, struct err *err)
{
    struct tar_extra *extra = &tar->extra;
    /* Reading a sparse map moves on: the header is kept. */
    unsigned char header[TAR_BLOCK];
    memcpy(header, block, TAR_BLOCK);
    autofree char *path = extra->sparse_name ? xstrdup(extra->sparse_name)
                          : extra->path      ? xstrdup(extra->path)
                                             : header_path(header);
    int result = describe(tar, entry, header, path, size, err);
    if (result != 0) {
        autofree char *shown = text_visible(path, strlen(path), false);
        err_prefix(err, "entry '%s'", shown);
    }
    tar_extra_clear(extra);
    return result;
}

static int read_header(struct tar *tar, const unsigned char **block, uint64_t *size,
                       struct err *err)
{
    uint64_t at = tar->in->total;
    *block = tar_block(tar, err);
    if (!*block)
        return -1;
    if (is_zero(*block, TAR_BLOCK))
        return 0;
    if (!checksum_is_right(*block))
        return err_set(err, ERR_FAILED,
                       at == 0 ? "it is no tar archive"
                               : "archive is corrupt: the header at byte %llu is none",
                       (unsigned long long)at);
    if (!tar_number(*block + SIZE, WIDE_LEN, size))
        return err_set(err, ERR_FAILED, "archive is corrupt: bad size in the header at byte %llu",
                       (unsigned long long)at);
    return 1;
}

/* 1 when the header only described the next entry, 0 when it is one. */
static int read_extra(struct tar *tar, unsigned char type, uint64_t size, struct err *err)
{
    int result = 0;
    switch (type) {
    case 'x':
    case 'g':
        result = read_pax(tar, size, type == 'g', err);
        break;
    case 'L':
        result = read_long_name(tar, size, &tar->extra.path, err);
        break;
    case 'K':
        result = read_long_name(tar, size, &tar->extra.link, err);
        break;
    default:
        return 0;
    }
    return result != 0 ? -1 : 1;
}

static int finish_content(struct tar *tar, struct err *err)
{
    reader_skip(tar->in, tar->handed);
    tar->handed = 0;
    if (skip(tar, tar->left + tar->pad, err) != 0)
        return -1;
    tar->left = 0;
    tar->pad = 0;
    return 0;
}

int tar_next(struct tar *tar, struct tar_entry *entry, struct err *err)
{
    tar_entry_clear(entry);
    if (++tar->entries > ENTRIES_MAX)
        return err_set(err, ERR_FAILED, "archive has more than %zu entries", ENTRIES_MAX);
    for (;;) {
        const unsigned char *block;
        uint64_t size = 0;
        if (finish_content(tar, err) != 0)
            return -1;
        int result = read_header(tar, &block, &size, err);
        if (result < 0)
            return -1;
        if (result == 0)
            return read_end(tar, err);
        result = read_extra(tar, block[TYPE], size, err);
        if (result < 0)
            return -1;
        if (result == 0)
            return build_entry(tar, entry, block, size, err) == 0 ? 1 : -1;
    }
}

int tar_data(struct tar *tar, const unsigned char **data, size_t *len, struct err *err)
{
    reader_skip(tar->in, tar->handed);
    tar->handed = 0;
    if (tar->left == 0) {
        *len = 0;
        return 0;
    }
    size_t ready = 0;
    *data = reader_peek(tar->in, &ready);
    if (ready == 0)
        return no_input(tar, err);
    *len = tar->left < ready ? (size_t)tar->left : ready;
    tar->handed = *len;
    tar->left -= *len;
    return 0;
}

void tar_where(const struct tar *tar, uint64_t *left, size_t *pad)
{
    *left = tar->left + tar->handed;
    *pad = tar->pad;
}

void tar_resume(struct tar *tar, uint64_t left, size_t pad)
{
    tar->left = left;
    tar->pad = pad;
}
