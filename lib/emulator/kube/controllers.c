#include "emulator/kube/controllers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"

#define IDLE_MS 1000

/* Which kinds have a controller. */
static const struct row {
    const char *group, *plural;
    ctl_reconcile reconcile;
} rows[] = {
    {"apps", "deployments", ctl_deployment},
    {"apps", "replicasets", ctl_replica_set},
    {"", "replicationcontrollers", ctl_replica_set},
    {"apps", "statefulsets", ctl_stateful_set},
    {"apps", "daemonsets", ctl_daemon_set},
    {"batch", "jobs", ctl_job},
    {"", "pods", ctl_pod},
    {"", "services", ctl_service},
    {"", "persistentvolumeclaims", ctl_claim},
    {"", "namespaces", ctl_namespace},
    {"", "serviceaccounts", ctl_account},
    {"", "secrets", ctl_secret},
    {"apiextensions.k8s.io", "customresourcedefinitions", ctl_definition},
    {"apiregistration.k8s.io", "apiservices", ctl_api_service},
    {"", "nodes", ctl_node},
    {"networking.k8s.io", "ingresses", ctl_ingress},
    {"extensions", "ingresses", ctl_ingress},
    {"policy", "poddisruptionbudgets", ctl_budget},
    {"autoscaling", "horizontalpodautoscalers", ctl_autoscaler},
    {"cert-manager.io", "certificates", ctl_certificate},
    {"cert-manager.io", "issuers", ctl_certificate},
    {"cert-manager.io", "clusterissuers", ctl_certificate},
    {"certmanager.k8s.io", "certificates", ctl_certificate},
    {"certmanager.k8s.io", "issuers", ctl_certificate},
    {"certmanager.k8s.io", "clusterissuers", ctl_certificate},
};

/* One object that is to be looked at. */
struct task {
    struct task *next;
    ctl_reconcile reconcile;
    const struct type *type;
    char *space, *name;
    int64_t due_ms;
};

struct controllers {
    struct ctl ctl;
    pthread_t thread;
    struct task *tasks;
    uint64_t version;
};

/* ---- the queue ---- */

static void free_task(struct task *task)
{
    free(task->space);
    free(task->name);
    free(task);
}

static void enqueue(struct controllers *controllers, ctl_reconcile reconcile,
                    const struct type *type, const char *space, const char *name, int64_t after_ms)
{
    int64_t due_ms = mono_ms() + after_ms;
    struct task *task;

    for (task = controllers->tasks; task != NULL; task = task->next) {
        if (task->reconcile == reconcile && task->type->storage == type->storage &&
            strcmp(task->name, name) == 0 && strcmp(task->space, space) == 0) {
            task->due_ms = due_ms < task->due_ms ? due_ms : task->due_ms;
            return;
        }
    }
    task = xcalloc(1, sizeof(*task));
    task->reconcile = reconcile;
    task->type = type;
    task->space = xstrdup(space);
    task->name = xstrdup(name);
    task->due_ms = due_ms;
    task->next = controllers->tasks;
    controllers->tasks = task;
}

static const struct row *row_of(const struct type *type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].plural, type->resource.plural) == 0 &&
            strcmp(rows[i].group, type->resource.group) == 0)
            return &rows[i];
    }
    return NULL;
}

static void enqueue_object(struct controllers *controllers, const struct type *type,
                           const cJSON *object, int64_t after_ms)
{
    const struct row *row = row_of(type);
    const char *space = json_str_or(object, "metadata.namespace", "");
    const char *name = json_str_or(object, "metadata.name", "");

    if (row != NULL)
        enqueue(controllers, row->reconcile, type, space, name, after_ms);
    if (is_deleting(object) && cJSON_GetArraySize(json_at(object, "metadata.finalizers")) > 0)
        enqueue(controllers, ctl_finalize, type, space, name, after_ms);
}

/* All of a kind in a namespace. */
static void enqueue_all(struct controllers *controllers, const char *group, const char *plural,
                        const char *space)
{
    const struct resource *resource = store_resource(controllers->ctl.store, group, plural);
    struct stored **list;

    if (resource == NULL)
        return;
    list = store_list(controllers->ctl.store, resource, space, NULL);
    for (size_t i = 0; list[i] != NULL; i++)
        enqueue_object(controllers, type_of(resource), list[i]->object,
                       controllers->ctl.spec.reconcile_ms);
    store_list_free(list);
}

/* ---- from changes to tasks ---- */

static void enqueue_owners(struct controllers *controllers, const cJSON *object)
{
    const cJSON *owner;

    cJSON_ArrayForEach(owner, json_at(object, "metadata.ownerReferences"))
    {
        const struct resource *resource =
            store_kind(controllers->ctl.store, json_str_or(owner, "apiVersion", ""),
                       json_str_or(owner, "kind", ""));
        const struct row *row = resource != NULL ? row_of(type_of(resource)) : NULL;
        const char *space = json_str_or(object, "metadata.namespace", "");

        if (row != NULL)
            enqueue(controllers, row->reconcile, type_of(resource),
                    resource->namespaced ? space : "", json_str_or(owner, "name", ""), 0);
    }
}

/* What looks at objects of others: services and budgets at pods, namespaces at what they hold, … */
static void enqueue_watchers(struct controllers *controllers,
                             const struct store_change_event *event)
{
    const char *plural = event->resource->plural;
    const cJSON *object = event->now->object;
    const char *space = json_str_or(object, "metadata.namespace", "");

    if (strcmp(plural, "pods") == 0) {
        enqueue_all(controllers, "", "services", space);
        enqueue_all(controllers, "policy", "poddisruptionbudgets", space);
    } else if (strcmp(plural, "endpoints") == 0 || strcmp(plural, "services") == 0) {
        enqueue_all(controllers, "apiregistration.k8s.io", "apiservices", NULL);
    } else if (strcmp(plural, "nodes") == 0) {
        enqueue_all(controllers, "apps", "daemonsets", NULL);
    } else if (strcmp(plural, "serviceaccounts") == 0 && event->type == STORE_DELETED) {
        enqueue_all(controllers, "", "namespaces", NULL);
    }
    if (event->type == STORE_DELETED && event->resource->namespaced)
        enqueue(controllers, ctl_namespace,
                type_of(store_resource(controllers->ctl.store, "", "namespaces")), "", space,
                controllers->ctl.spec.reconcile_ms);
    if (event->type == STORE_DELETED && (type_of(event->resource)->flags & TYPE_CUSTOM) != 0)
        enqueue_all(controllers, "apiextensions.k8s.io", "customresourcedefinitions", NULL);
}

/* An object whose owner was already gone when it came has nobody to take it along. */
static void collect_orphan(struct controllers *controllers, const cJSON *object)
{
    struct store *store = controllers->ctl.store;
    const cJSON *owner;

    cJSON_ArrayForEach(owner, json_at(object, "metadata.ownerReferences"))
    {
        const struct resource *resource =
            store_kind(store, json_str_or(owner, "apiVersion", ""), json_str_or(owner, "kind", ""));
        const char *uid = json_str_or(owner, "uid", "");
        struct stored *found;

        if (resource == NULL)
            continue;
        found = store_get(store, resource, json_str(object, "metadata.namespace"),
                          json_str_or(owner, "name", ""));
        if (found == NULL || !str_equal(json_str(found->object, "metadata.uid"), uid))
            ctl_collect(&controllers->ctl, uid);
        stored_unref(found);
    }
}

static void take_event(struct controllers *controllers, const struct store_change_event *event)
{
    const cJSON *object = event->now->object;

    enqueue_owners(controllers, object);
    enqueue_watchers(controllers, event);
    if (event->type == STORE_ADDED)
        collect_orphan(controllers, object);
    if (event->type != STORE_DELETED) {
        enqueue_object(controllers, type_of(event->resource), object,
                       controllers->ctl.spec.reconcile_ms);
        return;
    }
    ctl_collect(&controllers->ctl, json_str_or(object, "metadata.uid", ""));
    if (strcmp(event->resource->plural, "pods") == 0)
        pod_state_forget(&controllers->ctl, json_str_or(object, "metadata.uid", ""));
}

/* At the beginning, and when the history does not reach back to what was seen last. */
static void take_everything(struct controllers *controllers)
{
    size_t len;
    const struct type **kinds = store_kinds(controllers->ctl.store, &len);

    controllers->version = store_version(controllers->ctl.store);
    for (size_t i = 0; i < len; i++)
        enqueue_all(controllers, kinds[i]->resource.group, kinds[i]->resource.plural, NULL);
    free(kinds);
}

/* ---- the thread ---- */

static void run_task(struct controllers *controllers, struct task *task)
{
    struct stored *stored =
        store_get(controllers->ctl.store, &task->type->resource, task->space, task->name);
    int64_t again = CTL_DONE;

    if (stored != NULL)
        again = task->reconcile(&controllers->ctl, &task->type->resource, stored->object);
    if (again >= 0)
        enqueue(controllers, task->reconcile, task->type, task->space, task->name,
                again > 0 ? again : 1);
    stored_unref(stored);
}

/* The task that is due the longest, taken out of the queue; NULL when none is. */
static struct task *next_due(struct controllers *controllers)
{
    struct task **first = NULL;
    int64_t now = mono_ms();
    struct task *task;

    for (struct task **link = &controllers->tasks; *link != NULL; link = &(*link)->next) {
        if ((*link)->due_ms <= now && (first == NULL || (*link)->due_ms < (*first)->due_ms))
            first = link;
    }
    if (first == NULL)
        return NULL;
    task = *first;
    *first = task->next;
    return task;
}

static int64_t until_due(const struct controllers *controllers)
{
    int64_t now = mono_ms();
    int64_t wait = IDLE_MS;

    for (const struct task *task = controllers->tasks; task != NULL; task = task->next) {
        if (task->due_ms - now < wait)
            wait = task->due_ms - now;
    }
    return wait > 0 ? wait : 0;
}

static void take_events(struct controllers *controllers, int64_t wait_ms)
{
    for (;;) {
        struct store_change_event event;
        int found = store_next_change(controllers->ctl.store, controllers->version, NULL, NULL,
                                      wait_ms, &event);

        if (found < 0)
            take_everything(controllers);
        if (found <= 0)
            return;
        controllers->version = event.now->version;
        take_event(controllers, &event);
        stored_unref(event.now);
        stored_unref(event.before);
        wait_ms = 0;
    }
}

static void *run(void *arg)
{
    struct controllers *controllers = arg;

    take_everything(controllers);
    while (!store_closed(controllers->ctl.store)) {
        struct task *task = next_due(controllers);

        if (task == NULL) {
            take_events(controllers, until_due(controllers));
            continue;
        }
        run_task(controllers, task);
        free_task(task);
        take_events(controllers, 0);
    }
    return NULL;
}

int controllers_start(const struct controllers_spec *spec, struct controllers **out,
                      struct err *err)
{
    struct controllers *controllers = xcalloc(1, sizeof(*controllers));

    controllers->ctl.spec = *spec;
    controllers->ctl.store = spec->store;
    if (pthread_create(&controllers->thread, NULL, run, controllers) != 0) {
        free(controllers);
        return err_set(err, ERR_FAILED, "the thread of the controllers cannot be started");
    }
    *out = controllers;
    return 0;
}

void controllers_stop(struct controllers *controllers)
{
    if (controllers == NULL)
        return;
    pthread_join(controllers->thread, NULL);
    while (controllers->tasks != NULL) {
        struct task *task = controllers->tasks;

        controllers->tasks = task->next;
        free_task(task);
    }
    pod_states_clear(&controllers->ctl);
    free(controllers);
}
