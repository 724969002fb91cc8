/* The tasks of one sync operation: what is applied, pruned, or run as a hook, in which phase and
 * wave. Their results live in status.operationState.syncResult.resources, so that an operation can
 * be taken up again after every step. */
#ifndef EMULATOR_ARGOCD_TASKS_H
#define EMULATOR_ARGOCD_TASKS_H

#include "emulator/argocd/application.h"

enum sync_phase { PHASE_PRE_SYNC, PHASE_SYNC, PHASE_POST_SYNC, PHASE_SYNC_FAIL };

enum task_progress { TASK_PENDING, TASK_RUNNING, TASK_SUCCEEDED, TASK_FAILED };

struct task {
    enum sync_phase phase;
    int wave;
    bool hook;
    struct object_id id;
    const struct resource *resource; /* NULL: not served (yet) */
    cJSON *target;                   /* owned; NULL: to be pruned */
    struct stored *live;             /* or NULL */
    bool in_sync;                    /* an apply would change nothing */
    bool later;                      /* its kind comes with this sync: no dry run */
    /* the result */
    const char *status; /* "Synced", "SyncFailed", "Pruned", "PruneSkipped", or NULL */
    enum task_progress progress;
    char *message; /* owned, or NULL */
};

/* What the operation asks for. */
struct sync_settings {
    bool prune, dry_run, skip_hooks;
    bool create_namespace, out_of_sync_only, prune_last, respect_ignored, replace, server_side;
    bool skip_missing;      /* SkipDryRunOnMissingResource=true */
    const cJSON *resources; /* selective: array, or NULL */
};
struct sync_settings sync_settings(const cJSON *operation);

struct sync {
    struct controller *controller;
    const cJSON *app;
    cJSON *state; /* status.operationState, changed */
    struct sync_settings settings;
    struct comparison comparison;
    struct task *tasks;
    size_t len, size;
};

/* Tasks from the comparison, in order, with the results that the state has. */
void tasks_build(struct sync *sync);
void tasks_clear(struct sync *sync);
/* Writes the results of all tasks that have one into the state. */
void tasks_save(const struct sync *sync);
void task_result(struct task *task, const char *status, enum task_progress progress,
                 const char *format, ...) PRINTF_LIKE(4, 5);

bool task_has_policy(const struct task *task, const char *policy);
const char *phase_name(enum sync_phase phase);

/* ---- doing (apply.c) ---- */

/* Every kind is served, or comes with this sync. False: results say what is wrong. */
bool tasks_check_kinds(struct sync *sync);
/* Runs them, pruning first; false when one failed. Only those with `chosen` set. */
bool tasks_run(struct sync *sync, struct task **chosen, size_t len, bool dry_run);
void hook_delete(struct sync *sync, struct task *task);

#endif
