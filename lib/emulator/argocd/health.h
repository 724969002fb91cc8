/* The health of one object, from its stored status alone, as the built-in checks of Argo CD 2.14
 * judge it (gitops-engine's pkg/health and the scripts shipped for a few other kinds). */
#ifndef EMULATOR_ARGOCD_HEALTH_H
#define EMULATOR_ARGOCD_HEALTH_H

#include <stdbool.h>
#include "necoops/base/json.h"

/* From best to worst: an application is as healthy as its worst resource. */
enum health_status {
    HEALTH_HEALTHY,
    HEALTH_SUSPENDED,
    HEALTH_PROGRESSING,
    HEALTH_MISSING,
    HEALTH_DEGRADED,
    HEALTH_UNKNOWN,
};

struct health {
    enum health_status status;
    char *message; /* owned; NULL: none */
};

/* What the ConfigMap argocd-cm changes. */
struct health_settings {
    bool assess_applications; /* resource.customizations.health.argoproj.io_Application is there */
};
struct health_settings health_settings(const cJSON *argocd_cm /* or NULL */);

/* False when this kind has no health (a ConfigMap, say): it never counts. */
bool health_assess(const cJSON *live, const struct health_settings *settings, struct health *out);
/* True for kinds whose absence counts. */
bool health_has_check(const char *group, const char *kind);
void health_clear(struct health *health);

const char *health_name(enum health_status status);
enum health_status
health_from_name(const char *name); /* HEALTH_UNKNOWN for what it does not know */

#endif
