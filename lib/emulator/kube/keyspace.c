#include "emulator/kube/keyspace.h"

#include <stdlib.h>
#include <string.h>

/* cJSON takes 64 bytes a node, the allocator rounds up strings. */
static size_t weigh(const cJSON *value)
{
    size_t weight = 80;
    const cJSON *item;

    if (value->string != NULL)
        weight += strlen(value->string) + 16;
    if (value->valuestring != NULL)
        weight += strlen(value->valuestring) + 16;
    cJSON_ArrayForEach(item, value)
    {
        weight += weigh(item);
    }
    return weight;
}

struct version *version_new(cJSON *object, uint64_t number)
{
    struct version *version = xcalloc(1, sizeof(*version));

    version->stored.object = object;
    version->stored.version = number;
    version->refs = 1;
    version->owned = object;
    version->space = json_str_or(object, "metadata.namespace", "");
    version->name = json_str_or(object, "metadata.name", "");
    version->weight = weigh(object);
    return version;
}

struct stored *stored_ref(struct stored *stored)
{
    version_of(stored)->refs++;
    return stored;
}

void stored_unref(struct stored *stored)
{
    struct version *version = version_of(stored);

    if (version == NULL || --version->refs > 0)
        return;
    cJSON_Delete(version->owned);
    free(version);
}

struct keyspace *keyspace_new(const char *tag)
{
    struct keyspace *storage = xcalloc(1, sizeof(*storage));

    storage->tag = xstrdup(tag);
    return storage;
}

void keyspace_free(struct keyspace *storage)
{
    for (size_t i = 0; i < storage->len; i++)
        stored_unref(&storage->items[i]->stored);
    free(storage->items);
    free(storage->tag);
    free(storage);
}

static int compare(const struct version *item, const char *space, const char *name)
{
    int order = strcmp(item->space, space);

    return order != 0 ? order : strcmp(item->name, name);
}

/* The first index that is not before the key. */
static size_t lower_bound(const struct keyspace *storage, const char *space, const char *name)
{
    size_t low = 0;
    size_t high = storage->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(storage->items[middle], space, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct keyspace *storage, size_t index, const char *space, const char *name)
{
    return index < storage->len && compare(storage->items[index], space, name) == 0;
}

struct version *keyspace_get(const struct keyspace *storage, const char *space, const char *name)
{
    size_t index;

    space = space != NULL ? space : "";
    index = lower_bound(storage, space, name);
    return is_at(storage, index, space, name) ? storage->items[index] : NULL;
}

struct version *keyspace_put(struct keyspace *storage, struct version *version)
{
    size_t index = lower_bound(storage, version->space, version->name);
    struct version *before;

    if (is_at(storage, index, version->space, version->name)) {
        before = storage->items[index];
        storage->items[index] = version;
        return before;
    }
    if (storage->len == storage->size) {
        storage->size = storage->size > 0 ? storage->size * 2 : 16;
        storage->items = xrealloc(storage->items, storage->size * sizeof(struct version *));
    }
    memmove(storage->items + index + 1, storage->items + index,
            (storage->len - index) * sizeof(struct version *));
    storage->items[index] = version;
    storage->len++;
    return NULL;
}

struct version *keyspace_remove(struct keyspace *storage, const char *space, const char *name)
{
    size_t index;
    struct version *version;

    space = space != NULL ? space : "";
    index = lower_bound(storage, space, name);
    if (!is_at(storage, index, space, name))
        return NULL;
    version = storage->items[index];
    storage->len--;
    memmove(storage->items + index, storage->items + index + 1,
            (storage->len - index) * sizeof(struct version *));
    return version;
}

size_t keyspace_first(const struct keyspace *storage, const char *space)
{
    return space != NULL && space[0] != '\0' ? lower_bound(storage, space, "") : 0;
}
