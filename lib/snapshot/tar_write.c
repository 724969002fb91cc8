#include "snapshot/tar_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The largest that fits into a field of so many octal digits. */
#define OCTAL_MAX(digits) (((uint64_t)1 << (3 * (digits))) - 1)
#define NAME_LEN          100

uint64_t tar_content_len(const struct tar_entry *entry)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < entry->extent_count; i++)
        sum += entry->extents[i].len;
    return sum;
}

static bool is_sparse(const struct tar_entry *entry)
{
    return entry->type == TAR_FILE && tar_content_len(entry) != entry->size;
}

/* ---- pax records ---- */

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void add_record(struct buf *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;
    for (;;) {
        char digits[24];
        size_t whole = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len);
        if (whole == len)
            break;
        len = whole;
    }
    buf_addf(out, "%zu %s=%s\n", len, key, value);
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    add_record(out, key, text);
}

/* Seconds count from 1970, the fraction always forwards; in the text both have the sign. */
static void add_time(struct buf *out, const struct tar_entry *entry)
{
    int64_t sec = entry->mtime;
    long nsec = entry->mtime_nsec;
    bool negative = sec < 0;
    if (negative && nsec > 0) {
        sec++;
        nsec = 1000000000 - nsec;
    }
    autofree char *text = xasprintf("%s%" PRIu64 ".%09ld", negative ? "-" : "",
                                    negative ? (uint64_t)-sec : (uint64_t)sec, nsec);
    add_record(out, "mtime", text);
}

static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            return false;
    }
    return strlen(text) <= NAME_LEN;
}

static void add_records(const struct tar_entry *entry, const char *path, uint64_t stored,
                        struct buf *out)
{
    if (is_sparse(entry)) {
        add_number(out, "GNU.sparse.major", 1);
        add_number(out, "GNU.sparse.minor", 0);
        add_record(out, "GNU.sparse.name", path);
        add_number(out, "GNU.sparse.realsize", entry->size);
    } else if (!is_plain(path)) {
        add_record(out, "path", path);
    }
    if (entry->link && !is_plain(entry->link))
        add_record(out, "linkpath", entry->link);
    if (stored > OCTAL_MAX(11))
        add_number(out, "size", stored);
    if (entry->uid > OCTAL_MAX(7))
        add_number(out, "uid", entry->uid);
    if (entry->gid > OCTAL_MAX(7))
        add_number(out, "gid", entry->gid);
    if (entry->mtime_nsec != 0 || entry->mtime < 0 || (uint64_t)entry->mtime > OCTAL_MAX(11))
        add_time(out, entry);
}

/* ---- header blocks ---- */

static void put_text(char *field, const char *text, size_t size)
{
    size_t len = strlen(text);
    memcpy(field, text, len < size ? len : size);
}

/* What does not fit stands in a record, and the field is 0. */
static void put_number(char *field, int digits, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%0*" PRIo64, digits, value > OCTAL_MAX(digits) ? 0 : value);
    memcpy(field, text, (size_t)digits);
}

static void add_header(const struct tar_entry *entry, const char *name, char type, uint64_t size,
                       struct buf *out)
{
    char block[TAR_BLOCK] = {0};
    unsigned sum = 0;
    put_text(block, name, NAME_LEN);
    put_number(block + 100, 7, entry->mode);
    put_number(block + 108, 7, entry->uid);
    put_number(block + 116, 7, entry->gid);
    put_number(block + 124, 11, size);
    put_number(block + 136, 11, entry->mtime < 0 ? 0 : (uint64_t)entry->mtime);
    memset(block + 148, ' ', 8);
    block[156] = type;
    if (entry->link)
        put_text(block + 157, entry->link, NAME_LEN);
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    put_number(block + 148, 6, sum);
    block[154] = '\0';
    buf_add(out, block, TAR_BLOCK);
}

static void pad(struct buf *out, size_t from)
{
    static const char zeros[TAR_BLOCK];
    buf_add(out, zeros, (size_t)(-(out->len - from) % TAR_BLOCK));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add_pax(const struct tar_entry *entry, const struct buf *records, struct buf *out)
{
    const struct tar_entry plain = {.mode = 0644};
    autofree char *name = xasprintf("PaxHeaders/%s", base_name(entry->path));
    size_t from = out->len;
    add_header(&plain, name, 'x', records->len, out);
    buf_add(out, records->data, records->len);
    pad(out, from);
}

/* A hole at the end is an extent of no length there: so the file gets its size. */
static void make_map(const struct tar_entry *entry, struct buf *map)
{
    const struct tar_extent *last =
        entry->extent_count > 0 ? &entry->extents[entry->extent_count - 1] : NULL;
    bool hole_at_end = !last || last->offset + last->len < entry->size;
    buf_addf(map, "%zu\n", entry->extent_count + hole_at_end);
    for (size_t i = 0; i < entry->extent_count; i++)
        buf_addf(map, "%" PRIu64 "\n%" PRIu64 "\n", entry->extents[i].offset,
                 entry->extents[i].len);
    if (hole_at_end)
        buf_addf(map, "%" PRIu64 "\n0\n", entry->size);
    pad(map, 0);
}

static char type_of(const struct tar_entry *entry)
{
    static const char types[] = {
        [TAR_FILE] = '0', [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_DIR] = '5'};
    return types[entry->type];
}

static char *header_name(const struct tar_entry *entry, const char *path)
{
    return is_sparse(entry) ? xasprintf("GNUSparseFile.0/%s", base_name(path)) : xstrdup(path);
}

int tar_write_head(const struct tar_entry *entry, struct buf *out, struct err *err)
{
    autobuf struct buf records = BUF_INIT(BUF_SMALL);
    autobuf struct buf map = BUF_INIT(BUF_MEDIUM);
    autofree char *path = entry->type == TAR_DIR
                              ? xasprintf("%s/", *entry->path ? entry->path : ".")
                              : xstrdup(entry->path);
    if (is_sparse(entry))
        make_map(entry, &map);
    uint64_t stored = entry->type == TAR_FILE ? map.len + tar_content_len(entry) : 0;
    add_records(entry, path, stored, &records);
    autofree char *name = header_name(entry, path);
    if (records.len > 0)
        add_pax(entry, &records, out);
    add_header(entry, name, type_of(entry), stored, out);
    buf_add(out, map.data, map.len);
    if (records.overflowed || map.overflowed || out->overflowed)
        return err_set(err, ERR_FAILED, "'%s' needs too long a header", entry->path);
    return 0;
}
