#include "snapshot/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/text.h"
#include "snapshot/journal_read.h"

#define FILE_NAME   "journal"
#define PLACE_BYTES ((uint64_t)256 << 10) /* of the object between two places that are kept */
#define EXTENTS_MAX 200000                /* of a file within which a run can go on */
#define NAMES_MAX   100000
#define LINES_MAX   ((size_t)16 << 20)
#define JOURNAL_MAX ((size_t)64 << 20)

struct journal {
    int fd;             /* -1: given up */
    struct buf pending; /* lines that are true once the next place is reached */
    size_t names;
    uint64_t entry;       /* number of the current one */
    uint64_t noted_entry; /* whose line was written last */
    uint64_t noted_offset;
    bool noted;
};

static struct journal *journal_of(int fd)
{
    struct journal *journal = xcalloc(1, sizeof(*journal));
    journal->fd = fd;
    journal->noted_entry = UINT64_MAX;
    buf_init(&journal->pending, LINES_MAX);
    return journal;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    buf_clear(&journal->pending);
    free(journal);
}

static void give_up(struct journal *journal)
{
    if (journal->fd >= 0) {
        /* When even that fails, the lines before are still true. */
        int emptied = ftruncate(journal->fd, 0);
        (void)emptied;
        close(journal->fd);
    }
    journal->fd = -1;
    buf_reset(&journal->pending);
}

static void add_line(struct journal *journal, const cJSON *line)
{
    autofree char *text = json_print(line);
    if (buf_adds(&journal->pending, text) != 0 || buf_addc(&journal->pending, '\n') != 0)
        give_up(journal);
}

static void flush(struct journal *journal)
{
    const struct buf *lines = &journal->pending;
    if (journal->fd >= 0 && write(journal->fd, lines->data, lines->len) != (ssize_t)lines->len)
        give_up(journal);
    buf_reset(&journal->pending);
}

struct journal *journal_new(int dir_fd, const cJSON *head)
{
    int flags = O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, FILE_NAME, flags, 0600);
    if (fd < 0)
        return NULL;
    struct journal *journal = journal_of(fd);
    add_line(journal, head);
    flush(journal);
    return journal;
}

static int read_all(int fd, struct buf *text)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        if (buf_add(text, chunk, (size_t)n) != 0)
            return -1;
    }
}

struct journal *journal_resume(int dir_fd, const cJSON *head, struct journal_past *past)
{
    autobuf struct buf text = BUF_INIT(JOURNAL_MAX);
    autoclose int fd = openat(dir_fd, FILE_NAME, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    size_t whole = 0;
    if (fd < 0 || read_all(fd, &text) != 0 || journal_parse(&text, head, past, &whole) != 0 ||
        ftruncate(fd, (off_t)whole) != 0) {
        journal_past_clear(past);
        return NULL;
    }
    struct journal *journal = journal_of(fd);
    fd = -1;
    journal->names = past->names.len + past->dir_count;
    return journal;
}

/* ---- lines ---- */

static cJSON *entry_line(const char *kind, const struct tar_entry *entry)
{
    cJSON *line = json_object();
    json_set_str(line, "is", kind);
    json_set_str(line, "path", entry->path);
    json_set_i64(line, "mode", entry->mode);
    json_set_i64(line, "uid", (int64_t)entry->uid);
    json_set_i64(line, "gid", (int64_t)entry->gid);
    json_set_i64(line, "mtime", entry->mtime);
    json_set_i64(line, "nsec", entry->mtime_nsec);
    return line;
}

void journal_entry(struct journal *journal, const struct tar_entry *entry)
{
    if (journal->fd < 0)
        return;
    journal->entry++;
    if (++journal->names > NAMES_MAX) {
        give_up(journal);
        return;
    }
    autojson cJSON *line = entry_line(entry->type == TAR_DIR ? "dir" : "name", entry);
    add_line(journal, line);
}

static void add_stats(cJSON *line, const struct unpack_stats *stats)
{
    json_set_i64(line, "entries", (int64_t)stats->entries);
    json_set_i64(line, "files", (int64_t)stats->files);
    json_set_i64(line, "apparent", (int64_t)stats->apparent_bytes);
    json_set_i64(line, "disk", (int64_t)atomic_load(&stats->disk_bytes));
}

void journal_object(struct journal *journal, size_t number, const struct unpack_stats *stats)
{
    autojson cJSON *line = json_object();
    if (journal->fd < 0)
        return;
    json_set_str(line, "is", "object");
    json_set_i64(line, "number", (int64_t)number);
    add_stats(line, stats);
    add_line(journal, line);
    flush(journal);
    journal->noted = false;
}

/* The file that the place is in, once for all its places. */
static void note_file(struct journal *journal, const struct tar_entry *entry)
{
    if (journal->noted_entry == journal->entry)
        return;
    journal->noted_entry = journal->entry;
    autojson cJSON *line = entry_line("file", entry);
    autofree char *extents =
        base64_encode(entry->extents, entry->extent_count * sizeof(*entry->extents));
    json_set_i64(line, "size", (int64_t)entry->size);
    json_set_str(line, "extents", extents);
    add_line(journal, line);
}

void journal_place(struct journal *journal, const struct unpack_place *place,
                   const struct unpack_stats *stats)
{
    if (journal->fd < 0 || place->entry.extent_count > EXTENTS_MAX ||
        (journal->noted && place->mark.offset - journal->noted_offset < PLACE_BYTES))
        return;
    journal->noted = true;
    journal->noted_offset = place->mark.offset;
    note_file(journal, &place->entry);
    autojson cJSON *line = json_object();
    const char format[2] = {place->mark.format, '\0'};
    json_set_str(line, "is", "place");
    json_set_str(line, "format", format);
    json_set_i64(line, "offset", (int64_t)place->mark.offset);
    json_set_i64(line, "crc", place->mark.crc);
    json_set_i64(line, "extent", (int64_t)place->extent);
    json_set_i64(line, "extentAt", (int64_t)place->extent_at);
    json_set_i64(line, "left", (int64_t)place->left);
    json_set_i64(line, "pad", (int64_t)place->pad);
    add_stats(line, stats);
    add_line(journal, line);
    flush(journal);
}

void journal_part(struct journal *journal, size_t index, uint32_t crc)
{
    if (journal->fd < 0)
        return;
    autojson cJSON *line = json_object();
    json_set_str(line, "is", "part");
    json_set_i64(line, "index", (int64_t)index);
    json_set_i64(line, "crc", crc);
    add_line(journal, line);
    flush(journal);
}
