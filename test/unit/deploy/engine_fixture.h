/* An engine over states of applications that a test gives, with a clock of its own. */
#ifndef TEST_DEPLOY_ENGINE_FIXTURE_H
#define TEST_DEPLOY_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
/* Both have a tag of this name. */
#define step server_step
#include "../support/client.h"
#undef step
#include "deploy/internal.h"

#define COMMIT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define REPO   "https://github.com/example/apps.git"

struct bench {
    struct client client; /* the API server */
    struct kube *kube;
    int64_t now;
    struct clock clock;
    struct run run;
    struct deploy_options options;
    struct strv notes;
    struct plan plan;
    struct member *members[8];
    struct engine engine;
};

static int64_t bench_now(void *arg)
{
    return *(int64_t *)arg;
}

static void bench_connect(struct bench *bench)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *text =
        xasprintf("{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
                  "clusters: [{name: c, cluster: {server: '%s'}}], users: [{name: u, user: {}}]}",
                  bench->client.server.url);

    assert_int_equal(kubeconfig_parse(text, strlen(text), "conf", "/", NULL, &config, &err), 0);
    assert_int_equal(kube_new(bench->client.http, &config, &bench->kube, &err), 0);
}

static void bench_seen(void *arg, const cJSON *object)
{
    (void)arg;
    (void)object;
}

static int bench_set_up(void **state)
{
    struct bench *bench = xcalloc(1, sizeof(*bench));
    struct kube_watch_handler handler = {.object = bench_seen};

    client_start(&bench->client);
    bench_connect(bench);
    bench->now = 1000000;
    bench->clock = (struct clock){bench_now, bench_now, &bench->now};
    bench->run = bench->client.run;
    bench->run.clock = &bench->clock;
    bench->plan = (struct plan){.run = &bench->run,
                                .options = &bench->options,
                                .notes = &bench->notes,
                                .repo_url = REPO,
                                .root = "root",
                                .cluster = "neco-ops",
                                .commit = xstrdup(COMMIT)};
    bench->engine = (struct engine){.plan = &bench->plan,
                                    .kube = bench->kube,
                                    .run = &bench->run,
                                    .listed = true,
                                    .touched = true,
                                    .stable_ms = 5000,
                                    .members = bench->members};
    /* nobody drives it: nothing is known of any trouble */
    bench->engine.watch = kube_watch_start(bench->kube, "/apps", NULL, "applications", &handler);
    *state = bench;
    return 0;
}

static int bench_tear_down(void **state)
{
    struct bench *bench = *state;

    kube_watch_free(bench->engine.watch);
    for (size_t i = 0; i < bench->engine.len; i++) {
        member_free(bench->engine.members[i]);
    }
    err_clear(&bench->engine.err);
    plan_clear(&bench->plan);
    strv_clear(&bench->options.apps);
    strv_clear(&bench->notes);
    kube_free(bench->kube);
    client_stop(&bench->client);
    free(bench);
    return 0;
}

/* One that is waited for; by name, which comes in order. `status`: with single quotes, or NULL. */
static struct member *bench_member(struct bench *bench, const char *name, enum step step,
                                   const char *status)
{
    struct member *member = xcalloc(1, sizeof(*member));
    autofree char *text = xasprintf(
        "{'metadata':{'name':'%s','namespace':'argocd','resourceVersion':'7'},'spec':{'source':"
        "{'repoURL':'" REPO "','path':'%s','targetRevision':'" COMMIT "'}},'status':%s}",
        name, name, status ? status : "{}");
    autojson cJSON *object = NULL;
    autoerr struct err err = ERR_INIT;

    for (char *at = text; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    assert_int_equal(json_parse(text, strlen(text), "application", &object, &err), 0);
    assert_int_equal(argocd_app_parse(object, &member->app, &err), 0);
    member->engine = &bench->engine;
    member->present = member->selected = true;
    member->is_root = strcmp(name, "root") == 0;
    member->group = member->is_root ? INT64_MIN : 0;
    member->step = step;
    member->verdict = step == STEP_HELD     ? ARGOCD_DONE
                      : step == STEP_FAILED ? ARGOCD_FAILED
                                            : ARGOCD_PENDING;
    member->reason = xstrdup("");
    bench->engine.members[bench->engine.len++] = member;
    if (member->is_root) {
        bench->engine.root = member;
    }
    return member;
}

__attribute__((unused)) static void bench_reason(struct member *member, const char *reason)
{
    free(member->reason);
    member->reason = xstrdup(reason);
}

#endif
