/* source.kustomize.patches: JSON patches and strategic merge patches with target selectors, applied
 * to rendered objects as kustomize does, whatever kustomize built them. */
#ifndef EMULATOR_ARGOCD_PATCHES_H
#define EMULATOR_ARGOCD_PATCHES_H

#include "necoops/base/json.h"

/* `objects`: an array, changed in place (an object with `$patch: delete` is removed). `base`:
 * folder that a patch's `path` is relative to. */
int patches_apply(cJSON *objects, const cJSON *patches, const char *base, struct err *err);

/* Strategic merge of one patch into `target`: lists with a merge key in Kubernetes' own types are
 * merged by it when `known` (not for custom resources), others are replaced. */
void strategic_merge(cJSON *target, const cJSON *patch, bool known);

#endif
