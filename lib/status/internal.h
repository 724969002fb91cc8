/* What the files of this module share. */
#ifndef STATUS_INTERNAL_H
#define STATUS_INTERNAL_H

#include "necoops/instance/cloud.h"
#include "necoops/instance/find.h"
#include "necoops/deploy/reach.h"
#include "necoops/status/status.h"

struct status {
    const struct run *run;
    const struct conf *conf;
    struct cloud cloud;
    const char *name;
    struct strv zones;
    /* of the instance with this id */
    char *id;
    int64_t console_next;
    bool console_lost;  /* its beginning was gone when we first looked, or a part since */
    struct buf console; /* what is not parsed yet: less than a line */
    cJSON *phases;
    int64_t
        attribute_due; /* mono_ms: ten reads a minute are allowed, the instance's own among them */
    struct reached reached; /* kube NULL: not reached */
};

/* "what: text" into value.problems; clears the error. */
void status_problem(cJSON *value, struct err *err);

/* ---- phases.c ---- */
/* Adds `phase` and `phases` to the value. */
void status_phases(struct status *status, const cJSON *instance, cJSON *value);

/* ---- timeline.c: what happened to instances of the name in the last 24 hours ---- */
void status_timeline(struct status *status, cJSON *value);

/* ---- cluster.c: `cluster`, `argocd`, `apps`, `lease` ---- */
void status_cluster(struct status *status, cJSON *value);

/* ---- words.c: what a status says, as text and as a page; callers free ---- */
enum status_mood { MOOD_PLAIN, MOOD_GOOD, MOOD_BAD, MOOD_WAIT };

/* The time of a member, or -1. */
int64_t status_time_at(const cJSON *value, const char *path);
/* "Tue 2026-11-24 07:30 JST (in 3h12m)" */
char *status_moment(const struct schedule *schedule, int64_t now, int64_t at);
/* "07:30:12" of a timeline's entry */
char *status_clock_text(const struct schedule *schedule, const cJSON *entry);
char *status_instance_text(const cJSON *instance);
char *status_machine_text(const cJSON *instance);
char *status_cluster_text(const cJSON *cluster);
char *status_lease_text(const cJSON *lease);
/* What there is to say of an event beside its name. */
char *status_event_detail(const cJSON *entry);
enum status_mood status_app_mood(const cJSON *app);
enum status_mood status_event_mood(const cJSON *entry);

#endif
