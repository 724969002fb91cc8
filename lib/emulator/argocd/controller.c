#include "emulator/argocd/controller.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "emulator/argocd/application.h"

/* In reality 3 minutes; here everything else is as much faster. */
#define POLL_FACTOR    40  /* of the reaction time: branches are looked at */
#define COMPARE_FACTOR 400 /* of the reaction time: everything is compared again */
#define MIN_POLL_MS    200
#define MIN_COMPARE_MS 5000
#define IDLE_MS        250  /* longest wait before the stop flag is looked at */
#define MAX_BATCH      1000 /* events read at a time */
#define MAX_TURNS      16   /* things done before the events are looked at again */

struct queue_item {
    char *name;
    int64_t refresh_at; /* 0: none */
    int64_t operate_at;
    enum compare_level level;
    int64_t compared_at; /* the last full comparison */
    cJSON *state;
};

/* ---- the queue ---- */

static struct queue_item *find_item(struct controller *controller, const char *name)
{
    for (size_t i = 0; i < controller->items_len; i++) {
        if (strcmp(controller->items[i].name, name) == 0)
            return &controller->items[i];
    }
    return NULL;
}

static struct queue_item *need_item(struct controller *controller, const char *name)
{
    struct queue_item *item = find_item(controller, name);

    if (item != NULL)
        return item;
    if (controller->items_len == controller->items_size) {
        controller->items_size = controller->items_size > 0 ? controller->items_size * 2 : 64;
        controller->items =
            xrealloc(controller->items, controller->items_size * sizeof(*controller->items));
    }
    item = &controller->items[controller->items_len++];
    *item =
        (struct queue_item){.name = xstrdup(name), .compared_at = run_mono_ms(&controller->run)};
    return item;
}

static void item_clear(struct queue_item *item)
{
    free(item->name);
    cJSON_Delete(item->state);
}

static void drop_item(struct controller *controller, const char *name)
{
    struct queue_item *item = find_item(controller, name);

    if (item == NULL)
        return;
    item_clear(item);
    *item = controller->items[--controller->items_len];
}

static void set_sooner(int64_t *at, int64_t then)
{
    if (*at == 0 || then < *at)
        *at = then;
}

void controller_refresh_after(struct controller *controller, const char *app, int64_t ms,
                              enum compare_level level)
{
    struct queue_item *item = need_item(controller, app);

    set_sooner(&item->refresh_at, run_mono_ms(&controller->run) + ms);
    if (level > item->level)
        item->level = level;
}

void controller_operate_after(struct controller *controller, const char *app, int64_t ms)
{
    set_sooner(&need_item(controller, app)->operate_at, run_mono_ms(&controller->run) + ms);
}

void controller_keep_state(struct controller *controller, const char *app, cJSON *state)
{
    struct queue_item *item = need_item(controller, app);

    cJSON_Delete(item->state);
    item->state = state;
}

cJSON *controller_take_state(struct controller *controller, const char *app)
{
    struct queue_item *item = find_item(controller, app);

    return item != NULL ? steal(item->state) : NULL;
}

/* ---- the store ---- */

const struct resource *controller_applications(struct controller *controller)
{
    return store_resource(controller->store, ARGOCD_GROUP, "applications");
}

struct stored *controller_application(struct controller *controller, const char *name)
{
    const struct resource *applications = controller_applications(controller);

    return applications != NULL ? store_get(controller->store, applications, ARGOCD_NAMESPACE, name)
                                : NULL;
}

bool controller_patch(struct controller *controller, const char *name, const cJSON *patch)
{
    autoerr struct err err = ERR_INIT;
    const struct resource *applications = controller_applications(controller);

    if (applications == NULL ||
        store_merge(controller->store, applications, ARGOCD_NAMESPACE, name, patch, &err) < 0) {
        log_debug(controller->config.log, "argocd: cannot write application '%s': %s", name,
                  err_text(&err));
        return false;
    }
    return true;
}

struct time_text controller_now(struct controller *controller)
{
    return time_rfc3339(run_wall_ms(&controller->run));
}

/* ---- settings ---- */

static enum tracking_method tracking_method(const cJSON *data)
{
    const char *method =
        json_str_or(object_member(data, "application.resourceTrackingMethod"), NULL, "label");

    if (strcmp(method, "annotation") == 0)
        return TRACK_ANNOTATION;
    return strcmp(method, "annotation+label") == 0 ? TRACK_BOTH : TRACK_LABEL;
}

static void read_settings(struct controller *controller)
{
    const struct resource *maps = store_resource(controller->store, "", "configmaps");
    struct stored *stored = store_get(controller->store, maps, ARGOCD_NAMESPACE, "argocd-cm");
    const cJSON *data = stored != NULL ? object_member(stored->object, "data") : NULL;

    controller->health = health_settings(stored != NULL ? stored->object : NULL);
    renderer_set_build_options(
        controller->renderer,
        json_str_or(object_member(data, "kustomize.buildOptions"), NULL, NULL));
    tracker_load(controller->tracker, tracking_method(data),
                 json_str_or(object_member(data, "application.instanceLabelKey"), NULL,
                             "app.kubernetes.io/instance"));
    stored_unref(stored);
}

static void refresh_all(struct controller *controller, enum compare_level level)
{
    const struct resource *applications = controller_applications(controller);
    struct stored **list;

    if (applications == NULL)
        return;
    list = store_list(controller->store, applications, ARGOCD_NAMESPACE, NULL);
    for (size_t i = 0; list[i] != NULL; i++) {
        const char *name = json_str_or(list[i]->object, "metadata.name", "");

        controller_refresh_after(controller, name, controller->config.reconcile_ms, level);
        controller_operate_after(controller, name, controller->config.reconcile_ms);
    }
    store_list_free(list);
}

/* ---- its own version ---- */

#define CONTROLLER_NAME "argocd-application-controller"

static const char *const workload_kinds[] = {"StatefulSet", "Deployment"};

static bool version_at_least(const char *version, long major, long minor)
{
    char *end;
    long given = strtol(version + (*version == 'v'), &end, 10);

    if (given != major)
        return given > major;
    return *end == '.' && strtol(end + 1, NULL, 10) >= minor;
}

/* "1.1.0-rc1.1" of "quay.io/cybozu/argocd:1.1.0-rc1.1"; NULL for a tag that tells no version. */
static const char *image_version(const char *image)
{
    const char *name = strrchr(image, '/');
    const char *tag = strchr(name != NULL ? name : image, ':');

    if (tag == NULL)
        return NULL;
    tag++;
    return isdigit((unsigned char)tag[*tag == 'v' ? 1 : 0]) ? tag : NULL;
}

/* What was in memory is gone; operations go on from what is stored. */
static void forget(struct controller *controller)
{
    for (size_t i = 0; i < controller->items_len; i++) {
        cJSON_Delete(controller->items[i].state);
        controller->items[i].state = NULL;
    }
}

static void restart_as(struct controller *controller, const char *version)
{
    log_info(controller->config.log, "argocd: the controller starts again as %s", version);
    controller->patches_known = version_at_least(version, 2, 9);
    forget(controller);
    refresh_all(controller, COMPARE_NEEDED);
}

/* Whichever workload got another image last is the one that runs: manifests of another release
 * bring another kind of it (a Deployment before 1.8), and whoever applied them wants that one. */
static void follow_image(struct controller *controller, const cJSON *workload)
{
    size_t which = strcmp(json_str_or(workload, "kind", ""), workload_kinds[0]) == 0 ? 0 : 1;
    const char *image = json_str(workload, "spec.template.spec.containers[0].image");
    const char *version = image != NULL ? image_version(image) : NULL;
    bool first = controller->images[0] == NULL && controller->images[1] == NULL;

    if (version == NULL ||
        (controller->images[which] != NULL && strcmp(controller->images[which], image) == 0))
        return;
    free(controller->images[which]);
    controller->images[which] = xstrdup(image);
    if (!first)
        restart_as(controller, version);
}

static void find_images(struct controller *controller)
{
    for (size_t i = 0; i < ARRAY_LEN(workload_kinds); i++) {
        const struct resource *resource =
            store_kind(controller->store, "apps/v1", workload_kinds[i]);
        struct stored *stored = resource != NULL ? store_get(controller->store, resource,
                                                             ARGOCD_NAMESPACE, CONTROLLER_NAME)
                                                 : NULL;

        if (stored != NULL)
            follow_image(controller, stored->object);
        stored_unref(stored);
    }
}

/* ---- faults ---- */

static bool fault_hits(struct controller *controller, const char *app, const char *what,
                       int64_t *pause_ms)
{
    return controller->config.fault != NULL &&
           controller->config.fault(controller->config.fault_arg, app, what, pause_ms);
}

bool controller_fault(struct controller *controller, const char *app, const char *what)
{
    int64_t ignored;

    return fault_hits(controller, app, what, &ignored);
}

/* Its process ends before this is done, and another one starts a while later. */
static bool restarts_now(struct controller *controller, const char *app)
{
    int64_t pause;

    if (!fault_hits(controller, app, "restart", &pause))
        return false;
    forget(controller);
    controller->absent_until = run_mono_ms(&controller->run) + pause;
    return true;
}

/* ---- events ---- */

static void on_touched(void *arg, const char *app)
{
    struct controller *controller = arg;

    if (find_item(controller, app) != NULL)
        controller_refresh_after(controller, app, controller->config.reconcile_ms, COMPARE_RECENT);
}

static bool is_in_argocd(const cJSON *object)
{
    return strcmp(json_str_or(object, "metadata.namespace", ""), ARGOCD_NAMESPACE) == 0;
}

static void on_application(struct controller *controller, const struct store_event *event)
{
    const char *name = json_str_or(event->stored->object, "metadata.name", "");

    if (event->type == STORE_DELETED) {
        drop_item(controller, name);
        return;
    }
    controller_refresh_after(controller, name, controller->config.reconcile_ms, COMPARE_NEEDED);
    if (json_at(event->stored->object, "operation") != NULL ||
        json_str(event->stored->object, "metadata.deletionTimestamp") != NULL)
        controller_operate_after(controller, name, controller->config.reconcile_ms);
}

static void on_event(struct controller *controller, const struct store_event *event)
{
    const struct resource *resource = event->resource;
    const cJSON *object = event->stored->object;

    tracker_event(controller->tracker, event, on_touched, controller);
    if (!is_in_argocd(object))
        return;
    if (strcmp(resource->group, ARGOCD_GROUP) == 0 && strcmp(resource->kind, "Application") == 0) {
        on_application(controller, event);
    } else if (strcmp(resource->group, ARGOCD_GROUP) == 0 &&
               strcmp(resource->kind, "AppProject") == 0) {
        refresh_all(controller, COMPARE_LATEST);
    } else if (strcmp(resource->kind, "ConfigMap") == 0 &&
               strcmp(json_str_or(object, "metadata.name", ""), "argocd-cm") == 0) {
        read_settings(controller);
        refresh_all(controller, COMPARE_LATEST);
    } else if (strcmp(resource->group, "apps") == 0 && event->type != STORE_DELETED &&
               strcmp(json_str_or(object, "metadata.name", ""), CONTROLLER_NAME) == 0) {
        follow_image(controller, object);
    }
}

/* Everything anew: at the start, and when the history was shorter than a pause of ours. */
static void start_over(struct controller *controller, enum compare_level level)
{
    controller->seen = store_version(controller->store);
    read_settings(controller);
    find_images(controller);
    refresh_all(controller, level);
}

/* ---- what is due ---- */

static void run_item(struct controller *controller, const char *given, bool refresh,
                     enum compare_level level)
{
    /* The item may move or go while it is worked on. */
    autofree char *name = xstrdup(given);
    struct queue_item *item = find_item(controller, name);

    if (level == COMPARE_LATEST)
        item->compared_at = run_mono_ms(&controller->run);
    if (refresh)
        application_refresh(controller, name, level);
    else if (!restarts_now(controller, name))
        application_operate(controller, name);
}

/* When the item's next thing is due, INT64_MAX for never. */
static int64_t due_at(const struct queue_item *item)
{
    int64_t at = item->operate_at != 0 ? item->operate_at : INT64_MAX;

    return item->refresh_at != 0 && item->refresh_at < at ? item->refresh_at : at;
}

static struct queue_item *next_item(const struct controller *controller)
{
    struct queue_item *next = NULL;

    for (size_t i = 0; i < controller->items_len; i++) {
        if (next == NULL || due_at(&controller->items[i]) < due_at(next))
            next = &controller->items[i];
    }
    return next;
}

/* The one thing that is due for longest; false when nothing is. */
static bool work(struct controller *controller)
{
    struct queue_item *item = next_item(controller);
    enum compare_level level;

    if (item == NULL || due_at(item) > run_mono_ms(&controller->run))
        return false;
    if (item->operate_at != 0 && item->operate_at == due_at(item)) {
        item->operate_at = 0;
        run_item(controller, item->name, false, COMPARE_NEEDED);
        return true;
    }
    level = item->level;
    item->refresh_at = 0;
    item->level = COMPARE_NEEDED;
    run_item(controller, item->name, true, level);
    return true;
}

/* The head of a branch that the application follows is another one now. */
static bool moved(struct controller *controller, const cJSON *app)
{
    bool is_multi;
    autojson cJSON *sources = application_sources(controller, app, &is_multi);
    const cJSON *source = is_multi ? sources->child : sources;

    for (int i = 0; source != NULL; source = is_multi ? source->next : NULL, i++) {
        const char *revision = json_str_or(source, "targetRevision", "");
        const char *mirror = controller->config.mirror(controller->config.mirror_arg,
                                                       json_str_or(source, "repoURL", ""));
        const char *compared =
            is_multi ? json_str_or(cJSON_GetArrayItem(json_at(app, "status.sync.revisions"), i),
                                   NULL, "")
                     : json_str_or(app, "status.sync.revision", "");
        autoerr struct err ignored = ERR_INIT;
        struct commit_sha sha;

        if (!revision_is_sha(revision, true) && mirror != NULL && *compared != '\0' &&
            repository_resolve(renderer_repositories(controller->renderer), mirror, revision, &sha,
                               &ignored) == 0 &&
            strcmp(sha.text, compared) != 0)
            return true;
    }
    return false;
}

static int64_t at_least(int64_t value, int64_t least)
{
    return value > least ? value : least;
}

static int64_t poll_ms(const struct controller *controller)
{
    int64_t given = controller->config.poll_ms;

    return given != 0 ? given
                      : at_least(POLL_FACTOR * controller->config.reconcile_ms, MIN_POLL_MS);
}

static void poll_applications(struct controller *controller)
{
    int64_t now = run_mono_ms(&controller->run);
    int64_t reaction = controller->config.reconcile_ms;
    int64_t between = at_least(COMPARE_FACTOR * reaction, MIN_COMPARE_MS);

    if (now < controller->next_poll)
        return;
    controller->next_poll = now + poll_ms(controller);
    for (size_t i = 0; i < controller->items_len; i++) {
        struct queue_item *item = &controller->items[i];
        struct stored *stored = controller_application(controller, item->name);

        if (stored != NULL &&
            (now - item->compared_at >= between || moved(controller, stored->object))) {
            set_sooner(&item->refresh_at, now + reaction);
            item->level = COMPARE_LATEST;
        }
        stored_unref(stored);
    }
}

/* ---- the thread ---- */

static int64_t pause_ms(const struct controller *controller)
{
    int64_t absent = controller->absent_until - run_mono_ms(&controller->run);
    const struct queue_item *next = next_item(controller);
    int64_t until = controller->next_poll;

    if (next != NULL && due_at(next) < until)
        until = due_at(next);
    until -= run_mono_ms(&controller->run);
    until = until < absent ? absent : until;
    return until < 0 ? 0 : until > IDLE_MS ? IDLE_MS : until;
}

static void watch(struct controller *controller)
{
    int64_t wait = pause_ms(controller);

    for (int i = 0; i < MAX_BATCH && !controller->stop; i++) {
        struct store_event event;
        int got = store_next(controller->store, controller->seen, NULL, NULL, wait, &event);

        if (got < 0)
            start_over(controller, COMPARE_RECENT);
        if (got <= 0)
            return;
        controller->seen = event.stored->version;
        on_event(controller, &event);
        stored_unref(event.stored);
        wait = 0;
    }
}

static void *run_controller(void *arg)
{
    struct controller *controller = arg;

    start_over(controller, COMPARE_NEEDED);
    while (!controller->stop && !store_closed(controller->store)) {
        watch(controller);
        if (run_mono_ms(&controller->run) < controller->absent_until)
            continue;
        if (controller->absent_until != 0) {
            controller->absent_until = 0;
            start_over(controller, COMPARE_NEEDED);
        }
        poll_applications(controller);
        for (int i = 0; i < MAX_TURNS && !controller->stop && work(controller); i++)
            continue;
    }
    return NULL;
}

/* ---- start and stop ---- */

static void controller_free(struct controller *controller)
{
    for (size_t i = 0; i < controller->items_len; i++)
        item_clear(&controller->items[i]);
    free(controller->items);
    free(controller->images[0]);
    free(controller->images[1]);
    tracker_free(controller->tracker);
    renderer_free(controller->renderer);
    if (controller->wake_fd >= 0)
        close(controller->wake_fd);
    free(controller);
}

int controller_start(const struct controller_config *config, struct controller **out,
                     struct err *err)
{
    struct controller *controller = xcalloc(1, sizeof(*controller));
    int failed;

    controller->config = *config;
    controller->store = config->store;
    controller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    controller->run = (struct run){.log = config->log,
                                   .clock = &clock_system,
                                   .signal = &controller->stop,
                                   .wake_fd = controller->wake_fd,
                                   .deadline = RUN_NO_DEADLINE,
                                   .environ = config->environ};
    controller->patches_known = version_at_least(config->version, 2, 9);
    controller->renderer = renderer_new(config->work_dir, &controller->run);
    controller->tracker = tracker_new(config->store);
    failed = pthread_create(&controller->thread, NULL, run_controller, controller);
    if (failed != 0) {
        controller_free(controller);
        return err_set_errno(err, ERR_FAILED, failed, "cannot start the thread of Argo CD");
    }
    *out = controller;
    return 0;
}

void controller_stop(struct controller *controller)
{
    uint64_t one = 1;

    if (controller == NULL)
        return;
    controller->stop = SIGTERM;
    if (write(controller->wake_fd, &one, sizeof(one)) < 0)
        log_debug(controller->config.log, "argocd: cannot wake the controller");
    pthread_join(controller->thread, NULL);
    controller_free(controller);
}
