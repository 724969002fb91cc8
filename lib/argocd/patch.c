/* What is written into an Application. */
#include "necoops/argocd/application.h"

#include <string.h>

static void add_info(cJSON *info, const char *name, const char *value)
{
    cJSON *item = json_object();

    json_set_str(item, "name", name);
    json_set_str(item, "value", value);
    json_push(info, item);
}

/* Waits of 2, 4, 8 … seconds between tries, at most half a minute. `refresh` is never set: the
 * commit is exact. */
static void add_retry(cJSON *operation, int64_t retries)
{
    cJSON *retry = json_set_object(operation, "retry");
    cJSON *backoff;

    json_set_i64(retry, "limit", retries);
    backoff = json_set_object(retry, "backoff");
    json_set_str(backoff, "duration", "2s");
    json_set_i64(backoff, "factor", 2);
    json_set_str(backoff, "maxDuration", "30s");
}

cJSON *argocd_operation(const cJSON *sync_options, bool several, const struct argocd_sync *sync)
{
    cJSON *operation = json_object();
    cJSON *info = json_set_array(operation, "info");
    cJSON *details;

    add_info(info, ARGOCD_TOKEN_NAME, sync->token);
    if (sync->revision) {
        add_info(info, ARGOCD_COMMIT_NAME, sync->revision);
    }
    json_set_str(json_set_object(operation, "initiatedBy"), "username", "necoops");
    details = json_set_object(operation, "sync");
    if (sync->revision && !several) { /* with several, each source's targetRevision tells */
        json_set_str(details, "revision", sync->revision);
    }
    if (sync->prune) {
        json_set_bool(details, "prune", true);
    }
    if (sync->resources) {
        json_set(details, "resources", json_copy(sync->resources));
    }
    if (sync_options) { /* an operation does not take them from spec by itself */
        json_set(details, "syncOptions", json_copy(sync_options));
    }
    if (sync->retries > 0) {
        add_retry(operation, sync->retries);
    }
    return operation;
}

/* spec.sources as a whole, since a merge patch replaces arrays. */
static cJSON *retargeted(const struct argocd_app *app, const struct argocd_sync *sync)
{
    cJSON *sources = json_copy(app->sources_json);

    for (size_t i = 0; i < app->sources.len; i++) {
        if (argocd_source_is(&app->sources.items[i], sync->repo_url)) {
            json_set_str(cJSON_GetArrayItem(sources, (int)i), "targetRevision", sync->target);
        }
    }
    return sources;
}

static void add_spec(cJSON *patch, const struct argocd_app *app, const struct argocd_sync *sync)
{
    cJSON *spec = json_object();

    if (sync->target && !argocd_app_targets(app, sync->repo_url, sync->target)) {
        if (app->several) {
            json_set(spec, "sources", retargeted(app, sync));
        } else {
            json_set_str(json_set_object(spec, "source"), "targetRevision", sync->target);
        }
    }
    if (sync->suspend_automated && app->automated) {
        json_set(json_set_object(spec, "syncPolicy"), "automated", cJSON_CreateNull());
    }
    if (spec->child) {
        json_set(patch, "spec", spec);
    } else {
        cJSON_Delete(spec);
    }
}

static cJSON *guarded(const struct argocd_app *app)
{
    cJSON *patch = json_object();

    json_set_str(json_set_object(patch, "metadata"), "resourceVersion", app->version);
    return patch;
}

cJSON *argocd_sync_patch(const struct argocd_app *app, const struct argocd_sync *sync)
{
    cJSON *patch = guarded(app);

    add_spec(patch, app, sync);
    json_set(patch, "operation", argocd_operation(app->sync_options, app->several, sync));
    if (app->has_state) {
        json_set(json_set_object(patch, "status"), "operationState", cJSON_CreateNull());
    }
    return patch;
}

cJSON *argocd_hold_patch(const struct argocd_app *app, const struct argocd_sync *sync)
{
    cJSON *patch = guarded(app);

    add_spec(patch, app, sync);
    if (!json_at(patch, "spec")) {
        cJSON_Delete(patch);
        return NULL;
    }
    return patch;
}

cJSON *argocd_terminate_patch(const struct argocd_app *app)
{
    cJSON *patch = guarded(app);
    cJSON *status = json_set_object(patch, "status");

    json_set_str(json_set_object(status, "operationState"), "phase", "Terminating");
    return patch;
}

cJSON *argocd_refresh_patch(void)
{
    cJSON *patch = json_object();
    cJSON *metadata = json_set_object(patch, "metadata");

    json_set_str(json_set_object(metadata, "annotations"), "argocd.argoproj.io/refresh", "normal");
    return patch;
}
