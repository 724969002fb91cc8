/* What a deletion turns an object into. Internal. */
#ifndef EMULATOR_KUBE_DELETION_H
#define EMULATOR_KUBE_DELETION_H

#include "emulator/kube/types.h"

enum propagation { PROPAGATE_BACKGROUND, PROPAGATE_FOREGROUND, PROPAGATE_ORPHAN };

struct deletion {
    enum propagation propagation;
    int64_t grace_seconds; /* -1: the kind's own */
};

/* NULL when the object goes at once; otherwise what stays of it: marked, until its finalizers, its
 * namespace's contents or its grace are done with. */
cJSON *deletion_next(const struct type *type, const cJSON *now, const struct deletion *deletion);

#endif
