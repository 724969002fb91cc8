/* Telling people how a deploy goes: alerts for an Alertmanager, the commit's status on GitHub.
 *
 * Best effort: what cannot be told is a warning on the log, never an error. All text that comes
 * from outside is bounded and made visible (log.h) before it is sent.
 *
 * Alertmanager (API v2; https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
 * Labels never change from one run to the next, so that the next success resolves what failed:
 *   alertname  DeploymentFailed (one for each application), DeploymentSlow, DeploymentSucceeded
 *   cluster, app (of DeploymentFailed), severity (critical, warning, info), source (necoops)
 * What changes is an annotation: summary, reason, revision, author, subject, build_url, report_url.
 * A failure stays for a week unless a success resolves it, a success for three minutes; a slow run
 * is repeated every minute and ends by itself soon after the run is gone.
 *
 * GitHub (https://docs.github.com/en/rest/commits/statuses): pending, then success, failure or
 * error, in the context "necoops/CLUSTER".
 */
#ifndef NECOOPS_NOTIFY_NOTIFY_H
#define NECOOPS_NOTIFY_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"
#include "necoops/kube/client.h"

struct notify; /* one deploy; opaque */

struct notify_subject {
    const char *cluster;
    const char *repo_url;
    const char *revision;         /* 40 digits, or "" while it is not known */
    const char *author, *subject; /* of the commit; NULL: unknown */
};

enum notify_end {
    NOTIFY_SUCCESS,
    NOTIFY_FAILURE, /* the commit is to blame, as far as one can tell */
    NOTIFY_ERROR,   /* it could not be tried, or not to its end */
};

struct notify_app {
    const char *name;
    bool live;
    const char *reason; /* of one that is not live; NULL: its turn did not come */
};

struct notify_outcome {
    enum notify_end end;
    bool alert;         /* worth an alert; a run that was interrupted is not */
    const char *reason; /* one line; of a success that nothing was done for, too; or "" */
    const char *root;   /* to blame when no application is */
    const struct notify_app *apps;
    size_t len;
    bool whole; /* no application was left out: a success resolves every failure of the cluster */
    int64_t ms; /* how long it took */
};

/* Never NULL. Nothing is sent yet; keys of `notify` that make no sense are warned of and not used.
 * `run` and `conf` are borrowed. */
struct notify *notify_new(const struct run *run, const struct conf *conf);
void notify_free(struct notify *notify);

/* What it is about, copied; may be told again when more is known. */
void notify_about(struct notify *notify, const struct notify_subject *subject);
/* The link to this CI job, or NULL; borrowed. */
const char *notify_build_url(const struct notify *notify);

/* The cluster was reached, or (NULL) is about to be left. */
void notify_reach(struct notify *notify, struct kube *kube);
/* The commit's status is pending. */
void notify_started(struct notify *notify);
/* To be called from every wait for the applications, while the cluster is reached: tells of a run
 * that is slow, counted from the first call. Never blocks. */
void notify_tick(struct notify *notify);
/* How it ended; at most once, further calls do nothing. The kube's run must have time left. */
void notify_ended(struct notify *notify, const struct notify_outcome *outcome);

#endif
