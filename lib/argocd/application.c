#include "necoops/argocd/application.h"

#include <string.h>
#include "necoops/base/text.h"
#include "necoops/git/git.h"

#define RESOURCES_MAX  100
#define CONDITIONS_MAX 20

static char *dup_at(const cJSON *object, const char *path)
{
    return xstrdup(json_str_or(object, path, ""));
}

static bool is_present(const cJSON *object, const char *path)
{
    const cJSON *value = json_at(object, path);

    return value && !cJSON_IsNull(value);
}

/* ---- spec ---- */

static struct argocd_source parse_source(const cJSON *json)
{
    const char *path = json_str(json, "path");
    const char *chart = json_str(json, "chart");

    return (struct argocd_source){
        .repo_url = dup_at(json, "repoURL"),
        .path = path ? xstrdup(path) : NULL,
        .chart = chart && chart[0] ? xstrdup(chart) : NULL,
        .target_revision = dup_at(json, "targetRevision"),
    };
}

/* Of `sources` when it has items, else of `source`. True when it was several. */
static bool parse_sources(const cJSON *holder, struct argocd_sources *out)
{
    const cJSON *several = json_at(holder, "sources");
    const cJSON *one = json_at(holder, "source");
    const cJSON *item;
    int count = cJSON_GetArraySize(several);

    if (count <= 0) {
        if (!cJSON_IsObject(one)) {
            return false;
        }
        out->items = xcalloc(1, sizeof(*out->items));
        out->items[0] = parse_source(one);
        out->len = 1;
        return false;
    }
    out->items = xcalloc((size_t)count, sizeof(*out->items));
    cJSON_ArrayForEach(item, several)
    {
        out->items[out->len++] = parse_source(item);
    }
    return true;
}

static void sources_clear(struct argocd_sources *sources)
{
    for (size_t i = 0; i < sources->len; i++) {
        free(sources->items[i].repo_url);
        free(sources->items[i].path);
        free(sources->items[i].chart);
        free(sources->items[i].target_revision);
    }
    free(sources->items);
    *sources = (struct argocd_sources){0};
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_sources(const struct argocd_sources *a, const struct argocd_sources *b)
{
    if (a->len != b->len) {
        return false;
    }
    for (size_t i = 0; i < a->len; i++) {
        if (!git_url_same(a->items[i].repo_url, b->items[i].repo_url) ||
            !same_text(a->items[i].path, b->items[i].path) ||
            !same_text(a->items[i].chart, b->items[i].chart) ||
            !same_text(a->items[i].target_revision, b->items[i].target_revision)) {
            return false;
        }
    }
    return true;
}

/* The manager that wrote targetRevision last. */
static char *revision_manager(const cJSON *object)
{
    const cJSON *entry;
    const char *manager = "";
    const char *latest = "";

    cJSON_ArrayForEach(entry, json_at(object, "metadata.managedFields"))
    {
        const char *time = json_str_or(entry, "time", "");

        if ((json_at(entry, "fieldsV1.f:spec.f:source.f:targetRevision") ||
             json_at(entry, "fieldsV1.f:spec.f:sources")) &&
            strcmp(time, latest) >= 0) {
            manager = json_str_or(entry, "manager", "");
            latest = time;
        }
    }
    return xstrdup(manager);
}

/* "root:argoproj.io/Application:argocd/x" or the label that Argo CD tracks by. */
static char *tracked_by(const cJSON *object)
{
    const cJSON *annotations = json_at(object, "metadata.annotations");
    const cJSON *labels = json_at(object, "metadata.labels");
    const cJSON *id =
        cJSON_GetObjectItemCaseSensitive(annotations, "argocd.argoproj.io/tracking-id");
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(labels, "argocd.argoproj.io/instance");

    if (cJSON_IsString(id)) {
        return xstrndup(id->valuestring, strcspn(id->valuestring, ":"));
    }
    if (!cJSON_IsString(label)) {
        label = cJSON_GetObjectItemCaseSensitive(labels, "app.kubernetes.io/instance");
    }
    return cJSON_IsString(label) ? xstrdup(label->valuestring) : NULL;
}

static int64_t sync_wave(const cJSON *object)
{
    const cJSON *annotations = json_at(object, "metadata.annotations");
    int64_t wave = 0;
    autojson cJSON *holder = json_object();
    const cJSON *value =
        cJSON_GetObjectItemCaseSensitive(annotations, "argocd.argoproj.io/sync-wave");

    json_set_str(holder, "wave", cJSON_IsString(value) ? value->valuestring : NULL);
    return json_i64(holder, "wave", &wave) ? wave : 0;
}

static void parse_metadata(const cJSON *object, struct argocd_app *app)
{
    const cJSON *annotations = json_at(object, "metadata.annotations");
    const cJSON *labels = json_at(object, "metadata.labels");

    app->name = dup_at(object, "metadata.name");
    app->space = dup_at(object, "metadata.namespace");
    app->uid = dup_at(object, "metadata.uid");
    app->version = dup_at(object, "metadata.resourceVersion");
    app->wave = sync_wave(object);
    app->parent = tracked_by(object);
    app->refreshing =
        cJSON_GetObjectItemCaseSensitive(annotations, "argocd.argoproj.io/refresh") != NULL;
    app->deleting = is_present(object, "metadata.deletionTimestamp");
    app->labels = cJSON_IsObject(labels) ? json_copy(labels) : NULL;
}

static cJSON *copy_at(const cJSON *object, const char *path)
{
    return is_present(object, path) ? json_copy(json_at(object, path)) : NULL;
}

static void parse_spec(const cJSON *object, struct argocd_app *app)
{
    app->several = parse_sources(json_at(object, "spec"), &app->sources);
    app->sources_json = app->several ? copy_at(object, "spec.sources") : NULL;
    app->sync_options = copy_at(object, "spec.syncPolicy.syncOptions");
    app->patches = copy_at(object, "spec.source.kustomize.patches");
    app->project = dup_at(object, "spec.project");
    app->dest_space = dup_at(object, "spec.destination.namespace");
    app->automated = is_present(object, "spec.syncPolicy.automated") &&
                     json_bool(object, "spec.syncPolicy.automated.enabled", true);
    app->prune = json_bool(object, "spec.syncPolicy.automated.prune", false);
    app->self_heal = json_bool(object, "spec.syncPolicy.automated.selfHeal", false);
    app->spec_manager = revision_manager(object);
}

/* ---- operation ---- */

static char *info_value(const cJSON *operation, const char *name)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(operation, "info"))
    {
        if (strcmp(json_str_or(item, "name", ""), name) == 0) {
            return dup_at(item, "value");
        }
    }
    return xstrdup("");
}

static char *started_by(const cJSON *operation)
{
    if (json_bool(operation, "initiatedBy.automated", false)) {
        return xstrdup("automated sync");
    }
    return dup_at(operation, "initiatedBy.username");
}

static void parse_revisions(const cJSON *holder, struct strv *out)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(holder, "revisions"))
    {
        strv_add(out, cJSON_IsString(item) ? item->valuestring : "");
    }
    if (out->len == 0 && json_str(holder, "revision")) {
        strv_add(out, json_str(holder, "revision"));
    }
}

static void parse_operation(const cJSON *object, struct argocd_app *app)
{
    const cJSON *operation = json_at(object, "operation");
    const cJSON *state = json_at(object, "status.operationState");
    const cJSON *of_state = json_at(state, "operation");

    app->has_operation = is_present(object, "operation");
    app->has_state = is_present(object, "status.operationState");
    app->operation_token = info_value(operation, ARGOCD_TOKEN_NAME);
    app->state_token = info_value(of_state, ARGOCD_TOKEN_NAME);
    app->state_commit = info_value(of_state, ARGOCD_COMMIT_NAME);
    app->state_by = started_by(of_state);
    app->state_automated = json_bool(of_state, "initiatedBy.automated", false);
    app->phase = dup_at(state, "phase");
    app->state_message = dup_at(state, "message");
    app->finished = is_present(state, "finishedAt");
    (void)json_i64(state, "retryCount", &app->retries);
    parse_revisions(json_at(state, "syncResult"), &app->synced);
}

/* ---- status ---- */

static struct argocd_resource *add_resource(struct argocd_app *app, const cJSON *item)
{
    struct argocd_resource *resource;

    if (app->resources_len == RESOURCES_MAX) {
        return NULL;
    }
    app->resources = xrealloc(app->resources, (app->resources_len + 1) * sizeof(*app->resources));
    resource = &app->resources[app->resources_len++];
    *resource = (struct argocd_resource){
        .group = dup_at(item, "group"),
        .version = dup_at(item, "version"),
        .kind = dup_at(item, "kind"),
        .space = dup_at(item, "namespace"),
        .name = dup_at(item, "name"),
        .status = dup_at(item, "status"),
        .hook = json_bool(item, "hook", false) || json_str(item, "hookType") != NULL,
        .leftover = json_bool(item, "requiresPruning", false),
    };
    return resource;
}

static void parse_resource(struct argocd_app *app, const cJSON *item)
{
    const char *status = json_str_or(item, "status", "");
    const char *health = json_str_or(item, "health.status", "");
    bool synced = !status[0] || strcmp(status, "Synced") == 0;
    bool healthy = !health[0] || strcmp(health, "Healthy") == 0;
    struct argocd_resource *resource;

    if (strcmp(json_str_or(item, "kind", ""), "Application") == 0 &&
        strcmp(json_str_or(item, "group", ""), "argoproj.io") == 0) {
        strv_add(&app->children, json_str_or(item, "name", ""));
    }
    if ((synced && healthy) || !(resource = add_resource(app, item))) {
        return;
    }
    resource->health = xstrdup(health);
    resource->message = dup_at(item, "health.message");
}

static void parse_result(struct argocd_app *app, const cJSON *item)
{
    const char *status = json_str_or(item, "status", "");
    const char *hook = json_str_or(item, "hookPhase", "");
    struct argocd_resource *resource;

    if (strcmp(status, "SyncFailed") != 0 && strcmp(hook, "Failed") != 0 &&
        strcmp(hook, "Error") != 0) {
        return;
    }
    if ((resource = add_resource(app, item))) {
        resource->health = xstrdup("");
        resource->message = dup_at(item, "message");
        resource->of_operation = true;
    }
}

static void parse_conditions(const cJSON *object, struct argocd_app *app)
{
    const cJSON *item;

    app->conditions = xcalloc(CONDITIONS_MAX, sizeof(*app->conditions));
    cJSON_ArrayForEach(item, json_at(object, "status.conditions"))
    {
        if (app->conditions_len == CONDITIONS_MAX) {
            return;
        }
        app->conditions[app->conditions_len++] =
            (struct argocd_condition){dup_at(item, "type"), dup_at(item, "message")};
    }
}

static void parse_status(const cJSON *object, struct argocd_app *app)
{
    struct argocd_sources compared = {0};
    const cJSON *item;

    parse_sources(json_at(object, "status.sync.comparedTo"), &compared);
    app->compared_as_spec = same_sources(&compared, &app->sources);
    sources_clear(&compared);
    app->patches_ignored = app->patches && is_present(object, "status.sync.comparedTo.source") &&
                           !is_present(object, "status.sync.comparedTo.source.kustomize.patches");
    app->sync_status = dup_at(object, "status.sync.status");
    parse_revisions(json_at(object, "status.sync"), &app->revisions);
    app->health = dup_at(object, "status.health.status");
    app->health_message = dup_at(object, "status.health.message");
    app->source_type = dup_at(object, "status.sourceType");
    app->reconciled_at = dup_at(object, "status.reconciledAt");
    parse_conditions(object, app);
    cJSON_ArrayForEach(item, json_at(object, "status.operationState.syncResult.resources"))
    {
        parse_result(app, item);
    }
    cJSON_ArrayForEach(item, json_at(object, "status.resources"))
    {
        parse_resource(app, item);
    }
}

int argocd_app_parse(const cJSON *object, struct argocd_app *out, struct err *err)
{
    struct argocd_app app = {0};

    if (!json_str(object, "metadata.name")) {
        return err_set(err, ERR_PROTOCOL, "the API server gave an application without a name");
    }
    parse_metadata(object, &app);
    parse_spec(object, &app);
    parse_operation(object, &app);
    parse_status(object, &app);
    *out = app;
    return 0;
}

static void clear_lists(struct argocd_app *app)
{
    for (size_t i = 0; i < app->conditions_len; i++) {
        free(app->conditions[i].type);
        free(app->conditions[i].message);
    }
    free(app->conditions);
    for (size_t i = 0; i < app->resources_len; i++) {
        struct argocd_resource *resource = &app->resources[i];

        free(resource->group);
        free(resource->version);
        free(resource->kind);
        free(resource->space);
        free(resource->name);
        free(resource->status);
        free(resource->health);
        free(resource->message);
    }
    free(app->resources);
}

void argocd_app_clear(struct argocd_app *app)
{
    char *texts[] = {app->name,        app->space,          app->uid,          app->version,
                     app->parent,      app->project,        app->dest_space,   app->spec_manager,
                     app->phase,       app->state_message,  app->sync_status,  app->operation_token,
                     app->state_token, app->state_commit,   app->state_by,     app->health,
                     app->source_type, app->health_message, app->reconciled_at};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        free(texts[i]);
    }
    cJSON_Delete(app->labels);
    cJSON_Delete(app->sources_json);
    cJSON_Delete(app->sync_options);
    cJSON_Delete(app->patches);
    sources_clear(&app->sources);
    strv_clear(&app->synced);
    strv_clear(&app->revisions);
    strv_clear(&app->children);
    clear_lists(app);
    *app = (struct argocd_app){0};
}

/* ---- questions ---- */

bool argocd_source_is(const struct argocd_source *source, const char *repo_url)
{
    return !source->chart && git_url_same(source->repo_url, repo_url);
}

bool argocd_app_is_from(const struct argocd_app *app, const char *repo_url)
{
    for (size_t i = 0; i < app->sources.len; i++) {
        if (argocd_source_is(&app->sources.items[i], repo_url)) {
            return true;
        }
    }
    return false;
}

bool argocd_app_targets(const struct argocd_app *app, const char *repo_url, const char *revision)
{
    for (size_t i = 0; i < app->sources.len; i++) {
        const struct argocd_source *source = &app->sources.items[i];

        if (argocd_source_is(source, repo_url) && strcmp(source->target_revision, revision) != 0) {
            return false;
        }
    }
    return true;
}

bool argocd_app_busy(const struct argocd_app *app)
{
    return app->has_operation || strcmp(app->phase, "Running") == 0 ||
           strcmp(app->phase, "Terminating") == 0;
}

const char *argocd_app_revision(const struct argocd_app *app, const char *repo_url)
{
    for (size_t i = 0; i < app->sources.len && i < app->revisions.len; i++) {
        if (argocd_source_is(&app->sources.items[i], repo_url)) {
            return app->revisions.items[i];
        }
    }
    return app->revisions.len ? app->revisions.items[0] : "";
}
