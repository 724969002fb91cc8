/* The life of an operation: taken up, stepped, retried, ended. */
#include <stdlib.h>
#include <string.h>
#include "emulator/argocd/application.h"

#define KEPT_HISTORY 10 /* spec.revisionHistoryLimit's default */

static bool is_completed(const char *phase)
{
    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0 ||
           strcmp(phase, "Error") == 0;
}

static bool is_in_progress(const cJSON *app)
{
    const cJSON *state = json_at(app, "status.operationState");

    return cJSON_IsObject(state) && !is_completed(json_str_or(state, "phase", ""));
}

/* ---- writing ---- */

static void set_times(struct controller *controller, cJSON *state)
{
    struct time_text now = controller_now(controller);

    if (is_completed(json_str_or(state, "phase", "")) && json_str(state, "finishedAt") == NULL)
        json_set_str(state, "finishedAt", now.text);
}

static void append_history(struct controller *controller, const cJSON *app, const cJSON *state,
                           cJSON *status)
{
    static const char *const copied[] = {"revision", "revisions", "source", "sources"};
    const cJSON *before = json_at(app, "status.history");
    cJSON *history = cJSON_IsArray(before) ? json_copy(before) : json_array();
    cJSON *entry = json_object();
    const cJSON *initiator = json_at(state, "operation.initiatedBy");
    int64_t limit = KEPT_HISTORY;
    int64_t id = 0;

    if (json_i64(cJSON_GetArrayItem(history, cJSON_GetArraySize(history) - 1), "id", &id))
        id++;
    json_set_i64(entry, "id", id);
    json_set_str(entry, "deployStartedAt", json_str(state, "startedAt"));
    json_set_str(entry, "deployedAt", controller_now(controller).text);
    for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
        const cJSON *value = object_member(json_at(state, "syncResult"), copied[i]);

        if (value != NULL)
            json_set(entry, copied[i], json_copy(value));
    }
    json_set(entry, "initiatedBy", initiator != NULL ? json_copy(initiator) : json_object());
    json_push(history, entry);
    (void)json_i64(app, "spec.revisionHistoryLimit", &limit);
    while (cJSON_GetArraySize(history) > limit)
        cJSON_DeleteItemFromArray(history, 0);
    json_set(status, "history", history);
}

static bool is_whole_sync(const cJSON *state)
{
    return json_at(state, "operation.sync.resources[0]") == NULL &&
           !json_bool(state, "operation.sync.dryRun", false) &&
           json_at(state, "operation.sync.manifests[0]") == NULL;
}

/* Somebody may have asked for the end while the step was taken; that is not written over. */
static bool is_being_terminated(struct controller *controller, const char *name)
{
    struct stored *stored = controller_application(controller, name);
    bool terminating =
        stored != NULL &&
        strcmp(json_str_or(stored->object, "status.operationState.phase", ""), "Terminating") == 0;

    stored_unref(stored);
    return terminating;
}

/* A merge on whatever is stored by now, as the controller does it: what an earlier operation left
 * and this one does not set stays; an operation that came in between is lost with the old one. */
static bool write_state(struct controller *controller, const cJSON *app, cJSON *state)
{
    const char *name = json_str_or(app, "metadata.name", "");
    const char *phase = json_str_or(state, "phase", "");
    autojson cJSON *patch = json_object();
    cJSON *status = json_set_object(patch, "status");
    cJSON *copy;

    if (strcmp(phase, "Running") == 0 && is_being_terminated(controller, name))
        json_set_str(state, "phase", phase = "Terminating");
    set_times(controller, state);
    copy = json_set(status, "operationState", json_copy(state));
    if (json_str(state, "finishedAt") == NULL &&
        json_str(app, "status.operationState.finishedAt") != NULL)
        json_set(copy, "finishedAt", cJSON_CreateNull());
    if (is_completed(phase))
        json_set(patch, "operation", cJSON_CreateNull());
    if (strcmp(phase, "Succeeded") == 0 && is_whole_sync(state))
        append_history(controller, app, state, status);
    return controller_patch(controller, name, patch);
}

/* ---- retries ---- */

static int64_t duration_or(const char *text, int64_t fallback_ms)
{
    autoerr struct err ignored = ERR_INIT;
    char *end;
    int64_t ms;
    long seconds;

    if (text == NULL || *text == '\0')
        return fallback_ms;
    seconds = strtol(text, &end, 10);
    if (*end == '\0') /* a bare number is seconds */
        return seconds * 1000;
    return duration_parse(text, &ms, &ignored) == 0 ? ms : fallback_ms;
}

/* Milliseconds from the end of try `count` to the next. */
static int64_t retry_pause(const cJSON *state, int64_t count)
{
    const cJSON *backoff = json_at(state, "operation.retry.backoff");
    int64_t pause = duration_or(json_str(backoff, "duration"), 5000);
    int64_t most = duration_or(json_str(backoff, "maxDuration"), 180000);
    int64_t factor = 2;

    (void)json_i64(backoff, "factor", &factor);
    while (count-- > 0 && pause < most && !__builtin_mul_overflow(pause, factor, &pause))
        continue;
    return pause < most ? pause : most;
}

static void plan_retry(struct controller *controller, cJSON *state, bool terminating)
{
    const char *phase = json_str_or(state, "phase", "");
    int64_t limit = 0;
    int64_t count = 0;
    int64_t at;
    autofree char *message = NULL;

    if (strcmp(phase, "Failed") != 0 && strcmp(phase, "Error") != 0)
        return;
    (void)json_i64(state, "operation.retry.limit", &limit);
    (void)json_i64(state, "retryCount", &count);
    if (!terminating && (count < limit || limit < 0)) {
        at = run_wall_ms(&controller->run) + retry_pause(state, count);
        message =
            xasprintf("%s. Retrying attempt #%lld at %.5s.", json_str_or(state, "message", ""),
                      (long long)count + 1, time_rfc3339(at).text + sizeof("2026-01-02T") - 1);
        json_set_str(state, "phase", "Running");
        json_set_str(state, "finishedAt", controller_now(controller).text);
        json_set_i64(state, "retryCount", count + 1);
        json_set_str(state, "message", message);
    } else if (count > 0) {
        message = xasprintf("%s (retried %lld times).", json_str_or(state, "message", ""),
                            (long long)count);
        json_set_str(state, "message", message);
    }
}

/* Milliseconds that a failed try still waits; 0 when it is to go on. */
static int64_t retry_wait(struct controller *controller, const cJSON *state)
{
    const char *finished = json_str(state, "finishedAt");
    autoerr struct err ignored = ERR_INIT;
    int64_t count = 1;
    int64_t at;

    if (finished == NULL || time_parse_rfc3339(finished, &at, &ignored) < 0)
        return 0;
    (void)json_i64(state, "retryCount", &count);
    at += retry_pause(state, count - 1) - run_wall_ms(&controller->run);
    return at > 0 ? at : 0;
}

/* ---- steps ---- */

static void begin(struct controller *controller, const cJSON *app)
{
    const char *name = json_str_or(app, "metadata.name", "");
    cJSON *state = json_object();

    json_set_str(state, "phase", "Running");
    json_set(state, "operation", json_copy(json_at(app, "operation")));
    json_set_str(state, "startedAt", controller_now(controller).text);
    if (!write_state(controller, app, state)) {
        cJSON_Delete(state);
        return;
    }
    controller_keep_state(controller, name, state);
    controller_operate_after(controller, name, controller->config.reconcile_ms);
}

/* What the controller remembers of this operation is better than what is stored: a merge leaves
 * parts of the operation before in there. After a restart there is nothing else. */
static cJSON *resume(struct controller *controller, const cJSON *app)
{
    const cJSON *stored = json_at(app, "status.operationState");
    cJSON *kept = controller_take_state(controller, json_str_or(app, "metadata.name", ""));

    if (kept != NULL &&
        strcmp(json_str_or(kept, "startedAt", ""), json_str_or(stored, "startedAt", "-")) == 0) {
        json_set_str(kept, "phase", json_str_or(stored, "phase", "Running"));
        return kept;
    }
    cJSON_Delete(kept);
    return json_copy(stored);
}

static void after_step(struct controller *controller, const cJSON *app, cJSON *state)
{
    const char *name = json_str_or(app, "metadata.name", "");
    int64_t reaction = controller->config.reconcile_ms;

    if (is_completed(json_str_or(state, "phase", ""))) {
        /* The comparison learns of it later than who watches the operation. */
        if (!controller_fault(controller, name, "lose-refresh"))
            controller_refresh_after(controller, name, 2 * reaction, COMPARE_LATEST);
        cJSON_Delete(state);
        return;
    }
    controller_keep_state(controller, name, state);
    controller_operate_after(controller, name,
                             json_str(state, "finishedAt") != NULL
                                 ? retry_wait(controller, state) + reaction
                                 : 2 * reaction);
}

static void step(struct controller *controller, const cJSON *app)
{
    const char *name = json_str_or(app, "metadata.name", "");
    cJSON *state = resume(controller, app);
    bool terminating = strcmp(json_str_or(state, "phase", ""), "Terminating") == 0;
    int64_t wait = terminating ? 0 : retry_wait(controller, state);

    if (wait > 0) {
        controller_keep_state(controller, name, state);
        controller_operate_after(controller, name, wait);
        return;
    }
    if (json_str(state, "finishedAt") != NULL) { /* the next try, from the beginning */
        cJSON_DeleteItemFromObjectCaseSensitive(state, "finishedAt");
        cJSON_DeleteItemFromObjectCaseSensitive(state, "syncResult");
    }
    if (json_at(state, "operation.sync") != NULL) {
        sync_step(controller, app, state);
    } else {
        json_set_str(state, "phase", "Failed");
        json_set_str(state, "message", "Invalid operation request: no operation specified");
    }
    plan_retry(controller, state, terminating);
    if (write_state(controller, app, state))
        after_step(controller, app, state);
    else
        cJSON_Delete(state);
}

void application_operate(struct controller *controller, const char *name)
{
    struct stored *stored = controller_application(controller, name);
    const cJSON *app = stored != NULL ? stored->object : NULL;
    const char *skip = app != NULL ? object_annotation(app, ANNOTATION_SKIP) : NULL;

    if (app == NULL)
        return;
    if (cJSON_IsObject(json_at(app, "operation"))) {
        if (skip == NULL || strcmp(skip, "true") != 0) {
            if (is_in_progress(app))
                step(controller, app);
            else
                begin(controller, app);
        }
    } else if (json_str(app, "metadata.deletionTimestamp") != NULL) {
        application_finalize(controller, app);
    }
    stored_unref(stored);
}
