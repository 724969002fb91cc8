#include "emulator/argocd/tasks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const phase_names[] = {"PreSync", "Sync", "PostSync", "SyncFail"};
static const char *const progress_names[] = {"", "Running", "Succeeded", "Failed"};

const char *phase_name(enum sync_phase phase)
{
    return phase_names[phase];
}

struct sync_settings sync_settings(const cJSON *operation)
{
    const cJSON *sync = json_at(operation, "sync");
    const cJSON *options = json_at(sync, "syncOptions");
    const cJSON *selected = json_at(sync, "resources");
    bool selective = cJSON_IsArray(selected) && selected->child != NULL;

    return (struct sync_settings){
        .prune = json_bool(sync, "prune", false),
        .dry_run = json_bool(sync, "dryRun", false),
        .skip_hooks = selective || json_at(sync, "syncStrategy.apply") != NULL,
        .create_namespace = list_has_option(options, "CreateNamespace=true"),
        .out_of_sync_only = list_has_option(options, "ApplyOutOfSyncOnly=true"),
        .prune_last = list_has_option(options, "PruneLast=true"),
        .respect_ignored = list_has_option(options, "RespectIgnoreDifferences=true"),
        .replace = list_has_option(options, "Replace=true"),
        .server_side = list_has_option(options, "ServerSideApply=true"),
        .skip_missing = list_has_option(options, "SkipDryRunOnMissingResource=true"),
        .resources = selective ? selected : NULL,
    };
}

/* ---- building ---- */

static struct task *add_task(struct sync *sync)
{
    if (sync->len == sync->size) {
        sync->size = sync->size > 0 ? sync->size * 2 : 32;
        sync->tasks = xrealloc(sync->tasks, sync->size * sizeof(*sync->tasks));
    }
    sync->tasks[sync->len] = (struct task){.phase = PHASE_SYNC};
    return &sync->tasks[sync->len++];
}

static bool is_selected(const struct sync *sync, const struct object_id *id)
{
    const cJSON *item;

    if (sync->settings.resources == NULL)
        return true;
    cJSON_ArrayForEach(item, sync->settings.resources)
    {
        const char *space = json_str_or(item, "namespace", "");

        if (strcmp(json_str_or(item, "kind", ""), id->kind) == 0 &&
            strcmp(json_str_or(item, "name", ""), id->name) == 0 &&
            strcmp(json_str_or(item, "group", ""), id->group) == 0 &&
            (*space == '\0' || strcmp(space, id->space) == 0))
            return true;
    }
    return false;
}

static void add_managed(struct sync *sync, const struct managed *managed)
{
    bool is_hook = managed->live != NULL && object_is_hook(managed->live->object);
    const char *status = resource_sync_status(&sync->comparison, managed);
    struct task *task;

    if (is_hook || !is_selected(sync, &managed->id))
        return;
    if (sync->settings.out_of_sync_only && status != NULL && strcmp(status, "Synced") == 0)
        return;
    task = add_task(sync);
    task->resource = managed->resource;
    task->live = managed->live != NULL ? stored_ref(managed->live) : NULL;
    task->target = managed->target != NULL ? json_copy(managed->target) : NULL;
    task->in_sync = managed->live != NULL && !managed->modified;
    task->id = object_id(task->target != NULL ? task->target : managed->live->object);
    task->wave = object_wave(task->target != NULL ? task->target : managed->live->object);
}

/* generateName gets what makes it one operation's own. */
static void name_hook(const struct sync *sync, cJSON *hook, enum sync_phase phase)
{
    const char *prefix = json_str(hook, "metadata.generateName");
    const char *revision = json_str_or(sync->state, "syncResult.revision", "");
    autoerr struct err ignored = ERR_INIT;
    autofree char *name = NULL;
    int64_t started = 0;

    if (prefix == NULL || json_str(hook, "metadata.name") != NULL)
        return;
    (void)!time_parse_rfc3339(json_str_or(sync->state, "startedAt", ""), &started, &ignored);
    name =
        xasprintf("%s%.8s-%s-%lld", prefix, revision, phase_name(phase), (long long)started / 1000);
    for (char *at = name; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    json_set_str(object_member_mutable(hook, "metadata"), "name", name);
}

static void add_hook(struct sync *sync, const cJSON *hook, enum sync_phase phase)
{
    struct task *task = add_task(sync);

    task->phase = phase;
    task->hook = true;
    task->target = json_copy(hook);
    name_hook(sync, task->target, phase);
    task->id = object_id(task->target);
    task->wave = object_wave(hook);
    task->resource =
        store_kind(sync->controller->store, json_str_or(hook, "apiVersion", ""), task->id.kind);
    if (task->resource != NULL)
        task->live =
            store_get(sync->controller->store, task->resource, task->id.space, task->id.name);
}

static void add_hooks(struct sync *sync)
{
    const cJSON *hook;

    cJSON_ArrayForEach(hook, sync->comparison.hooks)
    {
        for (size_t phase = 0; phase < ARRAY_LEN(phase_names); phase++) {
            if (object_has_hook(hook, phase_names[phase]))
                add_hook(sync, hook, (enum sync_phase)phase);
        }
    }
}

/* CreateNamespace=true: the destination's namespace before all else, when Git has none. */
static void add_namespace(struct sync *sync)
{
    const char *space = json_str_or(sync->app, "spec.destination.namespace", "");
    const cJSON *metadata = json_at(sync->app, "spec.syncPolicy.managedNamespaceMetadata");
    struct task *task;

    for (size_t i = 0; i < sync->len; i++) {
        if (strcmp(sync->tasks[i].id.kind, "Namespace") == 0 &&
            strcmp(sync->tasks[i].id.name, space) == 0)
            return;
    }
    if (*space == '\0')
        return;
    task = add_task(sync);
    task->phase = PHASE_PRE_SYNC;
    task->target = json_object();
    json_set_str(task->target, "apiVersion", "v1");
    json_set_str(task->target, "kind", "Namespace");
    json_set_str(json_set_object(task->target, "metadata"), "name", space);
    if (metadata != NULL)
        json_merge(object_member_mutable(task->target, "metadata"), metadata);
    task->id = object_id(task->target);
    task->resource = store_resource(sync->controller->store, "", "namespaces");
    task->live = store_get(sync->controller->store, task->resource, "", space);
    if (task->live != NULL) { /* there already: nothing to do */
        cJSON_Delete(task->target);
        stored_unref(task->live);
        sync->len--;
    }
}

/* ---- order ---- */

/* What others need comes first; unknown kinds last. */
static size_t kind_order(const char *kind)
{
    static const char *const kinds[] = {"Namespace",
                                        "NetworkPolicy",
                                        "ResourceQuota",
                                        "LimitRange",
                                        "PodSecurityPolicy",
                                        "PodDisruptionBudget",
                                        "Secret",
                                        "ConfigMap",
                                        "StorageClass",
                                        "PersistentVolume",
                                        "PersistentVolumeClaim",
                                        "ServiceAccount",
                                        "CustomResourceDefinition",
                                        "ClusterRole",
                                        "ClusterRoleBinding",
                                        "Role",
                                        "RoleBinding",
                                        "Service",
                                        "DaemonSet",
                                        "Pod",
                                        "ReplicationController",
                                        "ReplicaSet",
                                        "Deployment",
                                        "StatefulSet",
                                        "Job",
                                        "CronJob",
                                        "IngressClass",
                                        "Ingress",
                                        "APIService"};
    size_t i = 0;

    while (i < ARRAY_LEN(kinds) && strcmp(kinds[i], kind) != 0)
        i++;
    return i;
}

static int compare_numbers(long a, long b)
{
    return (a > b) - (a < b);
}

static int by_turn(const void *a, const void *b)
{
    const struct task *x = a;
    const struct task *y = b;
    int order = compare_numbers(x->phase, y->phase);

    if (order == 0)
        order = compare_numbers(x->wave, y->wave);
    if (order == 0)
        order = compare_numbers((long)kind_order(x->id.kind), (long)kind_order(y->id.kind));
    if (order == 0)
        order = strcmp(x->id.kind, y->id.kind);
    if (order == 0)
        order = strcmp(x->id.space, y->id.space);
    return order != 0 ? order : strcmp(x->id.name, y->id.name);
}

static int by_number(const void *a, const void *b)
{
    return compare_numbers(*(const int *)a, *(const int *)b);
}

static bool is_prune(const struct task *task)
{
    return task->target == NULL;
}

/* What was made last goes first: the waves of what is pruned are turned around. */
static void reverse_prune_waves(struct sync *sync)
{
    int *waves = xcalloc(sync->len + 1, sizeof(*waves));
    size_t count = 0;

    for (size_t i = 0; i < sync->len; i++) {
        bool known = !is_prune(&sync->tasks[i]);

        for (size_t j = 0; j < count && !known; j++)
            known = waves[j] == sync->tasks[i].wave;
        if (!known)
            waves[count++] = sync->tasks[i].wave;
    }
    qsort(waves, count, sizeof(*waves), by_number);
    for (size_t i = 0; i < sync->len; i++) {
        for (size_t j = 0; is_prune(&sync->tasks[i]) && j < count; j++) {
            if (waves[j] == sync->tasks[i].wave) {
                sync->tasks[i].wave = waves[count - 1 - j];
                break;
            }
        }
    }
    free(waves);
}

static void set_prune_last(struct sync *sync)
{
    int last = 0;

    for (size_t i = 0; i < sync->len; i++) {
        if (sync->tasks[i].phase == PHASE_SYNC && sync->tasks[i].wave > last)
            last = sync->tasks[i].wave;
    }
    for (size_t i = 0; i < sync->len; i++) {
        struct task *task = &sync->tasks[i];

        if (is_prune(task) &&
            (sync->settings.prune_last ||
             object_option(task->live->object, ANNOTATION_SYNC_OPTIONS, "PruneLast=true")))
            task->wave = last + 1;
    }
}

/* ---- results ---- */

void task_result(struct task *task, const char *status, enum task_progress progress,
                 const char *format, ...)
{
    char *message;
    va_list args;

    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    free(task->message);
    task->message = message;
    if (status != NULL)
        task->status = status;
    task->progress = progress;
}

static const char *known_status(const char *text)
{
    static const char *const known[] = {"Synced", "SyncFailed", "Pruned", "PruneSkipped"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i], text) == 0)
            return known[i];
    }
    return NULL;
}

static bool is_result_of(const cJSON *result, const struct task *task)
{
    return strcmp(json_str_or(result, "name", ""), task->id.name) == 0 &&
           strcmp(json_str_or(result, "kind", ""), task->id.kind) == 0 &&
           strcmp(json_str_or(result, "group", ""), task->id.group) == 0 &&
           strcmp(json_str_or(result, "namespace", ""), task->id.space) == 0 &&
           strcmp(json_str_or(result, "syncPhase", ""), phase_name(task->phase)) == 0;
}

static struct task *task_of_result(const struct sync *sync, const cJSON *result)
{
    for (size_t i = 0; i < sync->len; i++) {
        if (is_result_of(result, &sync->tasks[i]))
            return &sync->tasks[i];
    }
    return NULL;
}

static void load_results(struct sync *sync)
{
    const cJSON *result;

    cJSON_ArrayForEach(result, json_at(sync->state, "syncResult.resources"))
    {
        struct task *task = task_of_result(sync, result);
        const char *progress = json_str_or(result, "hookPhase", "");

        if (task == NULL)
            continue;
        task->status = known_status(json_str_or(result, "status", ""));
        free(task->message);
        task->message = xstrdup(json_str_or(result, "message", ""));
        for (size_t i = 0; i < ARRAY_LEN(progress_names); i++) {
            if (strcmp(progress_names[i], progress) == 0)
                task->progress = (enum task_progress)i;
        }
    }
}

static cJSON *result_of(const struct task *task)
{
    cJSON *result = json_object();
    const char *hook = task->hook ? object_annotation(task->target, ANNOTATION_HOOK) : NULL;

    json_set_str(result, "group", task->id.group);
    json_set_str(result, "version", task->id.version);
    json_set_str(result, "kind", task->id.kind);
    json_set_str(result, "namespace", task->id.space);
    json_set_str(result, "name", task->id.name);
    json_set_str(result, "status", task->status);
    json_set_str(result, "message", task->message);
    json_set_str(result, "hookType", hook != NULL ? phase_name(task->phase) : NULL);
    if (task->progress != TASK_PENDING)
        json_set_str(result, "hookPhase", progress_names[task->progress]);
    json_set_str(result, "syncPhase", phase_name(task->phase));
    return result;
}

void tasks_save(const struct sync *sync)
{
    cJSON *list = json_array();
    const cJSON *before;

    /* What was pruned is no task any longer; its result stays. */
    cJSON_ArrayForEach(before, json_at(sync->state, "syncResult.resources"))
    {
        if (task_of_result(sync, before) == NULL)
            json_push(list, json_copy(before));
    }
    for (size_t i = 0; i < sync->len; i++) {
        const struct task *task = &sync->tasks[i];

        if (task->status != NULL || task->progress != TASK_PENDING)
            json_push(list, result_of(task));
    }
    json_set(object_member_mutable(sync->state, "syncResult"), "resources", list);
}

bool task_has_policy(const struct task *task, const char *policy)
{
    const char *value = object_annotation(task->target, ANNOTATION_HOOK_DELETE);

    if (value == NULL || *value == '\0')
        return strcmp(policy, "BeforeHookCreation") == 0;
    return object_option(task->target, ANNOTATION_HOOK_DELETE, policy);
}

void tasks_build(struct sync *sync)
{
    for (size_t i = 0; i < sync->comparison.len; i++)
        add_managed(sync, &sync->comparison.items[i]);
    if (!sync->settings.skip_hooks)
        add_hooks(sync);
    reverse_prune_waves(sync);
    set_prune_last(sync);
    if (sync->settings.create_namespace)
        add_namespace(sync);
    load_results(sync);
    if (sync->len > 0)
        qsort(sync->tasks, sync->len, sizeof(*sync->tasks), by_turn);
}

void tasks_clear(struct sync *sync)
{
    for (size_t i = 0; i < sync->len; i++) {
        cJSON_Delete(sync->tasks[i].target);
        stored_unref(sync->tasks[i].live);
        free(sync->tasks[i].message);
    }
    free(sync->tasks);
    comparison_clear(&sync->comparison);
}
