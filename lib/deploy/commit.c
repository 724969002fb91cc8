/* Which commit is to be deployed, and whether the remote has it. */
#include "internal.h"

#include <string.h>
#include <sys/stat.h>
#include "necoops/base/ci.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define ASK_MS           10000
#define UNCOMMITTED_MOST 4
#define REPORTS_MOST     3

static int resolve(struct plan *plan, const char *revision, const char *from, struct err *err)
{
    struct git_id id;

    if (git_is_id(revision) && (!plan->git || !git_has_commit(plan->git, revision))) {
        plan->commit = xstrdup(revision);
        return 0;
    }
    if (!plan->git) {
        return err_set(err, ERR_USAGE,
                       "%s '%s' can only be resolved inside the Git repository; give the 40 hex "
                       "digits of the commit",
                       from, revision);
    }
    if (git_resolve(plan->git, revision, &id, err) != 0) {
        err->code = ERR_USAGE;
        return err_prefix(err, "%s", from);
    }
    plan->commit = xstrdup(id.hex);
    return 0;
}

/* What this run writes itself lies in the clone; `path` is relative to its top. */
static bool is_report(const struct plan *plan, const char *path)
{
    const struct deploy_options *options = plan->options;
    const char *const reports[REPORTS_MOST] = {options->junit, options->events, options->report};
    autofree char *full = path_join(git_workdir(plan->git), path);
    struct stat ours, theirs;

    for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
        if (reports[i] && stat(reports[i], &ours) == 0 && stat(full, &theirs) == 0 &&
            ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino) {
            return true;
        }
    }
    return false;
}

static void warn_uncommitted(const struct plan *plan)
{
    autostrv struct strv all = STRV_INIT;
    autostrv struct strv paths = STRV_INIT;
    autoerr struct err ignored = ERR_INIT;

    if (git_uncommitted(plan->git, UNCOMMITTED_MOST + REPORTS_MOST, &all, &ignored) != 0) {
        return;
    }
    for (size_t i = 0; i < all.len && paths.len < UNCOMMITTED_MOST; i++) {
        if (!is_report(plan, all.items[i])) {
            strv_add(&paths, all.items[i]);
        }
    }
    if (paths.len) {
        autofree char *list = strv_join(&paths, ", ");

        plan_note(plan, "changes that are not committed are not deployed: %s%s", list,
                  paths.len == UNCOMMITTED_MOST ? ", …" : "");
    }
}

static int check_remote(const struct plan *plan, struct err *err)
{
    autofree char *why = NULL;
    enum git_presence presence;

    if (!git_has_commit(plan->git, plan->commit)) {
        plan_note(plan,
                  "commit '%.12s' is not in the repository here, so its manifests are not checked "
                  "first; fetch it to have that",
                  plan->commit);
        return 0;
    }
    if (git_remote_has(plan->run, plan->git, plan->repo_url, plan->commit, ASK_MS, &presence, &why,
                       err) != 0) {
        return -1;
    }
    if (presence == GIT_ABSENT) {
        return err_set(err, ERR_USAGE,
                       "commit '%.12s' is not in '%s', so Argo CD cannot fetch it; push it first",
                       plan->commit, plan->repo_url);
    }
    if (presence == GIT_UNKNOWN) {
        plan_note(plan, "whether '%s' has commit '%.12s' is not known: %s", plan->repo_url,
                  plan->commit, why);
    }
    return 0;
}

/* A cluster that watches a branch: the head of that branch, as the remote has it now. */
static int branch_head(struct plan *plan, struct err *err)
{
    struct git_id id;

    if (git_remote_branch(plan->run, plan->git, plan->repo_url, plan->branch, ASK_MS, &id, err) ==
        0) {
        plan->commit = xstrdup(id.hex);
        return 0;
    }
    if (err->code != ERR_UNREACHABLE) {
        if (err->code == ERR_NOT_FOUND) {
            err->code = ERR_USAGE;
        }
        return -1;
    }
    plan_note(plan, "%s; what Argo CD finds there counts", err_text(err));
    err_clear(err);
    return 0;
}

static int choose(struct plan *plan, struct err *err)
{
    const char *variable = NULL;
    const char *ci = ci_commit(plan->run, &variable);

    if (plan->options->revision && !plan->options->revision[0]) {
        return err_set(err, ERR_USAGE,
                       "--revision is empty (an unset variable?); leave it out to deploy what CI "
                       "says, else HEAD");
    }
    if (plan->options->revision) {
        return resolve(plan, plan->options->revision, "--revision", err);
    }
    if (plan->branch) {
        return branch_head(plan, err);
    }
    if (ci) {
        return resolve(plan, ci, variable, err);
    }
    if (!plan->git) {
        return err_set(err, ERR_USAGE,
                       "which commit? give --revision, or run inside the "
                       "repository of the apps");
    }
    if (resolve(plan, "HEAD", "the checked out revision", err) != 0) {
        return -1;
    }
    warn_uncommitted(plan);
    return 0;
}

int plan_commit(struct plan *plan, struct err *err)
{
    autofree char *before = NULL;
    autoerr struct err ignored = ERR_INIT;
    struct git_id id;

    if (choose(plan, err) != 0) {
        return -1;
    }
    if (!plan->commit && !plan->follow) {
        return err_set(err, ERR_UNREACHABLE,
                       "the head of branch '%s' is not known; give --revision", plan->branch);
    }
    if (!plan->commit || !plan->git) {
        return 0;
    }
    before = xasprintf("%s^", plan->commit);
    if (git_resolve(plan->git, before, &id, &ignored) == 0) {
        plan->parent = xstrdup(id.hex);
    }
    return plan->follow || plan->options->check_only ? 0 : check_remote(plan, err);
}
