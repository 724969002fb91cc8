/* --restore: at the end of the run, however it ended, each application gets back the source and the
 * automated sync that it had before. Only specs are put back: what had automated sync goes back by
 * itself then. What somebody else changed meanwhile is left as it is. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define CONFLICTS_MOST 20
#define ROOT_MS        8000 /* for an operation of ours on the root to end */
#define RENEW_MS       5000
#define LOOK_MS        200
#define TICK_MS        500

struct deploy_restore {
    cJSON *before;       /* name: the part of its spec that a run changes */
    struct strv commits; /* that this run deploys */
    bool sealed;         /* what comes now is of our doing */
};

struct deploy_restore *restore_new(void)
{
    struct deploy_restore *restore = xcalloc(1, sizeof(*restore));

    restore->before = json_object();
    return restore;
}

void restore_free(struct deploy_restore *restore)
{
    if (restore) {
        cJSON_Delete(restore->before);
        strv_clear(&restore->commits);
        free(restore);
    }
}

void restore_expect(struct deploy_restore *restore, const char *commit)
{
    if (restore && commit) {
        strv_add(&restore->commits, commit);
    }
}

/* ---- before ---- */

static cJSON *part_of(const cJSON *application)
{
    static const char *const keys[] = {"source", "sources"};
    const cJSON *spec = json_at(application, "spec");
    const cJSON *automated = json_at(spec, "syncPolicy.automated");
    cJSON *part = json_object();

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(spec, keys[i]);

        if (value && !cJSON_IsNull(value)) {
            json_set(part, keys[i], json_copy(value));
        }
    }
    if (automated && !cJSON_IsNull(automated)) {
        json_set(json_set_object(part, "syncPolicy"), "automated", json_copy(automated));
    }
    return part;
}

void restore_see(struct deploy_restore *restore, const cJSON *application, bool touched)
{
    if (!restore) {
        return;
    }
    restore->sealed = restore->sealed || touched;
    if (!restore->sealed) {
        json_set(restore->before, json_str_or(application, "metadata.name", ""),
                 part_of(application));
    }
}

/* ---- at the end ---- */

struct one {
    struct all *all;
    char *name, *path;
    int conflicts;
    struct kube_pending *pending;
    bool open;
};

struct all {
    struct engine *engine;
    const struct deploy_restore *restore;
    struct deploy_result *result;
    struct one **ones;
    size_t len;
    struct strv failed; /* "name: why" */
};

static void all_clear(struct all *all)
{
    for (size_t i = 0; i < all->len; i++) {
        if (all->ones[i]->pending) {
            kube_cancel(all->ones[i]->pending);
        }
        free(all->ones[i]->name);
        free(all->ones[i]->path);
        free(all->ones[i]);
    }
    free(all->ones);
    strv_clear(&all->failed);
}

static bool is_our_doing(const struct all *all, const struct argocd_app *app)
{
    const char *repo_url = all->engine->plan->repo_url;

    for (size_t i = 0; i < all->restore->commits.len; i++) {
        if (argocd_app_is_from(app, repo_url) &&
            argocd_app_targets(app, repo_url, all->restore->commits.items[i])) {
            return true;
        }
    }
    return false;
}

/* Asked for by us and not begun: it would bring the commit back. */
static bool is_waiting_operation(const struct argocd_app *app)
{
    return app->operation_token[0] && strcmp(app->phase, "Running") != 0;
}

/* The patch that puts it back, NULL when there is nothing to put back. */
static cJSON *patch_of(const struct all *all, const cJSON *application)
{
    autoerr struct err ignored = ERR_INIT;
    autoapp struct argocd_app app = {0};
    autojson cJSON *now = part_of(application);
    const char *name = json_str_or(application, "metadata.name", "");
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(all->restore->before, name);
    cJSON *patch, *spec;

    if (argocd_app_parse(application, &app, &ignored) != 0 || !before || json_equal(before, now)) {
        return NULL;
    }
    if (!is_our_doing(all, &app)) {
        plan_note(all->engine->plan,
                  "application '%s' was changed by somebody else meanwhile, so it is not put back",
                  name);
        return NULL;
    }
    spec = json_merge_diff(now, before);
    patch = json_object();
    json_set_str(json_set_object(patch, "metadata"), "resourceVersion", app.version);
    json_set(patch, "spec", spec);
    if (is_waiting_operation(&app)) {
        json_set(patch, "operation", cJSON_CreateNull());
    }
    return patch;
}

static void start(struct one *one, const cJSON *patch, kube_done done)
{
    autofree char *what = xasprintf("application '%s'", one->name);
    struct kube_call call = {
        .method = patch ? "PATCH" : "GET",
        .path = one->path,
        .patch = patch ? KUBE_PATCH_MERGE : KUBE_PATCH_NONE,
        .body = patch,
        .idempotent = true,
        .what = what,
    };

    one->open = true;
    one->pending = kube_start(one->all->engine->kube, &call, done, one);
}

static void fail(struct one *one, const char *why)
{
    strv_addf(&one->all->failed, "%s (%s)", one->name, why);
}

static void patched(void *arg, cJSON *answer, struct err *err);

static void read_again(void *arg, cJSON *answer, struct err *err)
{
    struct one *one = arg;
    autojson cJSON *patch = NULL;

    one->pending = NULL;
    one->open = false;
    if (err->code == ERR_NONE && !engine_is_lost(one->all->engine)) {
        patch = patch_of(one->all, answer);
    } else if (err->code != ERR_NOT_FOUND) {
        fail(one, err->code == ERR_NONE ? "the lease was lost" : err_text(err));
    }
    cJSON_Delete(answer);
    if (patch) {
        start(one, patch, patched);
    }
}

static void patched(void *arg, cJSON *answer, struct err *err)
{
    struct one *one = arg;

    cJSON_Delete(answer);
    one->pending = NULL;
    one->open = false;
    if (err->code == ERR_NONE) {
        strv_add(&one->all->result->restored, one->name);
    } else if (err->code == ERR_CONFLICT && one->conflicts++ < CONFLICTS_MOST) {
        start(one, NULL, read_again);
    } else if (err->code != ERR_NOT_FOUND) {
        fail(one, err_text(err));
    }
}

static struct one *add_one(struct all *all, const char *name)
{
    struct one *one;
    autofree char *space = url_encode(all->engine->plan->space);
    autofree char *coded = url_encode(name);
    one = xcalloc(1, sizeof(*one));
    one->all = all;
    one->name = xstrdup(name);
    one->path = xasprintf(ARGOCD_API "/namespaces/%s/applications/%s", space, coded);
    all->ones = xrealloc(all->ones, (all->len + 1) * sizeof(struct one *));
    all->ones[all->len++] = one;
    return one;
}

static int look_at(void *arg, const cJSON *application, struct err *err)
{
    struct all *all = arg;
    const char *name = json_str_or(application, "metadata.name", "");
    const struct member *member = engine_find(all->engine, name);
    autojson cJSON *patch = NULL;

    (void)err;
    if (member && member->inside && !member->is_root && (patch = patch_of(all, application))) {
        start(add_one(all, name), patch, patched);
    }
    return 0;
}

static bool any_open(const struct all *all)
{
    for (size_t i = 0; i < all->len; i++) {
        if (all->ones[i]->open) {
            return true;
        }
    }
    return false;
}

static int drive(const struct engine *engine, int64_t ms, struct err *err)
{
    if (engine->lock) {
        kube_lock_tick(engine->lock);
        ms = kube_lock_due_ms(engine->lock, ms);
    }
    return http_drive(kube_http(engine->kube), ms, -1, "what was before", err);
}

static int drive_all(const struct all *all, struct err *err)
{
    while (any_open(all) && !engine_is_lost(all->engine)) {
        if (drive(all->engine, TICK_MS, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* By our own clock it may be too long ago that the lease was renewed: while reasons were looked
 * for.
 */
static int renew(const struct engine *engine, struct err *err)
{
    int64_t until = run_mono_ms(engine->run) + RENEW_MS;

    while (engine_is_lost(engine) && run_mono_ms(engine->run) < until) {
        if (drive(engine, LOOK_MS, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A sync of the root that is under way would write our revision into the children again. */
static int end_root_operation(struct engine *engine, struct err *err)
{
    autofree char *space = url_encode(engine->plan->space);
    autofree char *name = url_encode(engine->plan->root);
    autofree char *path = xasprintf(ARGOCD_API "/namespaces/%s/applications/%s", space, name);
    int64_t until = run_mono_ms(engine->run) + ROOT_MS;

    while (!engine_is_lost(engine)) {
        autojson cJSON *object = NULL;
        autoapp struct argocd_app app = {0};

        if (kube_get(engine->kube, path, "the root application", &object, err) != 0) {
            if (err->code != ERR_NOT_FOUND) {
                return -1;
            }
            err_clear(err);
            return 0;
        }
        if (argocd_app_parse(object, &app, err) != 0) {
            return -1;
        }
        if (!argocd_app_busy(&app) || is_waiting_operation(&app) || !app.state_token[0] ||
            run_mono_ms(engine->run) >= until) {
            return 0;
        }
        if (strcmp(app.phase, "Running") == 0) {
            autojson cJSON *patch = argocd_terminate_patch(&app);
            autoerr struct err ignored = ERR_INIT;
            struct kube_call call = {.method = "PATCH",
                                     .path = path,
                                     .patch = KUBE_PATCH_MERGE,
                                     .body = patch,
                                     .what = "the root application"};

            (void)!kube_call(engine->kube, &call, NULL, &ignored);
        }
        if (drive(engine, LOOK_MS, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int put_back(struct all *all, struct err *err)
{
    struct engine *engine = all->engine;
    autofree char *space = url_encode(engine->plan->space);
    autofree char *path = xasprintf(ARGOCD_API "/namespaces/%s/applications", space);

    if (renew(engine, err) != 0) {
        return -1;
    }
    if (end_root_operation(engine, err) != 0 ||
        (!engine_is_lost(engine) &&
         kube_list(engine->kube, path, "the list of applications", look_at, all, NULL, err) != 0)) {
        return -1;
    }
    if (drive_all(all, err) != 0 || engine_is_lost(engine)) {
        return err->code == ERR_NONE ? 0 : -1;
    }
    /* the root last: with its automated sync it sees to its children by itself again */
    start(add_one(all, engine->plan->root), NULL, read_again);
    return drive_all(all, err);
}

int restore_run(const struct deploy_restore *restore, struct engine *engine,
                struct deploy_result *result, struct err *err)
{
    CLEANUP(all_clear) struct all all = {engine, restore, result};

    if (!restore->sealed && !engine->touched) {
        return 0;
    }
    progress_phase(engine->run->progress, "restore", "putting back what the applications had");
    engine_halt(engine);
    if (put_back(&all, err) != 0) {
        return err_prefix(err, "not everything was put back");
    }
    if (engine_is_lost(engine)) {
        return err_set(err, ERR_BUSY,
                       "nothing was put back, for the lease of the cluster was lost");
    }
    if (all.failed.len) {
        autofree char *list = strv_join(&all.failed, ", ");

        return err_set(err, ERR_FAILED, "not put back: %s", list);
    }
    if (!cJSON_GetObjectItemCaseSensitive(restore->before, engine->plan->root)) {
        plan_note(engine->plan,
                  "the root application '%s' was made by this run, so there is nothing to put back "
                  "for it",
                  engine->plan->root);
    }
    log_info(engine->run->log, "revision and sync policy of %zu application%s put back",
             result->restored.len, result->restored.len == 1 ? "" : "s");
    return 0;
}
