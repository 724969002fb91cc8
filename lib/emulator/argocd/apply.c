/* Carrying out the tasks of a sync: apply, prune, hooks. */
#include <stdlib.h>
#include <string.h>
#include "emulator/argocd/pointer.h"
#include "emulator/argocd/tasks.h"

/* ---- kinds ---- */

static bool comes_with_sync(const struct sync *sync, const struct object_id *id)
{
    for (size_t i = 0; i < sync->len; i++) {
        const cJSON *target = sync->tasks[i].target;

        if (target != NULL && strcmp(sync->tasks[i].id.kind, "CustomResourceDefinition") == 0 &&
            strcmp(json_str_or(target, "spec.group", ""), id->group) == 0 &&
            strcmp(json_str_or(target, "spec.names.kind", ""), id->kind) == 0)
            return true;
    }
    return false;
}

static void kind_is_missing(struct task *task)
{
    task_result(task, "SyncFailed", TASK_FAILED,
                "The Kubernetes API could not find %s/%s for requested resource %s/%s. Make sure "
                "the \"%s\" CRD is installed on the destination cluster.",
                task->id.group, task->id.kind, task->id.space, task->id.name, task->id.kind);
}

bool tasks_check_kinds(struct sync *sync)
{
    bool good = true;

    for (size_t i = 0; i < sync->len; i++) {
        struct task *task = &sync->tasks[i];

        if (task->resource != NULL)
            continue;
        task->later = sync->settings.skip_missing || comes_with_sync(sync, &task->id) ||
                      object_option(task->target, ANNOTATION_SYNC_OPTIONS,
                                    "SkipDryRunOnMissingResource=true");
        if (!task->later) {
            kind_is_missing(task);
            good = false;
        }
    }
    return good;
}

/* ---- apply ---- */

/* "deployment.apps/web" */
static char *resource_name(const struct resource *resource, const struct task *task)
{
    return *resource->group != '\0'
               ? xasprintf("%s.%s/%s", resource->singular, resource->group, task->id.name)
               : xasprintf("%s/%s", resource->singular, task->id.name);
}

static const char *verb_of(const struct task *task, const struct stored *result, bool server_side)
{
    if (server_side)
        return "serverside-applied";
    if (task->live == NULL)
        return "created";
    return same_content(result->object, task->live->object) ? "unchanged" : "configured";
}

/* Fields that are not to be compared keep what is live. */
static void keep_ignored(const struct sync *sync, struct task *task)
{
    const cJSON *rules = json_at(sync->app, "spec.ignoreDifferences");
    const cJSON *rule;
    const cJSON *item;

    if (!sync->settings.respect_ignored || task->live == NULL)
        return;
    drop_ignored(task->target, rules);
    cJSON_ArrayForEach(rule, rules)
    {
        cJSON_ArrayForEach(item, json_at(rule, "jsonPointers"))
        {
            const char *pointer = json_str_or(item, NULL, "");
            const cJSON *live = pointer_find((cJSON *)task->live->object, pointer);
            autojson cJSON *operations = json_array();
            autoerr struct err ignored = ERR_INIT;
            cJSON *operation = json_object();

            json_push(operations, operation);
            if (live == NULL)
                continue;
            json_set_str(operation, "op", "add");
            json_set_str(operation, "path", pointer);
            json_set(operation, "value", json_copy(live));
            if (json_patch_apply(&task->target, operations, &ignored) < 0)
                err_clear(&ignored); /* its parent is not in Git */
        }
    }
}

/* The dry run is a client's: it sees what is no such object at all, not what the server's rules or
 * the state of the cluster will refuse. */
static bool dry_run_sees(const struct err *err)
{
    return err->http_status == 400;
}

static int apply_object(struct sync *sync, struct task *task, bool dry_run, struct stored **out,
                        struct err *err)
{
    bool replace = sync->settings.replace ||
                   object_option(task->target, ANNOTATION_SYNC_OPTIONS, "Replace=true");

    if (!replace || dry_run)
        return store_apply(sync->controller->store, task->target, ARGOCD_MANAGER, true, dry_run,
                           out, err);
    if (store_put(sync->controller->store, json_copy(task->target), err) < 0)
        return -1;
    *out = store_get(sync->controller->store, task->resource, task->id.space, task->id.name);
    return 0;
}

static bool apply(struct sync *sync, struct task *task, bool dry_run)
{
    bool server_side = sync->settings.server_side ||
                       object_option(task->target, ANNOTATION_SYNC_OPTIONS, "ServerSideApply=true");
    autoerr struct err err = ERR_INIT;
    struct stored *result = NULL;
    autofree char *name = NULL;

    if (task->resource == NULL)
        task->resource = store_kind(sync->controller->store,
                                    json_str_or(task->target, "apiVersion", ""), task->id.kind);
    if (task->resource == NULL && dry_run)
        return true;
    if (task->resource == NULL) {
        kind_is_missing(task);
        return false;
    }
    keep_ignored(sync, task);
    if (apply_object(sync, task, dry_run, &result, &err) < 0 && (!dry_run || dry_run_sees(&err))) {
        task_result(task, "SyncFailed", TASK_FAILED, "%s", err_text(&err));
        return false;
    }
    name = resource_name(task->resource, task);
    task_result(task, "Synced", TASK_RUNNING, "%s %s%s", name,
                result != NULL ? verb_of(task, result, server_side) : "created",
                dry_run ? " (dry run)" : "");
    stored_unref(result);
    return true;
}

/* ---- prune ---- */

static bool prune(struct sync *sync, struct task *task, bool dry_run)
{
    autoerr struct err err = ERR_INIT;

    if (!sync->settings.prune) {
        task_result(task, "PruneSkipped", TASK_SUCCEEDED, "ignored (requires pruning)");
        return true;
    }
    if (object_option(task->live->object, ANNOTATION_SYNC_OPTIONS, "Prune=false")) {
        task_result(task, "PruneSkipped", TASK_SUCCEEDED, "ignored (no prune)");
        return true;
    }
    if (!dry_run && store_delete(sync->controller->store, task->resource, task->id.space,
                                 task->id.name, &err) < 0) {
        task_result(task, "SyncFailed", TASK_FAILED, "%s", err_text(&err));
        return false;
    }
    task_result(task, "Pruned", TASK_SUCCEEDED, dry_run ? "pruned (dry run)" : "pruned");
    return true;
}

/* ---- hooks ---- */

void hook_delete(struct sync *sync, struct task *task)
{
    autoerr struct err err = ERR_INIT;

    if (task->resource == NULL)
        return;
    if (store_delete(sync->controller->store, task->resource, task->id.space, task->id.name, &err) <
        0)
        log_debug(sync->controller->config.log, "argocd: hook: %s", err_text(&err));
}

/* ---- all ---- */

/* An earlier operation's hook of this name has to go before it can run again. */
static void make_way(struct sync *sync, struct task *task)
{
    if (!task->hook || task->live == NULL || !task_has_policy(task, "BeforeHookCreation"))
        return;
    hook_delete(sync, task);
    stored_unref(steal(task->live));
}

bool tasks_run(struct sync *sync, struct task **chosen, size_t len, bool dry_run)
{
    bool good = true;

    for (size_t i = 0; i < len; i++) {
        if (chosen[i]->target == NULL)
            good &= prune(sync, chosen[i], dry_run);
    }
    for (size_t i = 0; i < len && good; i++) {
        if (chosen[i]->target == NULL || (dry_run && chosen[i]->later))
            continue;
        if (!dry_run)
            make_way(sync, chosen[i]);
        good &= apply(sync, chosen[i], dry_run);
    }
    return good;
}
