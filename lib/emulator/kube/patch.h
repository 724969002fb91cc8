/* JSON patch (RFC 6902) and Kubernetes' strategic merge patch. Internal. */
#ifndef EMULATOR_KUBE_PATCH_H
#define EMULATOR_KUBE_PATCH_H

#include "emulator/kube/types.h"

/* In place. 400 when it is no patch, 422 when it does not apply (then *document is half changed).
 */
int patch_json(cJSON **document, const cJSON *patch, struct err *err);
/* In place; the type says how lists merge. 400 for a directive that makes no sense. */
int patch_strategic(const struct type *type, cJSON *document, const cJSON *patch, struct err *err);

#endif
