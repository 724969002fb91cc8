/* The pipeline of a save: a folder is packed while its parts are uploaded. */
#include "snapshot/pack.h"
#include "snapshot/save_internal.h"

#define PACKED_SPANS 64
/* Parts that fill up while those of all connections are under way. */
#define POOL_SPARE 2

struct pipeline {
    struct save *save;
    struct flow *flow;
    struct queue *packed;
    struct parts *parts;
    struct pack *pack;
};

static void show(void *arg)
{
    const struct pipeline *line = arg;
    struct save *save = line->save;
    uint64_t total = save->scan.disk_bytes, done = pack_done(line->pack);
    struct rate_text text =
        rate_text(&save->rate, run_mono_ms(save->run), done < total ? done : total, total);
    progress_update(save->run->progress, "%s", text.text);
}

static int start(struct pipeline *line, struct err *err)
{
    struct save *save = line->save;
    const struct save_options *options = save->options;
    size_t pool = (size_t)options->connections + POOL_SPARE;
    if (flow_new(&line->flow, err) != 0)
        return -1;
    line->packed = queue_new(PACKED_SPANS);
    const struct pack_spec spec = {.folder_fd = save->folder_fd,
                                   .scan = &save->scan,
                                   .level = options->level,
                                   .flow = line->flow,
                                   .out = line->packed};
    if (parts_start(line->packed, (size_t)options->part_size, pool, line->flow, &line->parts,
                    err) != 0)
        return -1;
    return pack_start(&spec, &line->pack, err);
}

/* The cutting thread goes first: it aborts the queue that the packing ones wait at. */
static void stop(struct pipeline *line)
{
    parts_join(line->parts);
    pack_join(line->pack);
    queue_free(line->packed);
    flow_free(line->flow);
}

static struct upload *new_upload(struct pipeline *line)
{
    const struct save *save = line->save;
    const struct upload_spec spec = {.run = save->run,
                                     .http = save->http,
                                     .gcs = save->gcs,
                                     .landing = &save->landing,
                                     .set = save->result->set,
                                     .name = LANDING_ARCHIVE,
                                     .connections = save->options->connections,
                                     .show = show,
                                     .arg = line};
    return upload_new(&spec);
}

int save_upload(struct save *save, struct err *err)
{
    struct pipeline line = {.save = save};
    struct upload_stats stats = {0};
    int result = start(&line, err);
    if (result == 0) {
        save->upload = new_upload(&line);
        rate_start(&save->rate, run_mono_ms(save->run));
        result = upload_parts(save->upload, line.parts, line.flow, &stats, err);
        save->result->sent = stats.sent;
        save->result->reused = stats.reused;
        save->result->disk_bytes = pack_done(line.pack);
    }
    stop(&line);
    return result;
}
