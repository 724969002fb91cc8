/* A status for people. */
#include "necoops/status/status.h"

#include <string.h>
#include "necoops/base/log.h"
#include "necoops/base/timefmt.h"
#include "necoops/report/table.h"

struct page {
    const cJSON *value;
    const struct schedule *schedule;
    FILE *stream;
    bool color;
    int64_t now;
};

static int64_t time_at(const cJSON *value, const char *path)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t ms;
    return time_parse_rfc3339(json_str_or(value, path, ""), &ms, &ignored) == 0 ? ms : -1;
}

/* Text of the cloud or the cluster, made safe for a terminal. */
static void put(const struct page *page, const char *label, const char *text)
{
    autofree char *visible = text_visible(text, strlen(text), false);
    fprintf(page->stream, "%-10s %s\n", label, visible);
}

/* "Tue 2026-11-24 07:30 JST (in 3h12m)"; caller frees. */
static char *moment(const struct page *page, int64_t at)
{
    autofree char *when = schedule_time_text(page->schedule, at);
    int64_t away = (at > page->now ? at - page->now : page->now - at) / 1000 * 1000;
    return xasprintf("%s (%s%s%s)", when, at > page->now ? "in " : "", duration_format(away).text,
                     at > page->now ? "" : " ago");
}

static void put_moment(const struct page *page, const char *label, const cJSON *object,
                       const char *key)
{
    int64_t at = time_at(object, key);
    if (at < 0)
        return;
    autofree char *text = moment(page, at);
    put(page, label, text);
}

/* The clock time alone; caller frees. */
static char *clock_text(const struct page *page, const cJSON *entry)
{
    int64_t at = time_at(entry, "time");
    if (at < 0)
        return xstrdup(json_str_or(entry, "time", ""));
    autofree char *whole = schedule_time_text(page->schedule, at);
    return xasprintf("%.5s:%02d", strlen(whole) > 20 ? whole + 15 : whole, (int)(at / 1000 % 60));
}

static const char *length_text(const cJSON *entry, struct duration_text *text)
{
    int64_t ms;
    if (!json_i64(entry, "milliseconds", &ms))
        return "";
    *text = duration_format(ms);
    return text->text;
}

static void add_cells(struct table_row *row, const char *const *cells)
{
    for (; *cells; cells++)
        strv_add(&row->cells, *cells);
}

static void end_table(const struct page *page, const struct table *table)
{
    fputc('\n', page->stream);
    table_print(table, page->stream, page->color);
}

/* ---- parts ---- */

static void print_instance(const struct page *page)
{
    const cJSON *instance = json_at(page->value, "instance");
    if (!cJSON_IsObject(instance)) {
        autofree char *text = xasprintf("there is no %s", json_str_or(page->value, "name", ""));
        put(page, "instance", text);
        return;
    }
    autofree char *head = xasprintf(
        "%s (%s) in %s: %s", json_str_or(instance, "name", ""), json_str_or(instance, "id", ""),
        json_str_or(instance, "zone", ""), json_str_or(instance, "status", ""));
    autofree char *machine = xasprintf("%s, %s", json_str_or(instance, "machineType", ""),
                                       json_str_or(instance, "provisioningModel", "STANDARD"));
    put(page, "instance", head);
    put(page, "machine", machine);
    put_moment(page, "created", instance, "created");
    put_moment(page, "soft end", instance, "softEnd");
    put_moment(page, "hard end", instance, "hardEnd");
    put(page, "phase", json_str_or(page->value, "phase", "none"));
    const cJSON *other;
    cJSON_ArrayForEach(other, json_at(page->value, "others"))
    {
        autofree char *text =
            xasprintf("another one (%s) is in %s: %s", json_str_or(other, "id", ""),
                      json_str_or(other, "zone", ""), json_str_or(other, "status", ""));
        put(page, "", text);
    }
}

static void print_cluster(const struct page *page)
{
    const cJSON *cluster = json_at(page->value, "cluster");
    if (!cluster)
        return;
    const cJSON *node;
    int ready = 0, count = cJSON_GetArraySize(json_at(cluster, "nodes"));
    autostrv struct strv waiting = STRV_INIT;
    cJSON_ArrayForEach(node, json_at(cluster, "nodes"))
    {
        if (json_bool(node, "ready", false))
            ready++;
        else
            strv_add(&waiting, json_str_or(node, "name", ""));
    }
    autofree char *missing = waiting.len ? strv_join(&waiting, ", ") : NULL;
    autofree char *text =
        xasprintf("Kubernetes %s at %s, %d of %d nodes ready%s%s",
                  json_str_or(cluster, "version", "?"), json_str_or(cluster, "server", ""), ready,
                  count, missing ? ", not yet: " : "", missing ? missing : "");
    put(page, "cluster", text);
    if (json_str(page->value, "argocd.image"))
        put(page, "Argo CD", json_str(page->value, "argocd.image"));
}

static void print_lease(const struct page *page)
{
    const cJSON *lease = json_at(page->value, "lease");
    const cJSON *waiting;
    if (!json_at(page->value, "apps"))
        return;
    if (json_at(lease, "holder")) {
        const char *commit = json_str(lease, "holder.commit");
        autofree char *text = xasprintf(
            "%s%s%.12s since %s, renewed %s", json_str_or(lease, "holder.name", "somebody"),
            commit ? ", commit " : "", commit ? commit : "", json_str_or(lease, "since", "?"),
            json_str_or(lease, "renewed", "?"));
        put(page, "lease", text);
    } else {
        put(page, "lease", "nobody holds it");
    }
    cJSON_ArrayForEach(waiting, json_at(lease, "queue"))
    {
        autofree char *text = xasprintf("%s waits", json_str_or(waiting, "name", "somebody"));
        put(page, "", text);
    }
}

static enum table_color app_color(const cJSON *app)
{
    const char *sync = json_str_or(app, "sync", ""), *health = json_str_or(app, "health", "");
    if (strcmp(health, "Degraded") == 0 || strcmp(health, "Missing") == 0)
        return TABLE_BAD;
    return strcmp(sync, "Synced") == 0 && strcmp(health, "Healthy") == 0 ? TABLE_GOOD : TABLE_WAIT;
}

static void print_apps(const struct page *page)
{
    autotable struct table table = {.rows = NULL};
    const cJSON *app;
    if (cJSON_GetArraySize(json_at(page->value, "apps")) == 0)
        return;
    table_init(&table, (const char *const[]){"APP", "REVISION", "SYNC", "HEALTH", "MESSAGE", NULL});
    cJSON_ArrayForEach(app, json_at(page->value, "apps"))
    {
        autofree char *revision = xasprintf("%.12s", json_str_or(app, "revision", ""));
        const char *cells[] = {json_str_or(app, "name", ""),    revision,
                               json_str_or(app, "sync", ""),    json_str_or(app, "health", ""),
                               json_str_or(app, "message", ""), NULL};
        add_cells(table_add(&table, app_color(app)), cells);
    }
    end_table(page, &table);
}

static enum table_color event_color(const cJSON *entry)
{
    const char *event = json_str_or(entry, "event", "");
    if (json_str(entry, "error") || strcmp(event, "phase failed") == 0)
        return TABLE_BAD;
    return strcmp(event, "phase ready") == 0 ? TABLE_GOOD : TABLE_PLAIN;
}

/* What there is to say of an event beside its name; caller frees. */
static char *event_detail(const cJSON *entry)
{
    const char *error = json_str(entry, "error"), *by = json_str(entry, "by");
    if (error)
        return xasprintf("in %s by %s: %s", json_str_or(entry, "zone", ""), by ? by : "?", error);
    if (by)
        return xasprintf("in %s by %s", json_str_or(entry, "zone", ""), by);
    return xstrdup(json_str_or(entry, "message", ""));
}

static void print_timeline(const struct page *page)
{
    autotable struct table table = {.rows = NULL};
    const cJSON *entry;
    if (cJSON_GetArraySize(json_at(page->value, "timeline")) == 0)
        return;
    table_init(&table, (const char *const[]){"TIME", "EVENT", "TOOK", "DETAIL", NULL});
    cJSON_ArrayForEach(entry, json_at(page->value, "timeline"))
    {
        struct duration_text length;
        autofree char *when = clock_text(page, entry);
        autofree char *detail = event_detail(entry);
        const char *cells[] = {when, json_str_or(entry, "event", ""), length_text(entry, &length),
                               detail, NULL};
        add_cells(table_add(&table, event_color(entry)), cells);
    }
    end_table(page, &table);
}

static void print_problems(const struct page *page)
{
    const cJSON *problem;
    bool first = true;
    cJSON_ArrayForEach(problem, json_at(page->value, "problems"))
    {
        if (first)
            fputc('\n', page->stream);
        first = false;
        put(page, "note", problem->valuestring);
    }
}

void status_print(const cJSON *value, const struct schedule *schedule, FILE *stream, bool color)
{
    const struct page page = {.value = value,
                              .schedule = schedule,
                              .stream = stream,
                              .color = color,
                              .now = time_at(value, "time")};
    print_instance(&page);
    print_cluster(&page);
    print_lease(&page);
    print_apps(&page);
    print_timeline(&page);
    print_problems(&page);
}
