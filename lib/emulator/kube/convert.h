/* One object in another version of its API. Internal. */
#ifndef EMULATOR_KUBE_CONVERT_H
#define EMULATOR_KUBE_CONVERT_H

#include "emulator/kube/types.h"

/* Whether the object says another apiVersion than this type. */
bool convert_needed(const struct type *type, const cJSON *object);
/* A copy in this type's version; the caller's. */
cJSON *convert(const struct type *type, const cJSON *object);

#endif
