/* Which sets may go, and their going. */
#ifndef SNAPSHOT_PRUNE_H
#define SNAPSHOT_PRUNE_H

#include "snapshot/pointer.h"

/* A set younger than this, or that was current so short a time ago, may be in use. */
#define PRUNE_LEAST_AGE_MS ((int64_t)24 * 60 * 60 * 1000)

struct prune_rules {
    int keep;        /* the newest so many stay; 0: not asked for */
    int64_t keep_ms; /* those younger than this stay; 0: not asked for */
    int64_t now_ms;
};

/* Adds the names of the sets that go: those that are neither current, nor younger than a day, nor
 * were current within the last day, and that no rule keeps. Without a rule only those that are not
 * whole go. */
void prune_choose(const struct landing *landing, const struct pointer *pointer,
                  const struct prune_rules *rules, struct strv *out);
/* Deletes what prune_choose chooses; the pointer forgets it before. Both are looked at anew. Names
 * that are gone are added to `pruned`. */
int prune(struct landing *landing, struct run *run, struct http *http, struct gcs *gcs,
          const struct prune_rules *rules, int lanes, struct strv *pruned,
          struct err *err) MUST_CHECK;

#endif
