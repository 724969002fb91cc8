/* The loop: one list and one watch serve all applications; each is moved on when something about it
 * changed or a time of its own has come. */
#include "tell.h"

#include <string.h>

#define TICK_MS 1000

int64_t engine_now(const struct engine *engine)
{
    return run_mono_ms(engine->run);
}

/* ---- members ---- */

static size_t slot(const struct engine *engine, const char *name, bool *there)
{
    size_t low = 0, high = engine->len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(engine->members[mid]->app.name, name);

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *there = false;
    return low;
}

struct member *engine_find(const struct engine *engine, const char *name)
{
    bool there;
    size_t at = slot(engine, name, &there);

    return there ? engine->members[at] : NULL;
}

static struct member *obtain(struct engine *engine, const char *name)
{
    bool there;
    size_t at = slot(engine, name, &there);
    struct member *member;

    if (there) {
        return engine->members[at];
    }
    if (engine->len == engine->size) {
        engine->size = engine->size ? engine->size * 2 : 64;
        engine->members = xrealloc(engine->members, engine->size * sizeof(struct member *));
    }
    memmove(&engine->members[at + 1], &engine->members[at],
            (engine->len - at) * sizeof(struct member *));
    member = xcalloc(1, sizeof(*member));
    member->engine = engine;
    member->app.name = xstrdup(name);
    member->reason = xstrdup("");
    member->dirty = true;
    engine->members[at] = member;
    engine->len++;
    return member;
}

void engine_init(struct engine *engine, struct plan *plan, struct kube *kube,
                 const struct argocd_install *install, struct events *events)
{
    const struct deploy_options *options = plan->options;

    *engine = (struct engine){
        .plan = plan,
        .kube = kube,
        .run = plan->run,
        .events = events,
        .install = install,
        .grace_ms = conf_duration_ms(plan->conf, "deploy.degradedGrace", 0),
        .again_ms = conf_duration_ms(plan->conf, "deploy.askAgain", 0),
        .stable_ms = options->stable_ms >= 0 ? options->stable_ms
                                             : conf_duration_ms(plan->conf, "deploy.stableFor", 0),
    };
    engine->root = obtain(engine, plan->root);
    engine->root->is_root = true;
    engine->root->selected = true;
    engine->root->group = INT64_MIN;
}

void engine_halt(struct engine *engine)
{
    kube_watch_free(engine->watch);
    engine->watch = NULL;
    for (size_t i = 0; i < engine->len; i++) {
        if (engine->members[i]->pending) {
            kube_cancel(engine->members[i]->pending);
            engine->members[i]->pending = NULL;
        }
    }
}

void engine_clear(struct engine *engine)
{
    kube_watch_free(engine->watch);
    for (size_t i = 0; i < engine->len; i++) {
        member_free(engine->members[i]);
    }
    free(engine->members);
    cJSON_Delete(engine->patches);
    err_clear(&engine->err);
    *engine = (struct engine){0};
}

/* ---- what the watch tells ---- */

static void seen(void *arg, const cJSON *object)
{
    struct engine *engine = arg;
    autoerr struct err ignored = ERR_INIT;
    struct argocd_app app;
    struct member *member;

    if (argocd_app_parse(object, &app, &ignored) != 0) {
        return;
    }
    member = obtain(engine, app.name);
    if (!member->present || app.children.len > 0 || member->app.children.len > 0) {
        engine->membership_changed = true;
    }
    argocd_app_clear(&member->app);
    member->app = app;
    member->present = true;
    member->as_rendered = plan_renders(engine->plan, object);
    restore_see(engine->restore, object, engine->touched);
    engine->dirty = member->dirty = true;
}

static void gone(void *arg, const char *space, const char *name)
{
    struct engine *engine = arg;
    struct member *member = engine_find(engine, name);

    (void)space;
    if (member) {
        member->present = false;
        engine->membership_changed = true;
        engine->dirty = member->dirty = true;
    }
}

static void listed(void *arg)
{
    struct engine *engine = arg;

    engine->listed = true;
    engine->dirty = true;
}

static void watch_failed(void *arg, struct err *err)
{
    struct engine *engine = arg;

    err_move(&engine->err, err);
}

void engine_list(struct engine *engine)
{
    struct kube_watch_handler handler = {seen, gone, listed, watch_failed, engine};
    autofree char *path = xasprintf(ARGOCD_API "/namespaces/%s/applications", engine->plan->space);

    engine->watch =
        kube_watch_start(engine->kube, path, NULL, "the list of applications", &handler);
}

/* ---- who belongs to the root ---- */

static bool is_child_of_selected(const struct engine *engine, const bool *inside,
                                 const struct member *member)
{
    bool there;
    size_t parent;

    if (!member->app.parent) {
        return false;
    }
    parent = slot(engine, member->app.parent, &there);
    return there && inside[parent] && engine->members[parent] != member;
}

static bool mark_children(const struct engine *engine, bool *inside, const struct member *parent)
{
    bool changed = false;

    for (size_t i = 0; i < parent->app.children.len; i++) {
        bool there;
        size_t at = slot(engine, parent->app.children.items[i], &there);

        if (there && !inside[at]) {
            inside[at] = changed = true;
        }
    }
    return changed;
}

static void find_family(const struct engine *engine, bool *inside)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < engine->len; i++) {
            const struct member *member = engine->members[i];

            if (!inside[i] && (member->is_root || is_child_of_selected(engine, inside, member))) {
                inside[i] = changed = true;
            }
            if (inside[i]) {
                changed = mark_children(engine, inside, member) || changed;
            }
        }
    }
}

/* By what Argo CD found in Git for their parents. */
static void find_left_over(struct engine *engine)
{
    for (size_t i = 0; i < engine->len; i++) {
        engine->members[i]->left_over = false;
    }
    for (size_t i = 0; i < engine->len; i++) {
        const struct argocd_app *parent = &engine->members[i]->app;

        for (size_t j = 0; j < parent->resources_len; j++) {
            const struct argocd_resource *resource = &parent->resources[j];
            struct member *child = NULL;

            if (resource->leftover && !resource->of_operation &&
                strcmp(resource->kind, "Application") == 0) {
                child = engine_find(engine, resource->name);
            }
            if (child && child->app.parent && strcmp(child->app.parent, parent->name) == 0) {
                child->left_over = true;
            }
        }
    }
}

/* Late children join; what is gone leaves. */
static void select_members(struct engine *engine)
{
    bool *inside = xcalloc(engine->len, sizeof(*inside));

    find_family(engine, inside);
    find_left_over(engine);
    for (size_t i = 0; i < engine->len; i++) {
        struct member *member = engine->members[i];

        member->inside = inside[i];
        if (member->is_root) {
            continue;
        }
        member->selected = inside[i] && member->present && !member->left_over &&
                           plan_selects(engine->plan, &member->app);
        if (member->selected) {
            member->group = plan_group(engine->plan, &member->app);
        }
    }
    free(inside);
    engine->membership_changed = false;
}

/* ---- moving on ---- */

static void emit(struct engine *engine, const struct member *member)
{
    cJSON *fields;

    if (!engine->events) {
        return;
    }
    fields = json_object();
    json_set_str(fields, "app", member->app.name);
    json_set_str(fields, "state", argocd_verdict_name(member->verdict));
    json_set_str(fields, "revision",
                 member->present ? argocd_app_revision(&member->app, engine->plan->repo_url) : "");
    json_set_str(fields, "sync", member->present ? member->app.sync_status : "");
    json_set_str(fields, "health", member->present ? member->app.health : "");
    json_set_str(fields, "reason", member->reason);
    events_emit(engine->events, "app", fields);
}

static void step_and_tell(struct engine *engine, struct member *member)
{
    enum argocd_verdict before = member->verdict;
    enum step step = member->step;
    autofree char *reason = NULL;

    if (!member->dirty && member_due(member, 1) > 0) {
        return;
    }
    reason = xstrdup(member->reason);
    member->dirty = false;
    member_step(member);
    engine->dirty = engine->dirty || member->step != step;
    if (member->verdict != before || member->step != step || strcmp(reason, member->reason) != 0) {
        log_debug(engine->run->log, "%s: %s%s%s", member->app.name,
                  argocd_verdict_name(member->verdict), member->reason[0] ? ": " : "",
                  member->reason);
        emit(engine, member);
    }
}

/* The group whose turn it is: the first with one that is not live. */
static int64_t turn(const struct engine *engine)
{
    int64_t group = INT64_MAX;

    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        if (member->selected && !member->is_root && member->step != STEP_HELD &&
            member->group < group) {
            group = member->group;
        }
    }
    return group;
}

/* With a branch to watch whose head nobody could tell: what Argo CD found there, freshly. */
static void learn_head(struct engine *engine)
{
    struct plan *plan = engine->plan;
    const struct member *root = engine->root;
    const char *revision = argocd_app_revision(&root->app, plan->repo_url);

    struct argocd_wanted wanted = member_wanted(root);
    bool fresh =
        wanted.refreshed ||
        (root->reconciled_before && strcmp(root->reconciled_before, root->app.reconciled_at) != 0);

    if (!plan->follow || plan->commit || root->step != STEP_WAITING || root->app.refreshing ||
        !git_is_id(revision) || !fresh) {
        return;
    }
    plan->commit = xstrdup(revision);
}

/* The patches for the root's source, from what the commit renders, else from the children there
 * are. */
static cJSON *child_patches(const struct engine *engine)
{
    const struct plan *plan = engine->plan;
    bool kustomized = plan->manifests ? plan->root_set.kustomized
                                      : engine->root->present &&
                                            strcmp(engine->root->app.source_type, "Kustomize") == 0;
    const struct argocd_app **children;
    size_t len = 0;
    cJSON *patches;

    if (plan->follow || !engine->install->patches || !kustomized) {
        return NULL;
    }
    children = xcalloc(plan->len + engine->len, sizeof(struct argocd_app *));
    for (size_t i = 0; i < plan->len; i++) {
        children[len++] = &plan->apps[i].app;
    }
    for (size_t i = 0; i < engine->len && !plan->manifests; i++) {
        const struct member *member = engine->members[i];

        if (member->app.parent && strcmp(member->app.parent, plan->root) == 0) {
            children[len++] = &member->app;
        }
    }
    patches = argocd_child_patches(children, len, plan->repo_url, plan->commit);
    free(children);
    return patches;
}

/* A mistyped apps.repoURL (or apps.root) must not take somebody's root application away. */
static void check_root(struct engine *engine)
{
    const struct plan *plan = engine->plan;
    const struct argocd_app *app = &engine->root->app;

    if (!engine->root->present || app->sources.len == 0 ||
        argocd_app_is_from(app, plan->repo_url)) {
        return;
    }
    (void)!err_set(&engine->err, ERR_USAGE,
                   "the root application '%s' of cluster '%s' is made from '%s', and apps.repoURL "
                   "is '%s', so nothing was touched: correct apps.repoURL or apps.root; to move it "
                   "there for good, set its spec.source.repoURL first",
                   plan->root, plan->cluster, app->sources.items[0].repo_url, plan->repo_url);
}

void engine_prepare(struct engine *engine)
{
    engine->patches = child_patches(engine);
    engine->root_apart = !engine->plan->follow && !engine->patches;
    engine->prepared = true;
    select_members(engine);
    check_root(engine);
}

static void step_root(struct engine *engine)
{
    struct member *root = engine->root;

    if (root->present) {
        learn_head(engine);
    }
    step_and_tell(engine, root);
    if (member_is_synced(root)) {
        engine->root_ready = true;
    } else if (root->step == STEP_QUEUED || root->step == STEP_ASKING) {
        engine->root_ready = false;
    }
}

static void step_all(struct engine *engine)
{
    bool stop, restless;
    int64_t group;

    if (!engine->listed || engine_is_lost(engine)) {
        return;
    }
    if (!engine->prepared) {
        engine_prepare(engine);
        if (engine->err.code != ERR_NONE) {
            return;
        }
        engine_make_children(engine);
    }
    if (engine->root->step == STEP_QUEUED && engine_awaits_children(engine)) {
        return;
    }
    step_root(engine);
    if (engine->membership_changed && (engine->root_ready || engine_overrides(engine))) {
        select_members(engine);
    }
    restless = engine_hold_children(engine);
    if (!engine->root_ready) {
        return;
    }
    stop = restless || engine_any_failed(engine);
    group = engine->plan->follow ? INT64_MAX : turn(engine);
    for (size_t i = 0; i < engine->len; i++) {
        struct member *member = engine->members[i];
        bool waits = member->step == STEP_QUEUED && (stop || member->group > group);

        if (member->selected && !member->is_root && !waits) {
            step_and_tell(engine, member);
        }
    }
}

/* ---- the loop ---- */

static void show(const struct engine *engine)
{
    size_t all = engine_count(engine, STEP_HELD, false);
    size_t live = engine_count(engine, STEP_HELD, true);
    autofree char *what = engine_missing(engine);

    progress_update(engine->run->progress, "%zu of %zu applications live; %s%s", live, all,
                    engine->held_since ? "" : "waiting for ",
                    engine->held_since ? "holding for the stability window" : what);
}

static int64_t next_due(const struct engine *engine)
{
    int64_t now = engine_now(engine);
    int64_t wait = kube_watch_due_ms(engine->watch, TICK_MS);

    if (engine->lock) {
        wait = kube_lock_due_ms(engine->lock, wait);
    }
    if (engine->held_since) {
        int64_t left = engine->held_since + engine->stable_ms - now;

        wait = left < wait ? left : wait;
    }
    for (size_t i = 0; i < engine->len; i++) {
        if (engine->members[i]->inside) {
            wait = member_due(engine->members[i], wait);
        }
    }
    return wait > 0 ? wait : 0;
}

static int drive(struct engine *engine, struct err *err)
{
    autofree char *what = NULL;

    if (http_drive(kube_http(engine->kube), next_due(engine), -1, "applications", err) == 0) {
        return 0;
    }
    if (err->code == ERR_TIMEOUT) {
        what = engine_missing(engine);
        err_set(err, ERR_TIMEOUT, "timed out waiting for %s", what);
    }
    return -1;
}

int engine_run(struct engine *engine, struct err *err)
{
    int over;

    progress_phase(engine->run->progress, "sync", "reading the applications");
    engine_list(engine);
    for (;;) {
        engine->dirty = false;
        kube_watch_tick(engine->watch);
        tell_tick(engine->plan->tell);
        if (engine->way && reach_tend(engine->plan, engine->way, err) != 0) {
            return -1;
        }
        if (engine->lock) {
            kube_lock_tick(engine->lock);
        }
        step_all(engine);
        engine_look_for_hopeless(engine);
        over = engine_outcome(engine, err);
        if (over > 0) {
            engine_name_leftovers(engine);
            return 0;
        }
        if (over < 0) {
            return -1;
        }
        if (engine->dirty) {
            continue; /* a step led to another one */
        }
        show(engine);
        if (drive(engine, err) != 0) {
            return -1;
        }
    }
}
