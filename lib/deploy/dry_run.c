/* What would be done. */
#include "internal.h"

#include <string.h>

static int wait_for_list(struct engine *engine, struct err *err)
{
    while (!engine->listed) {
        if (engine->err.code != ERR_NONE) {
            err_move(err, &engine->err);
            return -1;
        }
        kube_watch_tick(engine->watch);
        if (http_drive(kube_http(engine->kube), kube_watch_due_ms(engine->watch, 1000), -1,
                       "the list of applications", err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const char *target_of(const struct argocd_app *app, const char *repo_url)
{
    for (size_t i = 0; i < app->sources.len; i++) {
        if (argocd_source_is(&app->sources.items[i], repo_url)) {
            return app->sources.items[i].target_revision;
        }
    }
    return NULL;
}

static char *root_plan(const struct member *root)
{
    const struct plan *plan = root->engine->plan;
    const char *target = plan->follow ? plan->branch : plan->commit;

    if (!root->present) {
        return xasprintf("would be created at '%s' of '%.12s'", plan->path, target);
    }
    if (member_is_live(root)) {
        return xstrdup("");
    }
    return xasprintf("would go from '%s' of '%.12s' to '%s' of '%.12s'",
                     root->app.sources.len && root->app.sources.items[0].path
                         ? root->app.sources.items[0].path
                         : "",
                     root->app.sources.len ? root->app.sources.items[0].target_revision : "",
                     plan->path, target);
}

static char *child_plan(const struct member *member, const struct plan *plan)
{
    const char *target = target_of(&member->app, plan->repo_url);

    if (member_is_live(member)) {
        return xstrdup("");
    }
    if (plan->follow) {
        return xstrdup("would be waited for");
    }
    if (!target) {
        return xstrdup(member->app.automated ? "would be waited for; it is from elsewhere"
                                             : "would be synced; it is from elsewhere");
    }
    return xasprintf("would go from '%.12s' to '%.12s'", target, plan->commit);
}

/* Children that the commit has and the cluster does not. */
static void add_new(struct engine *engine, struct deploy_result *result)
{
    const struct plan *plan = engine->plan;

    for (size_t i = 0; i < plan->len; i++) {
        const struct argocd_app *app = &plan->apps[i].app;
        bool there = false;

        for (size_t j = 0; j < result->len && !there; j++) {
            there = strcmp(result->apps[j].name, app->name) == 0;
        }
        if (there || !plan_selects(plan, app)) {
            continue;
        }
        result->apps = xrealloc(result->apps, (result->len + 1) * sizeof(*result->apps));
        result->apps[result->len++] = (struct deploy_app){
            .name = xstrdup(app->name),
            .revision = xstrdup(""),
            .sync = xstrdup(""),
            .health = xstrdup(""),
            .message = xstrdup("would be created"),
            .verdict = ARGOCD_PENDING,
        };
    }
}

int engine_dry_run(struct engine *engine, struct deploy_result *result, struct err *err)
{
    engine_list(engine);
    if (wait_for_list(engine, err) != 0) {
        return -1;
    }
    engine_prepare(engine);
    if (engine->err.code != ERR_NONE) {
        err_move(err, &engine->err);
        return -1;
    }
    for (size_t i = 0; i < engine->len; i++) {
        struct member *member = engine->members[i];
        char *text;

        if (!member->selected) {
            continue;
        }
        text = member->is_root ? root_plan(member) : child_plan(member, engine->plan);
        member->verdict = text[0] ? ARGOCD_PENDING : ARGOCD_DONE;
        member->untouched = !text[0];
        free(member->reason);
        member->reason = text;
    }
    result_take(result, engine, true);
    add_new(engine, result);
    return 0;
}
