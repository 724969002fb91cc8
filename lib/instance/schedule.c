#include "necoops/instance/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/text.h"

#define ZONE_DIR    "/usr/share/zoneinfo"
#define DAYS_AHEAD  370
#define MINUTE_MS   INT64_C(60000)

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* ---- the C library's clock in another zone: it knows one zone a process, so it is switched ---- */

struct zone_switch {
    char *before;
};

static void enter_zone(struct zone_switch *state, const char *zone)
{
    const char *before = getenv("TZ");
    state->before = before ? xstrdup(before) : NULL;
    setenv("TZ", zone, 1);
    tzset();
}

static void leave_zone(struct zone_switch *state)
{
    if (state->before)
        setenv("TZ", state->before, 1);
    else
        unsetenv("TZ");
    tzset();
    free(state->before);
}

static struct tm local_time(const struct schedule *schedule, int64_t wall_ms)
{
    struct zone_switch zone;
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    enter_zone(&zone, schedule->time_zone);
    localtime_r(&seconds, &tm);
    leave_zone(&zone);
    return tm;
}

/* The moment of a local date and time; a time that daylight saving leaves out is the one after. */
static int64_t moment(const struct schedule *schedule, struct tm day, int minutes)
{
    struct zone_switch zone;
    struct tm tm = {.tm_year = day.tm_year, .tm_mon = day.tm_mon, .tm_mday = day.tm_mday,
                    .tm_hour = minutes / 60, .tm_min = minutes % 60, .tm_isdst = -1};
    enter_zone(&zone, schedule->time_zone);
    int64_t seconds = (int64_t)mktime(&tm);
    leave_zone(&zone);
    return seconds * 1000;
}

/* The calendar day `ahead` days after the one of `tm`. */
static struct tm day_after(struct tm tm, int ahead)
{
    struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday + ahead,
                     .tm_hour = 12};
    timegm(&day); /* normalizes; noon is a day of its own in no zone */
    return day;
}

/* ---- loading ---- */

static bool zone_exists(const char *zone)
{
    if (*zone == '\0' || *zone == '/' || strstr(zone, ".."))
        return false;
    autofree char *path = xasprintf("%s/%s", ZONE_DIR, zone);
    return access(path, R_OK) == 0;
}

static int check_zone(const char *zone, struct err *err)
{
    if (strcmp(zone, "UTC") == 0 || zone_exists(zone))
        return 0;
    if (access(ZONE_DIR, R_OK) < 0)
        return err_set(err, ERR_USAGE,
                       "schedule.timeZone: '%s' cannot be looked up: this machine has no tz database "
                       "(install the package tzdata)",
                       zone);
    return err_set(err, ERR_USAGE,
                   "schedule.timeZone: no time zone '%s'; names are such as Asia/Tokyo", zone);
}

static int load_days(const struct conf *conf, struct schedule *schedule, struct err *err)
{
    autostrv struct strv days = STRV_INIT;
    conf_strs(conf, "schedule.days", &days);
    for (size_t i = 0; i < days.len; i++) {
        size_t day = 0;
        while (day < 7 && strcmp(day_names[day], days.items[i]) != 0)
            day++;
        if (day == 7)
            return err_set(err, ERR_USAGE,
                           "schedule.days: '%s' is no day; days are sun mon tue wed thu fri sat",
                           days.items[i]);
        schedule->days[day] = true;
    }
    return 0;
}

static int check_holidays(const struct schedule *schedule, struct err *err)
{
    for (size_t i = 0; i < schedule->holidays.len; i++) {
        struct tm tm = {.tm_mday = 0};
        const char *text = schedule->holidays.items[i];
        const char *end = strptime(text, "%Y-%m-%d", &tm);
        if (strlen(text) != 10 || !end || *end)
            return err_set(err, ERR_USAGE, "schedule.holidays: '%s' is no date such as 2026-11-23",
                           text);
    }
    return 0;
}

int schedule_load(const struct conf *conf, struct schedule *out, struct err *err)
{
    autoschedule struct schedule schedule = {.up = -1, .down = -1};
    schedule.time_zone = xstrdup(conf_str(conf, "schedule.timeZone"));
    if (check_zone(schedule.time_zone, err) < 0 || load_days(conf, &schedule, err) < 0)
        return -1;
    conf_strs(conf, "schedule.holidays", &schedule.holidays);
    if (check_holidays(&schedule, err) < 0)
        return -1;
    const char *up = conf_str(conf, "schedule.up");
    const char *down = conf_str(conf, "schedule.down");
    if (up)
        schedule.up = schedule_clock_minutes(up);
    if (down)
        schedule.down = schedule_clock_minutes(down);
    *out = schedule;
    schedule = (struct schedule){.up = -1};
    return 0;
}

void schedule_clear(struct schedule *schedule)
{
    free(schedule->time_zone);
    strv_clear(&schedule->holidays);
    schedule->time_zone = NULL;
}

int schedule_clock_minutes(const char *text)
{
    return ((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0';
}

/* ---- asking ---- */

static bool is_cluster_day(const struct schedule *schedule, const struct tm *day)
{
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%d", day);
    return schedule->days[day->tm_wday] && !strv_has(&schedule->holidays, date);
}

/* Up and down of the cluster day `day`; a down time before the up time is on the day after. */
static void bounds(const struct schedule *schedule, struct tm day, int64_t *up, int64_t *down)
{
    int from = schedule->up < 0 ? 0 : schedule->up;
    *up = moment(schedule, day, from);
    if (schedule->down < 0)
        *down = moment(schedule, day_after(day, 1), 0);
    else if (schedule->down > from)
        *down = moment(schedule, day, schedule->down);
    else
        *down = moment(schedule, day_after(day, 1), schedule->down);
}

bool schedule_is_up(const struct schedule *schedule, int64_t wall_ms)
{
    struct tm today = local_time(schedule, wall_ms);
    for (int ahead = -1; ahead <= 0; ahead++) {
        struct tm day = day_after(today, ahead);
        int64_t up, down;
        if (!is_cluster_day(schedule, &day))
            continue;
        bounds(schedule, day, &up, &down);
        if (wall_ms >= up && wall_ms < down)
            return true;
    }
    return false;
}

bool schedule_next_up(const struct schedule *schedule, int64_t wall_ms, int64_t *next)
{
    struct tm today = local_time(schedule, wall_ms);
    for (int ahead = 0; ahead < DAYS_AHEAD; ahead++) {
        struct tm day = day_after(today, ahead);
        int64_t up, down;
        if (!is_cluster_day(schedule, &day))
            continue;
        bounds(schedule, day, &up, &down);
        if (up > wall_ms) {
            *next = up;
            return true;
        }
    }
    return false;
}

int64_t schedule_next_clock(const struct schedule *schedule, int64_t wall_ms, int minutes)
{
    struct tm today = local_time(schedule, wall_ms);
    int64_t at = moment(schedule, today, minutes);
    return at > wall_ms ? at : moment(schedule, day_after(today, 1), minutes);
}

char *schedule_time_text(const struct schedule *schedule, int64_t wall_ms)
{
    struct zone_switch zone;
    struct tm tm;
    char text[64];
    time_t seconds = (time_t)(wall_ms / 1000);
    enter_zone(&zone, schedule->time_zone);
    localtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%a %Y-%m-%d %H:%M %Z", &tm);
    leave_zone(&zone);
    return xstrdup(text);
}

char *schedule_hint(const struct run *run, const struct conf *conf)
{
    autoschedule struct schedule schedule = {.up = -1};
    autoerr struct err err = ERR_INIT;
    if (!conf_has(conf, "schedule.up"))
        return xstrdup("; make it with necoops-create (there is no schedule.up in the configuration)");
    if (schedule_load(conf, &schedule, &err) < 0)
        return xasprintf("; the schedule cannot tell when it comes back: %s", err_text(&err));
    int64_t now = run_wall_ms(run), next;
    if (schedule_is_up(&schedule, now))
        return xstrdup("; the schedule has it up now: make it with necoops-create");
    if (!schedule_next_up(&schedule, now, &next))
        return xstrdup("; the schedule does not bring it back within a year");
    autofree char *when = schedule_time_text(&schedule, next);
    return xasprintf("; the schedule brings it back on %s", when);
}
