/* Why not, on recorded states: the causes of an application that failed, and the lines behind them.
 */
#include "engine_fixture.h"

#include "../support/repository.h"

#define DEPLOYMENT                                                                                 \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: web}\nspec:\n"        \
    "  selector: {matchLabels: {app: web}}\n  template:\n    spec:\n      containers:\n"           \
    "      - name: main\n        image: old\n"
#define BASE "resources: [deployment.yaml]\n"
#define TOP  "resources: [../base]\npatches:\n- path: patch.yaml\n"
#define PATCH                                                                                      \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: web}\nspec:\n"        \
    "  template:\n    spec:\n      containers:\n      - name: main\n        image: new\n"
#define NOTHING "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}"

struct world {
    struct bench *bench;
    struct repository repository;
    struct deploy_result result;
};

static void write_all(struct world *w)
{
    char id[41];

    repository_make(&w->repository);
    repository_write(&w->repository, "web/base/deployment.yaml", DEPLOYMENT);
    repository_write(&w->repository, "web/base/kustomization.yaml", BASE);
    repository_write(&w->repository, "web/top/kustomization.yaml", TOP);
    repository_write(&w->repository, "web/top/patch.yaml", "kind: Deployment\n");
    repository_commit(&w->repository, "first", id);
    w->bench->plan.parent = xstrdup(id);
    repository_write(&w->repository, "web/top/patch.yaml", PATCH);
    repository_commit(&w->repository, "second", id);
    free(w->bench->plan.commit);
    w->bench->plan.commit = xstrdup(id);
}

static void load(struct world *w)
{
    struct plan *plan = &w->bench->plan;
    autoerr struct err err = ERR_INIT;

    assert_int_equal(git_open(w->repository.dir, &plan->git, &err), 0);
    plan->manifests = manifest_repo_new(plan->git, plan->commit);
    plan->apps = xcalloc(1, sizeof(*plan->apps));
    plan->len = 1;
    plan->apps[0].app.name = xstrdup("web");
    plan->apps[0].loaded = true;
    assert_int_equal(manifest_load(plan->manifests, "web/top", false, &plan->apps[0].set, &err), 0);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    void *bench;

    bench_set_up(&bench);
    w->bench = bench;
    kube_watch_free(w->bench->engine.watch); /* the answers are for others */
    w->bench->engine.watch = NULL;
    w->bench->run.clock = &clock_system;
    write_all(w);
    load(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    void *bench = w->bench;

    deploy_result_clear(&w->result);
    repository_remove(&w->repository);
    bench_tear_down(&bench);
    free(w);
    return 0;
}

/* Explains what a state of web says. */
static const struct deploy_app *explain(struct world *w, const char *status)
{
    bench_member(w->bench, "web", STEP_FAILED, status);
    result_take(&w->result, &w->bench->engine, false);
    explain_failures(&w->bench->engine, &w->result);
    return &w->result.apps[0];
}

static void check(const struct deploy_cause *cause, const char *text, const char *file, int line,
                  bool changed)
{
    assert_string_equal(cause->text, text);
    if (!file) {
        assert_null(cause->file);
        return;
    }
    assert_string_equal(cause->file, file);
    assert_int_equal(cause->line, line);
    assert_int_equal(cause->changed, changed);
}

#define REFUSED                                                                                    \
    "{'operationState':{'phase':'Failed','message':'one failed','syncResult':{'revision':'x',"     \
    "'resources':[{'group':'apps','version':'v1','kind':'Deployment','namespace':'web',"           \
    "'name':'web','status':'SyncFailed','message':'Deployment.apps is invalid: "                   \
    "spec.selector: Invalid value: {}: field is immutable'}]}},'resources':[{'group':'',"          \
    "'version':'v1','kind':'ConfigMap','namespace':'web','name':'x','status':'OutOfSync'}]}"

static void test_a_refused_field(void **state)
{
    const struct deploy_app *app = explain(*state, REFUSED);

    assert_int_equal(app->causes_len, 1); /* what is only out of sync for that is not told */
    check(&app->causes[0],
          "Deployment web/web: SyncFailed: Deployment.apps is invalid: spec.selector: Invalid "
          "value: {}: field is immutable",
          "web/base/deployment.yaml", 5, false);
}

#define SICK                                                                                       \
    "{'sync':{'status':'Synced'},'health':{'status':'Degraded'},'resources':[{'group':'apps',"     \
    "'version':'v1','kind':'Deployment','namespace':'web','name':'web','status':'Synced',"         \
    "'health':{'status':'Degraded','message':'too slow'}}]}"
#define WORKLOAD "{\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}"
#define POD                                                                                        \
    "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{\"name\":\"web-1\"},"     \
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],"                      \
    "\"containerStatuses\":[{\"name\":\"main\",\"state\":{\"waiting\":{\"reason\":"                \
    "\"ImagePullBackOff\",\"message\":\"no such image\"}}}]}}]}"

static void test_an_image_that_a_patch_brought(void **state)
{
    struct world *w = *state;
    const struct deploy_app *app;

    client_answer(&w->bench->client, 200, WORKLOAD);
    client_answer(&w->bench->client, 200, POD);
    client_answer(&w->bench->client, 200, NOTHING);
    app = explain(w, SICK);
    assert_int_equal(app->causes_len, 2);
    assert_string_equal(app->causes[0].text, "Deployment web/web: Degraded: too slow");
    check(&app->causes[1], "Pod web/web-1, container 'main': ImagePullBackOff: no such image",
          "web/top/patch.yaml", 9, true);
}

static void test_a_namespace_that_is_held(void **state)
{
    struct world *w = *state;
    const struct deploy_app *app;

    client_answer(
        &w->bench->client, 200,
        "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{\"phase\":"
        "\"Terminating\","
        "\"conditions\":[{\"type\":\"a\",\"status\":\"False\",\"message\":\"no\"},"
        "{\"type\":\"b\",\"status\":\"True\",\"reason\":\"Held\",\"message\":\"by x\"}]}}");
    app = explain(w, "{'resources':[{'version':'v1','kind':'Namespace','name':'ops','status':"
                     "'Synced','health':{'status':'Progressing','message':'Pending deletion'}}]}");
    assert_int_equal(app->causes_len, 3);
    check(&app->causes[0], "Namespace ops: Progressing: Pending deletion", NULL, 0, false);
    check(&app->causes[1], "Namespace ops is being deleted since 2026-01-01T00:00:00Z", NULL, 0,
          false);
    check(&app->causes[2], "Namespace ops: b: by x", NULL, 0, false);
}

static void test_conditions(void **state)
{
    const struct deploy_app *app =
        explain(*state, "{'sync':{'status':'Unknown'},'conditions':[{'type':'ComparisonError',"
                        "'message':'no such path'},{'type':'OrphanedResourceWarning','message':"
                        "'some'}],'resources':[{'version':'v1','kind':'ConfigMap','name':'x',"
                        "'namespace':'web','status':'Unknown'}]}");

    assert_int_equal(app->causes_len, 1);
    check(&app->causes[0], "ComparisonError: no such path", NULL, 0, false);
}

static void test_a_hook(void **state)
{
    struct world *w = *state;
    const struct deploy_app *app;

    client_answer(&w->bench->client, 404, "{\"kind\":\"Status\",\"code\":404}");
    client_answer(&w->bench->client, 200, NOTHING);
    app = explain(w, "{'operationState':{'phase':'Failed','message':'x','syncResult':{'revision':"
                     "'x','resources':[{'group':'batch','version':'v1','kind':'Job','namespace':"
                     "'web','name':'migrate','hookType':'PreSync','hookPhase':'Failed','message':"
                     "'Job has reached the specified backoff limit'}]}}}");
    assert_int_equal(app->causes_len, 1);
    check(&app->causes[0],
          "Job web/migrate: hook failed: Job has reached the specified backoff limit", NULL, 0,
          false);
}

static void test_what_is_live_or_had_no_turn_is_not_explained(void **state)
{
    struct world *w = *state;
    struct member *web = bench_member(w->bench, "web", STEP_QUEUED, REFUSED);

    result_take(&w->result, &w->bench->engine, false);
    explain_failures(&w->bench->engine, &w->result);
    assert_int_equal(w->result.apps[0].causes_len, 0);
    deploy_result_clear(&w->result);
    web->step = STEP_HELD;
    web->verdict = ARGOCD_DONE;
    result_take(&w->result, &w->bench->engine, true);
    explain_failures(&w->bench->engine, &w->result);
    assert_int_equal(w->result.apps[0].causes_len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_refused_field),
        TEST(test_an_image_that_a_patch_brought),
        TEST(test_a_namespace_that_is_held),
        TEST(test_conditions),
        TEST(test_a_hook),
        TEST(test_what_is_live_or_had_no_turn_is_not_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
