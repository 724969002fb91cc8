#include <errno.h>
#include <poll.h>
#include <string.h>
#include "necoops/base/text.h"
#include "snapshot/download.h"
#include "snapshot/fetch.h"
#include "snapshot/rate.h"
#include "snapshot/stages.h"
#include "snapshot/window.h"

#define WINDOW_BYTES  ((size_t)40 << 20) /* of parts in memory */
#define PART_LEAST    ((size_t)256 << 10)
#define PART_RETRY_MS ((int64_t)120 * 1000)

bool download_is_archive(const char *name)
{
    static const char *const endings[] = {".tar",  ".tar.zst", ".tar.gz", ".tar.xz",
                                          ".tzst", ".tgz",     ".txz"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (text_ends(name, endings[i]))
            return true;
    }
    return false;
}

/* What the stages of one archive share. */
struct archive {
    const struct download *download;
    struct flow *flow;
    struct queue *compressed;
    struct window *window;
    struct fetch *fetch;
    struct stages *stages;
};

/* Parts as large as the window allows with every connection busy and two parts ahead. */
static size_t window_part(const struct download *download)
{
    size_t part = WINDOW_BYTES / (size_t)(download->connections + 2) / PART_LEAST * PART_LEAST;
    if (part > download->part_size)
        part = (size_t)download->part_size;
    return part < PART_LEAST ? PART_LEAST : part;
}

static size_t window_buffers(const struct download *download, size_t part_size)
{
    size_t buffers = WINDOW_BYTES / part_size;
    size_t least = (size_t)download->connections + 1;
    return buffers < least ? least : buffers;
}

/* Until the flow moves, the run is to end, or a second has passed. */
static int wait_for_flow(const struct run *run, const struct flow *flow, struct err *err)
{
    struct pollfd fds[2] = {{.fd = flow_fd(flow), .events = POLLIN},
                            {.fd = run->wake_fd, .events = POLLIN}};
    if (poll(fds, 2, (int)run_remaining_ms(run, 1000)) < 0 && errno != EINTR)
        return err_set_errno(err, ERR_FAILED, errno, "cannot wait");
    progress_tick(run->progress);
    return run_check(run, "the unpacking", err);
}

static int wait_for_stages(struct archive *archive, struct download_stats *stats, struct err *err)
{
    const struct run *run = http_run(archive->download->http);
    while (!stages_ended(archive->stages)) {
        struct size_text size = size_format(atomic_load(&stats->unpacked.disk_bytes));
        progress_update(run->progress, "unpacking, %s written", size.text);
        if (wait_for_flow(run, archive->flow, err) != 0 || flow_check(archive->flow, err) != 0)
            return -1;
    }
    return flow_check(archive->flow, err);
}

/* Where a killed run was within this archive, or NULL. */
static const struct journal_past *past_of(const struct download *download)
{
    return download->past && download->past->has_place ? download->past : NULL;
}

static struct mark start_of(const struct download *download)
{
    const struct journal_past *past = past_of(download);
    return past ? past->place.mark : (struct mark){0};
}

static int prepare(struct archive *archive, struct fetch_sink *sink, struct err *err)
{
    const struct download *download = archive->download;
    struct mark from = start_of(download);
    size_t part_size = window_part(download);
    size_t buffers = window_buffers(download, part_size);
    size_t parts = (size_t)((download->object->size - from.offset + part_size - 1) / part_size);
    if (flow_new(&archive->flow, err) != 0)
        return -1;
    archive->compressed = queue_new(buffers);
    archive->window =
        window_new(archive->flow, archive->compressed, buffers, part_size, parts, from);
    if (!archive->window)
        return err_set(err, ERR_FAILED, "out of memory for %zu parts", buffers);
    *sink = window_sink(archive->window);
    struct fetch_spec spec = {.gcs = download->gcs,
                              .http = download->http,
                              .flow = archive->flow,
                              .object = download->object,
                              .start = from.offset,
                              .crc = from.crc,
                              .connections = download->connections,
                              .part_size = part_size,
                              .sink = sink,
                              .stall_ms = download->stall_ms,
                              .retry_ms = PART_RETRY_MS};
    return fetch_new(&spec, &archive->fetch, err);
}

static struct unpack_job job_of(const struct download *download, struct download_stats *stats)
{
    const struct journal_past *past = past_of(download);
    struct unpack_job job = {.tree_fd = download->tree_fd,
                             .limits = download->limits,
                             .stats = &stats->unpacked,
                             .journal = download->journal,
                             .reserve = download->reserve};
    if (past) {
        job.from = &past->place;
        job.dirs = past->dirs;
        job.dir_count = past->dir_count;
    }
    return job;
}

/* A stage could make nothing of what came. Is the object itself like that, or has it been changed
 * on its way? That can be told when all of it is there. */
static int blame(const struct archive *archive, struct err *err)
{
    const struct gcs_object *object = archive->download->object;
    autoerr struct err why = ERR_INIT;
    if (err->code != ERR_FAILED || err->errnum != 0 || fetch_is_to_blame(archive->fetch))
        return -1;
    if (!fetch_is_whole(archive->fetch))
        return err_prefix(err, "object 'gs://%s/%s'", object->bucket, object->name);
    if (fetch_verify(archive->fetch, &why) != 0) {
        err_move(err, &why);
        return -1;
    }
    autofree char *text = xstrdup(err_text(err));
    return err_set(err, ERR_FAILED,
                   "object 'gs://%s/%s' cannot be unpacked: %s; its checksum is right, so that is "
                   "how it was uploaded: pack it anew",
                   object->bucket, object->name, text);
}

static int run_archive(struct archive *archive, struct download_stats *stats, struct err *err)
{
    const struct download *download = archive->download;
    struct unpack_job job = job_of(download, stats);
    if (stages_start(archive->flow, archive->compressed, start_of(download), &job, &archive->stages,
                     err) != 0)
        return -1;
    int result = fetch_run(archive->fetch, err);
    if (result == 0)
        result = wait_for_stages(archive, stats, err);
    if (result != 0)
        stages_abort(archive->stages);
    stages_join(archive->stages);
    stats->received += fetch_received(archive->fetch);
    return result == 0 ? fetch_verify(archive->fetch, err) : blame(archive, err);
}

int download_archive(const struct download *download, struct download_stats *stats, struct err *err)
{
    struct archive archive = {.download = download};
    struct fetch_sink sink;
    if (download->object->size == 0)
        return err_set(err, ERR_FAILED, "the archive is empty");
    int result = prepare(&archive, &sink, err);
    if (result == 0)
        result = run_archive(&archive, stats, err);
    fetch_free(archive.fetch);
    queue_free(archive.compressed);
    window_free(archive.window);
    flow_free(archive.flow);
    return result;
}
