#include "necoops/base/timefmt.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t ms;
};

/* Largest first. */
static const struct unit units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits at *at; false when there are none or too many. */
static bool take_number(const char **at, int64_t *value)
{
    int64_t result = 0;

    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, **at - '0', &result))
            return false;
    }
    *value = result;
    return true;
}

/* The unit at *at, which must come after the first `from` of the table. */
static bool take_unit(const char **at, size_t *from, int64_t *ms)
{
    size_t len = 0;

    while ((*at)[len] >= 'a' && (*at)[len] <= 'z')
        len++;
    for (size_t i = *from; i < ARRAY_LEN(units); i++) {
        if (strlen(units[i].name) == len && strncmp(units[i].name, *at, len) == 0) {
            *at += len;
            *from = i + 1;
            *ms = units[i].ms;
            return true;
        }
    }
    return false;
}

#define DURATION_MAX (INT64_C(36500) * 24 * 3600 * 1000) /* a sum with a clock cannot overflow */

int duration_parse(const char *text, int64_t *ms, struct err *err)
{
    const char *at = text;
    size_t from = 0;
    int64_t total = 0;
    int64_t number;
    int64_t unit;

    do {
        if (!take_number(&at, &number) || !take_unit(&at, &from, &unit) ||
            __builtin_mul_overflow(number, unit, &number) ||
            __builtin_add_overflow(total, number, &total))
            return err_set(err, ERR_USAGE,
                           "'%s' is no duration; write it like '90s', '30m', '1h30m' or '2d'",
                           text);
    } while (*at != '\0');
    if (total > DURATION_MAX)
        return err_set(err, ERR_USAGE, "'%s' is too long; at most 36500d are possible", text);
    *ms = total;
    return 0;
}

struct duration_text duration_format(int64_t ms)
{
    struct duration_text out;
    const char *sign = ms < 0 ? "-" : "";
    uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    uint64_t seconds = left / 1000;
    uint64_t minutes = seconds / 60;
    uint64_t hours = minutes / 60;

    /* Cut off, not rounded: 59.96 s must not read "60.0s". */
    if (left < 1000)
        snprintf(out.text, sizeof(out.text), "%s%" PRIu64 "ms", sign, left);
    else if (minutes == 0)
        snprintf(out.text, sizeof(out.text), "%s%" PRIu64 ".%" PRIu64 "s", sign, seconds,
                 left % 1000 / 100);
    else if (hours == 0)
        snprintf(out.text, sizeof(out.text), "%s%" PRIu64 "m%02" PRIu64 "s", sign, minutes,
                 seconds % 60);
    else if (hours < 24)
        snprintf(out.text, sizeof(out.text), "%s%" PRIu64 "h%02" PRIu64 "m", sign, hours,
                 minutes % 60);
    else
        snprintf(out.text, sizeof(out.text), "%s%" PRIu64 "d%02" PRIu64 "h", sign, hours / 24,
                 hours % 24);
    return out;
}

/* ---- the calendar: days since 1970-01-01, counted in years that begin in March, so that the
 * leap day is a year's last ---- */

static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t from_march = days + 719468; /* since 0000-03-01 */
    int64_t era = (from_march >= 0 ? from_march : from_march - 146096) / 146097;
    int64_t day_of_era = from_march - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;

    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* ---- RFC 3339 ---- */

/* Exactly `count` digits within [min, max]. */
static bool take_digits(const char **at, int count, int min, int max, int *value)
{
    int result = 0;

    for (int i = 0; i < count; i++) {
        if (!is_digit((*at)[i]))
            return false;
        result = result * 10 + ((*at)[i] - '0');
    }
    *at += count;
    *value = result;
    return result >= min && result <= max;
}

static bool take_char(const char **at, const char *accepted)
{
    if (**at == '\0' || strchr(accepted, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* ".678…" as milliseconds, finer digits cut off; nothing there is 0. */
static bool take_fraction(const char **at, int *ms)
{
    int scale = 100;

    *ms = 0;
    if (**at != '.')
        return true;
    (*at)++;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        *ms += (**at - '0') * scale;
        scale /= 10;
    }
    return true;
}

static bool take_offset(const char **at, int *minutes)
{
    char sign = **at;
    int h;
    int m;

    *minutes = 0;
    if (take_char(at, "Zz"))
        return true;
    if (!take_char(at, "+-") || !take_digits(at, 2, 0, 23, &h) || !take_char(at, ":") ||
        !take_digits(at, 2, 0, 59, &m))
        return false;
    *minutes = sign == '-' ? -(h * 60 + m) : h * 60 + m;
    return true;
}

static bool parse_rfc3339(const char *at, int64_t *wall_ms)
{
    int year, month, day, hour, minute, second, ms, offset;
    int64_t minutes;

    if (!take_digits(&at, 4, 0, 9999, &year) || !take_char(&at, "-") ||
        !take_digits(&at, 2, 1, 12, &month) || !take_char(&at, "-") ||
        !take_digits(&at, 2, 1, days_in_month(year, month), &day) || !take_char(&at, "Tt ") ||
        !take_digits(&at, 2, 0, 23, &hour) || !take_char(&at, ":") ||
        !take_digits(&at, 2, 0, 59, &minute) || !take_char(&at, ":") ||
        !take_digits(&at, 2, 0, 60, &second) || !take_fraction(&at, &ms) ||
        !take_offset(&at, &offset) || *at != '\0')
        return false;
    minutes = days_from_date(year, month, day) * 1440 + hour * 60 + minute - offset;
    *wall_ms = (minutes * 60 + second) * 1000 + ms;
    return true;
}

int time_parse_rfc3339(const char *text, int64_t *wall_ms, struct err *err)
{
    if (!parse_rfc3339(text, wall_ms))
        return err_set(err, ERR_PROTOCOL, "'%s' is no RFC 3339 time", text);
    return 0;
}

/* `wall` in units of 1/per_second; that many digits of fraction. */
static struct time_text format_time(int64_t wall, int64_t per_second, int digits)
{
    struct time_text out;
    int64_t fraction = wall % per_second;
    int64_t seconds = wall / per_second;
    int64_t days;
    int64_t year;
    int month;
    int day;

    if (fraction < 0) {
        fraction += per_second;
        seconds--;
    }
    days = seconds / 86400;
    seconds %= 86400;
    if (seconds < 0) {
        seconds += 86400;
        days--;
    }
    date_from_days(days, &year, &month, &day);
    if (digits == 0)
        snprintf(out.text, sizeof(out.text), "%04" PRId64 "-%02d-%02dT%02d:%02d:%02dZ", year, month,
                 day, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
    else
        snprintf(out.text, sizeof(out.text), "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%0*dZ", year,
                 month, day, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
                 digits, (int)fraction);
    return out;
}

struct time_text time_rfc3339(int64_t wall_ms)
{
    return format_time(wall_ms, 1000, 0);
}

struct time_text time_rfc3339_ms(int64_t wall_ms)
{
    return format_time(wall_ms, 1000, 3);
}

struct time_text time_rfc3339_micro(int64_t wall_us)
{
    return format_time(wall_us, 1000000, 6);
}
