/* Jobs: pods that run to their end. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/ctl.h"

#define COMPONENT "job-controller"

struct job {
    struct ctl *ctl;
    const struct resource *resource;
    const cJSON *job;
    struct stored **pods;
    int64_t active, succeeded, failed, ready, restarts;
    int64_t wait_ms;
};

static void count(struct job *job)
{
    const cJSON *status;

    for (size_t i = 0; job->pods[i] != NULL; i++) {
        const cJSON *pod = job->pods[i]->object;
        const char *phase = json_str_or(pod, "status.phase", "");

        cJSON_ArrayForEach(status, json_at(pod, "status.containerStatuses"))
        {
            job->restarts += json_number(status, "restartCount", 0);
        }
        if (strcmp(phase, "Succeeded") == 0) {
            job->succeeded++;
        } else if (strcmp(phase, "Failed") == 0) {
            job->failed++;
        } else if (!is_deleting(pod)) {
            job->active++;
            job->ready += pod_is_ready(pod);
        }
    }
}

static int64_t completions(const struct job *job)
{
    return json_number(job->job, "spec.completions", 1);
}

static bool is_ended(const cJSON *job)
{
    const cJSON *conditions = json_at(job, "status.conditions");

    return condition_is(conditions, "Complete", "True") ||
           condition_is(conditions, "Failed", "True");
}

static void add_pods(struct job *job)
{
    int64_t parallelism = json_number(job->job, "spec.parallelism", 1);
    int64_t missing = completions(job) - job->succeeded - job->active;

    if (missing > parallelism - job->active)
        missing = parallelism - job->active;
    for (int64_t i = 0; i < missing; i++) {
        autofree char *name = random_name(json_str_or(job->job, "metadata.name", ""));
        autoerr struct err err = ERR_INIT;

        if (create_pod(job->ctl, job->job, pod_from_template(job->job, name), COMPONENT, &err) <
            0) {
            job->wait_ms = job->ctl->spec.reconcile_ms * 4;
            return;
        }
        job->active++;
    }
}

static void remove_active(struct job *job)
{
    const struct resource *pods = ctl_resource(job->ctl, "", "pods");

    for (size_t i = 0; job->pods[i] != NULL; i++) {
        if (!pod_is_over(job->pods[i]->object) && !is_deleting(job->pods[i]->object))
            ctl_delete(job->ctl, pods, job->pods[i]->object);
    }
    job->active = 0;
}

static void end(struct job *job, cJSON *status, const char *type, const char *reason,
                const char *message)
{
    cJSON *conditions = json_need_array(status, "conditions");
    bool failed = strcmp(type, "Failed") == 0;

    condition_set(conditions, type, "True", reason, message);
    json_set_str((cJSON *)condition_find(conditions, type), "lastProbeTime", time_now().text);
    if (!failed)
        json_set_str(status, "completionTime", time_now().text);
    remove_active(job);
    json_set_i64(status, "active", 0);
    event_record(job->ctl, job->job, failed ? "Warning" : "Normal", COMPONENT,
                 failed ? reason : "Completed", "%s", failed ? message : "Job completed");
}

/* Past activeDeadlineSeconds; otherwise the job is looked at again then. */
static bool is_late(struct job *job)
{
    int64_t deadline = json_number(job->job, "spec.activeDeadlineSeconds", 0);
    autoerr struct err err = ERR_INIT;
    int64_t since;
    int64_t left;

    if (deadline <= 0 ||
        time_parse_rfc3339(json_str_or(job->job, "status.startTime", ""), &since, &err) < 0)
        return false;
    left = since + deadline * 1000 - clock_system.wall_ms(clock_system.arg);
    if (left <= 0)
        return true;
    if (job->wait_ms < 0 || left < job->wait_ms)
        job->wait_ms = left;
    return false;
}

static void decide(struct job *job, cJSON *status)
{
    int64_t limit = json_number(job->job, "spec.backoffLimit", 6);

    if (job->succeeded >= completions(job))
        end(job, status, "Complete", NULL, NULL);
    else if (job->failed > limit || job->restarts > limit)
        end(job, status, "Failed", "BackoffLimitExceeded",
            "Job has reached the specified backoff limit");
    else if (is_late(job))
        end(job, status, "Failed", "DeadlineExceeded",
            "Job was active longer than specified deadline");
    else if (!json_bool(job->job, "spec.suspend", false))
        add_pods(job);
}

static void set_numbers(const struct job *job, cJSON *status)
{
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"active", job->active},
                   {"ready", job->ready},
                   {"succeeded", job->succeeded},
                   {"failed", job->failed}};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(status, numbers[i].key);
        if (numbers[i].value > 0)
            json_set_i64(status, numbers[i].key, numbers[i].value);
    }
}

/* ttlSecondsAfterFinished: milliseconds until an ended job goes, CTL_DONE when it stays. */
static int64_t until_removal(const cJSON *job)
{
    int64_t ttl = json_number(job, "spec.ttlSecondsAfterFinished", -1);
    const cJSON *condition = condition_find(json_at(job, "status.conditions"), "Complete");
    autoerr struct err err = ERR_INIT;
    int64_t since;
    int64_t left;

    if (condition == NULL)
        condition = condition_find(json_at(job, "status.conditions"), "Failed");
    if (ttl < 0 ||
        time_parse_rfc3339(json_str_or(condition, "lastTransitionTime", ""), &since, &err) < 0)
        return CTL_DONE;
    left = since + ttl * 1000 - clock_system.wall_ms(clock_system.arg);
    return left > 0 ? left : 0;
}

int64_t ctl_job(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    struct job job = {.ctl = ctl, .resource = resource, .job = object, .wait_ms = CTL_DONE};
    cJSON *status;

    if (is_deleting(object))
        return CTL_DONE;
    if (is_ended(object)) {
        int64_t left = until_removal(object);

        if (left == 0)
            ctl_delete(ctl, resource, object);
        return left > 0 ? left : CTL_DONE;
    }
    job.pods = ctl_owned(ctl, "", "pods", object);
    count(&job);
    status = status_copy(object);
    if (json_get(status, "startTime") == NULL && !json_bool(object, "spec.suspend", false))
        json_set_str(status, "startTime", time_now().text);
    decide(&job, status);
    set_numbers(&job, status);
    ctl_set_status(ctl, resource, object, status);
    store_list_free(job.pods);
    return job.wait_ms;
}
