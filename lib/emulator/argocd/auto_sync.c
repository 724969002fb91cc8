/* spec.syncPolicy.automated: an operation of the controller's own when Git and the cluster differ.
 */
#include <string.h>
#include "emulator/argocd/application.h"

#define DEFAULT_RETRIES 5

struct auto_sync {
    struct controller *controller;
    const cJSON *app;
    const struct comparison *comparison;
    const cJSON *resources;
    const cJSON *policy;   /* spec.syncPolicy.automated */
    bool only_out_of_sync; /* self-healing: no new commit */
};

static const char *revision_of(const struct comparison *comparison)
{
    return comparison->revisions.len > 0 ? comparison->revisions.items[0] : "";
}

static bool is_out_of_sync(const cJSON *resource)
{
    return strcmp(json_str_or(resource, "status", ""), "OutOfSync") == 0;
}

/* All that is to do is to remove something, and that is not allowed. */
static bool only_needs_pruning(const struct auto_sync *sync)
{
    const cJSON *item;

    if (json_bool(sync->policy, "prune", false))
        return false;
    cJSON_ArrayForEach(item, sync->resources)
    {
        if (is_out_of_sync(item) && !json_bool(item, "requiresPruning", false))
            return false;
    }
    return true;
}

static bool wipes_out(const struct auto_sync *sync)
{
    const cJSON *item;

    if (!json_bool(sync->policy, "prune", false) || json_bool(sync->policy, "allowEmpty", false) ||
        sync->resources->child == NULL)
        return false;
    cJSON_ArrayForEach(item, sync->resources)
    {
        if (!json_bool(item, "requiresPruning", false) && !json_bool(item, "hook", false))
            return false;
    }
    return true;
}

/* ---- was it tried already? ---- */

static bool same_but_revision(const cJSON *a, const cJSON *b)
{
    autojson cJSON *x = json_copy(a);
    autojson cJSON *y = b != NULL ? json_copy(b) : json_object();

    cJSON_DeleteItemFromObjectCaseSensitive(x, "targetRevision");
    cJSON_DeleteItemFromObjectCaseSensitive(y, "targetRevision");
    return json_equal(x, y);
}

static bool same_revisions(const struct comparison *comparison, const cJSON *revisions)
{
    if ((size_t)cJSON_GetArraySize(revisions) != comparison->revisions.len)
        return false;
    for (size_t i = 0; i < comparison->revisions.len; i++) {
        if (strcmp(comparison->revisions.items[i],
                   json_str_or(cJSON_GetArrayItem(revisions, (int)i), NULL, "")) != 0)
            return false;
    }
    return true;
}

static bool was_tried(const struct auto_sync *sync)
{
    const cJSON *result = json_at(sync->app, "status.operationState.syncResult");
    const struct comparison *comparison = sync->comparison;

    if (result == NULL)
        return false;
    if (comparison->is_multi)
        return same_revisions(comparison, json_at(result, "revisions")) &&
               json_equal(comparison->sources, json_at(result, "sources"));
    return strcmp(json_str_or(result, "revision", ""), revision_of(comparison)) == 0 &&
           same_but_revision(comparison->sources, json_at(result, "source"));
}

/* Self-healing waits a while after the last operation: 5 s in reality, as much longer than a
 * reaction here. */
static int64_t heal_wait(const struct auto_sync *sync)
{
    const char *text = json_str(sync->app, "status.operationState.finishedAt");
    int64_t pause = sync->controller->config.reconcile_ms * 20;
    autoerr struct err ignored = ERR_INIT;
    int64_t finished;

    if (text == NULL || time_parse_rfc3339(text, &finished, &ignored) < 0)
        return 0;
    return finished + pause - run_wall_ms(&sync->controller->run);
}

/* ---- the operation ---- */

static cJSON *resource_reference(const cJSON *resource)
{
    static const char *const members[] = {"group", "kind", "namespace", "name"};
    cJSON *reference = json_object();

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        json_set_str(reference, members[i], json_str(resource, members[i]));
    return reference;
}

static void add_selected(const struct auto_sync *sync, cJSON *operation)
{
    cJSON *selected = json_set_array(operation, "resources");
    const cJSON *item;

    cJSON_ArrayForEach(item, sync->resources)
    {
        if (is_out_of_sync(item))
            json_push(selected, resource_reference(item));
    }
}

static cJSON *make_operation(const struct auto_sync *sync)
{
    const cJSON *options = json_at(sync->app, "spec.syncPolicy.syncOptions");
    const cJSON *retry = json_at(sync->app, "spec.syncPolicy.retry");
    cJSON *operation = json_object();
    cJSON *own = json_set_object(operation, "sync");

    if (sync->comparison->is_multi) {
        cJSON *revisions = json_set_array(own, "revisions");

        for (size_t i = 0; i < sync->comparison->revisions.len; i++)
            json_push_str(revisions, sync->comparison->revisions.items[i]);
    } else {
        json_set_str(own, "revision", revision_of(sync->comparison));
    }
    if (json_bool(sync->policy, "prune", false))
        json_set_bool(own, "prune", true);
    if (options != NULL)
        json_set(own, "syncOptions", json_copy(options));
    if (sync->only_out_of_sync)
        add_selected(sync, own);
    json_set_bool(json_set_object(operation, "initiatedBy"), "automated", true);
    if (retry != NULL)
        json_set(operation, "retry", json_copy(retry));
    else
        json_set_i64(json_set_object(operation, "retry"), "limit", DEFAULT_RETRIES);
    return operation;
}

static int set_operation(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct auto_sync *sync = arg;

    if (now == NULL)
        return err_set(err, ERR_NOT_FOUND, "the application is gone");
    *next = json_copy(now);
    if (json_at(now, "operation.sync") != NULL)
        return 0; /* somebody else's came first */
    json_set(*next, "operation", make_operation(sync));
    cJSON_DeleteItemFromObjectCaseSensitive(object_member_mutable(*next, "status"),
                                            "operationState");
    return 0;
}

static void start(const struct auto_sync *sync)
{
    autoerr struct err err = ERR_INIT;

    if (store_write(sync->controller->store, controller_applications(sync->controller),
                    ARGOCD_NAMESPACE, json_str_or(sync->app, "metadata.name", ""), set_operation,
                    (void *)sync, NULL, &err) < 0)
        log_debug(sync->controller->config.log, "argocd: automated sync: %s", err_text(&err));
}

/* The same commit was tried before: failed is final, and what drifted is healed if asked to. */
static bool may_try_again(struct auto_sync *sync, cJSON *conditions)
{
    const char *phase = json_str_or(sync->app, "status.operationState.phase", "");
    int64_t wait;

    if (strcmp(phase, "Succeeded") != 0) {
        condition_add(conditions, "SyncError", "Failed sync attempt to %s: %s",
                      revision_of(sync->comparison),
                      json_str_or(sync->app, "status.operationState.message", ""));
        return false;
    }
    if (!json_bool(sync->policy, "selfHeal", false))
        return false;
    wait = heal_wait(sync);
    if (wait > 0) {
        controller_refresh_after(sync->controller, json_str_or(sync->app, "metadata.name", ""),
                                 wait, COMPARE_RECENT);
        return false;
    }
    sync->only_out_of_sync = true;
    return true;
}

static bool is_running(const cJSON *app)
{
    const char *phase = json_str_or(app, "status.operationState.phase", "");

    return strcmp(phase, "Running") == 0 || strcmp(phase, "Terminating") == 0;
}

void application_auto_sync(struct controller *controller, const cJSON *app,
                           const struct comparison *comparison, const cJSON *resources,
                           cJSON *conditions)
{
    struct auto_sync sync = {.controller = controller,
                             .app = app,
                             .comparison = comparison,
                             .resources = resources,
                             .policy = json_at(app, "spec.syncPolicy.automated")};

    if (!cJSON_IsObject(sync.policy) || !json_bool(sync.policy, "enabled", true) ||
        json_at(app, "operation.sync") != NULL || is_running(app) ||
        json_str(app, "metadata.deletionTimestamp") != NULL ||
        strcmp(comparison_sync_status(comparison), "OutOfSync") != 0 || only_needs_pruning(&sync))
        return;
    if (was_tried(&sync) && !may_try_again(&sync, conditions))
        return;
    if (wipes_out(&sync)) {
        condition_add(conditions, "SyncError",
                      "Skipping sync attempt to %s: auto-sync will wipe out all resources",
                      revision_of(comparison));
        return;
    }
    start(&sync);
}
