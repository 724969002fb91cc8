#include "emulator/kube/managed.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "emulator/kube/core.h"
#include "emulator/kube/typed.h"

#define MOST_UPDATERS 10

static struct manager *append(struct managers *managers)
{
    managers->items = xrealloc(managers->items, (managers->len + 1) * sizeof(managers->items[0]));
    managers->items[managers->len] = (struct manager){0};
    return &managers->items[managers->len++];
}

void managers_read(struct managers *managers, const cJSON *object)
{
    const cJSON *entry;

    *managers = (struct managers){0};
    cJSON_ArrayForEach(entry, json_at(object, "metadata.managedFields"))
    {
        struct manager *manager;

        if (json_str(entry, "manager") == NULL || json_get(entry, "fieldsV1") == NULL)
            continue;
        manager = append(managers);
        manager->name = xstrdup(json_str(entry, "manager"));
        manager->applies = strcmp(json_str_or(entry, "operation", ""), "Apply") == 0;
        manager->api_version = xstrdup(json_str_or(entry, "apiVersion", ""));
        manager->subresource = xstrdup(json_str_or(entry, "subresource", ""));
        manager->time = xstrdup(json_str_or(entry, "time", ""));
        manager->set = fieldset_from_wire(json_get(entry, "fieldsV1"));
    }
}

static void clear_manager(struct manager *manager)
{
    free(manager->name);
    free(manager->api_version);
    free(manager->subresource);
    free(manager->time);
    cJSON_Delete(manager->set);
}

void managers_clear(struct managers *managers)
{
    for (size_t i = 0; i < managers->len; i++)
        clear_manager(&managers->items[i]);
    free(managers->items);
    *managers = (struct managers){0};
}

static int compare(const void *a, const void *b)
{
    const struct manager *x = *(const struct manager *const *)a;
    const struct manager *y = *(const struct manager *const *)b;
    int order;

    if (x->applies != y->applies)
        return x->applies ? -1 : 1;
    order = strcmp(x->subresource, y->subresource);
    order = order != 0 ? order : strcmp(x->time, y->time);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static cJSON *entry_of(const struct manager *manager)
{
    cJSON *entry = json_object();

    json_set_str(entry, "manager", manager->name);
    json_set_str(entry, "operation", manager->applies ? "Apply" : "Update");
    json_set_str(entry, "apiVersion", manager->api_version);
    json_set_str(entry, "time", manager->time);
    json_set_str(entry, "fieldsType", "FieldsV1");
    json_set(entry, "fieldsV1", fieldset_to_wire(manager->set));
    if (manager->subresource[0] != '\0')
        json_set_str(entry, "subresource", manager->subresource);
    return entry;
}

void managers_write(const struct managers *managers, cJSON *object)
{
    cJSON *meta = json_need_object(object, "metadata");
    const struct manager **sorted = xcalloc(managers->len + 1, sizeof(*sorted));
    cJSON *entries = json_array();
    size_t len = 0;

    for (size_t i = 0; i < managers->len; i++) {
        if (!fieldset_is_empty(managers->items[i].set))
            sorted[len++] = &managers->items[i];
    }
    qsort(sorted, len, sizeof(*sorted), compare);
    for (size_t i = 0; i < len; i++)
        json_push(entries, entry_of(sorted[i]));
    free(sorted);
    if (len > 0) {
        json_set(meta, "managedFields", entries);
        return;
    }
    cJSON_Delete(entries);
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "managedFields");
}

struct manager *managers_need(struct managers *managers, const char *name, bool applies,
                              const char *api_version, const char *subresource)
{
    struct manager *manager;

    for (size_t i = 0; i < managers->len; i++) {
        manager = &managers->items[i];
        /* Who applies stays the same in whatever version. */
        if (strcmp(manager->name, name) == 0 && manager->applies == applies &&
            strcmp(manager->subresource, subresource) == 0 &&
            (applies || strcmp(manager->api_version, api_version) == 0)) {
            free(manager->api_version);
            manager->api_version = xstrdup(api_version);
            return manager;
        }
    }
    manager = append(managers);
    manager->name = xstrdup(name);
    manager->applies = applies;
    manager->api_version = xstrdup(api_version);
    manager->subresource = xstrdup(subresource);
    manager->time = xstrdup("");
    manager->set = json_object();
    return manager;
}

void manager_set(struct manager *manager, cJSON *set)
{
    if (manager->time[0] == '\0' || !json_equal(manager->set, set)) {
        free(manager->time);
        manager->time = xstrdup(time_now().text);
    }
    cJSON_Delete(manager->set);
    manager->set = set;
}

/* Of many who updated, the first ones are counted together. */
static void cap_updaters(struct managers *managers)
{
    struct manager *ancient = NULL;
    size_t updaters = 0;

    for (size_t i = 0; i < managers->len; i++)
        updaters += !managers->items[i].applies;
    for (size_t i = 0; updaters > MOST_UPDATERS && i < managers->len; i++) {
        struct manager *manager = &managers->items[i];

        if (manager->applies)
            continue;
        if (ancient == NULL) {
            ancient = manager;
            free(ancient->name);
            ancient->name = xstrdup("ancient-changes");
            continue;
        }
        fieldset_add(ancient->set, manager->set);
        cJSON_Delete(manager->set);
        manager->set = json_object();
        updaters--;
    }
}

/* With a status subresource, the status is not a field of the resource itself; and the other way.
 */
static void keep_to_subresource(const struct type *type, const char *subresource, cJSON *set)
{
    cJSON *status = cJSON_DetachItemFromObjectCaseSensitive(set, "f:status");

    if (strcmp(subresource, "status") == 0) {
        while (set->child != NULL)
            cJSON_Delete(cJSON_DetachItemViaPointer(set, set->child));
    } else if ((type->flags & TYPE_STATUS) != 0) {
        cJSON_Delete(status);
        return;
    }
    if (status != NULL)
        json_set(set, "f:status", status);
}

void managed_track(const struct type *type, const cJSON *now, cJSON *next, const char *name,
                   const char *subresource)
{
    autofree char *api_version = api_version_of(&type->resource);
    const cJSON *sent = json_at(next, "metadata.managedFields");
    struct managers managers;
    struct typed_difference difference;
    struct manager *own;
    cJSON *set;

    managers_read(&managers, sent != NULL || now == NULL ? next : now);
    if (now == NULL)
        managers_clear(&managers);
    typed_compare(type, now, next, &difference);
    fieldset_add(difference.added, difference.modified);
    keep_to_subresource(type, subresource, difference.added);
    keep_to_subresource(type, subresource, difference.removed);
    own = managers_need(&managers, name, false, api_version, subresource);
    set = json_copy(own->set);
    fieldset_subtract(set, difference.removed);
    fieldset_add(set, difference.added);
    for (size_t i = 0; i < managers.len; i++) {
        if (&managers.items[i] == own)
            continue;
        fieldset_subtract(managers.items[i].set, difference.added);
        fieldset_subtract(managers.items[i].set, difference.removed);
    }
    manager_set(own, set);
    cap_updaters(&managers);
    managers_write(&managers, next);
    managers_clear(&managers);
    typed_difference_clear(&difference);
}
