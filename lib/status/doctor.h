/* What the files of the doctor share. */
#ifndef STATUS_DOCTOR_INTERNAL_H
#define STATUS_DOCTOR_INTERNAL_H

#include "necoops/instance/cloud.h"
#include "necoops/status/doctor.h"

struct doctor {
    const struct run *run;
    const struct conf *conf;
    cJSON *checks;
    struct http *http;
    struct auth *auth; /* NULL: no credential that works */
    struct gce *gce;   /* NULL: no project, or no credential */
};

enum outcome { OUTCOME_OK, OUTCOME_WARNING, OUTCOME_WRONG, OUTCOME_SKIPPED };

/* `hint`: what to do, or NULL. */
void doctor_add(struct doctor *doctor, const char *check, enum outcome outcome, const char *hint,
                const char *format, ...) PRINTF_LIKE(5, 6);
/* The error as the detail; clears it. */
void doctor_fail(struct doctor *doctor, const char *check, enum outcome outcome, const char *hint,
                 struct err *err);

/* ---- doctor_google.c ---- */
/* False when Compute Engine gave no answer at all. */
bool doctor_clock(struct doctor *doctor);
void doctor_credential(struct doctor *doctor);
/* Permissions, image, machine types; `running`: there is an instance that may hold a cluster. */
void doctor_compute(struct doctor *doctor, bool *running);
void doctor_storage(struct doctor *doctor);

/* ---- doctor_cluster.c ---- */
void doctor_cluster(struct doctor *doctor, bool running);

#endif
