/* The last changes of a store, for watches. Guarded by the store's lock. A watch that asks for what
 * has been dropped is told 410, as an API server does whose etcd was compacted. */
#ifndef EMULATOR_KUBE_HISTORY_H
#define EMULATOR_KUBE_HISTORY_H

#include "emulator/kube/keyspace.h"

#define HISTORY_EVENTS 10000
#define HISTORY_MS     (5 * 60 * 1000)
#define HISTORY_WEIGHT ((size_t)128 << 20)

struct change {
    enum store_event_type type;
    struct keyspace *storage;
    struct version *now;    /* for STORE_DELETED the last one, with the version of the deletion */
    struct version *before; /* NULL for STORE_ADDED */
    int64_t at_ms;          /* monotonic */
};

struct history {
    struct change *items; /* a ring */
    size_t start, len;
    uint64_t floor; /* changes up to this version are gone */
    size_t weight;
};

void history_init(struct history *history);
void history_clear(struct history *history);
/* Takes both references. */
void history_add(struct history *history, const struct change *change);
const struct change *history_at(const struct history *history, size_t index);
/* The index of the first change after `version` (history->len when there is none). */
size_t history_after(const struct history *history, uint64_t version);
/* Drops what is too old at `now_ms`. */
void history_trim(struct history *history, int64_t now_ms);

#endif
