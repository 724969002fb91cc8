/* The children where the root cannot carry their overrides (Argo CD before 2.9, or a root that is
 * no kustomization): syncing the root puts each that it touches back to its branch and its
 * automated sync. So the root's sync leaves out those that already are as the commit has them, and
 * what it puts back is held at once, before anything of it is synced in its turn. */
#include "internal.h"

#include <string.h>

bool engine_overrides(const struct engine *engine)
{
    return !engine->plan->follow && (!engine->patches || engine->root->app.patches_ignored);
}

/* ---- as the commit has it, but for what we override ---- */

static void drop_override(cJSON *source, const char *repo_url)
{
    if (git_url_same(json_str_or(source, "repoURL", ""), repo_url) && !json_at(source, "chart")) {
        cJSON_DeleteItemFromObjectCaseSensitive(source, "targetRevision");
    }
}

static cJSON *without_overrides(const cJSON *application, const char *repo_url)
{
    cJSON *spec = json_copy(json_at(application, "spec"));
    cJSON *policy = cJSON_GetObjectItemCaseSensitive(spec, "syncPolicy");
    cJSON *source;

    cJSON_ArrayForEach(source, cJSON_GetObjectItemCaseSensitive(spec, "sources"))
    {
        drop_override(source, repo_url);
    }
    drop_override(cJSON_GetObjectItemCaseSensitive(spec, "source"), repo_url);
    cJSON_DeleteItemFromObjectCaseSensitive(policy, "automated");
    if (policy && !policy->child) {
        cJSON_DeleteItemFromObjectCaseSensitive(spec, "syncPolicy");
    }
    return spec;
}

/* Others may have added some of their own. */
static bool has_all(const cJSON *live, const cJSON *wanted)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, wanted)
    {
        if (!json_equal(cJSON_GetObjectItemCaseSensitive(live, item->string), item)) {
            return false;
        }
    }
    return true;
}

bool plan_renders(const struct plan *plan, const cJSON *live)
{
    const struct planned_app *planned = plan_app(plan, json_str_or(live, "metadata.name", ""));

    if (!planned) {
        return false;
    }
    autojson cJSON *ours = without_overrides(planned->object, plan->repo_url);
    autojson cJSON *theirs = without_overrides(live, plan->repo_url);

    return json_equal(ours, theirs) &&
           json_equal(json_at(planned->object, "metadata.finalizers"),
                      json_at(live, "metadata.finalizers")) &&
           has_all(json_at(live, "metadata.labels"), json_at(planned->object, "metadata.labels")) &&
           has_all(json_at(live, "metadata.annotations"),
                   json_at(planned->object, "metadata.annotations"));
}

/* ---- what the root's sync touches ---- */

static bool stays(const struct engine *engine, const char *name)
{
    const struct member *member = engine_find(engine, name);

    return member && member->present && member->as_rendered && !member->app.automated &&
           !member->app.deleting;
}

static void add_resource(cJSON *resources, const char *api_version, const char *kind,
                         const char *name)
{
    const char *slash = strchr(api_version, '/');
    autofree char *group = xstrndup(api_version, slash ? (size_t)(slash - api_version) : 0);
    cJSON *resource = json_object();

    json_set_str(resource, "group", group);
    json_set_str(resource, "kind", kind);
    json_set_str(resource, "name", name);
    json_push(resources, resource);
}

static bool is_application(const cJSON *object)
{
    return strcmp(json_str_or(object, "kind", ""), "Application") == 0 &&
           strncmp(json_str_or(object, "apiVersion", ""), "argoproj.io/", 12) == 0;
}

/* Children that the commit no longer has: to be pruned, if pruning is asked for. */
static void add_left_over(const struct engine *engine, cJSON *resources)
{
    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        if (member->present && member->app.parent &&
            strcmp(member->app.parent, engine->plan->root) == 0 &&
            !plan_app(engine->plan, member->app.name)) {
            add_resource(resources, "argoproj.io/v1alpha1", "Application", member->app.name);
        }
    }
}

cJSON *engine_root_resources(const struct engine *engine)
{
    const struct plan *plan = engine->plan;
    cJSON *resources;
    bool any_stays = false;

    if (!engine_overrides(engine) || !plan->manifests || plan->root_set.outside) {
        return NULL;
    }
    resources = json_array();
    for (size_t i = 0; i < plan->root_set.len; i++) {
        const struct manifest_doc *doc = &plan->root_set.docs[i];
        const char *name = json_str_or(doc->value, "metadata.name", "");

        if (doc->patch) {
            continue;
        }
        if (is_application(doc->value) && stays(engine, name)) {
            any_stays = true; /* so the names are not changed on the way */
        } else {
            add_resource(resources, json_str_or(doc->value, "apiVersion", ""),
                         json_str_or(doc->value, "kind", ""), name);
        }
    }
    add_left_over(engine, resources);
    if (!any_stays) {
        cJSON_Delete(resources);
        return NULL;
    }
    return resources;
}

/* ---- holding what was put back ---- */

static bool is_to_hold(const struct engine *engine, const struct member *member)
{
    return member->inside && member->present && !member->left_over && !member->is_root &&
           member->step == STEP_QUEUED &&
           argocd_app_is_from(&member->app, engine->plan->repo_url) &&
           (member->app.automated ||
            (argocd_app_busy(&member->app) && member->app.state_automated));
}

static bool may_ask(const struct member *member)
{
    if (member->pending || !member->app.automated) {
        return false;
    }
    if (!member->asked_at || strcmp(member->asked_at, member->app.version) != 0) {
        return true; /* else the watch has not shown our patch yet */
    }
    return member->retry_at && engine_now(member->engine) >= member->retry_at;
}

bool engine_hold_children(struct engine *engine)
{
    bool any = false;

    if (!engine_overrides(engine) || engine->root->step == STEP_QUEUED) {
        return false;
    }
    for (size_t i = 0; i < engine->len; i++) {
        struct member *member = engine->members[i];

        if (!is_to_hold(engine, member)) {
            continue;
        }
        any = true;
        if (may_ask(member)) {
            ask_hold(member);
        }
        member_await_automated(member);
    }
    return any;
}
