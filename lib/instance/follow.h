/* Follows the setup of a running instance by its console and its phases. */
#ifndef INSTANCE_FOLLOW_H
#define INSTANCE_FOLLOW_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/phase.h"

/* The phase of the guest attribute; PHASE_NONE when none was written, or when it is from before the
 * instance's last start. */
int follow_phase(struct gce *gce, const cJSON *instance, struct phase_report *out, struct err *err)
    MUST_CHECK;

enum follow_end {
    FOLLOW_READY,
    FOLLOW_FAILED,  /* it says so itself */
    FOLLOW_STOPPED, /* it is stopped, suspended, preempted */
    FOLLOW_GONE,    /* it is not there any more */
};

struct follow_result {
    enum follow_end end;
    struct phase_report report;
    int64_t running_at; /* mono_ms when it was first seen RUNNING; 0: never */
    struct buf console; /* the last of port 1; init by the caller */
};

struct follow_how {
    int64_t deadline; /* mono_ms */
    bool stream;      /* each line of the console is told as it comes */
};

/* Until it ends one way or the other, the run ends, or the deadline is reached, which is ERR_TIMEOUT
 * with what was missing. */
int follow_setup(const struct run *run, struct gce *gce, const cJSON *instance,
                 const struct follow_how *how, struct follow_result *out,
                 struct err *err) MUST_CHECK;

#endif
