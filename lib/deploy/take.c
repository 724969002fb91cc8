/* One run at a time on a cluster. */
#include "internal.h"

#include <unistd.h>

/* The job's page where CI tells it, else user@host. */
static char *our_name(const struct run *run)
{
    const char *circle = run_env(run, "CIRCLE_BUILD_URL");
    const char *server = run_env(run, "GITHUB_SERVER_URL");
    const char *repository = run_env(run, "GITHUB_REPOSITORY");
    const char *id = run_env(run, "GITHUB_RUN_ID");
    const char *user = run_env(run, "USER");
    char host[256] = "";

    if (circle) {
        return xstrdup(circle);
    }
    if (server && repository && id) {
        return xasprintf("%s/%s/actions/runs/%s", server, repository, id);
    }
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    return xasprintf("%s@%s", user ? user : "somebody", host);
}

static char *our_branch(const struct plan *plan)
{
    static const char *const names[] = {"CIRCLE_BRANCH", "GITHUB_HEAD_REF", "GITHUB_REF_NAME"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = run_env(plan->run, names[i]);

        if (value) {
            return xstrdup(value);
        }
    }
    return plan->git ? git_branch(plan->git) : NULL;
}

int deploy_take(const struct plan *plan, struct kube *kube, struct kube_lock **out, struct err *err)
{
    autofree char *name = our_name(plan->run);
    autofree char *branch = our_branch(plan);
    struct kube_lock_who who = {.name = name, .commit = plan->commit, .branch = branch};
    int64_t timeout = plan->options->lock_timeout_ms >= 0
                          ? plan->options->lock_timeout_ms
                          : conf_duration_ms(plan->conf, "deploy.lockTimeout", 0);

    progress_phase(plan->run->progress, "lock", "taking the cluster '%s'", plan->cluster);
    return kube_lock_acquire(kube, plan->space, DEPLOY_LEASE, &who, timeout, out, err);
}
