/* New children where the root cannot carry their overrides: the root's sync would make them as Git
 * has them, with a branch and automated sync, and Argo CD would begin to sync that branch before
 * they can be held. So they are made here, with the commit and without automated sync, and marked
 * as the root's; the root's sync leaves out what is as the commit renders it. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define SEEN_MS 10000 /* until the watch shows what was made */

/* Argo CD marks what an application made in one of two ways; the other one does no harm.
 * https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/ */
static void mark(const struct plan *plan, cJSON *object)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    autofree char *tracking = xasprintf("%s:argoproj.io/Application:%s/%s", plan->root, plan->space,
                                        json_str_or(metadata, "name", ""));
    cJSON *labels = cJSON_GetObjectItemCaseSensitive(metadata, "labels");
    cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");

    json_set_str(cJSON_IsObject(labels) ? labels : json_set_object(metadata, "labels"),
                 "app.kubernetes.io/instance", plan->root);
    json_set_str(cJSON_IsObject(annotations) ? annotations
                                             : json_set_object(metadata, "annotations"),
                 "argocd.argoproj.io/tracking-id", tracking);
    json_set_str(metadata, "namespace", plan->space);
}

static void retarget(cJSON *source, const struct plan *plan)
{
    if (git_url_same(json_str_or(source, "repoURL", ""), plan->repo_url) &&
        !json_at(source, "chart")) {
        json_set_str(source, "targetRevision", plan->commit);
    }
}

static cJSON *object_of(const struct plan *plan, const struct planned_app *planned)
{
    cJSON *object = json_copy(planned->object);
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
    cJSON *source;

    cJSON_ArrayForEach(source, cJSON_GetObjectItemCaseSensitive(spec, "sources"))
    {
        retarget(source, plan);
    }
    retarget(cJSON_GetObjectItemCaseSensitive(spec, "source"), plan);
    cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(spec, "syncPolicy"),
                                            "automated");
    mark(plan, object);
    return object;
}

static bool is_there(const struct engine *engine, const struct planned_app *planned)
{
    const struct member *member = engine_find(engine, planned->app.name);

    return member && member->present;
}

/* Only what would sync by itself, and lies where Argo CD looks. */
static bool is_to_make(const struct engine *engine, const struct planned_app *planned)
{
    const char *space = json_str_or(planned->object, "metadata.namespace", "");

    return planned->app.automated && argocd_app_is_from(&planned->app, engine->plan->repo_url) &&
           (!space[0] || strcmp(space, engine->plan->space) == 0) && !is_there(engine, planned);
}

static void make(struct engine *engine, struct planned_app *planned)
{
    const struct plan *plan = engine->plan;
    autofree char *space = url_encode(plan->space);
    autofree char *path =
        xasprintf(ARGOCD_API "/namespaces/%s/applications?fieldManager=necoops", space);
    autofree char *what = xasprintf("application '%s'", planned->app.name);
    autojson cJSON *object = object_of(plan, planned);
    autoerr struct err err = ERR_INIT;
    struct kube_call call = {
        .method = "POST",
        .path = path,
        .body = object,
        .idempotent = true, /* a second one is refused */
        .what = what,
    };

    engine->touched = true;
    if (kube_call(engine->kube, &call, NULL, &err) == 0 || err.code == ERR_EXISTS ||
        err.code == ERR_CONFLICT) {
        planned->made_at = engine_now(engine);
    } else { /* the root's sync makes it, and it is held then */
        log_debug(plan->run->log, "%s", err_text(&err));
    }
}

void engine_make_children(struct engine *engine)
{
    struct plan *plan = engine->plan;

    if (!engine_overrides(engine) || !plan->manifests || plan->root_set.outside ||
        !manifest_is_exact(plan->manifests, &plan->root_set)) {
        return;
    }
    for (size_t i = 0; i < plan->len && !engine_is_lost(engine); i++) {
        if (is_to_make(engine, &plan->apps[i])) {
            make(engine, &plan->apps[i]);
        }
        if (engine->lock) {
            kube_lock_tick(engine->lock);
        }
    }
}

bool engine_awaits_children(const struct engine *engine)
{
    const struct plan *plan = engine->plan;

    for (size_t i = 0; i < plan->len; i++) {
        const struct planned_app *planned = &plan->apps[i];

        if (planned->made_at && !is_there(engine, planned) &&
            engine_now(engine) - planned->made_at < SEEN_MS) {
            return true;
        }
    }
    return false;
}
