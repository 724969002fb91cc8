/* What a store is made of. Internal to store.c and changes.c. */
#ifndef EMULATOR_KUBE_STORE_INTERNAL_H
#define EMULATOR_KUBE_STORE_INTERNAL_H

#include <pthread.h>
#include "emulator/kube/core.h"

struct store {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct types types;
    struct history history;
    struct keyspace *namespaces;
    struct keyspace *definitions;
    uint64_t version;
    bool closed;
};

/* The same object in this type's version; takes and gives a reference. */
struct stored *in_version(const struct type *type, struct stored *stored);

#endif
