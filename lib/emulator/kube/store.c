#include "emulator/kube/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/admission.h"
#include "emulator/kube/convert.h"
#include "emulator/kube/core.h"
#include "emulator/kube/store_internal.h"

#define DEFAULT_MINOR 27

static void lock(struct store *store)
{
    pthread_mutex_lock(&store->lock);
}

static void unlock(struct store *store)
{
    pthread_mutex_unlock(&store->lock);
}

struct store *store_new_for(int minor)
{
    struct store *store = xcalloc(1, sizeof(*store));
    pthread_condattr_t attributes;

    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    types_init(&store->types, minor);
    history_init(&store->history);
    store->namespaces = types_find(&store->types, "", "v1", "namespaces")->storage;
    store->definitions =
        types_preferred(&store->types, "apiextensions.k8s.io", "customresourcedefinitions")
            ->storage;
    store->version = 1;
    return store;
}

struct store *store_new(void)
{
    return store_new_for(DEFAULT_MINOR);
}

int store_minor(const struct store *store)
{
    return store->types.minor;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    history_clear(&store->history);
    types_clear(&store->types);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* ---- types ---- */

const struct resource *store_resource(struct store *store, const char *group, const char *plural)
{
    const struct type *type;

    lock(store);
    type = types_preferred(&store->types, group, plural);
    unlock(store);
    return type != NULL ? &type->resource : NULL;
}

const struct resource *store_kind(struct store *store, const char *api_version, const char *kind)
{
    autofree char *group = NULL;
    autofree char *version = NULL;
    const struct type *type;

    api_version_split(api_version, &group, &version);
    lock(store);
    type = types_find_kind(&store->types, group, version, kind);
    unlock(store);
    return type != NULL ? &type->resource : NULL;
}

const struct type *store_type(struct store *store, const char *group, const char *version,
                              const char *plural)
{
    const struct type *type;

    lock(store);
    type = types_find(&store->types, group, version, plural);
    unlock(store);
    return type;
}

const struct type **store_types(struct store *store, size_t *len)
{
    const struct type **list;

    lock(store);
    list = xcalloc(store->types.len + 1, sizeof(*list));
    *len = 0;
    for (size_t i = 0; i < store->types.len; i++) {
        if (store->types.items[i]->served)
            list[(*len)++] = store->types.items[i];
    }
    unlock(store);
    return list;
}

const struct type **store_kinds(struct store *store, size_t *len)
{
    const struct type **list;

    lock(store);
    list = xcalloc(store->types.storages_len + 1, sizeof(*list));
    *len = 0;
    for (size_t i = 0; i < store->types.storages_len; i++) {
        const struct type *hub = store->types.storages[i]->hub;

        if (hub != NULL && (hub->flags & TYPE_CREATE_ONLY) == 0)
            list[(*len)++] = hub;
    }
    unlock(store);
    return list;
}

/* ---- reading ---- */

struct stored *in_version(const struct type *type, struct stored *stored)
{
    struct version *converted;

    if (!convert_needed(type, stored->object))
        return stored;
    converted = version_new(convert(type, stored->object), stored->version);
    stored_unref(stored);
    return &converted->stored;
}

struct stored *store_get(struct store *store, const struct resource *resource, const char *space,
                         const char *name)
{
    const struct type *type = type_of(resource);
    struct version *found;

    lock(store);
    found = keyspace_get(type->storage, resource->namespaced ? space : "", name);
    if (found != NULL)
        stored_ref(&found->stored);
    unlock(store);
    return found != NULL ? in_version(type, &found->stored) : NULL;
}

struct stored **store_range(struct store *store, const struct type *type,
                            const struct list_range *range, size_t *len, uint64_t *version)
{
    const struct keyspace *storage = type->storage;
    bool all = range->space == NULL || range->space[0] == '\0' || !type->resource.namespaced;
    struct stored **list;
    size_t count = 0;

    lock(store);
    list = xcalloc(storage->len + 1, sizeof(*list));
    for (size_t i = all ? 0 : keyspace_first(storage, range->space); i < storage->len; i++) {
        struct version *item = storage->items[i];

        if (!all && strcmp(item->space, range->space) != 0)
            break;
        if (range->after_name != NULL) {
            int order = strcmp(item->space, range->after_space);

            if (order < 0 || (order == 0 && strcmp(item->name, range->after_name) <= 0))
                continue;
        }
        list[count++] = stored_ref(&item->stored);
    }
    if (version != NULL)
        *version = store->version;
    unlock(store);
    *len = count;
    return list;
}

struct stored **store_list(struct store *store, const struct resource *resource, const char *space,
                           uint64_t *version)
{
    struct list_range range = {.space = space};
    size_t len;
    struct stored **list = store_range(store, type_of(resource), &range, &len, version);

    for (size_t i = 0; i < len; i++)
        list[i] = in_version(type_of(resource), list[i]);
    return list;
}

void store_list_free(struct stored **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        stored_unref(list[i]);
    free(list);
}

/* ---- writing ---- */

static const char *const kept_always[] = {"uid", "creationTimestamp"};

static void stamp_version(cJSON *meta, uint64_t version)
{
    json_set_i64_str(meta, "resourceVersion", (int64_t)version);
}

/* What clients cannot change comes from the object as it is; a new one gets its own. */
static void stamp(cJSON *next, const cJSON *now, const char *space, const char *name)
{
    cJSON *meta = json_need_object(next, "metadata");

    json_set_str(meta, "name", name);
    if (space != NULL && space[0] != '\0')
        json_set_str(meta, "namespace", space);
    else
        cJSON_DeleteItemFromObjectCaseSensitive(meta, "namespace");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "selfLink");
    if (now == NULL) {
        json_set_str(meta, "uid", uuid_random().text);
        json_set_str(meta, "creationTimestamp", time_now().text);
        cJSON_DeleteItemFromObjectCaseSensitive(meta, "generation");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept_always); i++)
        json_set_str(meta, kept_always[i], json_str(json_at(now, "metadata"), kept_always[i]));
    json_set_str(meta, "resourceVersion", json_str(now, "metadata.resourceVersion"));
}

static bool same_member(const cJSON *a, const cJSON *b, const char *key)
{
    return json_equal(json_get(a, key), json_get(b, key));
}

/* Built-in kinds and custom ones with a status subresource count changes of all but metadata and
 * status; a custom resource without it has no status of its own, so that counts too. */
static bool specification_changed(const struct type *type, const cJSON *now, const cJSON *next)
{
    bool skip_status = (type->flags & TYPE_CUSTOM) == 0 || (type->flags & TYPE_STATUS) != 0;
    const cJSON *item;

    cJSON_ArrayForEach(item, next)
    {
        if (strcmp(item->string, "metadata") == 0 || strcmp(item->string, "apiVersion") == 0 ||
            (skip_status && strcmp(item->string, "status") == 0))
            continue;
        if (!same_member(now, next, item->string))
            return true;
    }
    cJSON_ArrayForEach(item, now)
    {
        if (json_get(next, item->string) == NULL &&
            !(skip_status && !strcmp(item->string, "status")))
            return true;
    }
    return false;
}

static void stamp_generation(const struct type *type, cJSON *next, const cJSON *now)
{
    cJSON *meta = json_get(next, "metadata");
    int64_t generation = 0;

    if ((type->flags & TYPE_GENERATION) == 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(meta, "generation");
        return;
    }
    if (now == NULL) {
        json_set_i64(meta, "generation", 1);
        return;
    }
    json_i64(now, "metadata.generation", &generation);
    if (specification_changed(type, now, next) ||
        (json_get(meta, "deletionTimestamp") != NULL &&
         json_at(now, "metadata.deletionTimestamp") == NULL))
        generation++;
    json_set_i64(meta, "generation", generation);
}

/* Marked for deletion, and nothing holds it any longer. */
static bool is_finished(const cJSON *next)
{
    int64_t grace = 0;

    json_i64(next, "metadata.deletionGracePeriodSeconds", &grace);
    return json_at(next, "metadata.deletionTimestamp") != NULL && grace == 0 &&
           cJSON_GetArraySize(json_at(next, "metadata.finalizers")) == 0 &&
           (strcmp(json_str_or(next, "kind", ""), "Namespace") != 0 ||
            cJSON_GetArraySize(json_at(next, "spec.finalizers")) == 0);
}

static int check_namespace(struct store *store, const struct type *type, const char *space,
                           const char *name, struct err *err)
{
    const struct version *found;

    if (!type->resource.namespaced)
        return 0;
    found = keyspace_get(store->namespaces, "", space != NULL ? space : "");
    if (found == NULL)
        return kube_fail(err, 404, "NotFound", "namespaces \"%s\" not found",
                         space != NULL ? space : "");
    if (json_at(found->stored.object, "metadata.deletionTimestamp") != NULL)
        return kube_fail(err, 403, "Forbidden",
                         "%s \"%s\" is forbidden: unable to create new content in namespace %s "
                         "because it is being terminated",
                         group_resource(&type->resource).text, name, space);
    return 0;
}

/* Takes one reference of each. */
static void announce(struct store *store, enum store_event_type kind, struct keyspace *storage,
                     struct version *now, struct version *before)
{
    struct change change = {
        .type = kind, .storage = storage, .now = now, .before = before, .at_ms = mono_ms()};

    if (storage == store->definitions) {
        if (kind == STORE_DELETED)
            types_undefine(&store->types, now->stored.object);
        else
            types_define(&store->types, now->stored.object);
    }
    history_add(&store->history, &change);
    pthread_cond_broadcast(&store->changed);
}

static void put_locked(struct store *store, struct keyspace *storage, cJSON *next)
{
    struct version *version;
    struct version *before;

    stamp_version(json_get(next, "metadata"), ++store->version);
    version = version_new(next, store->version);
    before = keyspace_put(storage, version);
    stored_ref(&version->stored);
    announce(store, before != NULL ? STORE_MODIFIED : STORE_ADDED, storage, version, before);
}

/* `last`: what it looked like at the end, taken; NULL: as it is stored. */
static struct version *remove_locked(struct store *store, struct keyspace *storage,
                                     struct version *now, cJSON *last)
{
    struct version *version;

    keyspace_remove(storage, now->space, now->name);
    if (last == NULL)
        last = json_copy(now->stored.object);
    stamp_version(json_get(last, "metadata"), ++store->version);
    version = version_new(last, store->version);
    announce(store, STORE_DELETED, storage, version, now);
    return version;
}

struct write {
    struct store *store;
    const struct type *type;
    const char *space, *name;
    store_change change;
    void *arg;
    bool dry_run;
    struct stored *result;
};

/* Takes `next`. */
static int commit(struct write *write, struct version *now, cJSON *next, struct err *err)
{
    struct keyspace *storage = write->type->storage;
    const cJSON *before = now != NULL ? now->stored.object : NULL;

    if (convert_needed(storage->hub, next)) {
        cJSON *kept = convert(storage->hub, next);

        cJSON_Delete(next);
        next = kept;
    }
    if ((now == NULL &&
         check_namespace(write->store, write->type, write->space, write->name, err) < 0) ||
        admission_check(write->store, write->type, write->space, write->name, before, next, err) <
            0) {
        cJSON_Delete(next);
        return -1;
    }
    stamp(next, before, write->space, write->name);
    stamp_generation(storage->hub, next, before);
    if (now != NULL && json_equal(before, next)) {
        cJSON_Delete(next);
        write->result = stored_ref(&now->stored);
        return 0;
    }
    if (write->dry_run) {
        write->result = &version_new(next, now != NULL ? now->stored.version : 0)->stored;
        return 0;
    }
    if (now != NULL && is_finished(next)) {
        write->result = stored_ref(&remove_locked(write->store, storage, now, next)->stored);
        return 0;
    }
    put_locked(write->store, storage, next);
    write->result = stored_ref(&keyspace_get(storage, write->space, write->name)->stored);
    return 0;
}

static int write_locked(struct write *write, struct err *err)
{
    struct keyspace *storage = write->type->storage;
    struct version *now = keyspace_get(storage, write->space, write->name);
    const cJSON *view = now != NULL ? now->stored.object : NULL;
    autojson cJSON *converted = NULL;
    cJSON *next = NULL;

    if (view != NULL && convert_needed(write->type, view))
        view = converted = convert(write->type, view);
    if (write->change(write->arg, view, &next, err) < 0)
        return -1;
    if (next != NULL)
        return commit(write, now, next, err);
    if (now != NULL && write->dry_run)
        write->result = stored_ref(&now->stored);
    else if (now != NULL)
        write->result = stored_ref(&remove_locked(write->store, storage, now, NULL)->stored);
    return 0;
}

static int run_write(struct write *write, struct stored **out, struct err *err)
{
    int result;

    if (!write->type->resource.namespaced || write->space == NULL)
        write->space = "";
    lock(write->store);
    result = write_locked(write, err);
    unlock(write->store);
    if (out != NULL && result == 0)
        *out = write->result != NULL ? in_version(write->type, write->result) : NULL;
    else
        stored_unref(write->result);
    return result;
}

int store_write(struct store *store, const struct resource *resource, const char *space,
                const char *name, store_change change, void *arg, struct stored **out,
                struct err *err)
{
    struct write write = {.store = store,
                          .type = type_of(resource),
                          .space = space,
                          .name = name,
                          .change = change,
                          .arg = arg};

    return run_write(&write, out, err);
}

int store_try(struct store *store, const struct resource *resource, const char *space,
              const char *name, store_change change, void *arg, struct stored **out,
              struct err *err)
{
    struct write write = {.store = store,
                          .type = type_of(resource),
                          .space = space,
                          .name = name,
                          .change = change,
                          .arg = arg,
                          .dry_run = true};

    return run_write(&write, out, err);
}
