/* Brings the instance to *ready*, whatever state it is in (necoops-create(1)). */
#ifndef NECOOPS_INSTANCE_CREATE_H
#define NECOOPS_INSTANCE_CREATE_H

#include "necoops/base/run.h"
#include "necoops/conf/conf.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/spec.h"

enum recreate { RECREATE_FAILED, RECREATE_CHANGED, RECREATE_ALWAYS, RECREATE_NEVER };

struct create_options {
    enum recreate recreate;
    bool keep_failed;
    int64_t keep_ms;      /* with keep_failed: its soft end becomes so long from now; 0: as it is */
    const char *evidence; /* folder for what a failed instance leaves, or NULL */
    bool follow;          /* its console is told as it comes */
    bool dry_run;
    /* The CPU platform on which what the instance is to load was saved (*platform, freed by the
     * callee's caller; NULL: any will do); asked before one is made. NULL: not asked. */
    int (*saved_on)(void *arg, char **platform, struct err *err);
    void *arg;
};

enum create_outcome {
    CREATE_WAS_READY, /* nothing was done */
    CREATE_JOINED,    /* somebody else's setup was waited for */
    CREATE_MADE,
    CREATE_PLANNED,   /* --dry-run */
};

struct create_result {
    enum create_outcome outcome;
    cJSON *instance; /* as the API has it; with CREATE_PLANNED the request body, or NULL */
    int64_t boot_ms, setup_ms, total_ms; /* insert to RUNNING, RUNNING to ready, all */
};
void create_result_clear(struct create_result *result);

/* Statuses as in necoops(7). Interrupted, it leaves what is being made: the next run joins it. */
int instance_create(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                    const struct create_options *options, struct create_result *out,
                    struct err *err) MUST_CHECK;

#endif
