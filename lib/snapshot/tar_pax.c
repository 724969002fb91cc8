#include <string.h>
#include "necoops/base/text.h"
#include "snapshot/tar_internal.h"

void tar_extra_clear(struct tar_extra *extra)
{
    free(extra->path);
    free(extra->link);
    free(extra->sparse_name);
    free(extra->extents);
    *extra = (struct tar_extra){0};
}

bool tar_decimal(const char **at, const char *end, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    if (p == *at || value > INT64_MAX)
        return false;
    *at = p;
    *out = value;
    return true;
}

static bool whole_decimal(const char *text, const char *end, uint64_t *out)
{
    return tar_decimal(&text, end, out) && text == end;
}

/* Seconds with a fraction; a file older than 1970 counts backwards. */
static bool seconds(const char *text, const char *end, int64_t *sec, long *nsec)
{
    bool negative = text < end && *text == '-';
    uint64_t whole = 0;
    long fraction = 0;
    text += negative;
    if (!tar_decimal(&text, end, &whole))
        return false;
    if (text < end && *text == '.') {
        long unit = 100000000;
        for (text++; text < end && *text >= '0' && *text <= '9'; text++, unit /= 10)
            fraction += unit * (*text - '0');
    }
    if (text != end)
        return false;
    *sec = negative ? -(int64_t)whole : (int64_t)whole;
    *nsec = fraction;
    if (negative && fraction > 0) {
        *sec -= 1;
        *nsec = 1000000000 - fraction;
    }
    return true;
}

int tar_extra_add_extent(struct tar_extra *extra, uint64_t offset, uint64_t len, struct err *err)
{
    if (extra->extent_count == TAR_EXTENTS_MAX)
        return err_set(err, ERR_FAILED, "sparse map has more than %zu extents", TAR_EXTENTS_MAX);
    if (extra->extent_count == extra->extent_room) {
        extra->extent_room = extra->extent_room ? 2 * extra->extent_room : 16;
        extra->extents = xrealloc(extra->extents, extra->extent_room * sizeof(*extra->extents));
    }
    extra->extents[extra->extent_count++] = (struct tar_extent){.offset = offset, .len = len};
    return 0;
}

/* GNU.sparse.map: offset and length in turn, with commas. */
static int sparse_map(struct tar_extra *extra, const char *text, const char *end, struct err *err)
{
    extra->sparse = true;
    while (text < end) {
        uint64_t offset = 0, len = 0;
        bool good = tar_decimal(&text, end, &offset) && text < end && *text == ',';
        text += good;
        if (!good || !tar_decimal(&text, end, &len) || (text < end && *text != ','))
            return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.map' is malformed");
        if (text < end && ++text == end)
            return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.map' is malformed");
        if (tar_extra_add_extent(extra, offset, len, err) != 0)
            return -1;
    }
    return 0;
}

static int replace_text(char **to, const char *key, const char *value, const char *end,
                        struct err *err)
{
    size_t len = (size_t)(end - value);
    if (memchr(value, '\0', len))
        return err_set(err, ERR_FAILED, "pax record '%s' has a NUL byte in it", key);
    if (len >= TAR_PATH_MAX)
        return err_set(err, ERR_FAILED, "pax record '%s' is longer than %d bytes", key,
                       TAR_PATH_MAX);
    free(*to);
    *to = xstrndup(value, len);
    return 0;
}

static int sparse_record(struct tar_extra *extra, const char *key, const char *value,
                         const char *end, struct err *err)
{
    uint64_t number = 0;
    if (strcmp(key, "name") == 0)
        return replace_text(&extra->sparse_name, "GNU.sparse.name", value, end, err);
    if (strcmp(key, "map") == 0)
        return sparse_map(extra, value, end, err);
    if (!whole_decimal(value, end, &number))
        return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.%s' is no number", key);
    if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0) {
        extra->has_real_size = true;
        extra->real_size = number;
    } else if (strcmp(key, "offset") == 0) {
        extra->sparse = true;
        extra->has_pending = true;
        extra->pending_offset = number;
    } else if (strcmp(key, "numbytes") == 0) {
        if (!extra->has_pending)
            return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.numbytes' without an offset");
        extra->has_pending = false;
        return tar_extra_add_extent(extra, extra->pending_offset, number, err);
    } else if (strcmp(key, "numblocks") == 0) {
        extra->sparse = true;
    } else if (strcmp(key, "major") == 0) {
        if (number > 1)
            return err_set(err, ERR_FAILED, "sparse format %llu is not supported",
                           (unsigned long long)number);
        extra->sparse_head = number == 1;
    } else if (strcmp(key, "minor") != 0) {
        return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.%s' is not known", key);
    }
    return 0;
}

static int number_record(bool *has, uint64_t *to, const char *key, const char *value,
                         const char *end, struct err *err)
{
    if (!whole_decimal(value, end, to))
        return err_set(err, ERR_FAILED, "pax record '%s' is no number", key);
    *has = true;
    return 0;
}

static int record(struct tar_extra *extra, const char *key, const char *value, const char *end,
                  struct err *err)
{
    if (text_starts(key, "GNU.sparse."))
        return sparse_record(extra, key + strlen("GNU.sparse."), value, end, err);
    if (strcmp(key, "path") == 0)
        return replace_text(&extra->path, key, value, end, err);
    if (strcmp(key, "linkpath") == 0)
        return replace_text(&extra->link, key, value, end, err);
    if (strcmp(key, "size") == 0)
        return number_record(&extra->has_size, &extra->size, key, value, end, err);
    if (strcmp(key, "uid") == 0)
        return number_record(&extra->has_uid, &extra->uid, key, value, end, err);
    if (strcmp(key, "gid") == 0)
        return number_record(&extra->has_gid, &extra->gid, key, value, end, err);
    if (strcmp(key, "mtime") == 0) {
        if (!seconds(value, end, &extra->mtime, &extra->mtime_nsec))
            return err_set(err, ERR_FAILED, "pax record 'mtime' is no time");
        extra->has_mtime = true;
    }
    if (strcmp(key, "SCHILY.xattr.security.capability") == 0 ||
        strcmp(key, "LIBARCHIVE.xattr.security.capability") == 0)
        return err_set(err, ERR_FAILED, "file capabilities are not taken from an archive");
    return 0; /* comment, atime, uname, vendor's own: nothing that a snapshot needs */
}

static bool changes_entries(const char *key)
{
    return strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0 || strcmp(key, "size") == 0 ||
           text_starts(key, "GNU.sparse.");
}

/* One "LEN KEY=VALUE\n"; moves `*at` behind it. */
static int parse_record(struct tar_extra *extra, const char **at, const char *end, bool global,
                        struct err *err)
{
    const char *start = *at, *p = start;
    uint64_t len = 0;
    if (!tar_decimal(&p, end, &len) || p == end || *p != ' ' || len > (uint64_t)(end - start) ||
        len <= (uint64_t)(p - start) + 1 || start[len - 1] != '\n')
        return err_set(err, ERR_FAILED, "pax header is malformed");
    const char *stop = start + len - 1;
    p++;
    const char *equals = memchr(p, '=', (size_t)(stop - p));
    if (!equals || equals == p || memchr(p, '\0', (size_t)(equals - p)))
        return err_set(err, ERR_FAILED, "pax header is malformed");
    autofree char *key = xstrndup(p, (size_t)(equals - p));
    *at = stop + 1;
    if (!global)
        return record(extra, key, equals + 1, stop, err);
    if (changes_entries(key))
        return err_set(err, ERR_FAILED, "global pax header sets '%s' of every entry", key);
    return 0;
}

int tar_pax_parse(struct tar_extra *extra, const char *text, size_t len, bool global,
                  struct err *err)
{
    const char *end = text + len;
    while (text < end) {
        if (parse_record(extra, &text, end, global, err) != 0)
            return -1;
    }
    if (extra->has_pending)
        return err_set(err, ERR_FAILED, "pax record 'GNU.sparse.offset' without a length");
    return 0;
}
