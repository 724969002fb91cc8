/* Deploying a commit through Argo CD: which commit and apps, the check before anything is touched,
 * the cluster, the changes, the wait for the truth, and why not.
 */
#ifndef NECOOPS_DEPLOY_DEPLOY_H
#define NECOOPS_DEPLOY_DEPLOY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "necoops/argocd/application.h"
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"
#include "necoops/conf/conf.h"

enum deploy_in_progress { DEPLOY_WAIT, DEPLOY_SUPERSEDE, DEPLOY_TERMINATE };

struct deploy_options {
    const char *cluster;       /* key of `clusters`; NULL: the instance's */
    const char *revision;      /* NULL: what CI says, else HEAD */
    struct strv apps;          /* names with * and ?, or KEY=VALUE labels; empty: all */
    const char *upgrade_from;  /* deployed and waited for before the commit is; or NULL */
    const char *changed_since; /* only apps that the changes since this revision reach; or NULL */
    int64_t stable_ms;         /* -1: as configured */
    bool check_only;
    bool no_check; /* Argo CD is to judge the manifests */
    bool dry_run;
    bool prune;
    bool restore;   /* revisions and sync policies are put back at the end, however it comes */
    bool bootstrap; /* install Argo CD when it is missing */
    bool skip_without_cluster; /* no cluster: nothing to do, instead of ERR_NO_CLUSTER */
    bool skip_without_apps;    /* no application is selected: nothing to do, instead of ERR_USAGE */
    enum deploy_in_progress in_progress;
    int64_t lock_timeout_ms; /* -1: as configured */
    const char *mirror;      /* folder of a copy of the repository, fetched first; or NULL */
    const char *junit;       /* file, or NULL */
    const char *events;      /* file, or NULL */
    const char *report;      /* HTML file, or NULL */
    /* how it is said, for a deploy that the agent on the instance does */
    bool json, color, quiet;
    int verbose;
};

/* One thing behind a failure. */
struct deploy_cause {
    char *text;   /* "Pod x/y: ImagePullBackOff: …"; may have several lines (a log) */
    char *file;   /* manifest to look at, or NULL */
    int line;     /* 0: unknown */
    bool changed; /* this commit changed that line */
};

struct deploy_app {
    char *name;
    char *revision; /* what it runs by Argo CD, 40 digits, or "" */
    char *sync, *health;
    enum argocd_verdict verdict;
    bool untouched; /* was live already, or is not ours to sync */
    bool started;   /* false: its turn did not come */
    bool unproven;  /* live, but the run ended before it was so for long enough */
    char *message;  /* one line; "" when live */
    int64_t ms;     /* from our change to live, or so far */
    struct deploy_cause *causes;
    size_t causes_len;
};

struct deploy_result {
    struct deploy_result *before; /* with --upgrade-from: how that revision came out; or NULL */
    char *cluster, *server, *repo_url, *root, *path;
    char *revision;  /* the commit, or "" when it is not known */
    char *argocd;    /* its image, or "" */
    bool no_cluster; /* skipped for want of one */
    bool no_apps;    /* none was selected */
    bool dry_run, check_only;
    int64_t started_ms, ms;  /* wall clock; duration */
    struct deploy_app *apps; /* the root first, then in order of sync */
    size_t len;
    struct strv restored; /* names of applications that were put back */
    struct strv notes;    /* warnings worth keeping */
    char *output; /* what is to be printed, when the agent on the instance has done it; or NULL */
};

/* `result` is filled as far as it went, whatever is returned; the caller clears it. Reports are
 * written in here, on every way out. Errors: ERR_USAGE (configuration, faults in manifests),
 * ERR_NO_CLUSTER, ERR_DENIED, ERR_UNREACHABLE, ERR_FAILED (an app is not healthy), ERR_TIMEOUT with
 * what was missing, ERR_INTERRUPTED, ERR_TERMINATED. */
int deploy_run(const struct run *run, const struct conf *conf, const struct deploy_options *options,
               struct deploy_result *result, struct err *err) MUST_CHECK;
void deploy_result_clear(struct deploy_result *result);
#define autodeploy CLEANUP(deploy_result_clear)

/* ---- several clusters ---- */

struct deploy_cluster {
    char *name;
    struct deploy_result result;
    struct err how; /* it ended */
};

struct deploy_clusters {
    struct deploy_cluster *items; /* in the order asked for */
    size_t len;
};

/* deploy_run for each of `names` (instead of options->cluster), one after the other, each with the
 * whole time of `run`; all names are checked first. Reports get the cluster's name before their
 * extension. The error is that of the worst one, by exit status: 143, 130, 1, 2, 4, 7, 6, 5, 3, and
 * names them all. The caller clears `out`. */
int deploy_run_clusters(const struct run *run, const struct conf *conf,
                        const struct deploy_options *options, const struct strv *names,
                        struct deploy_clusters *out, struct err *err) MUST_CHECK;
void deploy_clusters_clear(struct deploy_clusters *clusters);
#define autoclusters CLEANUP(deploy_clusters_clear)
void deploy_clusters_print(const struct deploy_clusters *clusters, FILE *stream, bool color);
cJSON *deploy_clusters_json(const struct deploy_clusters *clusters, const struct err *err);

/* ---- telling ---- */

/* The table of apps, and under it the causes. */
void deploy_print(const struct deploy_result *result, FILE *stream, bool color);
/* The same for machines. `err`: how the run ended. Caller deletes. */
cJSON *deploy_json(const struct deploy_result *result, const struct err *err);

#endif
