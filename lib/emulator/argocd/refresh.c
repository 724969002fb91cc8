/* The comparison of one application, and the status that comes of it. */
#include <string.h>
#include "emulator/argocd/application.h"

static const char *const spec_conditions[] = {"InvalidSpecError", "UnknownError", NULL};
static const char *const compare_conditions[] = {"InvalidSpecError",
                                                 "UnknownError",
                                                 "ComparisonError",
                                                 "SharedResourceWarning",
                                                 "RepeatedResourceWarning",
                                                 "ExcludedResourceWarning",
                                                 "SyncError",
                                                 NULL};

struct refresh {
    struct controller *controller;
    const cJSON *app;
    enum compare_level level;
    bool hard;
    const char *asked; /* the annotation's value, or NULL */
    struct time_text now;
    cJSON *status; /* members that are to be */
};

/* ---- is it needed? ---- */

static bool spec_changed(struct controller *controller, const cJSON *app)
{
    bool is_multi;
    autojson cJSON *sources = application_sources(controller, app, &is_multi);
    const cJSON *compared =
        json_at(app, is_multi ? "status.sync.comparedTo.sources" : "status.sync.comparedTo.source");

    return !json_equal(sources, compared) ||
           !json_equal(json_at(app, "spec.destination"),
                       json_at(app, "status.sync.comparedTo.destination")) ||
           !json_equal(json_at(app, "spec.ignoreDifferences"),
                       json_at(app, "status.sync.comparedTo.ignoreDifferences"));
}

static void find_reason(struct refresh *refresh)
{
    refresh->asked = object_annotation(refresh->app, ANNOTATION_REFRESH);
    refresh->hard = refresh->asked != NULL && strcmp(refresh->asked, "hard") == 0;
    if (refresh->asked != NULL || json_str(refresh->app, "status.reconciledAt") == NULL ||
        spec_changed(refresh->controller, refresh->app))
        refresh->level = COMPARE_LATEST;
}

/* ---- status ---- */

/* The revisions of the last comparison, for one that does not look at the branches anew. */
static cJSON *recent_revisions(const struct refresh *refresh)
{
    const cJSON *many = json_at(refresh->app, "status.sync.revisions");
    const char *one = json_str(refresh->app, "status.sync.revision");
    cJSON *list;

    if (refresh->level == COMPARE_LATEST)
        return NULL;
    if (cJSON_IsArray(many))
        return json_copy(many);
    if (one == NULL)
        return NULL;
    list = json_array();
    json_push_str(list, one);
    return list;
}

static cJSON *list_of(const struct strv *texts)
{
    cJSON *list = json_array();

    for (size_t i = 0; i < texts->len; i++)
        json_push_str(list, texts->items[i]);
    return list;
}

static void set_compared_to(const struct refresh *refresh, cJSON *sync)
{
    cJSON *compared = json_set_object(sync, "comparedTo");
    const cJSON *ignored = json_at(refresh->app, "spec.ignoreDifferences");
    const cJSON *destination = json_at(refresh->app, "spec.destination");
    bool is_multi;
    cJSON *sources = application_sources(refresh->controller, refresh->app, &is_multi);

    json_set(compared, is_multi ? "sources" : "source", sources);
    json_set(compared, "destination", destination != NULL ? json_copy(destination) : json_object());
    if (ignored != NULL)
        json_set(compared, "ignoreDifferences", json_copy(ignored));
}

static void set_sync(const struct refresh *refresh, const struct comparison *comparison)
{
    cJSON *sync = json_set_object(refresh->status, "sync");

    json_set_str(sync, "status", comparison_sync_status(comparison));
    set_compared_to(refresh, sync);
    if (comparison->is_multi && comparison->revisions.len > 0)
        json_set(sync, "revisions", list_of(&comparison->revisions));
    else if (comparison->revisions.len > 0)
        json_set_str(sync, "revision", comparison->revisions.items[0]);
    if (comparison->is_multi && comparison->types.len > 0)
        json_set(refresh->status, "sourceTypes", list_of(&comparison->types));
    else if (comparison->types.len > 0)
        json_set_str(refresh->status, "sourceType", comparison->types.items[0]);
}

/* One bad look at the cluster: what is shown flaps, and the next look puts it right. */
static bool flaps(const struct refresh *refresh)
{
    const char *name = json_str_or(refresh->app, "metadata.name", "");

    if (!controller_fault(refresh->controller, name, "degraded"))
        return false;
    controller_refresh_after(refresh->controller, name, refresh->controller->config.reconcile_ms,
                             COMPARE_RECENT);
    return true;
}

static void set_health(const struct refresh *refresh, enum health_status status)
{
    const char *before = json_str_or(refresh->app, "status.health.status", "");
    const char *since = json_str(refresh->app, "status.health.lastTransitionTime");
    cJSON *health = json_set_object(refresh->status, "health");

    json_set_str(health, "status", health_name(status));
    json_set_str(health, "lastTransitionTime",
                 since != NULL && strcmp(before, health_name(status)) == 0 ? since
                                                                           : refresh->now.text);
}

/* ---- writing ---- */

/* Only what changed is sent, as a merge patch on whatever is stored by now. */
static void persist(const struct refresh *refresh)
{
    static const char *const members[] = {"sync",        "health",       "resources",
                                          "conditions",  "summary",      "sourceType",
                                          "sourceTypes", "reconciledAt", "controllerNamespace"};
    const cJSON *status = json_at(refresh->app, "status");
    autojson cJSON *before = json_object();
    autojson cJSON *patch = json_object();
    cJSON *change;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const cJSON *old = object_member(status, members[i]);

        if (old != NULL && object_member(refresh->status, members[i]) != NULL)
            json_set(before, members[i], json_copy(old));
    }
    /* None is written as no list at all. */
    if (cJSON_GetArraySize(object_member(refresh->status, "conditions")) == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(refresh->status, "conditions");
    change = merge_patch_between(before, refresh->status);
    if (change != NULL)
        json_set(patch, "status", change);
    if (refresh->asked != NULL) {
        cJSON *annotations = json_set_object(json_set_object(patch, "metadata"), "annotations");

        json_set(annotations, ANNOTATION_REFRESH, cJSON_CreateNull());
    }
    if (patch->child != NULL)
        (void)controller_patch(refresh->controller, json_str_or(refresh->app, "metadata.name", ""),
                               patch);
}

static void refuse(struct refresh *refresh, const cJSON *conditions)
{
    const cJSON *before = json_at(refresh->app, "status.sync");
    cJSON *sync =
        json_set(refresh->status, "sync", before != NULL ? json_copy(before) : json_object());

    json_set_str(sync, "status", "Unknown");
    set_health(refresh, HEALTH_UNKNOWN);
    json_set(refresh->status, "conditions",
             conditions_merge(json_at(refresh->app, "status.conditions"), conditions,
                              spec_conditions, refresh->now.text));
    persist(refresh);
}

static void compare(struct refresh *refresh)
{
    autojson cJSON *revisions = recent_revisions(refresh);
    struct comparison_request request = {
        .app = refresh->app, .revisions = revisions, .no_cache = refresh->hard};
    CLEANUP(comparison_clear) struct comparison comparison;
    enum health_status health;
    cJSON *resources;
    cJSON *images;

    if (refresh->level == COMPARE_LATEST)
        json_set_str(refresh->status, "reconciledAt", refresh->now.text);
    compare_application(refresh->controller, &request, &comparison);
    set_sync(refresh, &comparison);
    resources = resource_statuses(refresh->controller, refresh->app, &comparison, &health);
    json_set(refresh->status, "resources", resources);
    set_health(refresh, flaps(refresh) ? HEALTH_DEGRADED : health);
    images = summary_images(&comparison);
    json_set_object(refresh->status, "summary");
    if (images != NULL)
        json_set(object_member_mutable(refresh->status, "summary"), "images", images);
    application_auto_sync(refresh->controller, refresh->app, &comparison, resources,
                          comparison.conditions);
    json_set(refresh->status, "conditions",
             conditions_merge(json_at(refresh->app, "status.conditions"), comparison.conditions,
                              compare_conditions, refresh->now.text));
    persist(refresh);
}

static void refresh_application(struct refresh *refresh)
{
    autojson cJSON *conditions = json_array();

    json_set_str(refresh->status, "controllerNamespace", ARGOCD_NAMESPACE);
    application_validate(refresh->controller, refresh->app, conditions);
    if (conditions->child != NULL)
        refuse(refresh, conditions);
    else
        compare(refresh);
}

static bool is_skipped(const cJSON *app)
{
    const char *skip = object_annotation(app, ANNOTATION_SKIP);

    return skip != NULL && strcmp(skip, "true") == 0;
}

/* A comparison that was asked for while one was under way goes with that one's end. */
static bool loses_refresh(const struct refresh *refresh)
{
    const char *name = json_str_or(refresh->app, "metadata.name", "");
    autojson cJSON *patch = NULL;

    if (refresh->asked == NULL || !controller_fault(refresh->controller, name, "lose-refresh"))
        return false;
    patch = json_object();
    json_set(json_set_object(json_set_object(patch, "metadata"), "annotations"), ANNOTATION_REFRESH,
             cJSON_CreateNull());
    (void)controller_patch(refresh->controller, name, patch);
    return true;
}

void application_refresh(struct controller *controller, const char *name, enum compare_level level)
{
    struct stored *stored = controller_application(controller, name);
    struct refresh refresh = {.controller = controller, .level = level};

    if (stored == NULL)
        return;
    refresh.app = stored->object;
    find_reason(&refresh);
    if (refresh.level != COMPARE_NEEDED && !is_skipped(refresh.app) && !loses_refresh(&refresh)) {
        refresh.now = controller_now(controller);
        refresh.status = json_object();
        refresh_application(&refresh);
        cJSON_Delete(refresh.status);
    }
    stored_unref(stored);
}
