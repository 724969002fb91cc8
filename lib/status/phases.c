/* How far the setup is: every phase that the console still tells, and the guest attribute. */
#include "internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/instance/phase.h"

#define ATTRIBUTE_EVERY_MS 15000

static bool same(const cJSON *entry, const struct phase_report *report)
{
    return strcmp(json_str_or(entry, "phase", ""), phase_name(report->phase)) == 0 &&
           strcmp(json_str_or(entry, "time", ""), report->time) == 0 &&
           strcmp(json_str_or(entry, "message", ""), report->message) == 0;
}

static void add(struct status *status, const struct phase_report *report)
{
    const cJSON *before;
    cJSON_ArrayForEach(before, status->phases)
    {
        if (same(before, report))
            return;
    }
    cJSON *entry = json_object();
    json_set_str(entry, "phase", phase_name(report->phase));
    json_set_str(entry, "message", report->message);
    json_set_str(entry, "time", report->time);
    json_set_str(entry, "bootId", report->boot_id);
    json_push(status->phases, entry);
}

static int read_console(struct status *status, const cJSON *instance, struct err *err)
{
    struct phase_report report;
    int64_t lost = 0;
    size_t from = 0;
    if (gce_serial_output(status->cloud.gce, instance_zone(instance), instance_id(instance), 1,
                          status->console_next, &status->console, &status->console_next, &lost,
                          err) < 0)
        return -1;
    status->console_lost = status->console_lost || lost > 0;
    while (phase_next(&status->console, &from, &report))
        add(status, &report);
    memmove(status->console.data, status->console.data + from, status->console.len - from);
    status->console.len -= from;
    return 0;
}

static int read_attribute(struct status *status, const cJSON *instance, struct err *err)
{
    autofree char *json = NULL;
    struct phase_report report;
    if (run_mono_ms(status->run) < status->attribute_due)
        return 0;
    status->attribute_due = run_mono_ms(status->run) + ATTRIBUTE_EVERY_MS;
    if (gce_guest_attribute(status->cloud.gce, instance_zone(instance), instance_id(instance),
                            PHASE_SPACE, PHASE_KEY, &json, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
        return 0;
    }
    if (phase_parse(json, &report, err) < 0)
        err_clear(err); /* anything on the instance can write there */
    else
        add(status, &report);
    return 0;
}

static int64_t time_of(const cJSON *entry)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t ms;
    return time_parse_rfc3339(json_str_or(entry, "time", ""), &ms, &ignored) == 0 ? ms : -1;
}

/* How long each one lasted, until the next one of the same boot. */
static void set_lengths(cJSON *phases)
{
    cJSON *entry;
    cJSON_ArrayForEach(entry, phases)
    {
        const cJSON *next = entry->next;
        int64_t begin = time_of(entry), end = time_of(next);
        if (next && begin >= 0 && end >= begin &&
            strcmp(json_str_or(entry, "bootId", ""), json_str_or(next, "bootId", "")) == 0)
            json_set_i64(entry, "milliseconds", end - begin);
    }
}

void status_phases(struct status *status, const cJSON *instance, cJSON *value)
{
    autoerr struct err err = ERR_INIT;
    if (read_console(status, instance, &err) < 0)
        status_problem(value, &err);
    if (read_attribute(status, instance, &err) < 0)
        status_problem(value, &err);
    cJSON *phases = json_set(value, "phases", json_copy(status->phases));
    int count = cJSON_GetArraySize(phases);
    set_lengths(phases);
    json_set_str(value, "phase",
                 count ? json_str(cJSON_GetArrayItem(phases, count - 1), "phase") : "none");
    if (status->console_lost) {
        err_set(&err, ERR_FAILED,
                "a part of the console is no longer kept: phases may be missing above");
        status_problem(value, &err);
    }
}
