/* What the parts of the emulator's Kubernetes know of the store beyond store.h. */
#ifndef EMULATOR_KUBE_CORE_H
#define EMULATOR_KUBE_CORE_H

#include <pthread.h>
#include "emulator/kube/history.h"
#include "emulator/kube/store.h"
#include "emulator/kube/types.h"

/* A store that serves the built-in types as Kubernetes 1.MINOR does (store_new: 1.27). */
struct store *store_new_for(int minor);
int store_minor(const struct store *store);

/* Exactly this version, when it is served; NULL otherwise. Borrowed for the store's life. */
const struct type *store_type(struct store *store, const char *group, const char *version,
                              const char *plural);
/* Every type that is served; the caller frees the array. */
const struct type **store_types(struct store *store, size_t *len);
/* Every namespaced or cluster-wide kind once, by its hub; the caller frees the array. */
const struct type **store_kinds(struct store *store, size_t *len);

/* As store_next, with the version before the change, which watches with selectors need. The caller
 * unrefs `now` and `before`; the objects are in the version they are kept in. */
struct store_change_event {
    enum store_event_type type;
    struct keyspace *storage;
    const struct resource *resource;
    struct stored *now;
    struct stored *before; /* or NULL */
};
int store_next_change(struct store *store, uint64_t version, const struct keyspace *storage,
                      const char *space, int64_t ms, struct store_change_event *event);
/* A list and its version in one moment, starting after (space, name) `after` when given, at most
 * `limit` (0: all) with *more when some were left; in the kept version, freed with store_list_free.
 */
struct list_range {
    const char *space;
    const char *after_space, *after_name; /* NULL: from the beginning */
};
struct stored **store_range(struct store *store, const struct type *type,
                            const struct list_range *range, size_t *len, uint64_t *version);
/* 0 when a watch may start after `version`: not older than the history. */
int store_check_version(struct store *store, uint64_t version);

/* As store_write, and nothing is written: `out` is what would be (dryRun=All). */
int store_try(struct store *store, const struct resource *resource, const char *space,
              const char *name, store_change change, void *arg, struct stored **out,
              struct err *err);

/* Errors as the API words them: `err` with HTTP status and reason set; returns -1. */
int kube_fail(struct err *err, int http_status, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* "deployments.apps", "pods" */
struct group_resource {
    char text[256];
};
struct group_resource group_resource(const struct resource *resource);

int64_t mono_ms(void);
/* Now, as metadata has it: RFC 3339, seconds. */
struct time_text time_now(void);

static inline cJSON *json_get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}
/* The object at the key, made when it is none. */
cJSON *json_need_object(cJSON *object, const char *key);
/* A copy of an object, {} when it is none. */
cJSON *json_copy_object(const cJSON *value);
cJSON *json_need_array(cJSON *object, const char *key);
/* The string under a key that may hold dots; NULL when there is none. */
const char *json_key_str(const cJSON *object, const char *key);
bool json_has_str(const cJSON *array, const char *text);
/* Strings are equal; NULL is equal to NULL only. */
bool str_equal(const char *a, const char *b);

#endif
