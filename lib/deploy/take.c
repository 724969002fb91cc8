/* One run at a time on a cluster. */
#include "internal.h"

#include "necoops/base/ci.h"

static char *our_branch(const struct plan *plan)
{
    const char *told = ci_branch(plan->run);

    if (told) {
        return xstrdup(told);
    }
    return plan->git ? git_branch(plan->git) : NULL;
}

int deploy_take(const struct plan *plan, struct kube *kube, struct kube_lock **out, struct err *err)
{
    autofree char *name = ci_who(plan->run);
    autofree char *branch = our_branch(plan);
    struct kube_lock_who who = {.name = name, .commit = plan->commit, .branch = branch};
    int64_t timeout = plan->options->lock_timeout_ms >= 0
                          ? plan->options->lock_timeout_ms
                          : conf_duration_ms(plan->conf, "deploy.lockTimeout", 0);

    progress_phase(plan->run->progress, "lock", "taking the cluster '%s'", plan->cluster);
    return kube_lock_acquire(kube, plan->space, DEPLOY_LEASE, &who, timeout, out, err);
}
