/* What the files of the sweep share. */
#ifndef INSTANCE_SWEEP_INTERNAL_H
#define INSTANCE_SWEEP_INTERNAL_H

#include "instance/batch.h"
#include "necoops/instance/spec.h"
#include "necoops/instance/sweep.h"

#define SWEEP_FILTER "labels." LABEL_OWNED "=managed"

struct sweep {
    const struct run *run;
    struct gce *gce;
    const struct sweep_options *options;
    struct sweep_result *result;
    struct batch expired;
    cJSON *loose; /* disks that nobody uses */
    int64_t now;
};

/* Why options leave a resource with these labels, of an instance of that name; NULL: they do not.
 * Caller frees. */
char *sweep_why_excluded(const struct sweep_options *options, const char *name,
                         const cJSON *resource);

/* ---- sweep_disks.c ---- */
/* Deletes the disks that are left over, or plans to, into the result. */
int sweep_disks(struct sweep *sweep, struct err *err) MUST_CHECK;

#endif
