/* The objects of one kind, sorted by namespace and name as etcd's keys are. Internal; guarded by
 * the store's lock. */
#ifndef EMULATOR_KUBE_STORAGE_H
#define EMULATOR_KUBE_STORAGE_H

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

struct storage {
    char *tag; /* "deployments.apps" */
    struct type *hub;
    struct version **items;
    size_t len, size;
};

struct storage *storage_new(const char *tag);
void storage_free(struct storage *storage);
struct version *storage_get(const struct storage *storage, const char *space, const char *name);
/* Takes the reference; gives back the one it took the place of, or NULL. */
struct version *storage_put(struct storage *storage, struct version *version);
struct version *storage_remove(struct storage *storage, const char *space, const char *name);
/* The first index of a namespace; "" or NULL is the beginning. */
size_t storage_first(const struct storage *storage, const char *space);

#endif
