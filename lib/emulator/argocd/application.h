/* What the controller does with one application: refresh, operate, delete. */
#ifndef EMULATOR_ARGOCD_APPLICATION_H
#define EMULATOR_ARGOCD_APPLICATION_H

#include "emulator/argocd/compare.h"

/* Compares and writes status, when the level or the application itself asks for it; then automated
 * sync. */
void application_refresh(struct controller *controller, const char *name, enum compare_level level);
/* One step of the operation in progress, or the start of the one that was asked for; the cascade of
 * an application that is being deleted. */
void application_operate(struct controller *controller, const char *name);

/* ---- parts of these ---- */

/* Adds {type, message} for what makes the spec invalid. */
void application_validate(struct controller *controller, const cJSON *app, cJSON *conditions);

/* status.resources and the application's health out of a comparison. */
cJSON *resource_statuses(struct controller *controller, const cJSON *app,
                         const struct comparison *comparison, enum health_status *health);
/* "Synced", "OutOfSync" or "Unknown" of one resource; hooks and such have none (NULL). */
const char *resource_sync_status(const struct comparison *comparison,
                                 const struct managed *managed);
/* The whole application's. */
const char *comparison_sync_status(const struct comparison *comparison);
cJSON *summary_images(const struct comparison *comparison);

/* Conditions after a pass that looked at the types in `evaluated` (NULL-terminated): those of other
 * types stay; the time of one that did not change stays. */
cJSON *conditions_merge(const cJSON *before, const cJSON *found, const char *const *evaluated,
                        const char *now);

/* Sets `operation` when automated sync wants one; adds a SyncError to `conditions`. */
void application_auto_sync(struct controller *controller, const cJSON *app,
                           const struct comparison *comparison, const cJSON *resources,
                           cJSON *conditions);

/* Deletes what the application owns; removes its finalizer once that is gone. */
void application_finalize(struct controller *controller, const cJSON *app);

/* One step of a sync: changes `state` (status.operationState), its phase last. */
void sync_step(struct controller *controller, const cJSON *app, cJSON *state);

/* RFC 7386 patch that turns `before` into `after`; NULL when they are the same. */
cJSON *merge_patch_between(const cJSON *before, const cJSON *after);

#endif
