/* What may keep an object out after it was found valid. */
#ifndef EMULATOR_KUBE_ADMISSION_H
#define EMULATOR_KUBE_ADMISSION_H

#include "emulator/kube/store.h"

/* Webhooks of ValidatingWebhookConfigurations that match and must answer, whose Service is not
 * there: refused, as the API server does. Those that are there let everything pass. */
int admission_check(struct store *store, const struct resource *resource, const char *operation,
                    struct err *err) MUST_CHECK;
/* Why ResourceQuotas of the namespace (`pods`, `count/pods`) keep one more pod out, or NULL. Caller
 * frees. */
char *admission_quota(struct store *store, const char *space);

#endif
