/* A status for people. */
#include "internal.h"

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

/* Text of the cloud or the cluster, made safe for a terminal. */
static void put(const struct page *page, const char *label, const char *text)
{
    autofree char *visible = text_visible(text, strlen(text), false);
    fprintf(page->stream, "%-10s %s\n", label, visible);
}

static void put_moment(const struct page *page, const char *label, const cJSON *object,
                       const char *key)
{
    int64_t at = status_time_at(object, key);
    if (at < 0)
        return;
    autofree char *text = status_moment(page->schedule, page->now, at);
    put(page, label, text);
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
    autofree char *head = status_instance_text(instance);
    autofree char *machine = status_machine_text(instance);
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
    autofree char *text = status_cluster_text(cluster);
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
    autofree char *holder = status_lease_text(lease);
    put(page, "lease", holder);
    cJSON_ArrayForEach(waiting, json_at(lease, "queue"))
    {
        autofree char *text = xasprintf("%s waits", json_str_or(waiting, "name", "somebody"));
        put(page, "", text);
    }
}

static enum table_color color_of(enum status_mood mood)
{
    static const enum table_color colors[] = {[MOOD_PLAIN] = TABLE_PLAIN,
                                              [MOOD_GOOD] = TABLE_GOOD,
                                              [MOOD_BAD] = TABLE_BAD,
                                              [MOOD_WAIT] = TABLE_WAIT};
    return colors[mood];
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
        add_cells(table_add(&table, color_of(status_app_mood(app))), cells);
    }
    end_table(page, &table);
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
        autofree char *when = status_clock_text(page->schedule, entry);
        autofree char *detail = status_event_detail(entry);
        const char *cells[] = {when, json_str_or(entry, "event", ""), length_text(entry, &length),
                               detail, NULL};
        add_cells(table_add(&table, color_of(status_event_mood(entry))), cells);
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
                              .now = status_time_at(value, "time")};
    print_instance(&page);
    print_cluster(&page);
    print_lease(&page);
    print_apps(&page);
    print_timeline(&page);
    print_problems(&page);
}
