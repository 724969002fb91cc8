#include <stdio.h>
#include "necoops/base/timefmt.h"
#include "snapshot/rate.h"

#define MARK_MS 1000

void rate_start(struct rate *rate, int64_t now)
{
    *rate = (struct rate){.started = now, .marked_at = now};
}

struct size_text size_format(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct size_text out;
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(out.text, sizeof(out.text), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

struct rate_text rate_text(struct rate *rate, int64_t now, uint64_t done, uint64_t total)
{
    struct rate_text out;
    if (now - rate->marked_at >= MARK_MS && done >= rate->marked) {
        double speed = (double)(done - rate->marked) * 1000 / (double)(now - rate->marked_at);
        rate->speed = rate->speed > 0 ? 0.7 * rate->speed + 0.3 * speed : speed;
        rate->marked = done;
        rate->marked_at = now;
    }
    struct size_text have = size_format(done), all = size_format(total);
    if (rate->speed < 1 || done > total) {
        snprintf(out.text, sizeof(out.text), "%s of %s", have.text, all.text);
        return out;
    }
    struct size_text speed = size_format((uint64_t)rate->speed);
    struct duration_text left =
        duration_format((int64_t)((double)(total - done) / rate->speed * 1000));
    snprintf(out.text, sizeof(out.text), "%s of %s, %s/s, %s left", have.text, all.text, speed.text,
             left.text);
    return out;
}
