/* The writes of controllers: each is one store_write. */
#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/deletion.h"
#include "emulator/kube/strategy.h"

struct put {
    const struct type *type;
    cJSON *object;
};

static int put_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct put *put = arg;
    autojson cJSON *object = json_copy(put->object);

    if (now != NULL && json_get(object, "status") == NULL && json_get(now, "status") != NULL)
        json_set(object, "status", json_copy(json_get(now, "status")));
    if (strategy_prepare(put->type, now, object, NULL, err) < 0)
        return -1;
    *next = steal(object);
    return 0;
}

int store_put(struct store *store, cJSON *object, struct err *err)
{
    autojson cJSON *owned = object;
    const char *api_version = json_str_or(object, "apiVersion", "");
    const char *kind = json_str_or(object, "kind", "");
    const char *name = json_str_or(object, "metadata.name", "");
    const struct resource *resource = store_kind(store, api_version, kind);
    struct put put = {.object = owned};

    if (resource == NULL)
        return kube_fail(err, 404, "NotFound", "no matches for kind \"%s\" in version \"%s\"", kind,
                         api_version);
    put.type = type_of(resource);
    return store_write(store, resource, json_str(object, "metadata.namespace"), name, put_change,
                       &put, NULL, err);
}

struct merge {
    const struct resource *resource;
    const char *name;
    const cJSON *patch;
};

static int merge_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct merge *merge = arg;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(merge->resource).text, merge->name);
    *next = json_copy(now);
    json_merge(*next, merge->patch);
    return 0;
}

int store_merge(struct store *store, const struct resource *resource, const char *space,
                const char *name, const cJSON *patch, struct err *err)
{
    struct merge merge = {.resource = resource, .name = name, .patch = patch};

    return store_write(store, resource, space, name, merge_change, &merge, NULL, err);
}

static int delete_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct deletion background = {.grace_seconds = -1};

    (void)err;
    *next = now != NULL ? deletion_next(arg, now, &background) : NULL;
    return 0;
}

int store_delete(struct store *store, const struct resource *resource, const char *space,
                 const char *name, struct err *err)
{
    return store_write(store, resource, space, name, delete_change, (void *)resource, NULL, err);
}
