/* The check before anything is touched: what is wrong with the manifests of the apps concerned. */
#include "internal.h"

static struct deploy_app *add_app(struct deploy_result *result, const char *name)
{
    struct deploy_app *app;

    result->apps = xrealloc(result->apps, (result->len + 1) * sizeof(*result->apps));
    app = &result->apps[result->len++];
    *app = (struct deploy_app){
        .name = xstrdup(name),
        .revision = xstrdup(""),
        .sync = xstrdup(""),
        .health = xstrdup(""),
        .message = xstrdup("its manifests are fine"),
        .verdict = ARGOCD_PENDING,
    };
    return app;
}

static bool fault_changed(const struct plan *plan, const struct manifest_fault *fault)
{
    return plan->parent && fault->line > 0 &&
           git_line_changed(plan->git, plan->parent, plan->commit, fault->file, fault->line);
}

/* Faults of one app; returns how many. The first one goes into `first`. */
static size_t take_faults(const struct plan *plan, const char *name, const struct manifest_set *set,
                          struct deploy_result *result, char **first)
{
    struct deploy_app *app = add_app(result, name);

    for (size_t i = 0; i < set->faults_len; i++) {
        const struct manifest_fault *fault = &set->faults[i];
        autofree char *text = manifest_fault_text(fault);

        result_add_cause(app, xstrdup(fault->text), fault->file, fault->line,
                         fault_changed(plan, fault));
        if (i == 0) {
            free(app->message);
            app->message = xstrdup(text);
            app->verdict = ARGOCD_FAILED;
            app->started = true;
        }
        if (!*first) {
            *first = steal(text);
        }
    }
    return set->faults_len;
}

static size_t check_apps(const struct plan *plan, struct deploy_result *result, char **first)
{
    size_t faults = take_faults(plan, plan->root, &plan->root_set, result, first);

    for (size_t i = 0; i < plan->len; i++) {
        const struct planned_app *planned = &plan->apps[i];

        if (planned->loaded && plan_selects(plan, &planned->app)) {
            faults += take_faults(plan, planned->app.name, &planned->set, result, first);
        }
    }
    return faults;
}

static void clear_apps(struct deploy_result *result)
{
    struct deploy_result apps = {.apps = result->apps, .len = result->len};

    result->apps = NULL;
    result->len = 0;
    deploy_result_clear(&apps);
}

int plan_check(struct plan *plan, struct deploy_result *result, struct err *err)
{
    autofree char *first = NULL;
    size_t faults;

    if (!plan->manifests) {
        return 0;
    }
    progress_phase(plan->run->progress, "check", "checking the manifests of %.12s", plan->commit);
    if (plan_build(plan, err) != 0) {
        return -1;
    }
    faults = check_apps(plan, result, &first);
    if (faults) {
        return err_set(
            err, ERR_USAGE,
            "commit '%.12s' has %zu fault%s in its manifests, so nothing was touched: %s",
            plan->commit, faults, faults == 1 ? "" : "s", first);
    }
    if (!plan->options->check_only) {
        clear_apps(result);
    }
    return 0;
}
