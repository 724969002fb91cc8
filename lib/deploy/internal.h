/* What the files of this module share: the plan (what is wanted), and the engine that brings it
 * about. */
#ifndef DEPLOY_INTERNAL_H
#define DEPLOY_INTERNAL_H

#include "necoops/argocd/install.h"
#include "necoops/argocd/root.h"
#include "necoops/base/digest.h"
#include "necoops/deploy/deploy.h"
#include "necoops/deploy/reach.h"
#include "necoops/git/git.h"
#include "necoops/kube/lock.h"
#include "necoops/kube/watch.h"
#include "necoops/manifest/manifest.h"
#include "necoops/report/events.h"

/* ---- plan.c: what is wanted ---- */

/* An application that the commit renders, and what its folders hold. */
struct planned_app {
    struct argocd_app app;
    cJSON *object;           /* as rendered */
    struct manifest_set set; /* of its sources of this repository */
    bool loaded;
    int64_t made_at; /* mono: by us, before the root was synced; 0: not */
};

struct plan {
    const struct run *run;
    const struct conf *conf;
    const struct deploy_options *options;
    const char *cluster;
    const char *repo_url, *root, *path, *space;
    bool follow;     /* the cluster watches a branch; we make sure and wait */
    char *branch;    /* with follow */
    char *commit;    /* 40 digits; with follow the branch's head, or NULL when nobody could tell */
    char *parent;    /* the commit before, to tell what changed; or NULL */
    struct git *git; /* NULL: not in a repository */
    struct manifest_repo *manifests; /* NULL: the commit is not at hand */
    struct manifest_set root_set;
    struct planned_app *apps; /* children as the commit renders them */
    size_t len;
    struct strv order;   /* lines of app-sync-order.txt */
    struct strv coming;  /* API groups that definitions of the commit bring */
    struct strv changed; /* with --changed-since: names of the apps it reaches */
    bool root_changed;   /* and it reaches the root's own manifests */
    struct strv *notes;
    struct tell *tell; /* NULL: nobody is told */
};

int plan_make(const struct run *run, const struct conf *conf, const struct deploy_options *options,
              struct strv *notes, struct plan *out, struct err *err) MUST_CHECK;
void plan_clear(struct plan *plan);
/* The cluster of the options is known and enabled. */
int plan_check_cluster(const struct run *run, const struct conf *conf,
                       const struct deploy_options *options, struct err *err) MUST_CHECK;
#define autoplan CLEANUP(plan_clear)
/* "clusters.NAME.KEY"; caller frees. */
char *plan_key(const struct plan *plan, const char *key);
/* A warning, kept for the reports. */
void plan_note(const struct plan *plan, const char *format, ...) PRINTF_LIKE(2, 3);
/* --apps and --changed-since let it in. */
bool plan_selects(const struct plan *plan, const struct argocd_app *app);
/* Applications (or sets of them) are among its manifests. */
bool planned_makes_apps(const struct planned_app *planned);
/* What is selected is known from the commit alone, and it is nothing: neither an application nor,
 * with --changed-since, the root. */
bool plan_selects_none(const struct plan *plan);
/* ERR_USAGE that says so, with the way out. */
int plan_fail_without_apps(const struct plan *plan, struct err *err) MUST_CHECK;
/* A sync of this application prunes: it was asked for, or its policy in Git does. */
bool plan_prunes(const struct plan *plan, const struct argocd_app *app);
/* The live Application is as the commit renders it, but for revision and automated sync. */
bool plan_renders(const struct plan *plan, const cJSON *live);
/* As the commit renders it; NULL when it does not, or is not at hand. */
const struct planned_app *plan_app(const struct plan *plan, const char *name);
#define PLAN_GROUP_LAST (INT64_MAX - 1) /* named by no line of app-sync-order.txt */
/* Its place in the order of sync: smaller first, equal ones side by side. */
int64_t plan_group(const struct plan *plan, const struct argocd_app *app);

/* ---- commit.c ---- */
int plan_commit(struct plan *plan, struct err *err) MUST_CHECK;

/* ---- fetch.c: a copy of the repository (--mirror) ---- */
/* What cannot be fetched is a note: the cluster's Argo CD may still be able to. */
int plan_fetch(struct plan *plan, struct err *err) MUST_CHECK;

/* ---- render.c: what the commit holds, read from the repository at hand ---- */
int plan_render(struct plan *plan, struct err *err) MUST_CHECK;
/* Which apps the changes since a revision reach. */
int plan_changes(struct plan *plan, struct err *err) MUST_CHECK;

/* ---- check.c: faults of the manifests; ERR_USAGE, and each as a cause of its app ---- */
int plan_check(struct plan *plan, struct deploy_result *result, struct err *err) MUST_CHECK;

/* ---- build.c: faults of kustomizations that do not build ---- */
int plan_build(struct plan *plan, struct err *err) MUST_CHECK;

/* ---- reach.c: the cluster ---- */
int deploy_reach(const struct plan *plan, struct http *http, struct reached *out,
                 struct err *err) MUST_CHECK;
/* From every wait: a tunnel that ended with an error is started again, not without end. */
int reach_tend(const struct plan *plan, struct reached *reached, struct err *err) MUST_CHECK;

/* ---- remote.c: through the agent on the instance ---- */
bool deploy_is_remote(const struct conf *conf, const struct deploy_options *options);
int deploy_remotely(struct plan *plan, struct deploy_result *result, struct err *err) MUST_CHECK;

/* ---- bootstrap.c: Argo CD where there is none ---- */
int deploy_bootstrap(const struct plan *plan, struct kube *kube, struct err *err) MUST_CHECK;
/* Applies argocd.manifests, one after the other. */
int deploy_bootstrap_more(const struct plan *plan, struct kube *kube, struct err *err) MUST_CHECK;

/* ---- kustomize.c: the part of kustomize that argocd.manifests may need ---- */
/* The objects that the folder's kustomization makes, as an array that the caller deletes. What
 * needs more than this part is an error, never left out. */
int kustomize_build(const char *folder, cJSON **objects, struct err *err) MUST_CHECK;

/* ---- take.c: one run at a time ---- */
/* `out` is to be released even when it fails. */
int deploy_take(const struct plan *plan, struct kube *kube, struct kube_lock **out,
                struct err *err) MUST_CHECK;

/* ---- engine.c, member.c, ask.c: bringing it about ---- */

enum step {
    STEP_QUEUED,  /* its turn has not come, or something is in the way */
    STEP_ASKING,  /* our request is under way */
    STEP_WAITING, /* for Argo CD */
    STEP_HELD,    /* live; to be held for the stability window */
    STEP_FAILED,
};

struct engine;
struct deploy_restore;

struct member {
    struct engine *engine;
    struct argocd_app app; /* as last seen */
    bool present;
    bool selected; /* waited for */
    bool is_root;
    bool inside;      /* the root or below it */
    bool left_over;   /* no longer in Git: its parent only waits to prune it */
    bool as_rendered; /* by plan_renders */
    int64_t group;
    enum step step;
    bool untouched;
    bool touched_before; /* we asked for a sync in this run */
    char token[40];
    bool token_seen;
    char *asked_at; /* resourceVersion that a request was made from, or NULL */
    char *reconciled_before;
    bool refresh_seen; /* a refresh was seen in its annotations since we asked */
    bool dirty;        /* something about it changed */
    struct kube_pending *pending;
    bool asking_termination;
    int refreshes, losses, reverts;
    int64_t started_at; /* mono; 0: not yet */
    int64_t held_at;
    int64_t waiting_since; /* since our last change */
    int64_t degraded_since;
    int64_t retry_at; /* not before */
    int64_t refresh_at;
    int64_t look_at; /* at its pods, for what is hopeless; 0: not */
    int64_t hopeless_since;
    int looks;
    enum argocd_verdict verdict;
    char *reason;
    enum err_code failure; /* when it failed by an error of the API */
};

struct engine {
    struct plan *plan; /* its commit is filled in when only Argo CD can tell it */
    struct kube *kube;
    const struct run *run;
    struct events *events;
    const struct argocd_install *install;
    struct reached *way;            /* to the cluster; NULL: nobody has to look after it */
    struct kube_lock *lock;         /* NULL: none is needed */
    struct deploy_restore *restore; /* NULL: nothing is put back */
    struct kube_watch *watch;
    struct member **members; /* sorted by name */
    size_t len, size;
    struct member *root;
    cJSON *patches;  /* for the root's source, or NULL */
    bool root_apart; /* children differ from what the root renders, by our doing */
    bool listed;
    bool membership_changed;
    bool root_ready; /* the root was synced: its children are as the commit has them */
    bool prepared;
    bool touched;         /* something was changed in the cluster */
    bool none_selected;   /* that was the error */
    bool dirty;           /* something is to be looked at */
    int64_t held_since;   /* all are live since; 0: not */
    int64_t failed_since; /* the first final failure; 0: none */
    int64_t grace_ms, stable_ms, again_ms;
    struct err err; /* ends it */
};

/* Brings all wanted applications to life, or says why not. */
int engine_run(struct engine *engine, struct err *err) MUST_CHECK;
void engine_init(struct engine *engine, struct plan *plan, struct kube *kube,
                 const struct argocd_install *install, struct events *events);
void engine_clear(struct engine *engine);
#define autoengine CLEANUP(engine_clear)
/* Requests that are still on their way are given up, and nothing is watched any more: what is known
 * stays as it is. */
void engine_halt(struct engine *engine);
/* Starts the list and the watch; and what follows from the list before the first step. */
void engine_list(struct engine *engine);
void engine_prepare(struct engine *engine);
/* dry_run.c: lists the applications, and says what would be done. */
int engine_dry_run(struct engine *engine, struct deploy_result *result, struct err *err) MUST_CHECK;
int64_t engine_now(const struct engine *engine);
/* NULL when there is none of this name. */
struct member *engine_find(const struct engine *engine, const char *name);

/* ---- override.c: children where the root's source cannot carry their overrides ---- */
bool engine_overrides(const struct engine *engine);
/* The root's resources that its sync has to touch, empty when none; NULL: all. Caller deletes. */
cJSON *engine_root_resources(const struct engine *engine);
/* birth.c: makes new children with their overrides, before the root's sync does it without. Not
 * from within a loop over the members. */
void engine_make_children(struct engine *engine);
/* The watch has not shown all of them yet. */
bool engine_awaits_children(const struct engine *engine);
/* Suspends what would sync by itself; true while something still does. */
bool engine_hold_children(struct engine *engine);

/* ---- outcome.c ---- */
/* 1: all is live and was for long enough; 0: go on; -1: failed. */
int engine_outcome(struct engine *engine, struct err *err) MUST_CHECK;
bool engine_any_failed(const struct engine *engine);
/* Another run may have the cluster by now: nothing is written any more. */
bool engine_is_lost(const struct engine *engine);
/* Applications that are waited for, the root left aside; those at `step` when `of_step`. */
size_t engine_count(const struct engine *engine, enum step step, bool of_step);
/* "monitoring (Progressing: …), ingress and 3 more": what is not live. Caller frees. */
char *engine_missing(const struct engine *engine);
/* Notes what an earlier commit or branch left behind. */
void engine_name_leftovers(const struct engine *engine);

/* ---- hopeless.c ---- */
/* Fails what only waits for an image that cannot be pulled or for pods that are refused. Asks the
 * cluster now and then; not from within a loop over the members. */
void engine_look_for_hopeless(struct engine *engine);

/* ---- member.c, ask.c ---- */
/* Moves one on as far as it goes now. */
void member_step(struct member *member);
/* Live already, without any doing of ours. */
bool member_is_live(const struct member *member);
/* Far enough for what depends on it: synced, whatever its health. */
bool member_is_synced(const struct member *member);
/* The next moment (mono) at which member_step is due without an event. */
int64_t member_due(const struct member *member, int64_t at_most);
void member_fail(struct member *member, enum err_code code, char *reason /* taken */);
/* Says that an automated sync is in its way; ends it when that is the policy. */
void member_await_automated(struct member *member);
struct argocd_wanted member_wanted(const struct member *member);
void member_free(struct member *member);

/* Requests; each ends in member's state. */
void ask_sync(struct member *member);
void ask_root(struct member *member);
void ask_hold(struct member *member);
void ask_termination(struct member *member);
void ask_refresh(struct member *member);

/* ---- restore.c: what was before ---- */

struct deploy_restore *restore_new(void);
void restore_free(struct deploy_restore *restore); /* NULL is fine */
/* A commit that this run deploys. These two do nothing when `restore` is NULL. */
void restore_expect(struct deploy_restore *restore, const char *commit);
/* An application as the cluster shows it; `touched`: after our first change. */
void restore_see(struct deploy_restore *restore, const cJSON *application, bool touched);
/* At the end; the lease is still held. */
int restore_run(const struct deploy_restore *restore, struct engine *engine,
                struct deploy_result *result, struct err *err) MUST_CHECK;

/* ---- result.c, explain.c ---- */
/* What deploy_json has made of one, as far as people are told of it. */
void result_from_json(struct deploy_result *result, const cJSON *json);
/* `over`: all were live for long enough. */
void result_take(struct deploy_result *result, const struct engine *engine, bool over);
/* Events, logs and manifests behind what failed; best effort, within a time limit. */
void explain_failures(const struct engine *engine, struct deploy_result *result);
void result_add_cause(struct deploy_app *app, char *text /* taken */, const char *file, int line,
                      bool changed);
int result_write_junit(const struct deploy_result *result, const char *path, const struct err *how,
                       struct err *err) MUST_CHECK;

#endif
