/* Argo CD's Application (argoproj.io/v1alpha1), as far as deploying needs it. Pure functions over
 * its JSON: nothing here talks to a server.
 * Facts: the CRD of v2.14.21; https://argo-cd.readthedocs.io/en/stable/user-guide/; the same fields
 * stand in v1.8 and v3. There is no status subresource, `operation` lies beside spec and status.
 */
#ifndef NECOOPS_ARGOCD_APPLICATION_H
#define NECOOPS_ARGOCD_APPLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"

#define ARGOCD_API "/apis/argoproj.io/v1alpha1"
/* The name in operation.info under which our token stands. */
#define ARGOCD_TOKEN_NAME "necoops"
/* Where the commit stands there, for people and for superseding. */
#define ARGOCD_COMMIT_NAME "necoops-commit"

struct argocd_source {
    char *repo_url;
    char *path;            /* NULL for a chart */
    char *chart;           /* NULL unless from a Helm repository */
    char *target_revision; /* "" when not given: HEAD */
};

struct argocd_sources {
    struct argocd_source *items;
    size_t len;
};

/* A resource that stands in the way, from status.resources or an operation's result. */
struct argocd_resource {
    char *group, *version, *kind, *space, *name;
    char *status;  /* sync status, or result of the operation on it; "" */
    char *health;  /* "" when it has none */
    char *message; /* never NULL */
    bool hook;
    bool of_operation; /* from syncResult */
    bool leftover;     /* no longer in Git: only pruning would bring it in sync */
};

struct argocd_condition {
    char *type, *message;
};

/* What is kept of one Application: some hundred bytes of its tens of kilobytes. Strings are never
 * NULL unless said. */
struct argocd_app {
    char *name, *space, *uid, *version; /* version: metadata.resourceVersion */
    int64_t wave;                       /* argocd.argoproj.io/sync-wave; 0 */
    char *parent;                       /* name of the application that tracks it, or NULL */
    bool refreshing;                    /* a refresh was asked and is not answered */
    bool deleting;
    cJSON *labels; /* object or NULL */

    struct argocd_sources sources;
    bool several;         /* spec.sources, not spec.source */
    cJSON *sources_json;  /* spec.sources as it is; NULL with one source */
    cJSON *sync_options;  /* spec.syncPolicy.syncOptions, or NULL */
    cJSON *patches;       /* spec.source.kustomize.patches, or NULL */
    bool patches_ignored; /* the last comparison did not know them: Argo CD before 2.9 */
    char *project, *dest_space;
    bool automated, self_heal;
    bool prune;         /* its automated sync would prune */
    char *spec_manager; /* who wrote targetRevision last, by managedFields; "" */

    bool has_operation;    /* `operation` is there: asked for, not yet ended */
    char *operation_token; /* ours in it, or "" */
    bool has_state;        /* status.operationState */
    char *state_token;
    char *state_commit;   /* ARGOCD_COMMIT_NAME of it, or "" */
    char *state_by;       /* who started it */
    bool state_automated; /* Argo CD itself did, by the policy */
    char *phase, *state_message;
    bool finished;      /* finishedAt is set */
    int64_t retries;    /* tries after the first */
    struct strv synced; /* syncResult.revisions, or the one revision */

    char *sync_status;
    struct strv revisions; /* status.sync.revisions, or the one revision */
    bool compared_as_spec; /* comparedTo has the sources of spec */
    char *health, *health_message;
    char *source_type; /* "Kustomize", "Directory", … or "" */
    char *reconciled_at;
    struct argocd_condition *conditions;
    size_t conditions_len;
    struct argocd_resource *resources; /* not in sync, not healthy, or failed in the operation */
    size_t resources_len;
    struct strv children; /* names of Applications among its resources */
};

/* Missing fields are no error (a new Application has no status); an object of another kind is. */
int argocd_app_parse(const cJSON *object, struct argocd_app *out, struct err *err) MUST_CHECK;
void argocd_app_clear(struct argocd_app *app);
#define autoapp CLEANUP(argocd_app_clear)

/* The source comes from this repository (and is no chart). */
bool argocd_source_is(const struct argocd_source *source, const char *repo_url);
/* One of its sources does. */
bool argocd_app_is_from(const struct argocd_app *app, const char *repo_url);
/* Every source of this repository has this targetRevision. */
bool argocd_app_targets(const struct argocd_app *app, const char *repo_url, const char *revision);
/* An operation is under way (asked for, running, or waiting for its next try). */
bool argocd_app_busy(const struct argocd_app *app);

/* ---- judging ---- */

struct argocd_wanted {
    const char *repo_url;
    const char *revision; /* the commit that its sources of this repository must run; NULL: any */
    const char *target;   /* what their targetRevision must be; NULL: any */
    const char *token;    /* of our operation; NULL: there was none */
    bool token_seen;      /* a state with our token was seen before */
    bool was_live;        /* ask for an operation's result too, though there is no token */
    bool root_apart;      /* Applications out of sync below it do not count */
    bool with_leftovers;  /* what is no longer in Git does not count */
    /* API groups that definitions of this commit bring, so that a kind of theirs may only be late;
     * NULL: not known */
    const struct strv *coming;
    /* reconciledAt when something was asked for, or NULL: a state that still has it may be stale,
     * unless a refresh of ours was seen to come and go (the time has a resolution of a second) */
    const char *reconciled_before;
    bool refreshed;
};

enum argocd_verdict {
    ARGOCD_PENDING,     /* our operation was not taken up yet */
    ARGOCD_PROGRESSING, /* on its way */
    ARGOCD_STALE,       /* what is shown is not about the commit yet: a comparison is due */
    ARGOCD_SETTLING,    /* synced, and not healthy yet */
    ARGOCD_DONE,        /* live and healthy; hold it for the stability window */
    ARGOCD_DEGRADED,    /* synced, and unhealthy: failed, unless a rollout still cures it */
    ARGOCD_FAILED,      /* final */
    ARGOCD_LOST,        /* our operation was replaced by another one: ask again */
    ARGOCD_REVERTED,    /* its revision was set back by somebody */
};

/* `reason` (caller frees; never NULL but for ARGOCD_DONE) is one line for people. */
enum argocd_verdict argocd_judge(const struct argocd_app *app, const struct argocd_wanted *wanted,
                                 char **reason);
/* "pending", "progressing", …: for machines. */
const char *argocd_verdict_name(enum argocd_verdict verdict);
/* The commit it runs by status.sync: of the source of this repository, else of the first; or "". */
const char *argocd_app_revision(const struct argocd_app *app, const char *repo_url);

/* ---- changing ---- */

struct argocd_sync {
    const char *repo_url;
    const char *revision; /* NULL: as spec says */
    const char *target; /* new targetRevision of its sources of this repository; NULL: unchanged */
    const char *token;
    bool prune;
    const cJSON *resources; /* only these are synced; NULL: all */
    bool suspend_automated; /* remove spec.syncPolicy.automated when it is there */
    int64_t retries;
};

/* One merge patch, guarded by the resourceVersion that `app` was read at: spec where it changes,
 * the operation with our token, and the old operation's state removed. */
cJSON *argocd_sync_patch(const struct argocd_app *app, const struct argocd_sync *sync);
/* The `operation` alone, for an Application that is being made. */
cJSON *argocd_operation(const cJSON *sync_options, bool several, const struct argocd_sync *sync);
/* The same without an operation: its spec alone, so that nothing is synced by itself. NULL when it
 * is so already. */
cJSON *argocd_hold_patch(const struct argocd_app *app, const struct argocd_sync *sync);
/* Ends the operation that is running (guarded). */
cJSON *argocd_terminate_patch(const struct argocd_app *app);
/* Asks for a comparison now. */
cJSON *argocd_refresh_patch(void);

#endif
