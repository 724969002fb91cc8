/* Where the engine stands, for each way in which its members may. */
#include "engine_fixture.h"

static int outcome(struct bench *bench, struct err *err)
{
    err_clear(err);
    return engine_outcome(&bench->engine, err);
}

static void test_all_live_for_the_whole_window(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;
    struct member *web;

    bench_member(bench, "root", STEP_HELD, NULL);
    web = bench_member(bench, "web", STEP_WAITING, NULL);
    assert_int_equal(outcome(bench, &err), 0);
    web->step = STEP_HELD;
    assert_int_equal(outcome(bench, &err), 0);
    bench->now += 4999;
    assert_int_equal(outcome(bench, &err), 0);
    web->step = STEP_WAITING; /* it fell ill: the window begins anew */
    assert_int_equal(outcome(bench, &err), 0);
    web->step = STEP_HELD;
    bench->now += 1;
    assert_int_equal(outcome(bench, &err), 0);
    bench->now += 4999;
    assert_int_equal(outcome(bench, &err), 0);
    bench->now += 1;
    assert_int_equal(outcome(bench, &err), 1);
}

static void test_what_was_live_already_is_not_waited_for(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;

    bench->engine.touched = false;
    bench_member(bench, "root", STEP_HELD, NULL);
    bench_member(bench, "web", STEP_HELD, NULL);
    assert_int_equal(outcome(bench, &err), 1);
}

static void test_a_new_child_is_looked_at_first(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;

    bench->engine.touched = false;
    bench_member(bench, "root", STEP_HELD, NULL);
    bench_member(bench, "web", STEP_HELD, NULL);
    bench->engine.membership_changed = true;
    assert_int_equal(outcome(bench, &err), 0);
    bench->engine.membership_changed = false;
    bench->engine.listed = false;
    assert_int_equal(outcome(bench, &err), 0);
}

static void test_none_selected_is_an_error(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;

    bench_member(bench, "root", STEP_HELD, NULL);
    assert_int_equal(outcome(bench, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err_text(&err), "no application is selected"));
}

static void test_a_failure_waits_for_what_was_started(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;
    struct member *web;

    bench_member(bench, "root", STEP_HELD, NULL);
    bench_reason(bench_member(bench, "ops", STEP_FAILED, NULL), "the sync failed");
    web = bench_member(bench, "web", STEP_WAITING, NULL);
    bench_member(bench, "zoo", STEP_QUEUED, NULL);
    assert_int_equal(outcome(bench, &err), 0);
    web->step = STEP_HELD;
    assert_int_equal(outcome(bench, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_string_equal(err_text(&err), "application 'ops': the sync failed");
    web->step = STEP_WAITING; /* but not for ever */
    bench->now += 10000;
    assert_int_equal(outcome(bench, &err), -1);
}

static void test_several_failures_and_the_roots_own(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;
    struct member *root = bench_member(bench, "root", STEP_HELD, NULL);
    struct member *ops = bench_member(bench, "ops", STEP_FAILED, NULL);

    bench_reason(ops, "one");
    ops->failure = ERR_DENIED;
    bench_reason(bench_member(bench, "web", STEP_FAILED, NULL), "two");
    assert_int_equal(outcome(bench, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err_text(&err), "application 'ops': one (and 1 more)");
    root->step = STEP_FAILED;
    bench_reason(root, "three");
    assert_int_equal(outcome(bench, &err), -1);
    assert_string_equal(err_text(&err), "application 'root': three (and 2 more)");
}

static void test_an_error_of_the_watch_ends_it(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;

    bench_member(bench, "root", STEP_HELD, NULL);
    bench_member(bench, "web", STEP_HELD, NULL);
    err_set(&bench->engine.err, ERR_DENIED, "no more");
    assert_int_equal(outcome(bench, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
}

static void test_what_is_missing(void **state)
{
    struct bench *bench = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    autofree char *none = engine_missing(&bench->engine);

    assert_string_equal(none, "all applications to stay healthy");
    bench_member(bench, "root", STEP_HELD, NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bench_reason(bench_member(bench, names[i], STEP_WAITING, NULL),
                     i == 1 ? "" : "Progressing");
    }
    autofree char *text = engine_missing(&bench->engine);
    assert_string_equal(text, "a (Progressing), b, c (Progressing) and 2 more");
    assert_int_equal(engine_count(&bench->engine, STEP_WAITING, true), 5);
    assert_int_equal(engine_count(&bench->engine, STEP_HELD, true), 0);
    assert_int_equal(engine_count(&bench->engine, STEP_HELD, false), 5);
}

static void test_leftovers_are_noted(void **state)
{
    struct bench *bench = *state;

    bench_member(bench, "web", STEP_HELD,
                 "{'resources':[{'kind':'ConfigMap','namespace':'web','name':'old','version':'v1',"
                 "'status':'OutOfSync','requiresPruning':true}]}");
    engine_name_leftovers(&bench->engine);
    assert_int_equal(bench->notes.len, 1);
    assert_string_equal(bench->notes.items[0],
                        "application 'web': ConfigMap 'web/old' is no longer in the commit, and "
                        "still in the cluster; --prune deletes it");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_live_for_the_whole_window),
        TEST(test_what_was_live_already_is_not_waited_for),
        TEST(test_a_new_child_is_looked_at_first),
        TEST(test_none_selected_is_an_error),
        TEST(test_a_failure_waits_for_what_was_started),
        TEST(test_several_failures_and_the_roots_own),
        TEST(test_an_error_of_the_watch_ends_it),
        TEST(test_what_is_missing),
        TEST(test_leftovers_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
