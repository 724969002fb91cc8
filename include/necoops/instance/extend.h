/* Moves the soft end of an instance's life, never past its hard end. */
#ifndef NECOOPS_INSTANCE_EXTEND_H
#define NECOOPS_INSTANCE_EXTEND_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"

struct extend_result {
    int64_t soft_end, hard_end; /* wall_ms; hard -1: none */
    bool bounded;               /* less than asked for: the hard end is the bound */
};

/* The new soft end is `ms` after the present one (or after now, when that has passed). ERR_NO_CLUSTER
 * when there is no such instance. A label that changed meanwhile is read again. */
int instance_extend(const struct run *run, struct gce *gce, const char *name,
                    const struct strv *zones, int64_t ms, bool dry_run, struct extend_result *out,
                    struct err *err) MUST_CHECK;

/* Sets the soft end of one instance, bounded by its hard end. */
int instance_set_soft_end(const struct run *run, struct gce *gce, const cJSON *instance,
                          int64_t soft_end, struct extend_result *out, struct err *err) MUST_CHECK;

#endif
