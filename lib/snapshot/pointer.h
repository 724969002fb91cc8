/* The pointer object that names the sets, current one first; see manifest.h. Besides, each that was
 * current says when it was replaced: who began to load it before that may still be reading.
 *
 *     {"manifest": "sets/1/manifest.json", "replaced": "2026-11-23T07:00:00Z"}
 */
#ifndef SNAPSHOT_POINTER_H
#define SNAPSHOT_POINTER_H

#include "necoops/base/json.h"
#include "snapshot/landing.h"

struct pointer {
    int64_t generation; /* 0: there is none */
    cJSON *sets;        /* its list, as it was read */
};
void pointer_clear(struct pointer *pointer);

/* None there is no error; ERR_FAILED: it is none. */
int pointer_read(const struct landing *landing, struct gcs *gcs, struct pointer *out,
                 struct err *err) MUST_CHECK;
/* The place of the set in the list (0: it is the current one), or -1. */
int pointer_place(const struct landing *landing, const struct pointer *pointer, const char *set);
/* When it was replaced, in milliseconds since 1970; 0: it was not, or never current; INT64_MAX: the
 * time cannot be read. */
int64_t pointer_replaced(const struct pointer *pointer, int place);

/* A list with the set first; the one that was first gets `now_ms` as the time it was replaced. */
cJSON *pointer_with(const struct landing *landing, const struct pointer *pointer, const char *set,
                    int64_t now_ms);
/* A list without these sets. */
cJSON *pointer_without(const struct landing *landing, const struct pointer *pointer,
                       const struct strv *sets);
/* Replaces exactly the pointer that was read (then `pointer` is the new one). ERR_CONFLICT: it was
 * moved since. */
int pointer_write(const struct landing *landing, struct gcs *gcs, struct pointer *pointer,
                  const cJSON *sets, struct err *err) MUST_CHECK;

#endif
