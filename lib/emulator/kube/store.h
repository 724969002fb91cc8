/* The objects of one cluster: any resource, one resourceVersion line, a history for watches. Thread
 * safe. Values handed out are shared and immutable: borrow them with store_ref, never change them.
 */
#ifndef EMULATOR_KUBE_STORE_H
#define EMULATOR_KUBE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"

struct store;
struct store *store_new(void);
void store_free(struct store *store);

/* An immutable version of an object, reference-counted. */
struct stored {
    const cJSON *object;
    uint64_t version; /* its resourceVersion */
};
struct stored *stored_ref(struct stored *stored);
void stored_unref(struct stored *stored); /* NULL is fine */

/* A resource type. `plural` is the path's word. */
struct resource {
    const char *group; /* "" for core */
    const char *version;
    const char *plural;
    const char *singular;
    const char *kind;
    const char *short_names; /* comma-separated, or "" */
    bool namespaced;
    bool has_status; /* a /status subresource */
};
/* By group and plural, or by group and kind (any served version); NULL when not served. Built in, or
 * registered by a CustomResourceDefinition. Borrowed for the store's life. */
const struct resource *store_resource(struct store *store, const char *group, const char *plural);
const struct resource *store_kind(struct store *store, const char *api_version, const char *kind);

/* NULL when there is none. The caller unrefs. */
struct stored *store_get(struct store *store, const struct resource *resource, const char *space,
                         const char *name);
/* All of a type (`space` NULL or "": every namespace); a NULL-terminated array, freed with
 * store_list_free. `version`: the resourceVersion of the list. */
struct stored **store_list(struct store *store, const struct resource *resource, const char *space,
                           uint64_t *version);
void store_list_free(struct stored **list);

/* Every write goes through here, under the store's lock: `change` gets the object as it is (NULL:
 * none) and gives what it is to become (*next: a new cJSON that the store takes; or NULL with 0 to
 * delete; or the very same content, which writes nothing and keeps the version). uid,
 * creationTimestamp, resourceVersion, generation (up when `spec` changed) are kept by the store.
 * -1 with err ends without a change. `out` (optional) is the result, the caller unrefs. */
typedef int (*store_change)(void *arg, const cJSON *now, cJSON **next, struct err *err);
int store_write(struct store *store, const struct resource *resource, const char *space,
                const char *name, store_change change, void *arg, struct stored **out,
                struct err *err);

/* The convenient writes of controllers; each is one store_write. */
int store_put(struct store *store, cJSON *object /* taken */, struct err *err); /* create or replace */
int store_merge(struct store *store, const struct resource *resource, const char *space,
                const char *name, const cJSON *patch, struct err *err); /* RFC 7386; ERR_NOT_FOUND */
int store_delete(struct store *store, const struct resource *resource, const char *space,
                 const char *name, struct err *err); /* honours finalizers; missing is no error */
/* Server-side apply with this field manager, forced; creates. Used by the API and by Argo CD. */
int store_apply(struct store *store, const cJSON *object, const char *manager, bool force,
                bool dry_run, struct stored **out, struct err *err);

/* ---- changes ---- */
enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };
struct store_event {
    enum store_event_type type;
    const struct resource *resource;
    struct stored *stored; /* after; for DELETED the last one, with the version of the deletion */
};
uint64_t store_version(struct store *store);
/* The next event after `version` for this type (NULL: any) and namespace ("" or NULL: any), waiting
 * at most `ms`: 1 and the event (the caller unrefs `stored`), 0 when none came, -1 when `version`
 * is older than the history (410 Gone). */
int store_next(struct store *store, uint64_t version, const struct resource *resource,
               const char *space, int64_t ms, struct store_event *event);
/* Wakes every store_next (they return 0) for good; before the cluster ends. */
void store_close(struct store *store);
bool store_closed(struct store *store);

#endif
