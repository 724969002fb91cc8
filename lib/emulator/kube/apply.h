/* Server-side apply. Internal. */
#ifndef EMULATOR_KUBE_APPLY_H
#define EMULATOR_KUBE_APPLY_H

#include "emulator/kube/types.h"

struct apply {
    const struct type *type;
    const cJSON *object; /* what is applied, in this type's version */
    const char *manager;
    const char *subresource; /* "" or "status" */
    bool force;
};

/* What `now` (NULL: none) becomes, before defaults. 409 with FieldManagerConflict causes in *causes
 * (the caller's), or 500 for what is no value of this type. */
int apply_merge(const struct apply *apply, const cJSON *now, cJSON **next, cJSON **causes,
                struct err *err);
/* The same with defaults and validation: a whole write. */
int apply_object(const struct apply *apply, const cJSON *now, cJSON **next, cJSON **causes,
                 struct err *err);

#endif
