#include "snapshot/journal_read.h"

#include <string.h>
#include "necoops/base/text.h"

/* What the lines say so far; it becomes the past when a place follows. */
struct reading {
    struct journal_past *past;
    struct strv names;
    struct tar_entry *dirs;
    size_t dir_count;
    struct tar_entry file; /* that places are in */
    size_t name_count;     /* of `names`, those that came before the last place */
};

void journal_past_clear(struct journal_past *past)
{
    for (size_t i = 0; i < past->dir_count; i++)
        tar_entry_clear(&past->dirs[i]);
    free(past->dirs);
    strv_clear(&past->names);
    tar_entry_clear(&past->place.entry);
    free(past->parts);
    *past = (struct journal_past){0};
}

static bool get_u64(const cJSON *line, const char *key, uint64_t *out)
{
    int64_t value = 0;
    if (!json_i64(line, key, &value) || value < 0)
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool get_size(const cJSON *line, const char *key, size_t *out)
{
    uint64_t value = 0;
    bool good = get_u64(line, key, &value);
    *out = (size_t)value;
    return good;
}

static bool get_crc(const cJSON *line, uint32_t *out)
{
    uint64_t value = 0;
    bool good = get_u64(line, "crc", &value) && value <= UINT32_MAX;
    *out = (uint32_t)value;
    return good;
}

static bool get_entry(const cJSON *line, enum tar_type type, struct tar_entry *entry)
{
    uint64_t mode = 0;
    int64_t nsec = 0;
    const char *path = json_str(line, "path");
    tar_entry_clear(entry);
    if (!path || !get_u64(line, "mode", &mode) || !get_u64(line, "uid", &entry->uid) ||
        !get_u64(line, "gid", &entry->gid) || !json_i64(line, "mtime", &entry->mtime) ||
        !json_i64(line, "nsec", &nsec))
        return false;
    entry->type = type;
    entry->path = xstrdup(path);
    entry->mode = (mode_t)(mode & 01777);
    entry->mtime_nsec = (long)nsec;
    return true;
}

static bool get_file(const cJSON *line, struct tar_entry *entry)
{
    autobuf struct buf extents = BUF_INIT(BUF_MEDIUM);
    const char *text = json_str(line, "extents");
    if (!get_entry(line, TAR_FILE, entry) || !get_u64(line, "size", &entry->size) || !text ||
        base64_decode(text, strlen(text), &extents) != 0 ||
        extents.len % sizeof(*entry->extents) != 0)
        return false;
    entry->extent_count = extents.len / sizeof(*entry->extents);
    entry->extents = xcalloc(entry->extent_count + 1, sizeof(*entry->extents));
    memcpy(entry->extents, extents.data, extents.len);
    return true;
}

static bool add_dir(struct reading *reading, const cJSON *line)
{
    struct tar_entry dir = {0};
    if (!get_entry(line, TAR_DIR, &dir)) {
        tar_entry_clear(&dir);
        return false;
    }
    size_t size = (reading->dir_count + 1) * sizeof(*reading->dirs);
    reading->dirs = xrealloc(reading->dirs, size);
    reading->dirs[reading->dir_count++] = dir;
    return true;
}

static void copy_file(struct tar_entry *to, const struct tar_entry *from)
{
    size_t size = from->extent_count * sizeof(*from->extents);
    tar_entry_clear(to);
    *to = *from;
    to->path = xstrdup(from->path);
    to->link = NULL;
    to->extents = xmalloc(size + 1);
    memcpy(to->extents, from->extents, size);
}

/* Is it within the content that the file's extents say it has? */
static bool is_within(const struct unpack_place *place)
{
    uint64_t left = 0;
    const struct tar_entry *entry = &place->entry;
    if (place->extent >= entry->extent_count || place->pad >= TAR_BLOCK ||
        place->extent_at > entry->extents[place->extent].len)
        return false;
    for (size_t i = place->extent; i < entry->extent_count; i++) {
        if (entry->extents[i].len > INT64_MAX - left)
            return false;
        left += entry->extents[i].len;
    }
    return place->left == left - place->extent_at;
}

/* The journal may end here. */
static bool set_end(struct reading *reading, const cJSON *line)
{
    struct journal_past *past = reading->past;
    past->dir_count = reading->dir_count;
    reading->name_count = reading->names.len;
    return get_u64(line, "entries", &past->entries) && get_u64(line, "files", &past->files) &&
           get_u64(line, "apparent", &past->apparent_bytes) &&
           get_u64(line, "disk", &past->disk_bytes);
}

static bool set_place(struct reading *reading, const cJSON *line)
{
    struct journal_past *past = reading->past;
    struct unpack_place *place = &past->place;
    const char *format = json_str_or(line, "format", "");
    if (!reading->file.path || (strcmp(format, "z") != 0 && strcmp(format, "n") != 0))
        return false;
    copy_file(&place->entry, &reading->file);
    place->mark.format = format[0];
    past->has_place = true;
    return get_u64(line, "offset", &place->mark.offset) && get_crc(line, &place->mark.crc) &&
           get_size(line, "extent", &place->extent) &&
           get_u64(line, "extentAt", &place->extent_at) && get_u64(line, "left", &place->left) &&
           get_size(line, "pad", &place->pad) && set_end(reading, line) && is_within(place);
}

/* What was said of the object before is of no use any more, but for its names. */
static bool set_object(struct reading *reading, const cJSON *line)
{
    struct journal_past *past = reading->past;
    for (size_t i = 0; i < reading->dir_count; i++)
        tar_entry_clear(&reading->dirs[i]);
    reading->dir_count = 0;
    tar_entry_clear(&reading->file);
    past->has_place = false;
    past->part_count = 0;
    return get_size(line, "number", &past->object) && set_end(reading, line);
}

static bool add_part(struct reading *reading, const cJSON *line)
{
    struct journal_past *past = reading->past;
    struct journal_part part = {0};
    if (!get_size(line, "index", &part.index) || !get_crc(line, &part.crc))
        return false;
    if (past->part_count == past->part_room) {
        past->part_room = 2 * past->part_room + 16;
        past->parts = xrealloc(past->parts, past->part_room * sizeof(*past->parts));
    }
    past->parts[past->part_count++] = part;
    reading->name_count = reading->names.len;
    return true;
}

static bool add_name(struct reading *reading, const cJSON *line)
{
    const char *path = json_str(line, "path");
    if (path)
        strv_add(&reading->names, path);
    return path != NULL;
}

/* 1 when the journal may end here, 0 when more must follow, -1. */
static int read_line(struct reading *reading, const cJSON *line)
{
    const char *kind = json_str_or(line, "is", "");
    if (strcmp(kind, "dir") == 0)
        return add_dir(reading, line) ? 0 : -1;
    if (strcmp(kind, "name") == 0)
        return add_name(reading, line) ? 0 : -1;
    if (strcmp(kind, "file") == 0)
        return get_file(line, &reading->file) ? 0 : -1;
    if (strcmp(kind, "place") == 0)
        return set_place(reading, line) ? 1 : -1;
    if (strcmp(kind, "part") == 0)
        return add_part(reading, line) ? 1 : -1;
    if (strcmp(kind, "object") == 0)
        return set_object(reading, line) ? 1 : -1;
    return -1;
}

/* The line at `at`, parsed; NULL when it is cut off or no JSON. `*next` is where the next begins.
 */
static cJSON *line_at(const struct buf *text, size_t at, size_t *next)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    cJSON *line = NULL;
    const char *start = text->data + at;
    const char *end = at < text->len ? memchr(start, '\n', text->len - at) : NULL;
    if (!end || json_parse(start, (size_t)(end - start), "journal", &line, &err) != 0)
        return NULL;
    *next = (size_t)(end + 1 - text->data);
    return line;
}

static int read_lines(struct reading *reading, const struct buf *text, size_t at, size_t *whole)
{
    *whole = at;
    for (;;) {
        autojson cJSON *line = line_at(text, at, &at);
        if (!line)
            return 0;
        int result = read_line(reading, line);
        if (result < 0)
            return -1;
        if (result == 1)
            *whole = at;
    }
}

int journal_parse(const struct buf *text, const cJSON *head, struct journal_past *past,
                  size_t *whole)
{
    struct reading reading = {.past = past};
    size_t at = 0;
    autojson cJSON *first = line_at(text, 0, &at);
    if (!first || !json_equal(first, head))
        return -1;
    int result = read_lines(&reading, text, at, whole);
    for (size_t i = past->dir_count; i < reading.dir_count; i++)
        tar_entry_clear(&reading.dirs[i]);
    past->dirs = reading.dirs;
    for (size_t i = 0; i < reading.name_count; i++)
        strv_take(&past->names, steal(reading.names.items[i]));
    for (size_t i = reading.name_count; i < reading.names.len; i++)
        free(reading.names.items[i]);
    free(reading.names.items);
    strv_sort(&past->names);
    tar_entry_clear(&reading.file);
    return result;
}
