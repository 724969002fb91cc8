/* The objects of one kind, sorted by namespace and name as etcd's keys are. Internal; guarded by
 * the store's lock. */
#ifndef EMULATOR_KUBE_KEYSPACE_H
#define EMULATOR_KUBE_KEYSPACE_H

#include "emulator/kube/types.h"

/* What a `struct stored` really is. */
struct version {
    struct stored stored; /* first */
    _Atomic(unsigned) refs;
    cJSON *owned;      /* what stored.object is */
    const char *space; /* metadata.namespace or "", inside it */
    const char *name;
    size_t weight; /* bytes it takes, roughly */
};

struct version *version_new(cJSON *object /* taken */, uint64_t number);
static inline struct version *version_of(struct stored *stored)
{
    return (struct version *)stored;
}

struct keyspace {
    char *tag; /* "deployments.apps" */
    struct type *hub;
    struct version **items;
    size_t len, size;
};

struct keyspace *keyspace_new(const char *tag);
void keyspace_free(struct keyspace *storage);
struct version *keyspace_get(const struct keyspace *storage, const char *space, const char *name);
/* Takes the reference; gives back the one it took the place of, or NULL. */
struct version *keyspace_put(struct keyspace *storage, struct version *version);
struct version *keyspace_remove(struct keyspace *storage, const char *space, const char *name);
/* The first index of a namespace; "" or NULL is the beginning. */
size_t keyspace_first(const struct keyspace *storage, const char *space);

#endif
