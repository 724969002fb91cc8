/* Namespaces: what is put into a new one, and how one that is deleted is emptied. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/ctl.h"

#define ROOT_CA_SINCE 20

static void furnish(struct ctl *ctl, const char *space)
{
    cJSON *map;

    (void)ctl_create(ctl, new_object_of("v1", "ServiceAccount", space, "default"));
    if (store_minor(ctl->store) < ROOT_CA_SINCE)
        return;
    map = new_object_of("v1", "ConfigMap", space, "kube-root-ca.crt");
    json_set_str(json_set_object(map, "data"), "ca.crt", ctl->spec.ca_pem);
    (void)ctl_create(ctl, map);
}

/* What is left of one kind. */
struct remains {
    struct buf kinds, finalizers; /* "deployments.apps has 2 resource instances" */
    size_t count;
};

static void delete_all(struct ctl *ctl, const struct type *type, const char *space,
                       struct remains *remains)
{
    struct stored **list = store_list(ctl->store, &type->resource, space, NULL);
    size_t count = 0;
    const char *finalizer = NULL;

    for (; list[count] != NULL; count++) {
        const cJSON *object = list[count]->object;

        if (!is_deleting(object))
            ctl_delete(ctl, &type->resource, object);
        if (json_str(object, "metadata.finalizers[0]") != NULL)
            finalizer = json_str(object, "metadata.finalizers[0]");
    }
    if (count > 0) {
        remains->count += count;
        buf_addf(&remains->kinds, "%s%s has %zu resource instances",
                 remains->kinds.len > 0 ? ", " : "", group_resource(&type->resource).text, count);
    }
    if (finalizer != NULL)
        buf_addf(&remains->finalizers, "%s%s in %zu resource instances",
                 remains->finalizers.len > 0 ? ", " : "", finalizer, count);
    store_list_free(list);
}

static size_t count_all(struct ctl *ctl, const char *space)
{
    size_t len;
    const struct type **kinds = store_kinds(ctl->store, &len);
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        struct stored **list;

        if (!kinds[i]->resource.namespaced)
            continue;
        list = store_list(ctl->store, &kinds[i]->resource, space, NULL);
        for (size_t n = 0; list[n] != NULL; n++)
            count++;
        store_list_free(list);
    }
    free(kinds);
    return count;
}

static void tell(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                 const struct remains *remains)
{
    cJSON *status = status_copy(object);
    cJSON *conditions = json_need_array(status, "conditions");
    autofree char *content = xasprintf("Some resources are remaining: %s", remains->kinds.data);
    autofree char *finalizers = xasprintf(
        "Some content in the namespace has finalizers remaining: %s", remains->finalizers.data);
    bool held = remains->finalizers.len > 0;

    condition_set(conditions, "NamespaceContentRemaining", "True", "SomeResourcesRemain", content);
    condition_set(conditions, "NamespaceFinalizersRemaining", held ? "True" : "False",
                  held ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
                  held ? finalizers : "All content-preserving finalizers finished");
    ctl_set_status(ctl, resource, object, status);
}

static int64_t empty(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    const char *space = json_str_or(object, "metadata.name", "");
    struct remains remains = {.kinds = BUF_INIT(BUF_MEDIUM), .finalizers = BUF_INIT(BUF_MEDIUM)};
    size_t len;
    const struct type **kinds = store_kinds(ctl->store, &len);
    size_t left;

    for (size_t i = 0; i < len; i++) {
        if (kinds[i]->resource.namespaced)
            delete_all(ctl, kinds[i], space, &remains);
    }
    free(kinds);
    left = count_all(ctl, space);
    if (left > 0) {
        tell(ctl, resource, object, &remains);
    } else {
        cJSON *patch = json_object();

        json_set_array(json_set_object(patch, "spec"), "finalizers");
        ctl_merge(ctl, resource, object, patch);
    }
    buf_clear(&remains.kinds);
    buf_clear(&remains.finalizers);
    return left > 0 ? ctl->spec.reconcile_ms * 4 : CTL_DONE;
}

int64_t ctl_namespace(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    if (is_deleting(object)) {
        if (!json_has_str(json_at(object, "spec.finalizers"), "kubernetes"))
            return CTL_DONE;
        return empty(ctl, resource, object);
    }
    furnish(ctl, json_str_or(object, "metadata.name", ""));
    return CTL_DONE;
}
