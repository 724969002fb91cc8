/* How fast a transfer is and when it will be done, for people. */
#ifndef SNAPSHOT_RATE_H
#define SNAPSHOT_RATE_H

#include <stdint.h>

struct rate {
    int64_t started;   /* mono_ms */
    int64_t marked_at; /* the rate shown is that since the mark, which moves on */
    uint64_t marked;
    double speed; /* bytes a second, smoothed */
};
struct rate_text {
    char text[128];
};
struct size_text {
    char text[24];
};

void rate_start(struct rate *rate, int64_t now);
/* "312.0 of 671.0 MiB, 320.1 MiB/s, 1.1s left" */
struct rate_text rate_text(struct rate *rate, int64_t now, uint64_t done, uint64_t total);
struct size_text size_format(uint64_t bytes); /* "671.0 MiB" */

#endif
