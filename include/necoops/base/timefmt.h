/* Durations as options and configuration have them (`90s`, `30m`, `1h30m`, `2d`; no unit is an
 * error), times as RFC 3339. */
#ifndef NECOOPS_BASE_TIMEFMT_H
#define NECOOPS_BASE_TIMEFMT_H

#include <stdint.h>
#include "necoops/base/err.h"

/* ERR_USAGE when it is none; units d h m s ms, largest first, each at most once; at most 36500d. */
int duration_parse(const char *text, int64_t *ms, struct err *err) MUST_CHECK;
/* "850ms", "12.3s", "4m05s", "1h30m"; static size. */
struct duration_text {
    char text[32];
};
struct duration_text duration_format(int64_t ms);

/* RFC 3339 with any fraction and offset; ERR_PROTOCOL when it is none. */
int time_parse_rfc3339(const char *text, int64_t *wall_ms, struct err *err) MUST_CHECK;
struct time_text {
    char text[40];
};
struct time_text time_rfc3339(int64_t wall_ms);       /* 2026-01-02T03:04:05Z */
struct time_text time_rfc3339_ms(int64_t wall_ms);    /* 2026-01-02T03:04:05.678Z */
struct time_text time_rfc3339_micro(int64_t wall_us); /* Kubernetes MicroTime */

#endif
