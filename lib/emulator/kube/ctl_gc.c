/* Garbage collection: what belongs to an object goes with it, before it, or is let go. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"

#define FOREGROUND "foregroundDeletion"
#define ORPHAN     "orphan"

static const cJSON *reference_to(const cJSON *object, const char *uid)
{
    const cJSON *owner;

    cJSON_ArrayForEach(owner, json_at(object, "metadata.ownerReferences"))
    {
        if (str_equal(json_str(owner, "uid"), uid))
            return owner;
    }
    return NULL;
}

/* Calls `visit` for every object that has this owner. */
typedef void (*dependent_visitor)(struct ctl *ctl, const struct resource *resource,
                                  const cJSON *object, const char *uid, void *arg);

static void visit_dependents(struct ctl *ctl, const char *uid, dependent_visitor visit, void *arg)
{
    size_t len;
    const struct type **kinds = store_kinds(ctl->store, &len);

    for (size_t k = 0; k < len; k++) {
        struct stored **list = store_list(ctl->store, &kinds[k]->resource, NULL, NULL);

        for (size_t i = 0; list[i] != NULL; i++) {
            if (reference_to(list[i]->object, uid) != NULL)
                visit(ctl, &kinds[k]->resource, list[i]->object, uid, arg);
        }
        store_list_free(list);
    }
    free(kinds);
}

static void drop_reference(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                           const char *uid, void *arg)
{
    cJSON *patch = json_object();
    cJSON *list = json_set_array(json_set_object(patch, "metadata"), "ownerReferences");
    const cJSON *owner;

    (void)arg;
    cJSON_ArrayForEach(owner, json_at(object, "metadata.ownerReferences"))
    {
        if (!str_equal(json_str(owner, "uid"), uid))
            json_push(list, json_copy(owner));
    }
    ctl_merge(ctl, resource, object, patch);
}

/* An object with another owner only loses this one. */
static void collect(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                    const char *uid, void *arg)
{
    if (cJSON_GetArraySize(json_at(object, "metadata.ownerReferences")) > 1)
        drop_reference(ctl, resource, object, uid, arg);
    else if (!is_deleting(object))
        ctl_delete(ctl, resource, object);
}

void ctl_collect(struct ctl *ctl, const char *owner_uid)
{
    visit_dependents(ctl, owner_uid, collect, NULL);
}

/* ---- finalizers ---- */

static void release(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                    const char *finalizer)
{
    cJSON *patch = json_object();
    cJSON *list = json_set_array(json_set_object(patch, "metadata"), "finalizers");
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(object, "metadata.finalizers"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, finalizer) != 0)
            json_push_str(list, item->valuestring);
    }
    ctl_merge(ctl, resource, object, patch);
}

static void delete_and_count(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                             const char *uid, void *arg)
{
    size_t *blocking = arg;

    collect(ctl, resource, object, uid, NULL);
    if (json_bool(reference_to(object, uid), "blockOwnerDeletion", false))
        (*blocking)++;
}

static void count_blocking(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                           const char *uid, void *arg)
{
    size_t *blocking = arg;

    (void)ctl;
    (void)resource;
    if (json_bool(reference_to(object, uid), "blockOwnerDeletion", false))
        (*blocking)++;
}

int64_t ctl_finalize(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    const cJSON *finalizers = json_at(object, "metadata.finalizers");
    const char *uid = json_str_or(object, "metadata.uid", "");
    size_t blocking = 0;

    if (!is_deleting(object))
        return CTL_DONE;
    if (json_has_str(finalizers, ORPHAN)) {
        visit_dependents(ctl, uid, drop_reference, NULL);
        release(ctl, resource, object, ORPHAN);
        return CTL_DONE;
    }
    if (!json_has_str(finalizers, FOREGROUND))
        return CTL_DONE;
    visit_dependents(ctl, uid, delete_and_count, &blocking);
    if (blocking > 0) {
        blocking = 0;
        visit_dependents(ctl, uid, count_blocking, &blocking);
    }
    if (blocking > 0)
        return ctl->spec.reconcile_ms;
    release(ctl, resource, object, FOREGROUND);
    return CTL_DONE;
}
