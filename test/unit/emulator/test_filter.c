/* The `filter` parameter of list methods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "emulator/google/compute/filter.h"

static const char instance[] = "{\"name\":\"neco-ops\",\"status\":\"RUNNING\",\"id\":\"42\","
                               "\"creationTimestamp\":\"2026-11-23T07:30:00.000Z\","
                               "\"labels\":{\"team\":\"neco\",\"until\":\"1700000000\"},"
                               "\"scheduling\":{\"automaticRestart\":true},"
                               "\"disks\":[{\"deviceName\":\"a\"},{\"deviceName\":\"b\"}],"
                               "\"targetLink\":\"https://x/instances/neco-ops\"}";

#define KNOWN "name status id creationTimestamp labels scheduling disks targetLink zone"

static bool matches(const char *text)
{
    autojson cJSON *value = NULL;
    autoerr struct err err = ERR_INIT;
    struct filter *filter = NULL;
    assert_int_equal(json_parse(instance, strlen(instance), "test", &value, &err), 0);
    if (filter_parse(text, KNOWN, &filter, &err) < 0)
        fail_msg("%s", err_text(&err));
    bool result = filter_matches(filter, value);
    filter_free(filter);
    return result;
}

static void test_terms(void **state)
{
    (void)state;
    assert_true(matches("name=neco-ops"));
    assert_true(matches("name = \"neco-ops\""));
    assert_false(matches("name=other"));
    assert_true(matches("name!=other"));
    assert_true(matches("labels.team=neco"));
    assert_false(matches("labels.team=dev"));
    assert_true(matches("labels.team:*"));
    assert_false(matches("labels.owner:*"));
    assert_true(matches("labels.owner!=x"));
    assert_true(matches("name:neco"));
    assert_true(matches("name=neco-*"));
    assert_true(matches("labels.until<1800000000"));
    assert_false(matches("labels.until>=1700000001"));
    assert_true(matches("creationTimestamp > \"2026-11-23T00:00:00Z\""));
    assert_true(matches("scheduling.automaticRestart = true"));
    assert_true(matches("disks.deviceName=b"));
    assert_false(matches("disks.deviceName!=b"));
}

static void test_joined(void **state)
{
    (void)state;
    assert_true(matches("name=neco-ops status=RUNNING"));
    assert_true(matches("(name=neco-ops) (labels.team=neco)"));
    assert_true(matches("name=neco-ops AND labels.team=neco"));
    assert_false(matches("name=neco-ops AND labels.team=dev"));
    assert_true(matches("name=x OR labels.team=neco"));
    assert_true(matches("(name=x OR name=neco-ops) AND NOT status=TERMINATED"));
    assert_true(matches("-status=TERMINATED"));
    assert_false(matches("NOT (status=RUNNING)"));
    /* OR binds closer than AND */
    assert_false(matches("name=neco-ops OR name=x AND status=STOPPED"));
}

static void test_regular_expressions(void **state)
{
    (void)state;
    assert_true(matches("name eq neco-.*"));
    assert_false(matches("name eq neco"));
    assert_true(matches("name ne neco"));
    assert_true(matches("name eq '(neco|dev)-ops'"));
    assert_true(matches("(status eq RUNNING)(name eq \".*\\bneco\\-ops\\b.*\")"));
    assert_true(matches("targetLink eq .*/instances/neco-ops"));
}

static void check_invalid(const char *text)
{
    struct filter *filter = NULL;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(filter_parse(text, KNOWN, &filter, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    autofree char *expected =
        xasprintf("Invalid value for field 'filter': '%s'. Invalid list filter expression.", text);
    assert_string_equal(err_text(&err), expected);
}

static void test_invalid(void **state)
{
    (void)state;
    check_invalid("name");
    check_invalid("name=");
    check_invalid("=x");
    check_invalid("unknown=x");
    check_invalid("(name=x");
    check_invalid("name=x)");
    check_invalid("name=x AND");
    check_invalid("name=\"x");
    check_invalid("name eq (");
    check_invalid("name eq a status=b"); /* the two forms do not mix */
    check_invalid("name ~ x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_regular_expressions),
        cmocka_unit_test(test_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
