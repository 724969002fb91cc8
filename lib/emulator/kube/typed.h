/* Values that know how their parts merge: what server-side apply is made of. Internal. Facts:
 * structured-merge-diff, which the API server uses. */
#ifndef EMULATOR_KUBE_TYPED_H
#define EMULATOR_KUBE_TYPED_H

#include "emulator/kube/fieldset.h"
#include "emulator/kube/shape.h"

/* The paths of all that the object says; identity and what the server fills in are left out. */
cJSON *typed_fields(const struct type *type, const cJSON *object);

struct typed_difference {
    cJSON *added, *modified, *removed; /* sets */
};
void typed_compare(const struct type *type, const cJSON *before, const cJSON *after,
                   struct typed_difference *out);
void typed_difference_clear(struct typed_difference *difference);

/* `applied` laid over `live`; the caller's. */
cJSON *typed_merge(const struct type *type, const cJSON *live, const cJSON *applied);
/* Takes the paths of `set` out of the object, but what `kept` has at or below them. */
void typed_remove(const struct type *type, cJSON *object, const cJSON *set, const cJSON *kept);
/* Also every field (not item of a list, not key of a map) above a path of the set. */
void typed_ensure_fields(const struct type *type, cJSON *set);

/* What cannot be applied: items without their keys or twice, fields that the schema has not. `what`
 * begins the text. */
int typed_check(const struct type *type, const cJSON *object, const char *what, struct err *err);

#endif
