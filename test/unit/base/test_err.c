#include "unit.h"
#include <errno.h>

static void set_returns_minus_one_and_formats(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_string_equal(err_text(&err), "");
    assert_int_equal(err_set(&err, ERR_BUSY, "held by '%s'", "x"), -1);
    assert_err(err, ERR_BUSY, "held by 'x'");
    assert_int_equal(err.code, ERR_NONE);
}

static void arguments_may_point_into_the_old_text(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    err_set(&err, ERR_FAILED, "old");
    err_set(&err, ERR_DENIED, "new after %s", err_text(&err));
    assert_string_equal(err_text(&err), "new after old");
    err_prefix(&err, "<%s>", err_text(&err));
    assert_string_equal(err_text(&err), "<new after old>: new after old");
    err_set_errno(&err, ERR_FAILED, ENOENT, "%s", err_text(&err));
    assert_err(err, ERR_FAILED, "<new after old>: new after old: No such file or directory");
}

static void set_forgets_the_answer_behind_the_old_one(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    err_set(&err, ERR_CAPACITY, "full");
    err.http_status = 403;
    snprintf(err.reason, sizeof(err.reason), "quotaExceeded");
    err_prefix(&err, "cannot create");
    assert_int_equal(err.http_status, 403);
    assert_string_equal(err.reason, "quotaExceeded");
    err_set(&err, ERR_FAILED, "%s (%s)", "other", err.reason);
    assert_int_equal(err.http_status, 0);
    assert_string_equal(err.reason, "");
    assert_err(err, ERR_FAILED, "other (quotaExceeded)");
}

static void prefix_of_nothing_is_an_error_too(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(err_prefix(&err, "context"), -1);
    assert_err(err, ERR_FAILED, "context");
}

static void move_hands_everything_over(void **state)
{
    autoerr struct err from = ERR_INIT;
    autoerr struct err to = ERR_INIT;

    (void)state;
    err_set(&to, ERR_FAILED, "old");
    err_set(&from, ERR_GONE, "new");
    from.http_status = 410;
    err_move(&to, &from);
    assert_int_equal(from.code, ERR_NONE);
    assert_string_equal(err_text(&from), "");
    assert_int_equal(to.http_status, 410);
    err_move(&to, &to);
    assert_err(to, ERR_GONE, "new");
}

static void exit_statuses_are_those_of_the_manual(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = {
        {ERR_NONE, 0},          {ERR_FAILED, 1},       {ERR_USAGE, 2},     {ERR_NO_CLUSTER, 3},
        {ERR_DENIED, 4},        {ERR_BUSY, 5},         {ERR_TIMEOUT, 6},   {ERR_CAPACITY, 7},
        {ERR_INTERRUPTED, 130}, {ERR_TERMINATED, 143}, {ERR_NOT_FOUND, 1}, {ERR_EXISTS, 1},
        {ERR_CONFLICT, 1},      {ERR_GONE, 1},         {ERR_INVALID, 2},   {ERR_UNREACHABLE, 1},
        {ERR_PROTOCOL, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {.code = rows[i].code};

        assert_int_equal(err_exit_status(&err), rows[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_minus_one_and_formats),
        cmocka_unit_test(arguments_may_point_into_the_old_text),
        cmocka_unit_test(set_forgets_the_answer_behind_the_old_one),
        cmocka_unit_test(prefix_of_nothing_is_an_error_too),
        cmocka_unit_test(move_hands_everything_over),
        cmocka_unit_test(exit_statuses_are_those_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
