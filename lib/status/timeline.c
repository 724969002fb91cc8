/* The day: operations on instances of the name, and the phases of the one there is. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int64_t time_at(const cJSON *value, const char *path)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t ms;
    return time_parse_rfc3339(json_str_or(value, path, ""), &ms, &ignored) == 0 ? ms : -1;
}

static cJSON *event(int64_t at, const char *what)
{
    cJSON *entry = json_object();
    json_set_str(entry, "time", time_rfc3339_ms(at).text);
    json_set_str(entry, "event", what);
    return entry;
}

static void add_operation(cJSON *timeline, const char *zone, const cJSON *operation, int64_t since)
{
    int64_t begin = time_at(operation, "insertTime"), end = time_at(operation, "endTime");
    if (begin < since)
        return;
    cJSON *entry = event(begin, json_str_or(operation, "operationType", "operation"));
    json_set_str(entry, "zone", zone);
    json_set_str(entry, "by", json_str(operation, "user"));
    json_set_str(entry, "status", json_str(operation, "status"));
    if (end >= begin)
        json_set_i64(entry, "milliseconds", end - begin);
    json_set_str(entry, "error", json_str(operation, "error.errors[0].code"));
    json_push(timeline, entry);
}

static void add_phases(cJSON *timeline, const cJSON *phases, int64_t since)
{
    const cJSON *phase;
    cJSON_ArrayForEach(phase, phases)
    {
        int64_t at = time_at(phase, "time");
        if (at < since)
            continue;
        autofree char *what = xasprintf("phase %s", json_str_or(phase, "phase", ""));
        cJSON *entry = event(at, what);
        json_set_str(entry, "message", json_str(phase, "message"));
        json_push(timeline, entry);
    }
}

struct place {
    cJSON *entry;
    size_t index;
};

/* Phases tell whole seconds only, and begin after the operation that makes them possible. */
static int compare(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    int order = strncmp(json_str_or(one->entry, "time", ""), json_str_or(other->entry, "time", ""),
                        strlen("2026-01-02T03:04:05"));
    if (order == 0)
        order = (json_str(other->entry, "by") != NULL) - (json_str(one->entry, "by") != NULL);
    if (order != 0)
        return order;
    return one->index < other->index ? -1 : one->index > other->index;
}

static void sort(cJSON *array)
{
    size_t count = (size_t)cJSON_GetArraySize(array);
    struct place *places = xcalloc(count + 1, sizeof *places);
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){.entry = cJSON_DetachItemFromArray(array, 0), .index = i};
    if (count)
        qsort(places, count, sizeof *places, compare);
    for (size_t i = 0; i < count; i++)
        json_push(array, places[i].entry);
    free(places);
}

void status_timeline(struct status *status, cJSON *value)
{
    int64_t since = run_wall_ms(status->run) - DAY_MS;
    cJSON *timeline = json_set_array(value, "timeline");
    for (size_t i = 0; i < status->zones.len; i++) {
        autoerr struct err err = ERR_INIT;
        autojson cJSON *operations = NULL;
        const cJSON *operation;
        if (run_check(status->run, "the operations", &err) < 0)
            return;
        if (gce_operations_list(status->cloud.gce, status->zones.items[i], status->name,
                                &operations, &err) < 0)
            status_problem(value, &err);
        cJSON_ArrayForEach(operation, operations)
            add_operation(timeline, status->zones.items[i], operation, since);
    }
    add_phases(timeline, json_at(value, "phases"), since);
    sort(timeline);
}
