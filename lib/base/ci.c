#include "necoops/base/ci.h"

#include <unistd.h>
#include "necoops/base/mem.h"

static const char *first_of(const struct run *run, const char *const *names, const char **name)
{
    for (; *names; names++) {
        const char *value = run_env(run, *names);

        if (value) {
            *name = *names;
            return value;
        }
    }
    return NULL;
}

const char *ci_commit(const struct run *run, const char **variable)
{
    static const char *const names[] = {"CIRCLE_SHA1", "GITHUB_SHA", NULL};

    return first_of(run, names, variable);
}

const char *ci_branch(const struct run *run)
{
    static const char *const names[] = {"CIRCLE_BRANCH", "GITHUB_HEAD_REF", "GITHUB_REF_NAME",
                                        NULL};
    const char *name;

    return first_of(run, names, &name);
}

char *ci_page(const struct run *run)
{
    const char *circle = run_env(run, "CIRCLE_BUILD_URL");
    const char *server = run_env(run, "GITHUB_SERVER_URL");
    const char *repository = run_env(run, "GITHUB_REPOSITORY");
    const char *id = run_env(run, "GITHUB_RUN_ID");

    if (circle) {
        return xstrdup(circle);
    }
    return server && repository && id ? xasprintf("%s/%s/actions/runs/%s", server, repository, id)
                                      : NULL;
}

char *ci_who(const struct run *run)
{
    const char *user = run_env(run, "USER");
    char *page = ci_page(run);
    char host[256] = "";

    if (page) {
        return page;
    }
    (void)gethostname(host, sizeof(host) - 1);
    return xasprintf("%s@%s", user ? user : "somebody", host);
}
