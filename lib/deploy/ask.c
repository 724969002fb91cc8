/* What is asked of the cluster: each request is one guarded patch, or the creation of the root. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define MANAGER        "fieldManager=necoops"
#define CONFLICT_MS    1000 /* a refused patch is tried again at the latest after this */
#define LEAST_PAUSE_MS 100

static char *app_path(const struct engine *engine, const char *name)
{
    autofree char *space = url_encode(engine->plan->space);
    autofree char *last = name ? url_encode(name) : NULL;

    return xasprintf(ARGOCD_API "/namespaces/%s/applications%s%s?" MANAGER, space, last ? "/" : "",
                     last ? last : "");
}

/* Somebody wrote in between: look again when the watch shows it. */
static void refused(struct member *member)
{
    int64_t now = engine_now(member->engine);

    member->step = STEP_QUEUED;
    member->retry_at = now + CONFLICT_MS;
    free(member->reason);
    member->reason = xstrdup("it was changed by somebody else just now; looking again");
}

static void asked(void *arg, cJSON *answer, struct err *err)
{
    struct member *member = arg;

    cJSON_Delete(answer);
    member->pending = NULL;
    member->engine->dirty = member->dirty = true;
    if (err->code == ERR_NONE) {
        member->step = STEP_WAITING;
        member->waiting_since = engine_now(member->engine);
    } else if (err->code == ERR_CONFLICT || err->code == ERR_EXISTS) {
        refused(member);
    } else if (err->code == ERR_NOT_FOUND && !member->is_root) {
        refused(member);
    } else {
        member_fail(member, err->code, xstrdup(err_text(err)));
    }
}

static void send(struct member *member, const char *method, const char *path, const cJSON *body)
{
    autofree char *what = xasprintf("application '%s'", member->app.name);
    struct kube_call call = {
        .method = method,
        .path = path,
        .patch = strcmp(method, "PATCH") == 0 ? KUBE_PATCH_MERGE : KUBE_PATCH_NONE,
        .body = body,
        .idempotent = true, /* guarded: a second one is refused */
        .what = what,
    };

    member->engine->touched = true;
    member->step = STEP_ASKING;
    free(member->asked_at);
    member->asked_at = xstrdup(member->app.version ? member->app.version : "");
    free(member->reconciled_before);
    member->reconciled_before = xstrdup(member->app.reconciled_at ? member->app.reconciled_at : "");
    if (!member->started_at) {
        member->started_at = engine_now(member->engine);
    }
    member->refresh_seen = false;
    member->untouched = false;
    member->pending = kube_start(member->engine->kube, &call, asked, member);
}

static void new_token(struct member *member)
{
    struct uuid_text uuid = uuid_random();

    text_copy(member->token, sizeof(member->token), uuid.text);
    member->token_seen = false;
}

static struct argocd_sync sync_of(const struct member *member)
{
    const struct plan *plan = member->engine->plan;
    bool ours = member->is_root || argocd_app_is_from(&member->app, plan->repo_url);

    return (struct argocd_sync){
        .repo_url = plan->repo_url,
        .revision = ours ? plan->commit : NULL,
        .target = ours ? plan->commit : NULL,
        .token = member->token,
        .prune = plan_prunes(plan, &member->app),
        .suspend_automated = ours,
        .retries = conf_int(plan->conf, "deploy.syncRetries", 0),
    };
}

void ask_sync(struct member *member)
{
    struct engine *engine = member->engine;
    autofree char *path = app_path(engine, member->app.name);

    new_token(member);
    struct argocd_sync sync = sync_of(member);
    autojson cJSON *patch = argocd_sync_patch(&member->app, &sync);
    if (json_at(patch, "spec")) {
        engine->root_apart = true; /* it differs from what the root renders now */
    }
    send(member, "PATCH", path, patch);
}

/* ---- the root ---- */

static struct argocd_root root_wanted(const struct engine *engine)
{
    const struct plan *plan = engine->plan;

    return (struct argocd_root){
        .name = plan->root,
        .space = plan->space,
        .project = "default",
        .repo_url = plan->repo_url,
        .path = plan->path,
        .target = plan->follow ? plan->branch : plan->commit,
        .automated = plan->follow,
        .patches = engine->patches,
    };
}

static void create_root(struct member *member)
{
    struct engine *engine = member->engine;
    struct argocd_root root = root_wanted(engine);
    autofree char *path = app_path(engine, NULL);
    struct argocd_sync sync = sync_of(member);
    autojson cJSON *resources = engine_root_resources(engine);
    cJSON *operation = NULL;

    sync.resources = resources;
    if (resources && !resources->child) {
        member->token[0] = '\0'; /* all that it renders is there, and there is nothing to sync */
    } else if (!engine->plan->follow) {
        operation = argocd_operation(NULL, false, &sync);
    }
    autojson cJSON *object = argocd_root_object(&root, operation);

    send(member, "POST", path, object);
}

void ask_root(struct member *member)
{
    struct engine *engine = member->engine;
    struct argocd_root root = root_wanted(engine);
    autofree char *path = app_path(engine, engine->plan->root);
    autojson cJSON *patch = NULL;
    autojson cJSON *resources = NULL;
    cJSON *spec;

    if (!engine->plan->follow) {
        new_token(member);
    }
    if (!member->present) {
        create_root(member);
        return;
    }
    resources = engine_root_resources(engine);
    if (resources && !resources->child) {
        member->token[0] = '\0'; /* its revision moves, and there is nothing to sync */
    }
    if (engine->plan->follow || !member->token[0]) {
        patch = argocd_refresh_patch();
        json_set_str(cJSON_GetObjectItemCaseSensitive(patch, "metadata"), "resourceVersion",
                     member->app.version);
    } else {
        struct argocd_sync sync = sync_of(member);

        sync.resources = resources;
        patch = argocd_sync_patch(&member->app, &sync);
        cJSON_DeleteItemFromObjectCaseSensitive(patch, "spec");
    }
    spec = argocd_root_spec_patch(&member->app, &root);
    if (spec) {
        json_set(patch, "spec", spec);
    }
    send(member, "PATCH", path, patch);
}

/* ---- others ---- */

/* Its outcome shows in the watch; an error only means that it is asked again. */
static void side_done(void *arg, cJSON *answer, struct err *err)
{
    struct member *member = arg;

    cJSON_Delete(answer);
    member->pending = NULL;
    member->asking_termination = false;
    member->engine->dirty = member->dirty = true;
    if (err->code == ERR_DENIED) {
        member_fail(member, err->code, xstrdup(err_text(err)));
    } else if (err->code != ERR_NONE) {
        member->retry_at = engine_now(member->engine) + LEAST_PAUSE_MS;
    }
}

static void send_side(struct member *member, const cJSON *patch)
{
    autofree char *path = app_path(member->engine, member->app.name);
    autofree char *what = xasprintf("application '%s'", member->app.name);
    struct kube_call call = {
        .method = "PATCH",
        .path = path,
        .patch = KUBE_PATCH_MERGE,
        .body = patch,
        .idempotent = true,
        .what = what,
    };

    member->pending = kube_start(member->engine->kube, &call, side_done, member);
}

void ask_hold(struct member *member)
{
    struct argocd_sync sync = sync_of(member);
    autojson cJSON *patch = argocd_hold_patch(&member->app, &sync);

    member->engine->touched = member->engine->root_apart = true;
    member->retry_at = 0;
    free(member->asked_at);
    member->asked_at = xstrdup(member->app.version);
    send_side(member, patch);
}

void ask_termination(struct member *member)
{
    autojson cJSON *patch = argocd_terminate_patch(&member->app);

    member->asking_termination = true;
    free(member->asked_at);
    member->asked_at = xstrdup(member->app.version);
    send_side(member, patch);
}

void ask_refresh(struct member *member)
{
    autojson cJSON *patch = argocd_refresh_patch();

    member->refreshes++;
    send_side(member, patch);
}
