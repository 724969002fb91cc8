/* When there is a cluster: days, up and down times and holidays of a time zone (configuration
 * `schedule`), and the soft end of an instance's life that follows from them. Time zones come from
 * the system's tz database. */
#ifndef NECOOPS_INSTANCE_SCHEDULE_H
#define NECOOPS_INSTANCE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

struct schedule {
    char *time_zone;
    int up, down;        /* minutes of the day; -1: not set */
    bool days[7];        /* from Sunday */
    struct strv holidays; /* YYYY-MM-DD */
};

/* ERR_USAGE for an unknown zone, day or date. */
int schedule_load(const struct conf *conf, struct schedule *out, struct err *err) MUST_CHECK;
void schedule_clear(struct schedule *schedule);
#define autoschedule CLEANUP(schedule_clear)

/* Between up and down of a day that has a cluster; without up or down, the whole of such a day. */
bool schedule_is_up(const struct schedule *schedule, int64_t wall_ms);
/* The next moment after `wall_ms` at which it is up; false when that is not within a year. */
bool schedule_next_up(const struct schedule *schedule, int64_t wall_ms, int64_t *next);
/* The next moment after `wall_ms` at which this clock time (minutes of the day) is reached. */
int64_t schedule_next_clock(const struct schedule *schedule, int64_t wall_ms, int minutes);
/* "07:30" to minutes; the configuration has checked the form. */
int schedule_clock_minutes(const char *text);

/* For people, in the schedule's zone: "Tue 2026-11-24 07:30 JST". Caller frees. */
char *schedule_time_text(const struct schedule *schedule, int64_t wall_ms);
/* What to add to "there is no cluster": "; the schedule brings it back on Tue …", "; the schedule
 * has it up until …, so create it with necoops-create", or a hint without a schedule. Caller frees. */
char *schedule_hint(const struct run *run, const struct conf *conf);

#endif
