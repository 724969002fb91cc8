/* Telling people: alerts and the commit's status as the run goes, the HTML report at its end. What
 * can go wrong here never changes how the deploy ends, but that the report cannot be written. */
#ifndef DEPLOY_TELL_H
#define DEPLOY_TELL_H

#include "internal.h"
#include "necoops/notify/notify.h"

#define TELL_COLUMNS 5 /* of a resource: kind, name, sync, health, message */

struct tell {
    const struct run *run;
    const struct conf *conf;
    const struct deploy_options *options;
    const struct deploy_result *result;
    struct notify *notify; /* NULL: nothing is deployed, so there is nothing to tell */
    int64_t began;         /* mono */
    char *author, *subject;
    bool by_order;    /* groups are lines of app-sync-order.txt, not waves */
    cJSON *groups;    /* name of an application: its place in the order of sync */
    cJSON *resources; /* name of an application: rows of its resources, each an array of texts */
};

void tell_init(struct tell *tell, const struct run *run, const struct conf *conf,
               const struct deploy_options *options, const struct deploy_result *result);
void tell_clear(struct tell *tell);
#define autotell CLEANUP(tell_clear)

/* What is going to be deployed is known. */
void tell_plan(struct tell *tell, const struct plan *plan);
/* The cluster was reached; and how it ended, while it still is. `run` is the one that `kube` works
 * in: it gets time for this. `tell` may be NULL. */
void tell_reached(struct tell *tell, struct kube *kube);
void tell_leaving(struct tell *tell, struct run *run, struct kube *kube, const char *space,
                  const struct err *how);
/* From every wait in between. */
void tell_tick(struct tell *tell);
/* The end, wherever it came. */
void tell_ended(struct tell *tell, const struct err *how);

/* tell_page.c */
int tell_write_page(const struct tell *tell, const struct events *events, const char *path,
                    const struct err *how, struct err *err) MUST_CHECK;

#endif
