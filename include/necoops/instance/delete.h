/* Deletes the instance and what belongs to it (necoops-delete(1)). */
#ifndef NECOOPS_INSTANCE_DELETE_H
#define NECOOPS_INSTANCE_DELETE_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/find.h"

/* One instance, by its id, so that one made anew under the same name is never hit; waits for the
 * operation. Gone already is no error. */
int instance_delete_one(const struct run *run, struct gce *gce, const cJSON *instance,
                        struct err *err) MUST_CHECK;

struct delete_result {
    cJSON *instances; /* array of {id, name, zone} that were deleted */
    cJSON *disks;     /* array of {name, zone}: left over by them and deleted */
};
void delete_result_clear(struct delete_result *result);

/* All of that name over all zones, then the disks of ours that are left over; verifies that nothing is
 * there afterwards. An insertion that is still running is waited for and its instance deleted too. */
int instance_delete(const struct run *run, struct gce *gce, const char *name,
                    const struct strv *zones, struct delete_result *out, struct err *err) MUST_CHECK;

#endif
