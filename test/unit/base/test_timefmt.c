#include "unit.h"
#include <time.h>
#include "necoops/base/timefmt.h"

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0s", 0},
        {"850ms", 850},
        {"90s", 90000},
        {"30m", 1800000},
        {"1h30m", 5400000},
        {"2d", 172800000},
        {"1d2h3m4s5ms", 93784005},
        {"1m5ms", 60005},
        {"36500d", INT64_C(3153600000000)},
    };
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;

        assert_ok(duration_parse(rows[i].text, &ms, &err), err);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "90",
        "s",
        "-5s",
        "+5s",
        "1.5h",
        " 5s",
        "5s ",
        "5 s",
        "5x",
        "5S",
        "1m1h",
        "1s1s",
        "5msx",
        "1h30",
        "0x5s",
        "9223372036854775808ms",
        "9223372036854775807s",
        "106751991168d",
        "99999999999999999999999s",
        "106751991167d9223372036854775807ms",
    };
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t ms = 77;
        autofree char *wanted =
            xasprintf("'%s' is no duration; write it like '90s', '30m', '1h30m' or '2d'", texts[i]);

        assert_int_equal(duration_parse(texts[i], &ms, &err), -1);
        assert_int_equal(ms, 77);
        assert_err(err, ERR_USAGE, wanted);
    }
}

static void durations_are_written_for_people(void **state)
{
    (void)state;
    assert_string_equal(duration_format(0).text, "0ms");
    assert_string_equal(duration_format(850).text, "850ms");
    assert_string_equal(duration_format(999).text, "999ms");
    assert_string_equal(duration_format(1000).text, "1.0s");
    assert_string_equal(duration_format(12345).text, "12.3s");
    assert_string_equal(duration_format(59999).text, "59.9s");
    assert_string_equal(duration_format(60000).text, "1m00s");
    assert_string_equal(duration_format(245000).text, "4m05s");
    assert_string_equal(duration_format(3599999).text, "59m59s");
    assert_string_equal(duration_format(5400000).text, "1h30m");
    assert_string_equal(duration_format(86400000 + 7200000).text, "1d02h");
    assert_string_equal(duration_format(-1500).text, "-1.5s");
    assert_string_equal(duration_format(INT64_MIN).text, "-106751991167d07h");
    assert_string_equal(duration_format(INT64_MAX).text, "106751991167d07h");
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05Z", 1767323045000},
        {"2026-01-02T03:04:05.678Z", 1767323045678},
        {"2026-01-02t03:04:05.6789999999999z", 1767323045678},
        {"2026-01-02 03:04:05.1Z", 1767323045100},
        {"2026-01-02T03:04:05-07:00", 1767348245000},
        {"2026-01-02T03:04:05+05:30", 1767303245000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"9999-12-31T23:59:59Z", 253402300799000},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = 77;

        assert_ok(time_parse_rfc3339(rows[i].text, &ms, &err), err);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-13-02T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "1900-02-29T00:00:00Z",
        "2026-01-32T03:04:05Z",
        "2026-01-00T03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05ZZ",
        "2026-01-02T03:04:05+0530",
        "2026-01-02T03:04:05+24:00",
        "26-01-02T03:04:05Z",
        "2026-1-2T3:4:5Z",
        " 2026-01-02T03:04:05Z",
        "2026-01-02_03:04:05Z",
        "-026-01-02T03:04:05Z",
    };
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t ms = 77;
        autofree char *wanted = xasprintf("'%s' is no RFC 3339 time", texts[i]);

        assert_int_equal(time_parse_rfc3339(texts[i], &ms, &err), -1);
        assert_int_equal(ms, 77);
        assert_err(err, ERR_PROTOCOL, wanted);
    }
}

static void times_are_written(void **state)
{
    (void)state;
    assert_string_equal(time_rfc3339(1767323045678).text, "2026-01-02T03:04:05Z");
    assert_string_equal(time_rfc3339_ms(1767323045678).text, "2026-01-02T03:04:05.678Z");
    assert_string_equal(time_rfc3339_micro(1767323045000042).text, "2026-01-02T03:04:05.000042Z");
    assert_string_equal(time_rfc3339_ms(-1).text, "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_rfc3339(0).text, "1970-01-01T00:00:00Z");
    assert_non_null(strchr(time_rfc3339_ms(INT64_MAX).text, 'Z'));
    assert_non_null(strchr(time_rfc3339_ms(INT64_MIN).text, 'Z'));
}

/* Against the C library, a prime number of seconds apart over some centuries. */
static void the_calendar_agrees_with_the_system(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (int64_t s = -8000000000; s < 20000000000; s += 7999993) {
        time_t seconds = (time_t)s;
        struct tm tm;
        char wanted[40];
        int64_t ms;

        assert_non_null(gmtime_r(&seconds, &tm));
        strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_string_equal(time_rfc3339(s * 1000).text, wanted);
        assert_ok(time_parse_rfc3339(wanted, &ms, &err), err);
        assert_int_equal(ms, s * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_are_written_for_people),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(times_are_written),
        cmocka_unit_test(the_calendar_agrees_with_the_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
