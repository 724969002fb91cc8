/* Phases: from JSON, and from a console that prefixes, breaks and repeats lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "necoops/instance/phase.h"

static void test_parse(void **state)
{
    (void)state;
    struct phase_report report;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(phase_parse("{\"phase\":\"setup\",\"message\":\"m\",\"time\":\"t\","
                                 "\"bootId\":\"b\"}",
                                 &report, &err),
                     0);
    assert_int_equal(report.phase, PHASE_SETUP);
    assert_string_equal(report.message, "m");
    assert_string_equal(report.boot_id, "b");
    assert_int_equal(phase_parse("{\"phase\":\"asleep\"}", &report, &err), -1);
    assert_string_equal(err_text(&err), "the instance reports an unknown phase 'asleep'");
    assert_int_equal(phase_parse("ready", &report, &err), -1);
    assert_int_equal(phase_parse("{\"phase\":3}", &report, &err), -1);
}

static void test_console(void **state)
{
    (void)state;
    autobuf struct buf console = BUF_INIT(BUF_SMALL);
    struct phase_report report;
    size_t from = 0;
    buf_adds(&console, "[ 1.2] kernel\r\n"
                       "x startup-script: necoops-phase: {\"phase\":\"boot\",\"message\":\"a\"}\r\n"
                       "necoops-phase: {\"phase\":\"setup\",\"message\":\"b\"}\n"
                       "necoops-phase: {broken\nnecoops-phase: {\"phase\":\"rea");
    assert_true(phase_from_console(&console, &from, &report));
    assert_int_equal(report.phase, PHASE_SETUP);
    assert_string_equal(report.message, "b");
    assert_false(phase_from_console(&console, &from, &report));
    buf_adds(&console, "dy\",\"message\":\"c\"}\r\n");
    assert_true(phase_from_console(&console, &from, &report));
    assert_int_equal(report.phase, PHASE_READY);
    assert_int_equal(from, console.len);
}

static void test_each_in_turn(void **state)
{
    (void)state;
    autobuf struct buf console = BUF_INIT(BUF_SMALL);
    struct phase_report report;
    size_t from = 0;
    buf_adds(&console, "kernel\nnecoops-phase: {\"phase\":\"boot\"}\nnecoops-phase: {\"phase\":1}\n"
                       "necoops-phase: {\"phase\":\"failed\",\"message\":\"m\"}\nthe end\nhalf a");
    assert_true(phase_next(&console, &from, &report));
    assert_int_equal(report.phase, PHASE_BOOT);
    assert_true(phase_next(&console, &from, &report));
    assert_int_equal(report.phase, PHASE_FAILED);
    assert_string_equal(report.message, "m");
    assert_false(phase_next(&console, &from, &report));
    assert_string_equal(console.data + from, "half a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_console),
        cmocka_unit_test(test_each_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
