/* What came out: from the engine's members to JSON and JUnit. */
#include "engine_fixture.h"

#include "necoops/base/fs.h"

#define LIVE "{'sync':{'status':'Synced','revision':'" COMMIT "'},'health':{'status':'Healthy'}}"

static void fill(struct bench *bench)
{
    struct member *web, *zoo;

    bench_member(bench, "ops", STEP_QUEUED, NULL)->group = 2;
    bench_member(bench, "root", STEP_HELD, LIVE)->held_at = 1;
    web = bench_member(bench, "web", STEP_FAILED, NULL);
    web->group = 1;
    web->started_at = bench->now - 700;
    bench_reason(web, "the sync failed");
    zoo = bench_member(bench, "zoo", STEP_HELD, LIVE);
    zoo->started_at = bench->now - 900;
    zoo->held_at = bench->now - 400;
    bench_member(bench, "not-asked-for", STEP_QUEUED, NULL)->selected = false;
}

static void test_taken_from_the_engine(void **state)
{
    struct bench *bench = *state;
    autodeploy struct deploy_result result = {0};

    fill(bench);
    result_take(&result, &bench->engine, false);
    assert_int_equal(result.len, 4); /* in order of their turns, then by name */
    assert_string_equal(result.apps[0].name, "root");
    assert_string_equal(result.apps[1].name, "zoo");
    assert_string_equal(result.apps[2].name, "web");
    assert_string_equal(result.apps[3].name, "ops");
    assert_string_equal(result.apps[1].revision, COMMIT);
    assert_string_equal(result.apps[1].sync, "Synced");
    assert_int_equal(result.apps[1].ms, 500);
    assert_true(result.apps[1].unproven); /* held for less than the window */
    assert_false(result.apps[0].unproven);
    assert_int_equal(result.apps[2].verdict, ARGOCD_FAILED);
    assert_int_equal(result.apps[2].ms, 700);
    assert_true(result.apps[2].started);
    assert_false(result.apps[3].started);
    assert_int_equal(result.apps[3].ms, 0);
}

static void test_all_is_proven_when_it_is_over(void **state)
{
    struct bench *bench = *state;
    autodeploy struct deploy_result result = {0};

    fill(bench);
    result_take(&result, &bench->engine, true);
    assert_false(result.apps[1].unproven);
}

static void test_json(void **state)
{
    struct bench *bench = *state;
    autodeploy struct deploy_result result = {0};
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = NULL;
    const cJSON *cause;

    fill(bench);
    result_take(&result, &bench->engine, true);
    result_add_cause(&result.apps[2], xstrdup("Pod x"), "web/a.yaml", 7, true);
    result_add_cause(&result.apps[2], xstrdup("no place"), NULL, 0, false);
    strv_add(&result.notes, "a note");
    err_set(&err, ERR_TIMEOUT, "timed out");
    json = deploy_json(&result, &err);
    assert_int_equal(json_at(json, "status")->valueint, 6);
    assert_string_equal(json_str_or(json, "error", ""), "timed out");
    assert_string_equal(json_str_or(json, "notes[0]", ""), "a note");
    assert_string_equal(json_str_or(json, "apps[2].state", ""), "failed");
    cause = json_at(json, "apps[2].causes[0]");
    assert_string_equal(json_str_or(cause, "file", ""), "web/a.yaml");
    assert_int_equal(json_at(cause, "line")->valueint, 7);
    assert_true(json_bool(cause, "changed", false));
    assert_null(json_at(json, "apps[2].causes[1].file"));
}

/* The report of a run that ended so; the caller's. */
static char *junit(const struct deploy_result *result, const struct err *how)
{
    autoerr struct err err = ERR_INIT;
    struct buf text = BUF_INIT(BUF_MEDIUM);
    char path[] = "/tmp/necoops-junit-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(result_write_junit(result, path, how, &err), 0);
    assert_int_equal(fs_read(path, &text, &err), 0);
    unlink(path);
    return buf_steal(&text);
}

static void test_junit(void **state)
{
    struct bench *bench = *state;
    autodeploy struct deploy_result result = {.cluster = xstrdup("neco-ops")};
    autoerr struct err how = ERR_INIT;
    autofree char *text = NULL;

    fill(bench);
    result_take(&result, &bench->engine, true);
    result_add_cause(&result.apps[2], xstrdup("Pod <x> & \"y\""), "web/a.yaml", 7, true);
    err_set(&how, ERR_FAILED, "application 'web': the sync failed");
    text = junit(&result, &how);
    assert_non_null(strstr(text, "tests=\"4\""));
    assert_non_null(strstr(text, "failures=\"1\""));
    assert_non_null(strstr(text, "skipped=\"1\""));
    assert_non_null(strstr(text, "file=\"web/a.yaml\" line=\"7\""));
    assert_non_null(strstr(text, "web/a.yaml:7: Pod &lt;x&gt; &amp; "));
    assert_non_null(strstr(text, "(changed by this commit)"));
}

static void test_junit_of_a_run_that_no_application_spoilt(void **state)
{
    autodeploy struct deploy_result result = {0};
    autoerr struct err how = ERR_INIT;
    autofree char *text = NULL;

    (void)state;
    err_set(&how, ERR_NO_CLUSTER, "there is no cluster");
    text = junit(&result, &how);
    assert_non_null(strstr(text, "errors=\"1\""));
    assert_non_null(strstr(text, "there is no cluster"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_taken_from_the_engine),
        TEST(test_all_is_proven_when_it_is_over),
        TEST(test_json),
        TEST(test_junit),
        TEST(test_junit_of_a_run_that_no_application_spoilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
