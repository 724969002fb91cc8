/* Operations: what tells how a change ended. */
#include "gce/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define WAIT_TRY_MS   (150 * 1000) /* the service answers after two minutes at the latest */
#define FIRST_FLOOR   100          /* an answer that comes early is asked again quickly once, */
#define FLOOR_MS      1000         /* then no more often than this, */
#define FLOOR_MOST_MS 5000         /* growing to this */
#define LOST_MOST     3            /* calls in a row that failed, each after its own tries */

/* ---- errors ---- */

static bool contains(const char *code, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strstr(code, *words) != NULL)
            return true;
    }
    return false;
}

/* The codes are free text (UPPER_SNAKE); these are what clients of the API know
 * (cluster-autoscaler's classes among them). */
static enum err_code classify(const char *code, const char *message)
{
    static const char *const capacity[] = {
        "RESOURCE_POOL_EXHAUSTED", "QUOTA",      "IP_SPACE_EXHAUSTED",
        "RATE_EXCEEDED",           "RATE_LIMIT", NULL};
    static const char *const denied[] = {"PERMISSION", "FORBIDDEN", "ACCESS_NOT_CONFIGURED", NULL};
    static const char *const invalid[] = {"INVALID", "UNSUPPORTED", "BAD_REQUEST", "REQUIRED",
                                          NULL};

    if (contains(code, capacity))
        return ERR_CAPACITY;
    if (contains(code, denied))
        return ERR_DENIED;
    if (strstr(code, "CONDITION_NOT_MET") != NULL) /* an organization's policy, or a fingerprint */
        return strstr(message, "constraint") != NULL ? ERR_DENIED : ERR_CONFLICT;
    if (strstr(code, "ALREADY_EXISTS") != NULL)
        return ERR_EXISTS;
    if (strstr(code, "NOT_FOUND") != NULL)
        return ERR_NOT_FOUND;
    if (contains(code, invalid))
        return ERR_INVALID;
    return ERR_FAILED;
}

static const char *advice(enum err_code code, const char *reason)
{
    if (strstr(reason, "RESOURCE_POOL_EXHAUSTED") != NULL)
        return "; another zone or machine type may have room";
    if (code == ERR_CAPACITY && strstr(reason, "QUOTA") != NULL)
        return "; free something, or ask for more quota";
    return "";
}

static int failed(const cJSON *operation, const char *what, struct err *err)
{
    const char *code = json_str_or(operation, "error.errors[0].code", "");
    const char *message = json_str(operation, "error.errors[0].message");
    autofree char *visible = NULL;
    autofree char *shown = NULL;
    enum err_code kind;
    int64_t status = 0;

    if (message == NULL)
        message = json_str_or(operation, "httpErrorMessage", "no reason given");
    kind = classify(code, message);
    visible = text_visible(message, strnlen(message, 300), false);
    shown = text_visible(code, strnlen(code, 60), false);
    err_set(err, kind, "%s: %s%s%s%s", what, shown, shown[0] != '\0' ? ": " : "", visible,
            advice(kind, code));
    if (json_i64(operation, "httpErrorStatusCode", &status))
        err->http_status = (int)status;
    text_copy(err->reason, sizeof(err->reason), code);
    return -1;
}

bool gce_is_stockout(const struct err *err)
{
    return err->code != ERR_NONE && (strstr(err->reason, "RESOURCE_POOL_EXHAUSTED") != NULL ||
                                     strcmp(err->reason, "insufficientCapacity") == 0);
}

/* ---- waiting ---- */

static bool is_done(const cJSON *operation)
{
    return strcmp(json_str_or(operation, "status", ""), "DONE") == 0;
}

/* An `error` counts only when it holds something. */
static bool has_error(const cJSON *operation)
{
    return cJSON_GetArraySize(json_at(operation, "error.errors")) > 0 ||
           cJSON_IsObject(json_at(operation, "error"));
}

/* Where to wait: built from its name and scope; a URL out of an answer is never followed. Caller
 * frees. */
static char *wait_url(const struct gce *gce, const cJSON *operation)
{
    const char *zone = json_str(operation, "zone");
    const char *name = json_str(operation, "name");
    autofree char *encoded = url_encode(name);

    if (zone != NULL)
        return gce_zone_url(gce, gce_basename(zone), "operations", name, "wait");
    return xasprintf("%s/global/operations/%s/wait", gce->base, encoded);
}

/* True when this failure may pass: the operation goes on whether we hear of it or not. */
static bool may_pass(struct gce *gce, const struct err *err)
{
    autoerr struct err end = ERR_INIT;

    return (err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT) &&
           run_check(http_run(gce->http), NULL, &end) == 0;
}

static int expired(const char *what, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND,
                   "%s: its operation is no longer kept by the service, so how it ended is not "
                   "known; look at what there is",
                   what);
}

/* One call of `wait`. 1: it answered; 0: it failed in a way that may pass; -1: final. */
static int wait_once(struct gce *gce, const char *url, const char *what, cJSON **operation,
                     struct err *err)
{
    const struct google_call call = {.method = "POST",
                                     .url = url,
                                     .idempotent = true,
                                     .what = what,
                                     .permission = "compute.zoneOperations.get",
                                     .timeout_ms = WAIT_TRY_MS};
    cJSON *answer = NULL;

    if (google_call(gce->http, gce->auth, &call, &answer, err) == 0) {
        cJSON_Delete(*operation);
        *operation = answer;
        return 1;
    }
    if (err->code == ERR_NOT_FOUND)
        return expired(what, err);
    return may_pass(gce, err) ? 0 : -1;
}

static int64_t next_floor(int64_t floor)
{
    if (floor < FLOOR_MS)
        return FLOOR_MS;
    return floor + floor / 4 < FLOOR_MOST_MS ? floor + floor / 4 : FLOOR_MOST_MS;
}

static int wait_until_done(struct gce *gce, cJSON **operation, const char *what, struct err *err)
{
    const struct run *run = http_run(gce->http);
    autofree char *url = wait_url(gce, *operation);
    int64_t floor = FIRST_FLOOR;
    int lost = 0;

    while (!is_done(*operation)) {
        int64_t start = run_mono_ms(run);
        int answered = wait_once(gce, url, what, operation, err);
        int64_t took = run_mono_ms(run) - start;

        lost = answered == 1 ? 0 : lost + 1;
        if (answered < 0 || lost == LOST_MOST)
            return -1;
        if (!is_done(*operation) && took < floor && run_sleep(run, floor - took, what, err) < 0)
            return -1;
        floor = next_floor(floor);
    }
    err_clear(err);
    return 0;
}

int gce_operation_wait(struct gce *gce, const cJSON *operation, const char *what, struct err *err)
{
    autojson cJSON *current = json_copy(operation);

    if (json_str(current, "name") == NULL)
        return err_set(err, ERR_PROTOCOL, "%s: the answer is no operation", what);
    if (wait_until_done(gce, &current, what, err) < 0)
        return -1;
    return has_error(current) ? failed(current, what, err) : 0;
}

/* ---- what is under way ---- */

struct operations {
    cJSON *list;
    const char *target;
    bool ended_too;
};

static int each_operation(void *arg, const cJSON *page, struct err *err)
{
    struct operations *operations = arg;
    const cJSON *item = NULL;

    (void)err;
    cJSON_ArrayForEach(item, json_at(page, "items"))
    {
        const char *target = json_str_or(item, "targetLink", "");

        if ((operations->ended_too || !is_done(item)) &&
            strcmp(gce_basename(target), operations->target) == 0)
            json_push(operations->list, json_copy(item));
    }
    return 0;
}

static int64_t inserted_ms(const cJSON *operation)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t ms = 0;

    (void)!time_parse_rfc3339(json_str_or(operation, "insertTime", ""), &ms, &ignored);
    return ms;
}

static int by_time(const void *a, const void *b)
{
    int64_t left = inserted_ms(*(cJSON *const *)a);
    int64_t right = inserted_ms(*(cJSON *const *)b);

    return left < right ? -1 : left > right;
}

static cJSON *sorted_by_time(cJSON *list)
{
    size_t count = (size_t)cJSON_GetArraySize(list);
    cJSON **items = xcalloc(count + 1, sizeof(*items));
    cJSON *sorted = json_array();

    for (size_t i = 0; i < count; i++)
        items[i] = cJSON_DetachItemFromArray(list, 0);
    qsort(items, count, sizeof(*items), by_time);
    for (size_t i = 0; i < count; i++)
        json_push(sorted, items[i]);
    free(items);
    return sorted;
}

static int list_operations(struct gce *gce, const char *zone, const char *filter,
                           struct operations *operations, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "operations", NULL, NULL);
    autofree char *encoded = url_encode(filter);
    autofree char *query = xasprintf("maxResults=500&filter=%s", encoded);
    autofree char *what = xasprintf("operations in zone '%s'", zone);
    const struct gce_list list = {.url = url,
                                  .query = query,
                                  .what = what,
                                  .permission = "compute.zoneOperations.list",
                                  .each = each_operation,
                                  .arg = operations};

    return gce_list_pages(gce, &list, err);
}

int gce_operations_list(struct gce *gce, const char *zone, const char *target_name, cJSON **out,
                        struct err *err)
{
    autojson cJSON *found = json_array();
    struct operations operations = {.list = found, .target = target_name, .ended_too = true};
    autofree char *filter = xasprintf("targetLink eq .*/%s", target_name);

    if (list_operations(gce, zone, filter, &operations, err) < 0)
        return -1;
    *out = sorted_by_time(found);
    return 0;
}

int gce_operations_running(struct gce *gce, const char *zone, const char *target_name, cJSON **out,
                           struct err *err)
{
    autojson cJSON *found = json_array();
    struct operations operations = {.list = found, .target = target_name};

    if (list_operations(gce, zone, "status != DONE", &operations, err) < 0)
        return -1;
    *out = sorted_by_time(found);
    return 0;
}
