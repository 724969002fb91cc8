/* An object that becomes a file: its parts are written where they belong, in any order. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "snapshot/download.h"
#include "snapshot/fetch.h"
#include "snapshot/reserve.h"
#include "snapshot/tree.h"

#define PART_RETRY_MS ((int64_t)120 * 1000)

struct file {
    int fd;
    uint64_t part_size;
    struct unpack_stats *stats;
    struct journal *journal;
    struct reserve *reserve;
};

static bool begin(void *arg, size_t index, size_t len)
{
    (void)arg, (void)index, (void)len;
    return true;
}

static int take(void *arg, size_t index, size_t offset, const void *data, size_t len,
                struct err *err)
{
    struct file *file = arg;
    uint64_t written = 0;
    if (file->reserve)
        reserve_yield(file->reserve, atomic_load(&file->stats->disk_bytes) + len);
    int result = write_sparse(file->fd, (uint64_t)index * file->part_size + offset, data, len,
                              &written, err);
    atomic_fetch_add(&file->stats->disk_bytes, written);
    return result;
}

static int complete(void *arg, size_t index, uint32_t crc, struct err *err)
{
    const struct file *file = arg;
    (void)err;
    if (file->journal)
        journal_part(file->journal, index, crc);
    return 0;
}

static void skip_finished(struct fetch *fetch, const struct journal_past *past)
{
    for (size_t i = 0; past && i < past->part_count; i++) {
        if (past->parts[i].index < fetch_parts(fetch))
            fetch_skip(fetch, past->parts[i].index, past->parts[i].crc);
    }
}

static int fetch_all(const struct download *download, struct file *file, struct flow *flow,
                     struct download_stats *stats, struct err *err)
{
    struct fetch_sink sink = {.begin = begin, .data = take, .complete = complete, .arg = file};
    struct fetch_spec spec = {.gcs = download->gcs,
                              .http = download->http,
                              .flow = flow,
                              .object = download->object,
                              .connections = download->connections,
                              .part_size = (size_t)download->part_size,
                              .sink = &sink,
                              .stall_ms = download->stall_ms,
                              .retry_ms = PART_RETRY_MS};
    struct fetch *fetch = NULL;
    if (fetch_new(&spec, &fetch, err) != 0)
        return -1;
    skip_finished(fetch, download->past);
    int result = fetch_run(fetch, err);
    if (result == 0)
        result = fetch_verify(fetch, err);
    stats->received += fetch_received(fetch);
    fetch_free(fetch);
    return result;
}

static int open_file(const struct download *download, const struct tar_entry *entry,
                     struct err *err)
{
    autotree struct tree *tree = tree_new(download->tree_fd);
    autoclose int fd = -1;
    bool resumed = download->past && download->past->part_count > 0;
    if ((resumed ? tree_reopen(tree, entry, &fd, err) : tree_file(tree, entry, &fd, err)) != 0)
        return err_prefix(err, "file '%s'", entry->path);
    if (fchmod(fd, 0644) != 0 || ftruncate(fd, (off_t)entry->size) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make file '%s' of %llu bytes",
                             entry->path, (unsigned long long)entry->size);
    int made = fd;
    fd = -1;
    return made;
}

static void count_file(const struct tar_entry *entry, int fd, uint64_t before,
                       struct unpack_stats *stats)
{
    struct stat st;
    if (fstat(fd, &st) == 0) /* what a killed run wrote is in there too */
        atomic_store(&stats->disk_bytes, before + (uint64_t)st.st_blocks * 512);
    stats->files++;
    stats->entries++;
    stats->apparent_bytes += entry->size;
    if (stats->names.len < UNPACK_NAMES)
        strv_add(&stats->names, entry->path);
}

int download_file(const struct download *download, const char *path, struct download_stats *stats,
                  struct err *err)
{
    struct tar_entry entry = {
        .type = TAR_FILE, .path = (char *)path, .size = download->object->size};
    uint64_t before = atomic_load(&stats->unpacked.disk_bytes);
    struct flow *flow = NULL;
    if (download->journal)
        journal_entry(download->journal, &entry);
    autoclose int fd = open_file(download, &entry, err);
    if (fd < 0 || flow_new(&flow, err) != 0)
        return -1;
    struct file file = {.fd = fd,
                        .part_size = download->part_size,
                        .stats = &stats->unpacked,
                        .journal = download->journal,
                        .reserve = download->reserve};
    int result = fetch_all(download, &file, flow, stats, err);
    flow_free(flow);
    count_file(&entry, fd, before, &stats->unpacked);
    return result;
}
