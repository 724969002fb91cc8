/* What an API server asks before it keeps an object: webhooks and quotas. Internal; under the
 * store's lock. */
#ifndef EMULATOR_KUBE_ADMISSION_H
#define EMULATOR_KUBE_ADMISSION_H

#include "emulator/kube/store_internal.h"

/* Validating webhooks are not called, for the services behind them are not run: one whose Service
 * is missing, or whose name begins with `silent`, cannot be reached (refused, unless its
 * failurePolicy is Ignore); one whose name begins with `deny` denies what its rules match; others
 * allow all. Quotas of numbers of objects
 * (`pods`, `services`, `count/deployments.apps`, …) are kept. `now`: NULL on creation. */
int admission_check(struct store *store, const struct type *type, const char *space,
                    const char *name, const cJSON *now, const cJSON *next, struct err *err);

#endif
