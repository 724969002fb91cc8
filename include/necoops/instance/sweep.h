/* All instances of ours, whatever their name: those past their soft end are deleted, what is left
 * over is told (necoops-delete(1), --expired and --audit). Ours is what has the label
 * necoops=managed. */
#ifndef NECOOPS_INSTANCE_SWEEP_H
#define NECOOPS_INSTANCE_SWEEP_H

#include <stdbool.h>
#include "necoops/base/run.h"
#include "necoops/base/strv.h"
#include "necoops/gce/gce.h"

/* Instances are told as {"id","name","zone","status","softEnd"?,"why"?}. */
struct sweep_options {
    const struct strv *exclude_names;  /* patterns with '*' and '?' */
    const struct strv *exclude_labels; /* KEY or KEY=VALUE */
    bool dry_run;
    /* Each one that stays, and `why` (not past its end, excluded), as the list comes: there may be
     * very many, and none is kept in memory. Borrowed. */
    void (*kept)(void *arg, const cJSON *instance);
    void *arg;
};

struct sweep_result {
    cJSON *deleted; /* array; with dry_run, what would be */
    cJSON *failed;  /* array: `why` */
    cJSON *disks;   /* array of {"name","zone","instance"}: left over and deleted, or would be */
    cJSON *failed_disks;     /* array: `why` */
    struct strv unreachable; /* zones that could not be asked */
};
void sweep_result_clear(struct sweep_result *result);

/* Deletes side by side: every deletion is asked for before the first is waited for. Then the disks
 * of ours that nobody uses and whose instance (label necoops-instance) is not there. Goes on after
 * a failure; ends with ERR_FAILED (result filled) when one failed or a zone could not be asked. */
int instance_sweep(const struct run *run, struct gce *gce, const struct sweep_options *options,
                   struct sweep_result *out, struct err *err) MUST_CHECK;

/* All instances and disks of ours over all zones, as two arrays; changes nothing. */
int instance_audit(struct gce *gce, cJSON **instances, cJSON **disks, struct err *err) MUST_CHECK;

#endif
