/* A status as a page. */
#include "internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/report/page.h"

#define FACTS_MOST 12

/* The strings and arrays that the page borrows. */
struct draft {
    const cJSON *value;
    const struct schedule *schedule;
    int64_t now, begin; /* wall clock; of the look, of the first thing that is told */
    struct strv strings;
    struct page_fact facts[FACTS_MOST];
    struct page_item *items;
    struct page_fact *item_facts; /* four each */
    struct page_event *events;
    struct page_bar *bars;
    struct page_span *spans; /* one each */
    struct page_lane lanes[2];
};

static void draft_clear(struct draft *draft)
{
    strv_clear(&draft->strings);
    free(draft->items);
    free(draft->item_facts);
    free(draft->events);
    free(draft->bars);
    free(draft->spans);
}

static const char *keep(struct draft *draft, char *text)
{
    strv_take(&draft->strings, text);
    return text;
}

static size_t count_of(const struct draft *draft, const char *list)
{
    return (size_t)cJSON_GetArraySize(json_at(draft->value, list));
}

static enum page_tone tone_of(enum status_mood mood)
{
    static const enum page_tone tones[] = {[MOOD_PLAIN] = PAGE_PLAIN,
                                           [MOOD_GOOD] = PAGE_GOOD,
                                           [MOOD_BAD] = PAGE_BAD,
                                           [MOOD_WAIT] = PAGE_WAIT};
    return tones[mood];
}

/* ---- at a glance ---- */

static const char *moment_of(struct draft *draft, const cJSON *object, const char *key)
{
    int64_t at = status_time_at(object, key);
    return at < 0 ? NULL : keep(draft, status_moment(draft->schedule, draft->now, at));
}

static const char *others_of(struct draft *draft)
{
    autostrv struct strv texts = STRV_INIT;
    const cJSON *other;
    cJSON_ArrayForEach(other, json_at(draft->value, "others"))
        strv_take(&texts, status_instance_text(other));
    return texts.len ? keep(draft, strv_join(&texts, "; ")) : NULL;
}

static const char *queue_of(struct draft *draft)
{
    autostrv struct strv names = STRV_INIT;
    const cJSON *waiting;
    cJSON_ArrayForEach(waiting, json_at(draft->value, "lease.queue"))
        strv_add(&names, json_str_or(waiting, "name", "somebody"));
    return names.len ? keep(draft, strv_join(&names, ", ")) : NULL;
}

static void add_facts(struct draft *draft, struct page *page)
{
    const cJSON *value = draft->value, *instance = json_at(value, "instance");
    const cJSON *cluster = json_at(value, "cluster"), *lease = json_at(value, "lease");
    struct page_fact *facts = draft->facts;
    size_t len = 0;
    if (cJSON_IsObject(instance)) {
        facts[len++] = (struct page_fact){"Instance", keep(draft, status_instance_text(instance))};
        facts[len++] = (struct page_fact){"Machine", keep(draft, status_machine_text(instance))};
        facts[len++] = (struct page_fact){"Created", moment_of(draft, instance, "created")};
        facts[len++] = (struct page_fact){"Soft end", moment_of(draft, instance, "softEnd")};
        facts[len++] = (struct page_fact){"Hard end", moment_of(draft, instance, "hardEnd")};
        facts[len++] = (struct page_fact){"Phase", json_str(value, "phase")};
        facts[len++] = (struct page_fact){"More of its name", others_of(draft)};
    }
    if (cluster)
        facts[len++] = (struct page_fact){"Cluster", keep(draft, status_cluster_text(cluster))};
    facts[len++] = (struct page_fact){"Argo CD", json_str(value, "argocd.image")};
    if (json_at(value, "apps"))
        facts[len++] = (struct page_fact){"Lease", keep(draft, status_lease_text(lease))};
    facts[len++] = (struct page_fact){"Waiting for it", queue_of(draft)};
    page->facts = (struct page_facts){facts, len};
}

static const char *headline(struct draft *draft)
{
    const cJSON *app, *instance = json_at(draft->value, "instance");
    size_t live = 0;
    if (!cJSON_IsObject(instance))
        return keep(draft, xasprintf("there is no %s", json_str_or(draft->value, "name", "")));
    if (count_of(draft, "apps") == 0)
        return keep(draft, status_instance_text(instance));
    cJSON_ArrayForEach(app, json_at(draft->value, "apps")) live +=
        status_app_mood(app) == MOOD_GOOD;
    return keep(draft, xasprintf("%zu of %zu applications are synced and healthy", live,
                                 count_of(draft, "apps")));
}

/* The worst that is known: of the instance, its phase, the applications. */
static void judge(const struct draft *draft, struct page *page)
{
    const char *status = json_str_or(draft->value, "instance.status", "");
    const char *phase = json_str_or(draft->value, "phase", "");
    const cJSON *app;
    page->result = strcmp(phase, "ready") == 0 ? "Ready" : phase[0] ? phase : status;
    page->tone = strcmp(phase, "ready") == 0 ? PAGE_GOOD : PAGE_WAIT;
    if (!status[0]) {
        page->result = "No instance";
        page->tone = PAGE_PLAIN;
    } else if (strcmp(status, "RUNNING") != 0) {
        page->result = status;
        page->tone = PAGE_WAIT;
    } else if (strcmp(phase, "failed") == 0) {
        page->tone = PAGE_BAD;
    }
    cJSON_ArrayForEach(app, json_at(draft->value, "apps"))
    {
        enum status_mood mood = status_app_mood(app);
        if (mood == MOOD_BAD) {
            page->tone = PAGE_BAD;
            page->result = "Not healthy";
        } else if (mood == MOOD_WAIT && page->tone == PAGE_GOOD) {
            page->tone = PAGE_WAIT;
            page->result = "Not all live";
        }
    }
}

/* ---- applications ---- */

static void add_apps(struct draft *draft, struct page *page)
{
    const cJSON *app;
    draft->items = xcalloc(count_of(draft, "apps") + 1, sizeof *draft->items);
    draft->item_facts = xcalloc(4 * count_of(draft, "apps") + 1, sizeof *draft->item_facts);
    cJSON_ArrayForEach(app, json_at(draft->value, "apps"))
    {
        struct page_fact *facts = &draft->item_facts[4 * page->items_len];
        facts[0] = (struct page_fact){"Revision", json_str(app, "revision")};
        facts[1] = (struct page_fact){"Sync", json_str(app, "sync")};
        facts[2] = (struct page_fact){"Health", json_str(app, "health")};
        facts[3] = (struct page_fact){"Operation", json_str(app, "operation")};
        enum status_mood mood = status_app_mood(app);
        draft->items[page->items_len++] =
            (struct page_item){.name = json_str_or(app, "name", ""),
                               .state = mood == MOOD_GOOD ? "live"
                                        : strcmp(json_str_or(app, "health", ""), "Healthy") == 0
                                            ? json_str_or(app, "sync", "Unknown")
                                            : json_str_or(app, "health", "Unknown"),
                               .tone = tone_of(mood),
                               .message = json_str(app, "message"),
                               .facts = {facts, 4}};
    }
    page->items = draft->items;
    page->items_name = "Applications";
}

/* ---- the day ---- */

static void find_begin(struct draft *draft)
{
    static const char *const lists[] = {"timeline", "phases"};
    draft->begin = draft->now;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const cJSON *entry;
        cJSON_ArrayForEach(entry, json_at(draft->value, lists[i]))
        {
            int64_t at = status_time_at(entry, "time");
            if (at >= 0 && at < draft->begin)
                draft->begin = at;
        }
    }
}

/* What goes on still has no length. */
static void set_bar(struct draft *draft, size_t index, const cJSON *entry, const char *name,
                    const char *detail, enum page_tone tone)
{
    int64_t from = status_time_at(entry, "time"), ms = 0;
    bool ended = json_i64(entry, "milliseconds", &ms);
    autofree char *clock = status_clock_text(draft->schedule, entry);
    if (from < draft->begin)
        from = draft->begin;
    draft->spans[index] =
        (struct page_span){.from_ms = from - draft->begin,
                           .to_ms = (ended ? from + ms : draft->now) - draft->begin,
                           .tone = tone,
                           .text = detail};
    draft->bars[index] = (struct page_bar){
        .name = name,
        .note = keep(draft, xasprintf("at %s%s%s%s%s", clock, ended ? " for " : "",
                                      ended ? duration_format(ms).text : "", detail[0] ? ", " : "",
                                      detail)),
        .spans = &draft->spans[index],
        .len = 1};
}

static enum page_tone phase_tone(const char *phase)
{
    return strcmp(phase, "ready") == 0    ? PAGE_GOOD
           : strcmp(phase, "failed") == 0 ? PAGE_BAD
                                          : PAGE_WAIT;
}

static void add_lane(struct draft *draft, struct page *page, const char *name, size_t first,
                     size_t end)
{
    if (first == end)
        return;
    draft->lanes[page->lanes_len++] =
        (struct page_lane){.name = name, .bars = &draft->bars[first], .len = end - first};
    page->lanes = draft->lanes;
}

static void draw_day(struct draft *draft, struct page *page)
{
    size_t most = count_of(draft, "timeline") + count_of(draft, "phases"), len = 0;
    const cJSON *entry;
    draft->bars = xcalloc(most + 1, sizeof *draft->bars);
    draft->spans = xcalloc(most + 1, sizeof *draft->spans);
    cJSON_ArrayForEach(entry, json_at(draft->value, "timeline"))
    {
        if (json_str(entry, "zone"))
            set_bar(draft, len++, entry, json_str_or(entry, "event", ""),
                    keep(draft, status_event_detail(entry)),
                    json_str(entry, "error")         ? PAGE_BAD
                    : json_at(entry, "milliseconds") ? PAGE_GOOD
                                                     : PAGE_WAIT);
    }
    size_t operations = len;
    cJSON_ArrayForEach(entry, json_at(draft->value, "phases"))
        set_bar(draft, len++, entry, json_str_or(entry, "phase", ""),
                json_str_or(entry, "message", ""), phase_tone(json_str_or(entry, "phase", "")));
    add_lane(draft, page, "Operations", 0, operations);
    add_lane(draft, page, "Phases of the setup", operations, len);
}

static void add_events(struct draft *draft, struct page *page)
{
    const cJSON *entry;
    draft->events = xcalloc(count_of(draft, "timeline") + 1, sizeof *draft->events);
    cJSON_ArrayForEach(entry, json_at(draft->value, "timeline"))
    {
        int64_t at = status_time_at(entry, "time");
        autofree char *clock = status_clock_text(draft->schedule, entry);
        autofree char *detail = status_event_detail(entry);
        draft->events[page->events_len++] =
            (struct page_event){.at_ms = at > draft->begin ? at - draft->begin : 0,
                                .tone = tone_of(status_event_mood(entry)),
                                .who = json_str_or(entry, "event", ""),
                                .what = keep(draft, xasprintf("%s %s", clock, detail))};
    }
    page->events = draft->events;
}

int status_write_page(const cJSON *value, const struct schedule *schedule, const char *path,
                      struct err *err)
{
    CLEANUP(draft_clear)
    struct draft draft = {
        .value = value, .schedule = schedule, .now = status_time_at(value, "time")};
    autostrv struct strv notes = STRV_INIT;
    const cJSON *problem;
    autofree char *when = schedule_time_text(schedule, draft.now);
    cJSON_ArrayForEach(problem, json_at(value, "problems")) strv_add(&notes, problem->valuestring);
    find_begin(&draft);
    struct page page = {
        .title = keep(&draft, xasprintf("Status of %s", json_str_or(value, "name", ""))),
        .headline = headline(&draft),
        .started_ms = draft.begin,
        .ms = draft.now - draft.begin,
        .notes = (const char *const *)notes.items,
        .notes_len = notes.len,
        .seen = keep(&draft, xasprintf("Seen on %s", when)),
        .made_by = "necoops-status " NECOOPS_VERSION,
    };
    judge(&draft, &page);
    add_facts(&draft, &page);
    draw_day(&draft, &page);
    add_apps(&draft, &page);
    add_events(&draft, &page);
    return page_write(path, &page, err);
}
