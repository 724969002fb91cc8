#include <inttypes.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "snapshot/fetch.h"
#include "snapshot/rate.h"

#define OBJECT_MAX    ((uint64_t)5 << 40) /* the largest that Cloud Storage keeps */
#define BACKOFF_MS    1000
#define TRICKLE       ((uint64_t)16 << 10) /* less than this in the time of a stall is one */
#define WRONG_ANSWERS 3                    /* of one part, such as another range than asked for */

struct part {
    uint32_t crc;
    bool begun; /* or here already */
    bool done;
};

/* One request at a time, one connection. */
struct lane {
    struct fetch *fetch;
    struct gcs_range_transfer *transfer;
    size_t index;
    size_t got;
    size_t from; /* `got` when the request was sent */
    uint32_t crc;
    bool busy;        /* has a part */
    int wrong;        /* answers that made no sense */
    int64_t retry_at; /* mono_ms; 0: no back-off */
};

struct fetch {
    struct fetch_spec spec;
    const struct run *run;
    struct part *parts;
    size_t count;
    size_t next; /* first part that was not begun */
    size_t done;
    struct lane *lanes;
    uint64_t received;
    uint64_t present; /* was here before */
    struct rate rate;
    struct err failure; /* of a lane, from within a callback */
    bool failed;
};

int fetch_new(const struct fetch_spec *spec, struct fetch **out, struct err *err)
{
    if (spec->object->size > OBJECT_MAX)
        return err_set(err, ERR_FAILED, "object 'gs://%s/%s' claims a size of %" PRIu64 " bytes",
                       spec->object->bucket, spec->object->name, spec->object->size);
    struct fetch *fetch = xcalloc(1, sizeof(*fetch));
    fetch->spec = *spec;
    fetch->run = http_run(spec->http);
    fetch->present = spec->start;
    fetch->count =
        (size_t)((spec->object->size - spec->start + spec->part_size - 1) / spec->part_size);
    fetch->parts = xcalloc(fetch->count + 1, sizeof(*fetch->parts));
    fetch->lanes = xcalloc((size_t)spec->connections, sizeof(*fetch->lanes));
    for (int i = 0; i < spec->connections; i++)
        fetch->lanes[i].fetch = fetch;
    *out = fetch;
    return 0;
}

void fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return;
    for (int i = 0; i < fetch->spec.connections; i++) {
        if (fetch->lanes[i].transfer)
            gcs_range_cancel(fetch->lanes[i].transfer);
    }
    err_clear(&fetch->failure);
    free(fetch->lanes);
    free(fetch->parts);
    free(fetch);
}

size_t fetch_parts(const struct fetch *fetch)
{
    return fetch->count;
}

uint64_t fetch_part_offset(const struct fetch *fetch, size_t index)
{
    return fetch->spec.start + (uint64_t)index * fetch->spec.part_size;
}

size_t fetch_part_len(const struct fetch *fetch, size_t index)
{
    uint64_t left = fetch->spec.object->size - fetch_part_offset(fetch, index);
    return left < fetch->spec.part_size ? (size_t)left : fetch->spec.part_size;
}

void fetch_skip(struct fetch *fetch, size_t index, uint32_t crc)
{
    if (fetch->parts[index].done)
        return;
    fetch->parts[index] = (struct part){.crc = crc, .begun = true, .done = true};
    fetch->present += fetch_part_len(fetch, index);
    fetch->done++;
}

uint32_t fetch_part_crc(const struct fetch *fetch, size_t index)
{
    return fetch->parts[index].crc;
}

uint64_t fetch_received(const struct fetch *fetch)
{
    return fetch->received;
}

static void give_up(struct fetch *fetch, struct err *err)
{
    if (fetch->failed) {
        err_clear(err);
        return;
    }
    fetch->failed = true;
    err_move(&fetch->failure, err);
}

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct lane *lane = arg;
    struct fetch *fetch = lane->fetch;
    const struct fetch_sink *sink = fetch->spec.sink;
    lane->crc = crc32c(lane->crc, data, len);
    if (sink->data(sink->arg, lane->index, lane->got, data, len, err) != 0) {
        struct err copy = ERR_INIT;
        err_set(&copy, err->code, "%s", err_text(err));
        copy.errnum = err->errnum;
        give_up(fetch, &copy);
        return -1;
    }
    lane->got += len;
    fetch->received += len;
    return 0;
}

static void complete(struct lane *lane)
{
    struct fetch *fetch = lane->fetch;
    const struct fetch_sink *sink = fetch->spec.sink;
    struct err err = ERR_INIT;
    fetch->parts[lane->index].crc = lane->crc;
    fetch->parts[lane->index].done = true;
    fetch->done++;
    lane->busy = false;
    if (sink->complete(sink->arg, lane->index, lane->crc, &err) != 0)
        give_up(fetch, &err);
}

/* Is it worth going on where it broke? Before its first byte a request was tried again by the HTTP
 * layer already, as long as that makes sense. An answer that makes none may come from a front end
 * in between, but not for ever. */
static bool may_retry(struct lane *lane, const struct err *err)
{
    switch (err->code) {
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        return lane->got > lane->from;
    case ERR_PROTOCOL:
        return ++lane->wrong < WRONG_ANSWERS;
    default:
        return false;
    }
}

static void on_done(void *arg, struct err *err)
{
    struct lane *lane = arg;
    struct fetch *fetch = lane->fetch;
    const struct gcs_object *object = fetch->spec.object;
    lane->transfer = NULL;
    if (err->code == ERR_NONE) {
        complete(lane);
        return;
    }
    if (fetch->failed)
        return;
    uint64_t at = fetch_part_offset(fetch, lane->index) + lane->got;
    if (may_retry(lane, err)) {
        int64_t wait = (int64_t)random_below(BACKOFF_MS + 1);
        log_debug(fetch->run->log,
                  "part %zu broke at byte %" PRIu64 ", again in %" PRId64 " ms: %s", lane->index,
                  at, wait, err_text(err));
        lane->retry_at = run_mono_ms(fetch->run) + wait;
        return;
    }
    struct err own = ERR_INIT;
    err_set(&own, err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND ? ERR_FAILED : err->code,
            err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND
                ? "object 'gs://%s/%s' was replaced while it was downloaded (byte %" PRIu64 "): %s"
                : "download of 'gs://%s/%s' broke at byte %" PRIu64 ": %s",
            object->bucket, object->name, at, err_text(err));
    give_up(fetch, &own);
}

static void start(struct lane *lane)
{
    struct fetch *fetch = lane->fetch;
    struct gcs_range range = {
        .object = fetch->spec.object,
        .first = fetch_part_offset(fetch, lane->index) + lane->got,
        .len = fetch_part_len(fetch, lane->index) - lane->got,
        .retry_ms = fetch->spec.retry_ms,
        .stall_ms = fetch->spec.stall_ms,
        .stall_bytes = TRICKLE,
        .data = on_data,
        .done = on_done,
        .arg = lane,
    };
    lane->retry_at = 0;
    lane->from = lane->got;
    lane->transfer = gcs_range_start(fetch->spec.gcs, &range);
}

/* Gives the lane the next part, when there is one and room for it. */
static bool take_part(struct lane *lane)
{
    struct fetch *fetch = lane->fetch;
    const struct fetch_sink *sink = fetch->spec.sink;
    while (fetch->next < fetch->count && fetch->parts[fetch->next].begun)
        fetch->next++;
    if (fetch->next == fetch->count)
        return false;
    size_t index = fetch->next;
    if (!sink->begin(sink->arg, index, fetch_part_len(fetch, index)))
        return false;
    fetch->parts[index].begun = true;
    *lane = (struct lane){.fetch = fetch, .index = index, .busy = true};
    return true;
}

/* Starts what can start; returns how long nothing more will be due. */
static int64_t move_lanes(struct fetch *fetch)
{
    int64_t now = run_mono_ms(fetch->run);
    int64_t wait = 1000;
    for (int i = 0; i < fetch->spec.connections; i++) {
        struct lane *lane = &fetch->lanes[i];
        if (lane->transfer)
            continue;
        if (!lane->busy && !take_part(lane))
            continue;
        if (lane->retry_at <= now)
            start(lane);
        else if (lane->retry_at - now < wait)
            wait = lane->retry_at - now;
    }
    return wait;
}

static void show(struct fetch *fetch)
{
    const struct gcs_object *object = fetch->spec.object;
    struct rate_text text = rate_text(&fetch->rate, run_mono_ms(fetch->run),
                                      fetch->present + fetch->received, object->size);
    progress_update(fetch->run->progress, "%s", text.text);
}

int fetch_run(struct fetch *fetch, struct err *err)
{
    rate_start(&fetch->rate, run_mono_ms(fetch->run));
    while (fetch->done < fetch->count) {
        int64_t wait = move_lanes(fetch);
        if (http_drive(fetch->spec.http, wait, flow_fd(fetch->spec.flow), "the download", err) != 0)
            return -1;
        if (flow_check(fetch->spec.flow, err) != 0)
            return -1;
        if (fetch->failed) {
            err_move(err, &fetch->failure);
            return -1;
        }
        show(fetch);
    }
    return 0;
}

bool fetch_is_to_blame(const struct fetch *fetch)
{
    return fetch->failed;
}

bool fetch_is_whole(const struct fetch *fetch)
{
    return fetch->done == fetch->count;
}

int fetch_verify(const struct fetch *fetch, struct err *err)
{
    const struct gcs_object *object = fetch->spec.object;
    uint32_t crc = fetch->spec.crc;
    for (size_t i = 0; i < fetch->count; i++)
        crc = crc32c_combine(crc, fetch->parts[i].crc, fetch_part_len(fetch, i));
    if (crc == object->crc32c)
        return 0;
    struct crc32c_text have = crc32c_base64(crc), want = crc32c_base64(object->crc32c);
    return err_set(err, ERR_FAILED,
                   "'gs://%s/%s' is corrupt: CRC32C of what came is %s, the object's is %s",
                   object->bucket, object->name, have.text, want.text);
}
