/* The end of an application: its resources first, the highest sync wave before the others. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/argocd/application.h"

#define FINALIZER "resources-finalizer.argocd.argoproj.io"

static bool is_ours(const char *finalizer)
{
    return text_starts(finalizer, FINALIZER) &&
           (finalizer[strlen(FINALIZER)] == '\0' || finalizer[strlen(FINALIZER)] == '/');
}

static bool cascades(const cJSON *app)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(app, "metadata.finalizers"))
    {
        if (is_ours(json_str_or(item, NULL, "")))
            return true;
    }
    return false;
}

static int drop_finalizer(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    cJSON *kept = json_array();
    const cJSON *item;

    (void)arg;
    if (now == NULL) {
        cJSON_Delete(kept);
        return err_set(err, ERR_NOT_FOUND, "the application is gone");
    }
    cJSON_ArrayForEach(item, json_at(now, "metadata.finalizers"))
    {
        if (!is_ours(json_str_or(item, NULL, "")))
            json_push(kept, json_copy(item));
    }
    *next = json_copy(now);
    json_set(object_member_mutable(*next, "metadata"), "finalizers", kept);
    return 0;
}

/* ---- what is left ---- */

struct left {
    const struct resource *resource;
    struct stored *live;
};

static struct left *find_left(struct controller *controller, const char *app, size_t *len)
{
    size_t count;
    struct tracked *tracked = tracker_objects(controller->tracker, app, &count);
    struct left *left = xcalloc(count + 1, sizeof(*left));

    *len = 0;
    for (size_t i = 0; i < count; i++) {
        struct stored *live =
            store_get(controller->store, tracked[i].resource, tracked[i].space, tracked[i].name);

        if (live == NULL)
            continue;
        if (object_option(live->object, ANNOTATION_SYNC_OPTIONS, "Delete=false"))
            stored_unref(live);
        else
            left[(*len)++] = (struct left){tracked[i].resource, live};
    }
    free(tracked);
    return left;
}

static void delete_last_wave(struct controller *controller, const struct left *left, size_t len)
{
    int wave = INT_MIN;

    for (size_t i = 0; i < len; i++) {
        if (object_wave(left[i].live->object) > wave)
            wave = object_wave(left[i].live->object);
    }
    for (size_t i = 0; i < len; i++) {
        const cJSON *live = left[i].live->object;
        autoerr struct err err = ERR_INIT;

        if (object_wave(live) != wave || json_str(live, "metadata.deletionTimestamp") != NULL)
            continue;
        if (store_delete(controller->store, left[i].resource,
                         json_str_or(live, "metadata.namespace", ""),
                         json_str_or(live, "metadata.name", ""), &err) < 0)
            log_debug(controller->config.log, "argocd: delete: %s", err_text(&err));
    }
}

void application_finalize(struct controller *controller, const cJSON *app)
{
    const char *name = json_str_or(app, "metadata.name", "");
    autoerr struct err err = ERR_INIT;
    size_t len;
    struct left *left;

    if (!cascades(app))
        return;
    left = find_left(controller, name, &len);
    delete_last_wave(controller, left, len);
    for (size_t i = 0; i < len; i++)
        stored_unref(left[i].live);
    free(left);
    if (len > 0)
        controller_operate_after(controller, name, controller->config.reconcile_ms);
    else if (store_write(controller->store, controller_applications(controller), ARGOCD_NAMESPACE,
                         name, drop_finalizer, NULL, NULL, &err) < 0)
        log_debug(controller->config.log, "argocd: finalizer: %s", err_text(&err));
}
