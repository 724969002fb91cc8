/* Cells of pods and of what makes pods. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/cells.h"
#include "emulator/kube/core.h"

static cJSON *take(struct buf *text)
{
    cJSON *cell = cJSON_CreateString(text->len > 0 ? text->data : "<none>");

    buf_clear(text);
    return cell;
}

static int64_t number(const cJSON *object, const char *path)
{
    int64_t value = 0;

    json_i64(object, path, &value);
    return value;
}

/* ---- ages ---- */

/* As Kubernetes' HumanDuration: two units while small, one when large. */
static void human(struct buf *out, int64_t seconds)
{
    int64_t minutes = seconds / 60;
    int64_t hours = minutes / 60;
    int64_t days = hours / 24;

    if (seconds < 120)
        buf_addf(out, "%" PRId64 "s", seconds);
    else if (minutes < 10 && seconds % 60 != 0)
        buf_addf(out, "%" PRId64 "m%" PRId64 "s", minutes, seconds % 60);
    else if (minutes < 180)
        buf_addf(out, "%" PRId64 "m", minutes);
    else if (hours < 8 && minutes % 60 != 0)
        buf_addf(out, "%" PRId64 "h%" PRId64 "m", hours, minutes % 60);
    else if (hours < 48)
        buf_addf(out, "%" PRId64 "h", hours);
    else if (days < 8 && hours % 24 != 0)
        buf_addf(out, "%" PRId64 "d%" PRId64 "h", days, hours % 24);
    else
        buf_addf(out, "%" PRId64 "d", days);
}

cJSON *cell_age_of(const char *timestamp)
{
    autoerr struct err err = ERR_INIT;
    struct buf text = BUF_INIT(64);
    int64_t at;
    int64_t seconds;

    if (timestamp == NULL || time_parse_rfc3339(timestamp, &at, &err) < 0)
        return cJSON_CreateString("<unknown>");
    seconds = (clock_system.wall_ms(clock_system.arg) - at) / 1000;
    human(&text, seconds > 0 ? seconds : 0);
    return take(&text);
}

cJSON *cell_age(const cJSON *object)
{
    return cell_age_of(json_str(object, "metadata.creationTimestamp"));
}

/* ---- pods ---- */

cJSON *cell_pod_ready(const cJSON *pod)
{
    struct buf text = BUF_INIT(64);
    const cJSON *status;
    int ready = 0;

    cJSON_ArrayForEach(status, json_at(pod, "status.containerStatuses"))
    {
        ready += json_bool(status, "ready", false);
    }
    buf_addf(&text, "%d/%d", ready, cJSON_GetArraySize(json_at(pod, "spec.containers")));
    return take(&text);
}

static const char *container_reason(const cJSON *pod)
{
    const cJSON *status;
    const char *reason = NULL;

    cJSON_ArrayForEach(status, json_at(pod, "status.containerStatuses"))
    {
        const char *waiting = json_str(status, "state.waiting.reason");
        const char *ended = json_str(status, "state.terminated.reason");

        if (waiting != NULL)
            reason = waiting;
        else if (ended != NULL)
            reason = ended;
    }
    return reason;
}

cJSON *cell_pod_status(const cJSON *pod)
{
    const char *phase = json_str_or(pod, "status.phase", "Unknown");
    const char *reason = container_reason(pod);

    if (json_at(pod, "metadata.deletionTimestamp") != NULL)
        return cJSON_CreateString("Terminating");
    if (json_str(pod, "status.reason") != NULL)
        return cJSON_CreateString(json_str(pod, "status.reason"));
    return cJSON_CreateString(reason != NULL ? reason : phase);
}

cJSON *cell_pod_restarts(const cJSON *pod)
{
    struct buf text = BUF_INIT(64);
    const cJSON *status;
    int64_t restarts = 0;

    cJSON_ArrayForEach(status, json_at(pod, "status.containerStatuses"))
    {
        restarts += number(status, "restartCount");
    }
    buf_addf(&text, "%" PRId64, restarts);
    return take(&text);
}

/* ---- workloads ---- */

static cJSON *joined(const cJSON *object, const char *key)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *container;

    cJSON_ArrayForEach(container, json_at(object, "spec.template.spec.containers"))
    {
        buf_addf(&text, "%s%s", text.len > 0 ? "," : "", json_str_or(container, key, ""));
    }
    return take(&text);
}

cJSON *cell_containers(const cJSON *object)
{
    return joined(object, "name");
}

cJSON *cell_images(const cJSON *object)
{
    return joined(object, "image");
}

static void add_labels(struct buf *text, const cJSON *map)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, map)
    {
        if (cJSON_IsString(item))
            buf_addf(text, "%s%s=%s", text->len > 0 ? "," : "", item->string, item->valuestring);
    }
}

cJSON *cell_selector(const cJSON *object)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *selector = json_at(object, "spec.selector");

    if (selector == NULL)
        selector = json_at(object, "spec.podSelector");
    if (json_get(selector, "matchLabels") != NULL)
        selector = json_get(selector, "matchLabels");
    add_labels(&text, selector);
    return take(&text);
}

cJSON *cell_ready_of_replicas(const cJSON *object)
{
    struct buf text = BUF_INIT(64);

    buf_addf(&text, "%" PRId64 "/%" PRId64, number(object, "status.readyReplicas"),
             number(object, "spec.replicas"));
    return take(&text);
}

cJSON *cell_job_completions(const cJSON *job)
{
    struct buf text = BUF_INIT(64);

    buf_addf(&text, "%" PRId64 "/%" PRId64, number(job, "status.succeeded"),
             number(job, "spec.completions"));
    return take(&text);
}

cJSON *cell_job_duration(const cJSON *job)
{
    autoerr struct err err = ERR_INIT;
    struct buf text = BUF_INIT(64);
    const char *start = json_str(job, "status.startTime");
    const char *end = json_str(job, "status.completionTime");
    int64_t from;
    int64_t to;

    if (start == NULL || time_parse_rfc3339(start, &from, &err) < 0)
        return cJSON_CreateString("");
    if (end == NULL || time_parse_rfc3339(end, &to, &err) < 0)
        return cell_age_of(start);
    human(&text, (to - from) / 1000);
    return take(&text);
}

cJSON *cell_suspend(const cJSON *job)
{
    return cJSON_CreateString(json_bool(job, "spec.suspend", false) ? "True" : "False");
}

cJSON *cell_active(const cJSON *job)
{
    return cJSON_CreateNumber(cJSON_GetArraySize(json_at(job, "status.active")));
}

cJSON *cell_last_schedule(const cJSON *job)
{
    const char *last = json_str(job, "status.lastScheduleTime");

    return last != NULL ? cell_age_of(last) : cJSON_CreateString("<none>");
}

cJSON *cell_autoscaler_target(const cJSON *autoscaler)
{
    struct buf text = BUF_INIT(BUF_SMALL);

    buf_addf(&text, "%s/%s", json_str_or(autoscaler, "spec.scaleTargetRef.kind", ""),
             json_str_or(autoscaler, "spec.scaleTargetRef.name", ""));
    return take(&text);
}
