/* What the agent says, said here. */
#include "remote/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

#define LEVELS_MOST 5

static enum log_level level_of(const char *name)
{
    static const char *const names[LEVELS_MOST] = {"error", "warning", "info", "debug", "trace"};
    for (int i = 0; i < LEVELS_MOST; i++) {
        if (strcmp(names[i], name) == 0)
            return (enum log_level)i;
    }
    return LOG_INFO;
}

static void take_queued(struct remote *remote, const cJSON *frame)
{
    int64_t place = 0;
    (void)json_i64(frame, "place", &place);
    free(remote->holder);
    remote->holder = xasprintf("%s of '%s'", json_str_or(frame, "holder.tool", "a tool"),
                               json_str_or(frame, "holder.caller", "somebody"));
    remote->queued = true;
    progress_phase(remote->run.progress, "queue",
                   "place %" PRId64 " on the instance, where %s runs", place, remote->holder);
}

static void take_progress(struct remote *remote, const cJSON *frame)
{
    const char *phase = json_str_or(frame, "phase", "");
    const char *text = json_str_or(frame, "text", "");
    if (remote->phase && strcmp(remote->phase, phase) == 0) {
        progress_update(remote->run.progress, "%s", text);
        return;
    }
    free(remote->phase);
    remote->phase = xstrdup(phase);
    progress_phase(remote->run.progress, phase, "%s", text);
}

/* The file begins with the first event from there. */
static bool open_events(struct remote *remote)
{
    if (!remote->events)
        remote->events = fopen(remote->work->events, "we");
    if (!remote->events)
        remote->events_missing = true;
    return remote->events;
}

static void keep_last(struct remote *remote, const cJSON *event)
{
    cJSON_Delete(remote->outcome->last);
    remote->outcome->last = json_copy(event);
}

static void take_event(struct remote *remote, const cJSON *frame)
{
    const cJSON *event = json_at(frame, "event");
    int64_t number = -1;
    if (!json_i64(frame, "number", &number) || !cJSON_IsObject(event) ||
        number < remote->events_next)
        return;
    keep_last(remote, event);
    if (number > remote->events_next)
        remote->events_missing = true;
    remote->events_next = number + 1;
    if (!remote->work->events || remote->events_missing || !open_events(remote))
        return; /* all of them come with the results */
    autofree char *text = json_print(event);
    if (fprintf(remote->events, "%s\n", text) < 0 || fflush(remote->events) != 0)
        remote->events_missing = true;
}

static struct piece *piece_of(struct remote *remote, const char *name)
{
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        if (remote->pieces[i].name && strcmp(remote->pieces[i].name, name) == 0)
            return &remote->pieces[i];
    }
    return NULL;
}

/* One that does not join what is there is left: the whole does not fit its checksum then. */
static void take_data(struct remote *remote, const cJSON *frame)
{
    struct piece *piece = piece_of(remote, json_str_or(frame, "name", ""));
    const char *data = json_str_or(frame, "data", "");
    int64_t at = -1;
    if (!piece || !json_i64(frame, "at", &at))
        return;
    if (at == 0)
        buf_reset(&piece->data);
    if (at == (int64_t)piece->data.len)
        (void)!base64_decode(data, strlen(data), &piece->data);
}

static void take_end(struct remote *remote, const cJSON *frame, bool refused)
{
    int64_t status = 1;
    (void)json_i64(frame, "status", &status);
    const char *error = json_str(frame, "error");
    remote->ended = true;
    remote->refused = refused;
    remote->status = (int)(status >= 0 && status < 256 ? status : 1);
    free(remote->error);
    remote->error = error ? xstrdup(error) : NULL;
    cJSON_Delete(remote->end);
    remote->end = json_copy(frame);
}

static void take_ours(struct remote *remote, const char *type, const cJSON *frame)
{
    if (strcmp(type, "queued") == 0) {
        take_queued(remote, frame);
    } else if (strcmp(type, "accepted") == 0) {
        remote->accepted = true;
    } else if (strcmp(type, "alive") == 0) {
        remote->accepted |= strcmp(json_str_or(frame, "state", ""), "running") == 0;
    } else if (strcmp(type, "log") == 0) {
        log_write(remote->run.log, level_of(json_str_or(frame, "level", "")), "%s",
                  json_str_or(frame, "text", ""));
    } else if (strcmp(type, "progress") == 0) {
        take_progress(remote, frame);
    } else if (strcmp(type, "event") == 0) {
        take_event(remote, frame);
    } else if (strcmp(type, "data") == 0) {
        take_data(remote, frame);
    } else if (strcmp(type, "refused") == 0 || strcmp(type, "end") == 0) {
        take_end(remote, frame, strcmp(type, "refused") == 0);
    }
}

int listen_frame(void *arg, const struct wire_reader *reader, const cJSON *frame, struct err *err)
{
    struct remote *remote = arg;
    const char *type = json_str_or(frame, "t", "");
    (void)err;
    (void)reader;
    remote->agent_seen = true;
    if (strcmp(type, "hello") == 0 && (remote->accepted || remote->queued))
        log_warning(remote->run.log, "the agent on the instance was started again");
    if (strcmp(json_str_or(frame, "id", ""), remote->request.text) != 0)
        return 0;
    remote->heard_at = run_mono_ms(&remote->run);
    if (!remote->ended || strcmp(type, "data") == 0 || strcmp(type, "end") == 0)
        take_ours(remote, type, frame);
    return 0;
}
