/* CustomResourceDefinitions and APIServices. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"

#define CLEANUP_FINALIZER "customresourcecleanup.apiextensions.k8s.io"

static cJSON *stored_versions(const cJSON *definition)
{
    const cJSON *before = json_at(definition, "status.storedVersions");
    cJSON *list = before != NULL ? json_copy(before) : json_array();
    const cJSON *version;

    cJSON_ArrayForEach(version, json_at(definition, "spec.versions"))
    {
        const char *name = json_str_or(version, "name", "");

        if (json_bool(version, "storage", false) && !json_has_str(list, name))
            json_push_str(list, name);
    }
    if (list->child == NULL && json_str(definition, "spec.version") != NULL)
        json_push_str(list, json_str(definition, "spec.version"));
    return list;
}

static void accept(struct ctl *ctl, const struct resource *resource, const cJSON *definition)
{
    cJSON *status = status_copy(definition);
    cJSON *conditions = json_need_array(status, "conditions");

    json_set(status, "acceptedNames", json_copy_object(json_at(definition, "spec.names")));
    json_set(status, "storedVersions", stored_versions(definition));
    condition_set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
    condition_set(conditions, "Established", "True", "InitialNamesAccepted",
                  "the initial names have been accepted");
    ctl_set_status(ctl, resource, definition, status);
}

static void set_finalizers(struct ctl *ctl, const struct resource *resource,
                           const cJSON *definition, bool hold)
{
    cJSON *patch = json_object();
    cJSON *list = json_set_array(json_set_object(patch, "metadata"), "finalizers");
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(definition, "metadata.finalizers"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, CLEANUP_FINALIZER) != 0)
            json_push_str(list, item->valuestring);
    }
    if (hold)
        json_push_str(list, CLEANUP_FINALIZER);
    ctl_merge(ctl, resource, definition, patch);
}

/* Deletes the instances; true when none is left. */
static bool remove_instances(struct ctl *ctl, const cJSON *definition)
{
    const struct resource *resource =
        ctl_resource(ctl, json_str_or(definition, "spec.group", ""),
                     json_str_or(definition, "spec.names.plural", ""));
    struct stored **list;
    bool none;

    if (resource == NULL)
        return true;
    list = store_list(ctl->store, resource, NULL, NULL);
    for (size_t i = 0; list[i] != NULL; i++) {
        if (!is_deleting(list[i]->object))
            ctl_delete(ctl, resource, list[i]->object);
    }
    store_list_free(list);
    list = store_list(ctl->store, resource, NULL, NULL);
    none = list[0] == NULL;
    store_list_free(list);
    return none;
}

int64_t ctl_definition(struct ctl *ctl, const struct resource *resource, const cJSON *definition)
{
    bool held = json_has_str(json_at(definition, "metadata.finalizers"), CLEANUP_FINALIZER);

    if (!is_deleting(definition)) {
        if (!held)
            set_finalizers(ctl, resource, definition, true);
        accept(ctl, resource, definition);
        return CTL_DONE;
    }
    if (!held)
        return CTL_DONE;
    if (!remove_instances(ctl, definition))
        return ctl->spec.reconcile_ms * 4;
    set_finalizers(ctl, resource, definition, false);
    return CTL_DONE;
}

/* ---- APIServices ---- */

static bool has_endpoints(struct ctl *ctl, const char *space, const char *name)
{
    struct stored *endpoints = ctl_get(ctl, "", "endpoints", space, name);
    bool has = endpoints != NULL && json_at(endpoints->object, "subsets[0].addresses[0]") != NULL;

    stored_unref(endpoints);
    return has;
}

int64_t ctl_api_service(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    const char *space = json_str_or(object, "spec.service.namespace", "");
    const char *name = json_str(object, "spec.service.name");
    struct stored *service = name != NULL ? ctl_get(ctl, "", "services", space, name) : NULL;
    cJSON *status = status_copy(object);
    cJSON *conditions = json_need_array(status, "conditions");
    autofree char *absent =
        xasprintf("service/%s in \"%s\" is not present", name != NULL ? name : "", space);
    autofree char *idle = xasprintf("endpoints for service/%s in \"%s\" have no addresses",
                                    name != NULL ? name : "", space);

    if (name == NULL)
        condition_set(conditions, "Available", "True", "Local",
                      "Local APIServices are always available");
    else if (service == NULL)
        condition_set(conditions, "Available", "False", "ServiceNotFound", absent);
    else if (!has_endpoints(ctl, space, name))
        condition_set(conditions, "Available", "False", "MissingEndpoints", idle);
    else
        condition_set(conditions, "Available", "True", "Passed", "all checks passed");
    ctl_set_status(ctl, resource, object, status);
    stored_unref(service);
    return CTL_DONE;
}
