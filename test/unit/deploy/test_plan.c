/* Which applications, and when. */
#include "engine_fixture.h"

static void add(struct strv *list, const char *text)
{
    strv_add(list, text);
}

static struct argocd_app *labelled(struct bench *bench, const char *name, const char *labels)
{
    struct argocd_app *app = &bench_member(bench, name, STEP_QUEUED, NULL)->app;
    autoerr struct err err = ERR_INIT;

    assert_int_equal(json_parse(labels, strlen(labels), "labels", &app->labels, &err), 0);
    return app;
}

static void test_selection(void **state)
{
    struct bench *bench = *state;
    struct argocd_app *web = labelled(bench, "web", "{\"team\":\"neco\"}");
    struct argocd_app *ops = labelled(bench, "ops", "{\"team\":\"other\"}");

    assert_true(plan_selects(&bench->plan, web));
    add(&bench->options.apps, "w?b");
    assert_true(plan_selects(&bench->plan, web));
    assert_false(plan_selects(&bench->plan, ops));
    add(&bench->options.apps, "team=ot*");
    assert_true(plan_selects(&bench->plan, ops));
    bench->options.changed_since = "master";
    assert_false(plan_selects(&bench->plan, ops));
    add(&bench->plan.changed, "ops");
    assert_true(plan_selects(&bench->plan, ops));
    assert_false(plan_selects(&bench->plan, web));
}

static void test_a_label_that_is_not_there(void **state)
{
    struct bench *bench = *state;
    struct argocd_app *web = labelled(bench, "web", "{\"team\":\"neco\"}");

    add(&bench->options.apps, "tea=neco");
    add(&bench->options.apps, "team=");
    assert_false(plan_selects(&bench->plan, web));
}

static void test_groups_by_wave(void **state)
{
    struct bench *bench = *state;
    struct argocd_app *web = &bench_member(bench, "web", STEP_QUEUED, NULL)->app;

    assert_int_equal(plan_group(&bench->plan, web), 0);
    web->wave = -3;
    assert_int_equal(plan_group(&bench->plan, web), -3);
}

static void test_groups_by_file(void **state)
{
    struct bench *bench = *state;
    struct argocd_app *web = &bench_member(bench, "web", STEP_QUEUED, NULL)->app;
    struct argocd_app *ops = &bench_member(bench, "ops", STEP_QUEUED, NULL)->app;
    struct argocd_app *zoo = &bench_member(bench, "zoo", STEP_QUEUED, NULL)->app;

    zoo->wave = -3; /* the file counts, and only the file */
    add(&bench->plan.order, "namespaces");
    add(&bench->plan.order, "ops webby web");
    assert_int_equal(plan_group(&bench->plan, web), 1);
    assert_int_equal(plan_group(&bench->plan, ops), 1);
    assert_true(plan_group(&bench->plan, zoo) == PLAN_GROUP_LAST);
}

static void test_pruning(void **state)
{
    struct bench *bench = *state;
    struct argocd_app *web = &bench_member(bench, "web", STEP_QUEUED, NULL)->app;

    assert_false(plan_prunes(&bench->plan, web));
    web->prune = true;
    assert_true(plan_prunes(&bench->plan, web));
    web->prune = false;
    bench->options.prune = true;
    assert_true(plan_prunes(&bench->plan, web));
}

/* ---- as the commit renders it, but for revision and automated sync ---- */

#define META(labels) "\"metadata\":{\"name\":\"web\",\"labels\":" labels "}"
#define SOURCE(revision)                                                                           \
    "\"source\":{\"repoURL\":\"" REPO "\",\"path\":\"web\",\"targetRevision\":\"" revision "\"}"

static cJSON *parsed(const char *text)
{
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;

    assert_int_equal(json_parse(text, strlen(text), "application", &value, &err), 0);
    return value;
}

static bool renders(struct bench *bench, const char *live)
{
    autojson cJSON *object = parsed(live);

    return plan_renders(&bench->plan, object);
}

static void test_rendering(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;

    bench->plan.apps = xcalloc(1, sizeof(*bench->plan.apps));
    bench->plan.len = 1;
    bench->plan.apps[0].object = parsed("{" META("{\"a\":\"b\"}") ",\"spec\":{" SOURCE(
        "release") ",\"project\":\"default\","
                   "\"syncPolicy\":{\"automated\":{\"prune\":true}}}}");
    assert_int_equal(argocd_app_parse(bench->plan.apps[0].object, &bench->plan.apps[0].app, &err),
                     0);
    assert_true(renders(bench, "{" META("{\"a\":\"b\",\"more\":\"x\"}") ",\"spec\":{" SOURCE(
                                   COMMIT) ",\"project\":\"default\"}}"));
    assert_false(renders(bench, "{" META("{\"a\":\"c\"}") ",\"spec\":{" SOURCE(
                                    COMMIT) ",\"project\":\"default\"}}"));
    assert_false(renders(
        bench, "{" META("{\"a\":\"b\"}") ",\"spec\":{" SOURCE(COMMIT) ",\"project\":\"p\"}}"));
    assert_false(renders(bench, "{\"metadata\":{\"name\":\"other\"}}"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_selection),      TEST(test_a_label_that_is_not_there),
        TEST(test_groups_by_wave), TEST(test_groups_by_file),
        TEST(test_pruning),        TEST(test_rendering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
