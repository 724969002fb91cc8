/* status.resources, health and images out of a comparison. */
#include <stdlib.h>
#include <string.h>
#include "emulator/argocd/application.h"

const char *resource_sync_status(const struct comparison *comparison, const struct managed *managed)
{
    if (managed->live != NULL && object_is_hook(managed->live->object))
        return NULL;
    if (comparison->failed)
        return "Unknown";
    if (managed->target == NULL || managed->live == NULL || managed->modified)
        return "OutOfSync";
    return "Synced";
}

/* Left over, but said not to matter. */
static bool is_extraneous(const struct managed *managed)
{
    return managed->target == NULL &&
           object_option(managed->live->object, ANNOTATION_COMPARE, "IgnoreExtraneous");
}

const char *comparison_sync_status(const struct comparison *comparison)
{
    if (comparison->failed)
        return "Unknown";
    for (size_t i = 0; i < comparison->len; i++) {
        const char *status = resource_sync_status(comparison, &comparison->items[i]);

        if (status != NULL && strcmp(status, "OutOfSync") == 0 &&
            !is_extraneous(&comparison->items[i]))
            return "OutOfSync";
    }
    return "Synced";
}

/* ---- health ---- */

struct judgement {
    enum health_status worst;
    bool has_resources, has_live;
};

static bool is_self(const cJSON *app, const struct managed *managed)
{
    return strcmp(managed->id.kind, "Application") == 0 &&
           strcmp(managed->id.name, json_str_or(app, "metadata.name", "")) == 0 &&
           strcmp(managed->id.space, json_str_or(app, "metadata.namespace", "")) == 0;
}

static bool counts(const struct managed *managed, const struct health *health)
{
    if (health->status == HEALTH_MISSING && !health_has_check(managed->id.group, managed->id.kind))
        return false;
    return strcmp(managed->id.kind, "Application") != 0 ||
           (health->status != HEALTH_MISSING && health->status != HEALTH_UNKNOWN);
}

static void add_health(cJSON *entry, const struct health *health)
{
    cJSON *object = json_set_object(entry, "health");

    json_set_str(object, "status", health_name(health->status));
    json_set_str(object, "message", health->message);
}

static void judge(struct controller *controller, const cJSON *app, const struct managed *managed,
                  cJSON *entry, struct judgement *judgement)
{
    const cJSON *live = managed->live != NULL ? managed->live->object : NULL;
    struct health health = {.status = HEALTH_MISSING};

    if (live != NULL && object_is_hook(live))
        return;
    judgement->has_resources = true;
    judgement->has_live |= live != NULL;
    if (live != NULL && object_annotation(live, ANNOTATION_IGNORE_HEALTH) != NULL &&
        strcmp(object_annotation(live, ANNOTATION_IGNORE_HEALTH), "true") == 0)
        return;
    if (live != NULL &&
        (is_self(app, managed) || !health_assess(live, &controller->health, &health)))
        return;
    add_health(entry, &health);
    if (counts(managed, &health) && health.status > judgement->worst)
        judgement->worst = health.status;
    health_clear(&health);
}

/* ---- the list ---- */

static cJSON *resource_status(const struct comparison *comparison, const struct managed *managed)
{
    const cJSON *object = managed->live != NULL ? managed->live->object : managed->target;
    cJSON *entry = json_object();

    if (*managed->id.group != '\0')
        json_set_str(entry, "group", managed->id.group);
    json_set_str(entry, "version", managed->id.version);
    json_set_str(entry, "kind", managed->id.kind);
    if (*managed->id.space != '\0')
        json_set_str(entry, "namespace", managed->id.space);
    json_set_str(entry, "name", managed->id.name);
    json_set_str(entry, "status", resource_sync_status(comparison, managed));
    if (object_is_hook(object))
        json_set_bool(entry, "hook", true);
    else if (managed->target == NULL && !comparison->failed)
        json_set_bool(entry, "requiresPruning", true);
    if (managed->target != NULL && object_wave(managed->target) != 0)
        json_set_i64(entry, "syncWave", object_wave(managed->target));
    return entry;
}

cJSON *resource_statuses(struct controller *controller, const cJSON *app,
                         const struct comparison *comparison, enum health_status *health)
{
    struct judgement judgement = {.worst = HEALTH_HEALTHY};
    cJSON *list = json_array();

    for (size_t i = 0; i < comparison->len; i++) {
        cJSON *entry = resource_status(comparison, &comparison->items[i]);

        judge(controller, app, &comparison->items[i], entry, &judgement);
        json_push(list, entry);
    }
    if (judgement.has_resources && !judgement.has_live && judgement.worst < HEALTH_MISSING)
        judgement.worst = HEALTH_MISSING;
    *health = judgement.worst;
    return list;
}

/* ---- images ---- */

static void add_images(const cJSON *containers, struct strv *images)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, containers)
    {
        const char *image = json_str(item, "image");

        if (image != NULL && !strv_has(images, image))
            strv_add(images, image);
    }
}

cJSON *summary_images(const struct comparison *comparison)
{
    autostrv struct strv images = STRV_INIT;
    cJSON *list;

    for (size_t i = 0; i < comparison->len; i++) {
        const struct stored *live = comparison->items[i].live;
        const cJSON *pod = live != NULL ? object_pod_spec(live->object) : NULL;

        add_images(json_at(pod, "initContainers"), &images);
        add_images(json_at(pod, "containers"), &images);
    }
    if (images.len == 0)
        return NULL;
    strv_sort(&images);
    list = json_array();
    for (size_t i = 0; i < images.len; i++)
        json_push_str(list, images.items[i]);
    return list;
}

/* ---- conditions ---- */

static bool is_evaluated(const char *type, const char *const *evaluated)
{
    for (; *evaluated != NULL; evaluated++) {
        if (strcmp(*evaluated, type) == 0)
            return true;
    }
    return false;
}

static const char *time_of_same(const cJSON *before, const cJSON *condition)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, before)
    {
        if (strcmp(json_str_or(item, "type", ""), json_str_or(condition, "type", "")) == 0 &&
            strcmp(json_str_or(item, "message", ""), json_str_or(condition, "message", "")) == 0)
            return json_str(item, "lastTransitionTime");
    }
    return NULL;
}

cJSON *conditions_merge(const cJSON *before, const cJSON *found, const char *const *evaluated,
                        const char *now)
{
    cJSON *list = json_array();
    const cJSON *item;

    cJSON_ArrayForEach(item, before)
    {
        if (!is_evaluated(json_str_or(item, "type", ""), evaluated))
            json_push(list, json_copy(item));
    }
    cJSON_ArrayForEach(item, found)
    {
        cJSON *condition = json_copy(item);
        const char *since = time_of_same(before, item);

        json_set_str(condition, "lastTransitionTime", since != NULL ? since : now);
        json_push(list, condition);
    }
    return list;
}

/* ---- patches ---- */

cJSON *merge_patch_between(const cJSON *before, const cJSON *after)
{
    cJSON *patch = NULL;
    const cJSON *item;

    if (json_equal(before, after))
        return NULL;
    if (!cJSON_IsObject(before) || !cJSON_IsObject(after))
        return json_copy(after);
    patch = json_object();
    cJSON_ArrayForEach(item, after)
    {
        const cJSON *old = object_member(before, item->string);
        cJSON *change = old != NULL ? merge_patch_between(old, item) : json_copy(item);

        if (change != NULL)
            json_set(patch, item->string, change);
    }
    cJSON_ArrayForEach(item, before)
    {
        if (object_member(after, item->string) == NULL)
            json_set(patch, item->string, cJSON_CreateNull());
    }
    return patch;
}
