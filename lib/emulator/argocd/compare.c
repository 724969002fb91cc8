#include "emulator/argocd/compare.h"

#include <stdlib.h>
#include <string.h>

void condition_add(cJSON *conditions, const char *type, const char *format, ...)
{
    cJSON *condition = json_object();
    autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    json_set_str(condition, "type", type);
    json_set_str(condition, "message", message);
    json_push(conditions, condition);
}

void comparison_clear(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->len; i++) {
        cJSON_Delete(comparison->items[i].target);
        stored_unref(comparison->items[i].live);
    }
    free(comparison->items);
    cJSON_Delete(comparison->hooks);
    cJSON_Delete(comparison->conditions);
    cJSON_Delete(comparison->sources);
    strv_clear(&comparison->revisions);
    strv_clear(&comparison->types);
    *comparison = (struct comparison){.len = 0};
}

static void drop_targets(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->len; i++)
        cJSON_Delete(comparison->items[i].target);
    comparison->len = 0;
    cJSON_Delete(comparison->hooks);
    comparison->hooks = json_array();
}

/* ---- what is live ---- */

static void find_live(struct controller *controller, const char *app, struct comparison *out)
{
    for (size_t i = 0; i < out->len; i++) {
        struct managed *managed = &out->items[i];
        autofree char *owner = NULL;

        if (managed->resource == NULL)
            continue;
        managed->live =
            store_get(controller->store, managed->resource, managed->id.space, managed->id.name);
        if (managed->live == NULL)
            continue;
        owner = tracker_owner(controller->tracker, managed->live->object);
        if (owner == NULL)
            tracker_claim(controller->tracker, app, managed->resource, managed->id.space,
                          managed->id.name);
        else if (strcmp(owner, app) != 0)
            condition_add(out->conditions, "SharedResourceWarning",
                          "%s/%s is part of applications %s/%s and %s", managed->id.kind,
                          managed->id.name, ARGOCD_NAMESPACE, app, owner);
    }
}

/* The same object may be seen in two API groups (extensions and apps); its uid tells. */
static bool has_uid(const struct comparison *comparison, const char *uid)
{
    for (size_t i = 0; i < comparison->len; i++) {
        const struct stored *live = comparison->items[i].live;

        if (live != NULL && strcmp(json_str_or(live->object, "metadata.uid", ""), uid) == 0)
            return true;
    }
    return false;
}

static void add_left_over(struct comparison *out, const struct resource *resource,
                          struct stored *live)
{
    struct managed *managed;

    if (out->len == out->size) {
        out->size = out->size > 0 ? out->size * 2 : 16;
        out->items = xrealloc(out->items, out->size * sizeof(*out->items));
    }
    managed = &out->items[out->len++];
    *managed = (struct managed){.live = live, .resource = resource};
    managed->id = object_id(live->object);
}

/* Live objects that carry the application's mark and that Git does not have (any longer). */
static void find_left_over(struct controller *controller, const char *app, struct comparison *out)
{
    size_t len;
    struct tracked *tracked = tracker_objects(controller->tracker, app, &len);

    for (size_t i = 0; i < len; i++) {
        struct stored *live =
            store_get(controller->store, tracked[i].resource, tracked[i].space, tracked[i].name);

        if (live == NULL)
            continue;
        if (has_uid(out, json_str_or(live->object, "metadata.uid", "-")))
            stored_unref(live);
        else
            add_left_over(out, tracked[i].resource, live);
    }
    free(tracked);
}

static int by_identity(const void *a, const void *b)
{
    const struct object_id *x = &((const struct managed *)a)->id;
    const struct object_id *y = &((const struct managed *)b)->id;
    int order = strcmp(x->group, y->group);

    if (order == 0)
        order = strcmp(x->kind, y->kind);
    if (order == 0)
        order = strcmp(x->space, y->space);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static void sort_items(struct comparison *comparison)
{
    if (comparison->len > 0)
        qsort(comparison->items, comparison->len, sizeof(*comparison->items), by_identity);
}

void compare_application(struct controller *controller, const struct comparison_request *request,
                         struct comparison *out)
{
    const char *app = json_str_or(request->app, "metadata.name", "");
    const cJSON *ignore = json_at(request->app, "spec.ignoreDifferences");
    autoerr struct err err = ERR_INIT;

    *out = (struct comparison){.hooks = json_array(), .conditions = json_array()};
    if (request->sources != NULL) {
        out->sources = json_copy(request->sources);
        out->is_multi = cJSON_IsArray(request->sources);
    } else {
        out->sources = application_sources(controller, request->app, &out->is_multi);
    }
    if (load_targets(controller, request, out, &err) < 0) {
        drop_targets(out);
        strv_clear(&out->revisions);
        out->failed = true;
        condition_add(out->conditions, "ComparisonError", "Failed to load target state: %s",
                      err_text(&err));
    }
    find_live(controller, app, out);
    find_left_over(controller, app, out);
    sort_items(out);
    for (size_t i = 0; i < out->len; i++) {
        struct managed *managed = &out->items[i];

        managed->modified = managed->target != NULL && managed->live != NULL &&
                            differs(controller, managed->target, managed->live->object, ignore);
    }
}
