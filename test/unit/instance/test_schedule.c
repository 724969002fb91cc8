/* The schedule: days, holidays, day boundaries, leap days, both changes of daylight saving. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/instance/schedule.h"

static const char *const no_environ[] = {NULL};

static struct conf *configured(const char *const *sets)
{
    struct run run = {.clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE,
                      .environ = no_environ};
    autostrv struct strv list = STRV_INIT;
    for (; *sets; sets++)
        strv_add(&list, *sets);
    autoerr struct err err = ERR_INIT;
    struct conf *conf;
    if (conf_load(&run, "/dev/null", &list, &conf, &err) < 0)
        fail_msg("%s", err_text(&err));
    return conf;
}

static struct schedule schedule_of(const char *const *sets)
{
    struct schedule schedule;
    autoerr struct err err = ERR_INIT;
    struct conf *conf = configured(sets);
    if (schedule_load(conf, &schedule, &err) < 0)
        fail_msg("%s", err_text(&err));
    conf_free(conf);
    return schedule;
}

static int64_t at(const char *text)
{
    autoerr struct err err = ERR_INIT;
    int64_t ms;
    if (time_parse_rfc3339(text, &ms, &err) < 0)
        fail_msg("%s", err_text(&err));
    return ms;
}

static void expect_next_up(const struct schedule *schedule, const char *now, const char *want)
{
    int64_t next;
    assert_true(schedule_next_up(schedule, at(now), &next));
    assert_string_equal(time_rfc3339(next).text, want);
}

static void test_working_days_and_holidays(void **state)
{
    (void)state;
    autoschedule struct schedule schedule = schedule_of((const char *const[]){
        "schedule.timeZone=Asia/Tokyo", "schedule.up=07:30", "schedule.down=21:00",
        "schedule.holidays=2026-11-23", NULL});
    /* Friday 2026-11-20 */
    assert_false(schedule_is_up(&schedule, at("2026-11-20T07:29:59+09:00")));
    assert_true(schedule_is_up(&schedule, at("2026-11-20T07:30:00+09:00")));
    assert_true(schedule_is_up(&schedule, at("2026-11-20T08:35:00+09:00")));
    assert_true(schedule_is_up(&schedule, at("2026-11-20T20:59:59+09:00")));
    assert_false(schedule_is_up(&schedule, at("2026-11-20T21:00:00+09:00")));
    assert_false(schedule_is_up(&schedule, at("2026-11-21T12:00:00+09:00")));
    assert_false(schedule_is_up(&schedule, at("2026-11-23T12:00:00+09:00")));
    expect_next_up(&schedule, "2026-11-20T21:00:00+09:00", "2026-11-23T22:30:00Z");
    expect_next_up(&schedule, "2026-11-19T23:59:59+09:00", "2026-11-19T22:30:00Z");
    expect_next_up(&schedule, "2026-11-20T07:30:00+09:00", "2026-11-23T22:30:00Z");
}

static void test_night_shift_and_leap_day(void **state)
{
    (void)state;
    autoschedule struct schedule schedule = schedule_of((const char *const[]){
        "schedule.timeZone=UTC", "schedule.up=22:00", "schedule.down=06:00",
        "schedule.days=tue", NULL});
    /* Tuesday 2028-02-29 */
    assert_true(schedule_is_up(&schedule, at("2028-02-29T23:59:59Z")));
    assert_true(schedule_is_up(&schedule, at("2028-03-01T05:59:59Z")));
    assert_false(schedule_is_up(&schedule, at("2028-03-01T06:00:00Z")));
    assert_false(schedule_is_up(&schedule, at("2028-02-29T05:00:00Z")));
    expect_next_up(&schedule, "2028-02-28T12:00:00Z", "2028-02-29T22:00:00Z");
}

static void test_daylight_saving(void **state)
{
    (void)state;
    autoschedule struct schedule schedule = schedule_of((const char *const[]){
        "schedule.timeZone=Europe/Berlin", "schedule.up=07:30", "schedule.down=21:00",
        "schedule.days=[sun,mon,tue,wed,thu,fri,sat]", NULL});
    expect_next_up(&schedule, "2026-03-28T12:00:00Z", "2026-03-29T05:30:00Z");
    expect_next_up(&schedule, "2026-03-27T12:00:00Z", "2026-03-28T06:30:00Z");
    expect_next_up(&schedule, "2026-10-24T12:00:00Z", "2026-10-25T06:30:00Z");
    /* 02:30 does not exist on 2026-03-29: it is an hour after 01:30 */
    int64_t gap = schedule_next_clock(&schedule, at("2026-03-28T23:30:00Z"), 150);
    assert_true(gap == at("2026-03-29T01:30:00Z") || gap == at("2026-03-29T00:30:00Z"));
    assert_string_equal(
        time_rfc3339(schedule_next_clock(&schedule, at("2026-10-24T20:00:00Z"), 21 * 60)).text,
        "2026-10-25T20:00:00Z");
    autofree char *text = schedule_time_text(&schedule, at("2026-07-01T10:00:00Z"));
    assert_string_equal(text, "Wed 2026-07-01 12:00 CEST");
}

static void test_the_zone_of_the_process_stays(void **state)
{
    (void)state;
    setenv("TZ", "America/New_York", 1);
    autoschedule struct schedule schedule =
        schedule_of((const char *const[]){"schedule.timeZone=Asia/Tokyo", NULL});
    assert_true(schedule_is_up(&schedule, at("2026-11-20T12:00:00Z")));
    assert_string_equal(getenv("TZ"), "America/New_York");
    unsetenv("TZ");
}

static void refuse(const char *set, const char *text)
{
    autoerr struct err err = ERR_INIT;
    struct schedule schedule;
    struct conf *conf = configured((const char *const[]){set, NULL});
    assert_int_equal(schedule_load(conf, &schedule, &err), -1);
    assert_int_equal(err_exit_status(&err), 2);
    assert_string_equal(err_text(&err), text);
    conf_free(conf);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("schedule.timeZone=Asia/Tokio",
           "schedule.timeZone: no time zone 'Asia/Tokio'; names are such as Asia/Tokyo");
    refuse("schedule.timeZone=../../etc/passwd",
           "schedule.timeZone: no time zone '../../etc/passwd'; names are such as Asia/Tokyo");
    refuse("schedule.days=monday",
           "schedule.days: 'monday' is no day; days are sun mon tue wed thu fri sat");
    refuse("schedule.holidays=2026-13-01",
           "schedule.holidays: '2026-13-01' is no date such as 2026-11-23");
}

static int64_t fixed_wall(void *arg)
{
    return *(int64_t *)arg;
}

static void expect_hint(const char *const *sets, const char *now, const char *want)
{
    int64_t ms = at(now);
    struct clock clock = {.wall_ms = fixed_wall, .mono_ms = fixed_wall, .arg = &ms};
    struct run run = {.clock = &clock, .wake_fd = -1, .deadline = RUN_NO_DEADLINE,
                      .environ = no_environ};
    struct conf *conf = configured(sets);
    autofree char *hint = schedule_hint(&run, conf);
    assert_string_equal(hint, want);
    conf_free(conf);
}

static void test_hint(void **state)
{
    (void)state;
    const char *const sets[] = {"schedule.timeZone=Asia/Tokyo", "schedule.up=07:30",
                                "schedule.down=21:00", NULL};
    expect_hint(sets, "2026-11-20T22:00:00+09:00",
                "; the schedule brings it back on Mon 2026-11-23 07:30 JST");
    expect_hint(sets, "2026-11-20T12:00:00+09:00",
                "; the schedule has it up now: make it with necoops-create");
    expect_hint((const char *const[]){NULL}, "2026-11-20T12:00:00+09:00",
                "; make it with necoops-create (there is no schedule.up in the configuration)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_working_days_and_holidays),
        cmocka_unit_test(test_night_shift_and_leap_day),
        cmocka_unit_test(test_daylight_saving),
        cmocka_unit_test(test_the_zone_of_the_process_stays),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
