/* GET pods/NAME/log */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/api.h"
#include "emulator/kube/logs.h"

#define TICK_MS 100

struct log_request {
    struct call *call;
    const cJSON *pod;
    const char *container;
    bool previous, follow, timestamps;
    int64_t tail;     /* -1: all */
    int64_t since_ms; /* wall clock; 0: all */
};

/* ---- which container ---- */

static char *names_of(const cJSON *pod, const char *key)
{
    CLEANUP(strv_clear) struct strv names = STRV_INIT;
    const cJSON *container;

    cJSON_ArrayForEach(container, json_get(json_get(pod, "spec"), key))
    {
        strv_add(&names, json_str_or(container, "name", ""));
    }
    return names.len > 0 ? strv_join(&names, " ") : xstrdup("");
}

static bool has_container(const cJSON *pod, const char *key, const char *name)
{
    const cJSON *container;

    cJSON_ArrayForEach(container, json_get(json_get(pod, "spec"), key))
    {
        if (str_equal(json_str(container, "name"), name))
            return true;
    }
    return false;
}

static bool choose_container(struct log_request *log)
{
    const char *pod_name = log->call->name;

    log->container = request_query(log->call->request, "container");
    if (log->container == NULL || log->container[0] == '\0') {
        autofree char *names = names_of(log->pod, "containers");

        if (cJSON_GetArraySize(json_at(log->pod, "spec.containers")) > 1) {
            respond_fail(log->call, 400, "BadRequest",
                         "a container name must be specified for pod %s, choose one of: [%s]",
                         pod_name, names);
            return false;
        }
        log->container = json_str_or(log->pod, "spec.containers[0].name", "");
        return true;
    }
    if (has_container(log->pod, "containers", log->container) ||
        has_container(log->pod, "initContainers", log->container))
        return true;
    respond_fail(log->call, 400, "BadRequest", "container %s is not valid for pod %s",
                 log->container, pod_name);
    return false;
}

static const cJSON *container_status(const cJSON *pod, const char *name)
{
    static const char *const keys[] = {"containerStatuses", "initContainerStatuses"};
    const cJSON *status;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        cJSON_ArrayForEach(status, json_get(json_get(pod, "status"), keys[i]))
        {
            if (str_equal(json_str(status, "name"), name))
                return status;
        }
    }
    return NULL;
}

static bool has_started(struct log_request *log)
{
    const cJSON *status = container_status(log->pod, log->container);
    const char *reason = json_str_or(status, "state.waiting.reason", "ContainerCreating");
    int64_t restarts = 0;

    json_i64(status, "restartCount", &restarts);
    if (json_at(status, "state.running") != NULL || json_at(status, "state.terminated") != NULL ||
        json_at(status, "lastState.terminated") != NULL || restarts > 0)
        return true;
    if (strcmp(reason, "ErrImagePull") == 0 || strcmp(reason, "ImagePullBackOff") == 0)
        respond_fail(log->call, 400, "BadRequest",
                     "container \"%s\" in pod \"%s\" is waiting to start: trying and failing to "
                     "pull image",
                     log->container, log->call->name);
    else
        respond_fail(log->call, 400, "BadRequest",
                     "container \"%s\" in pod \"%s\" is waiting to start: %s", log->container,
                     log->call->name, reason);
    return false;
}

/* ---- which lines ---- */

static const char *without_time(const char *line)
{
    const char *blank = strchr(line, ' ');

    return blank != NULL ? blank + 1 : line;
}

static bool is_recent(const struct log_request *log, const char *line, size_t len)
{
    autofree char *stamp = xstrndup(line, len < 24 ? len : 24);
    autoerr struct err err = ERR_INIT;
    int64_t at;

    if (log->since_ms == 0)
        return true;
    return time_parse_rfc3339(stamp, &at, &err) == 0 && at >= log->since_ms;
}

static void add_line(const struct log_request *log, struct buf *out, const char *line, size_t len)
{
    autofree char *copy = xstrndup(line, len);

    buf_adds(out, log->timestamps ? copy : without_time(copy));
}

/* The start of the last `tail` lines. */
static const char *tail_of(const struct buf *text, int64_t tail)
{
    const char *at = text->data + text->len;
    int64_t lines = -1;

    while (tail >= 0 && at > text->data) {
        if (at[-1] == '\n' && ++lines == tail)
            return at;
        at--;
    }
    return tail >= 0 ? at : text->data;
}

static void add_lines(const struct log_request *log, const struct buf *text, struct buf *out)
{
    const char *line = tail_of(text, log->tail);

    while (*line != '\0') {
        size_t len = strcspn(line, "\n") + 1;

        if (is_recent(log, line, len))
            add_line(log, out, line, len);
        line += len;
    }
}

/* ---- following ---- */

struct follow {
    struct api *api;
    char *space, *name, *uid, *container;
    bool timestamps;
    int64_t at;
    struct buf out;
    size_t sent;
};

static void follow_end(void *arg)
{
    struct follow *follow = arg;

    free(follow->space);
    free(follow->name);
    free(follow->uid);
    free(follow->container);
    buf_clear(&follow->out);
    free(follow);
}

static bool pod_is_over(const struct follow *follow)
{
    struct stored *pod =
        store_get(follow->api->store, store_resource(follow->api->store, "", "pods"), follow->space,
                  follow->name);
    const char *phase = pod != NULL ? json_str_or(pod->object, "status.phase", "") : "";
    bool over = pod == NULL || strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0 ||
                !str_equal(json_str(pod->object, "metadata.uid"), follow->uid);

    stored_unref(pod);
    return over;
}

static void follow_read(struct follow *follow)
{
    struct log_request log = {.tail = -1, .timestamps = follow->timestamps};
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    int64_t end =
        pod_logs_read(follow->api->logs, follow->uid, follow->container, false, follow->at, &text);

    follow->at = end >= 0 ? end : 0;
    add_lines(&log, &text, &follow->out);
}

static ssize_t follow_stream(void *arg, char *out, size_t max)
{
    struct follow *follow = arg;
    size_t len;

    if (follow->sent == follow->out.len) {
        bool over = store_closed(follow->api->store) || pod_is_over(follow);
        struct store_change_event event;

        buf_reset(&follow->out);
        follow->sent = 0;
        follow_read(follow);
        if (follow->out.len == 0 && over)
            return 0;
        if (follow->out.len == 0 &&
            store_next_change(follow->api->store, store_version(follow->api->store), NULL, NULL,
                              TICK_MS, &event) > 0) {
            stored_unref(event.now);
            stored_unref(event.before);
        }
    }
    len = follow->out.len - follow->sent;
    if (len == 0)
        return STREAM_IDLE;
    len = len < max ? len : max;
    memcpy(out, follow->out.data + follow->sent, len);
    follow->sent += len;
    return (ssize_t)len;
}

static void start_following(const struct log_request *log, int64_t at)
{
    struct follow *follow = xcalloc(1, sizeof(*follow));
    struct answer *answer = log->call->answer;

    follow->api = log->call->api;
    follow->space = xstrdup(log->call->space);
    follow->name = xstrdup(log->call->name);
    follow->uid = xstrdup(json_str_or(log->pod, "metadata.uid", ""));
    follow->container = xstrdup(log->container);
    follow->timestamps = log->timestamps;
    follow->at = at;
    buf_init(&follow->out, BUF_LARGE);
    buf_add(&follow->out, answer->body.data, answer->body.len);
    buf_clear(&answer->body);
    answer->stream = follow_stream;
    answer->stream_end = follow_end;
    answer->stream_arg = follow;
}

/* ---- the whole ---- */

static void answer_log(struct log_request *log)
{
    struct call *call = log->call;
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    int64_t end = pod_logs_read(call->api->logs, json_str_or(log->pod, "metadata.uid", ""),
                                log->container, log->previous, 0, &text);

    if (end < 0 && log->previous) {
        respond_fail(call, 400, "BadRequest",
                     "previous terminated container \"%s\" in pod \"%s\" not found", log->container,
                     call->name);
        return;
    }
    call->answer->status = 200;
    answer_header(call->answer, "Content-Type: text/plain");
    add_lines(log, &text, &call->answer->body);
    if (log->follow && !log->previous)
        start_following(log, end > 0 ? end : 0);
}

static void read_query(struct log_request *log)
{
    const struct request *request = log->call->request;
    const char *tail = request_query(request, "tailLines");
    const char *since = request_query(request, "sinceSeconds");
    const char *since_time = request_query(request, "sinceTime");
    autoerr struct err err = ERR_INIT;

    log->previous = request_flag(request, "previous");
    log->follow = request_flag(request, "follow");
    log->timestamps = request_flag(request, "timestamps");
    log->tail = tail != NULL ? strtoll(tail, NULL, 10) : -1;
    if (since != NULL)
        log->since_ms = clock_system.wall_ms(clock_system.arg) - strtoll(since, NULL, 10) * 1000;
    if (since_time != NULL && time_parse_rfc3339(since_time, &log->since_ms, &err) < 0)
        log->since_ms = 0;
}

void pod_log(struct call *call)
{
    struct log_request log = {.call = call};
    struct stored *pod =
        store_get(call->api->store, &call->type->resource, call->space, call->name);

    if (pod == NULL) {
        respond_fail(call, 404, "NotFound", "pods \"%s\" not found", call->name);
        return;
    }
    log.pod = pod->object;
    read_query(&log);
    if (choose_container(&log) && has_started(&log))
        answer_log(&log);
    stored_unref(pod);
}
