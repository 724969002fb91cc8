/* One step of a sync operation. Every step starts from the state and the live objects and ends with
 * the state written, so that it does not matter who takes the next one. */
#include <stdlib.h>
#include <string.h>
#include "emulator/argocd/tasks.h"

static void set_phase(struct sync *sync, const char *phase, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void set_phase(struct sync *sync, const char *phase, const char *format, ...)
{
    autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    json_set_str(sync->state, "phase", phase);
    json_set_str(sync->state, "message", message);
}

/* ---- selections of tasks ---- */

struct chosen {
    struct task **tasks; /* owned */
    size_t len;
};

static void chosen_free(struct chosen *chosen)
{
    free(chosen->tasks);
}

static struct chosen choose(struct sync *sync, bool (*wanted)(struct sync *, const struct task *))
{
    struct chosen chosen = {.tasks = xcalloc(sync->len + 1, sizeof(struct task *))};

    for (size_t i = 0; i < sync->len; i++) {
        if (wanted(sync, &sync->tasks[i]))
            chosen.tasks[chosen.len++] = &sync->tasks[i];
    }
    return chosen;
}

static bool is_multi_step(const struct sync *sync)
{
    const struct task *first = NULL;

    for (size_t i = 0; i < sync->len; i++) {
        const struct task *task = &sync->tasks[i];

        if (task->phase == PHASE_SYNC_FAIL)
            continue;
        if (first != NULL && (task->phase != first->phase || task->wave != first->wave))
            return true;
        first = task;
    }
    return false;
}

static bool is_any(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->phase != PHASE_SYNC_FAIL;
}

static bool is_waited_for(struct sync *sync, const struct task *task)
{
    return task->progress == TASK_RUNNING && (task->hook || is_multi_step(sync));
}

static bool is_pending(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->progress == TASK_PENDING && task->phase != PHASE_SYNC_FAIL;
}

static bool is_failed(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->progress == TASK_FAILED && task->phase != PHASE_SYNC_FAIL;
}

static bool is_pending_failure_hook(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->progress == TASK_PENDING && task->phase == PHASE_SYNC_FAIL;
}

static bool is_running_failure_hook(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->progress == TASK_RUNNING && task->phase == PHASE_SYNC_FAIL;
}

static bool is_leaving(struct sync *sync, const struct task *task)
{
    (void)sync;
    return task->target == NULL && task->status != NULL && strcmp(task->status, "Pruned") == 0 &&
           json_str(task->live->object, "metadata.deletionTimestamp") != NULL;
}

/* ---- progress of what runs ---- */

/* A hook that went away while it ran has nothing left to say. */
static void update_hook(struct sync *sync, struct task *task)
{
    struct health health;

    if (task->live == NULL) {
        task_result(task, NULL, TASK_FAILED, "%s %s was deleted while it ran", task->id.kind,
                    task->id.name);
        return;
    }
    if (!health_assess(task->live->object, &sync->controller->health, &health)) {
        task_result(task, NULL, TASK_SUCCEEDED, "%s created", task->id.name);
        return;
    }
    if (health.status == HEALTH_HEALTHY)
        task_result(task, NULL, TASK_SUCCEEDED, "%s", health.message != NULL ? health.message : "");
    else if (health.status == HEALTH_DEGRADED || health.status == HEALTH_UNKNOWN)
        task_result(task, NULL, TASK_FAILED, "%s", health.message != NULL ? health.message : "");
    health_clear(&health);
}

static void update_resource(struct sync *sync, struct task *task)
{
    autofree char *message = task->message != NULL ? xstrdup(task->message) : xstrdup("");
    struct health health;

    if (task->live == NULL)
        return;
    if (!health_assess(task->live->object, &sync->controller->health, &health)) {
        task_result(task, NULL, TASK_SUCCEEDED, "%s", message);
        return;
    }
    if (health.status == HEALTH_HEALTHY || health.status == HEALTH_DEGRADED)
        task_result(task, NULL, health.status == HEALTH_HEALTHY ? TASK_SUCCEEDED : TASK_FAILED,
                    "%s", health.message != NULL ? health.message : "");
    health_clear(&health);
}

static void update_running(struct sync *sync)
{
    bool multi = is_multi_step(sync);

    for (size_t i = 0; i < sync->len; i++) {
        struct task *task = &sync->tasks[i];

        if (task->progress != TASK_RUNNING)
            continue;
        if (task->hook)
            update_hook(sync, task);
        else if (multi)
            update_resource(sync, task);
    }
}

/* ---- hooks that have ended ---- */

static void delete_ended_hooks(struct sync *sync, bool successful)
{
    const char *policy = successful ? "HookSucceeded" : "HookFailed";

    for (size_t i = 0; i < sync->len; i++) {
        struct task *task = &sync->tasks[i];

        if (task->hook && task->progress == (successful ? TASK_SUCCEEDED : TASK_FAILED) &&
            task_has_policy(task, policy))
            hook_delete(sync, task);
    }
}

/* ---- the ends of a step ---- */

static void wait_for(struct sync *sync, const struct chosen *chosen, const char *hooks_what)
{
    const struct task *first = chosen->tasks[0];
    const char *what = hooks_what != NULL ? hooks_what
                       : first->hook      ? "completion of hook"
                                          : "healthy state of";
    autofree char *more = chosen->len > 1 ? xasprintf(" and %zu more %s", chosen->len - 1,
                                                      first->hook ? "hooks" : "resources")
                                          : xstrdup("");

    set_phase(sync, "Running", "waiting for %s %s/%s/%s%s", what, first->id.group, first->id.kind,
              first->id.name, more);
}

static char *with_reasons(struct sync *sync, const char *message)
{
    CLEANUP(chosen_free) struct chosen failed = choose(sync, is_failed);
    autostrv struct strv reasons = STRV_INIT;
    autofree char *joined = NULL;

    for (size_t i = 0; i < failed.len; i++) {
        if (failed.tasks[i]->message != NULL && failed.tasks[i]->status != NULL &&
            strcmp(failed.tasks[i]->status, "SyncFailed") == 0)
            strv_add(&reasons, failed.tasks[i]->message);
    }
    if (reasons.len == 0)
        return xstrdup(message);
    joined = strv_join(&reasons, ",");
    return xasprintf("%s, reason: %s", message, joined);
}

/* The hooks for a failure run before the operation ends. */
static void fail(struct sync *sync, const char *message)
{
    CLEANUP(chosen_free) struct chosen pending = choose(sync, is_pending_failure_hook);
    CLEANUP(chosen_free) struct chosen running = choose(sync, is_running_failure_hook);
    autofree char *text = with_reasons(sync, message);

    delete_ended_hooks(sync, false);
    if (running.len > 0) {
        wait_for(sync, &running, NULL);
    } else if (pending.len > 0) {
        (void)tasks_run(sync, pending.tasks, pending.len, false);
        wait_for(sync, &pending, NULL);
    } else {
        delete_ended_hooks(sync, true);
        set_phase(sync, "Failed", "%s", text);
    }
}

static void succeed(struct sync *sync, const char *message)
{
    delete_ended_hooks(sync, true);
    set_phase(sync, "Succeeded", "%s", message);
}

/* ---- the step ---- */

/* What a dry run found is no result, but for what it refused. */
static void forget_dry_run(struct sync *sync)
{
    for (size_t i = 0; i < sync->len; i++) {
        if (sync->tasks[i].progress == TASK_FAILED)
            continue;
        sync->tasks[i].status = NULL;
        task_result(&sync->tasks[i], NULL, TASK_PENDING, "%s", "");
    }
}

/* Everything once without effect, before anything is done. */
static bool dry_run(struct sync *sync)
{
    CLEANUP(chosen_free) struct chosen all = choose(sync, is_any);

    if (!tasks_check_kinds(sync)) {
        set_phase(sync, "Failed", "one or more synchronization tasks are not valid");
        return false;
    }
    if (!tasks_run(sync, all.tasks, all.len, true)) {
        set_phase(sync, "Failed", "one or more objects failed to apply (dry run)");
        forget_dry_run(sync);
        return false;
    }
    if (sync->settings.dry_run) {
        set_phase(sync, "Succeeded", "successfully synced (all tasks run)");
        return false;
    }
    forget_dry_run(sync);
    return true;
}

static void run_wave(struct sync *sync, const struct chosen *pending)
{
    const struct task *first = pending->tasks[0];
    CLEANUP(chosen_free) struct chosen now = {.tasks = xcalloc(pending->len, sizeof(first))};
    CLEANUP(chosen_free) struct chosen rest = {.tasks = xcalloc(pending->len, sizeof(first))};

    for (size_t i = 0; i < pending->len; i++) {
        struct task *task = pending->tasks[i];
        bool in_wave = task->phase == first->phase && task->wave == first->wave;

        if (in_wave)
            now.tasks[now.len++] = task;
        if (!in_wave || task->hook)
            rest.tasks[rest.len++] = task;
    }
    if (!tasks_run(sync, now.tasks, now.len, false))
        fail(sync, "one or more objects failed to apply");
    else if (rest.len == 0)
        succeed(sync, "successfully synced (all tasks run)");
    else
        wait_for(sync, &rest, NULL);
}

static void advance(struct sync *sync)
{
    CLEANUP(chosen_free) struct chosen running = {.len = 0};
    CLEANUP(chosen_free) struct chosen leaving = {.len = 0};
    CLEANUP(chosen_free) struct chosen failed = {.len = 0};
    CLEANUP(chosen_free) struct chosen pending = {.len = 0};

    update_running(sync);
    running = choose(sync, is_waited_for);
    leaving = choose(sync, is_leaving);
    failed = choose(sync, is_failed);
    pending = choose(sync, is_pending);
    if (running.len > 0)
        wait_for(sync, &running, NULL);
    else if (leaving.len > 0 && failed.len == 0)
        wait_for(sync, &leaving, "deletion of");
    else if (failed.len > 0)
        fail(sync, "one or more synchronization tasks completed unsuccessfully");
    else if (pending.len == 0)
        succeed(sync, "successfully synced (no more tasks)");
    else
        run_wave(sync, &pending);
}

static void terminate(struct sync *sync)
{
    for (size_t i = 0; i < sync->len; i++) {
        struct task *task = &sync->tasks[i];

        if (!task->hook || task->progress != TASK_RUNNING)
            continue;
        hook_delete(sync, task);
        task_result(task, NULL, TASK_FAILED, "Terminated");
    }
    set_phase(sync, "Failed", "Operation terminated");
}

/* ---- what is synced ---- */

/* The revision stays what it was resolved to when the operation began. */
static cJSON *wanted_revisions(const cJSON *state)
{
    const cJSON *many = json_at(state, "syncResult.revisions");
    const char *one = json_str(state, "syncResult.revision");
    cJSON *list;

    if (cJSON_IsArray(many))
        return json_copy(many);
    if (one == NULL || *one == '\0') {
        many = json_at(state, "operation.sync.revisions");
        one = json_str(state, "operation.sync.revision");
        if (cJSON_IsArray(many) && many->child != NULL)
            return json_copy(many);
    }
    if (one == NULL)
        return NULL;
    list = json_array();
    json_push_str(list, one);
    return list;
}

static const cJSON *wanted_sources(const cJSON *state)
{
    const cJSON *many = json_at(state, "operation.sync.sources");
    const cJSON *kept = json_at(state, "syncResult.sources");

    if (kept == NULL)
        kept = json_at(state, "syncResult.source");
    if (kept != NULL)
        return kept; /* as it was when the operation began */
    if (cJSON_IsArray(many) && many->child != NULL)
        return many;
    return json_at(state, "operation.sync.source");
}

static void remember(struct sync *sync)
{
    cJSON *result = object_member_mutable(sync->state, "syncResult");
    const struct comparison *comparison = &sync->comparison;

    if (result == NULL)
        result = json_set_object(sync->state, "syncResult");
    if (json_at(result, "sources") == NULL && json_at(result, "source") == NULL)
        json_set(result, comparison->is_multi ? "sources" : "source",
                 json_copy(comparison->sources));
    if (comparison->is_multi) {
        cJSON *revisions = json_set_array(result, "revisions");

        for (size_t i = 0; i < comparison->revisions.len; i++)
            json_push_str(revisions, comparison->revisions.items[i]);
        json_set_str(result, "revision", "");
        json_set(result, "source", json_object());
        json_set_str(object_member_mutable(result, "source"), "repoURL", "");
    } else {
        json_set_str(result, "revision",
                     comparison->revisions.len > 0 ? comparison->revisions.items[0] : "");
    }
}

/* ComparisonError and InvalidSpecError of this moment, joined; NULL when there is none. */
static char *errors_of(struct sync *sync)
{
    autojson cJSON *conditions = json_array();
    autostrv struct strv texts = STRV_INIT;
    const cJSON *lists[2] = {conditions, sync->comparison.conditions};

    application_validate(sync->controller, sync->app, conditions);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const cJSON *item;

        cJSON_ArrayForEach(item, lists[i])
        {
            const char *type = json_str_or(item, "type", "");

            if (strcmp(type, "ComparisonError") == 0 || strcmp(type, "InvalidSpecError") == 0)
                strv_addf(&texts, "%s: %s", type, json_str_or(item, "message", ""));
        }
    }
    return texts.len > 0 ? strv_join(&texts, ";") : NULL;
}

void sync_step(struct controller *controller, const cJSON *app, cJSON *state)
{
    CLEANUP(tasks_clear)
    struct sync sync = {.controller = controller,
                        .app = app,
                        .state = state,
                        .settings = sync_settings(json_at(state, "operation"))};
    autojson cJSON *revisions = wanted_revisions(state);
    struct comparison_request request = {
        .app = app, .sources = wanted_sources(state), .revisions = revisions};
    bool terminating = strcmp(json_str_or(state, "phase", ""), "Terminating") == 0;
    bool begun = json_at(state, "syncResult.resources") != NULL;
    autofree char *errors = NULL;

    compare_application(controller, &request, &sync.comparison);
    remember(&sync);
    errors = errors_of(&sync);
    if (errors != NULL && !terminating) {
        set_phase(&sync, "Error", "%s", errors);
        return;
    }
    tasks_build(&sync);
    if (terminating)
        terminate(&sync);
    else if (begun || dry_run(&sync))
        advance(&sync);
    tasks_save(&sync);
}
