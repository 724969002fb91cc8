/* The HTML report of a deploy. */
#include "tell.h"

#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/report/page.h"

#define EXCERPT_LINES 3 /* before and after the one that matters */
#define FILE_CAP      ((size_t)1 << 20)
#define FACTS_MOST    12

/* Of one application, in milliseconds since the start. */
struct moments {
    int64_t group; /* its place in the order of sync */
    int64_t began;
    int64_t synced; /* what depends on it could begin */
    size_t events;
};

/* The strings and arrays that the page borrows. */
struct draft {
    const struct tell *tell;
    const struct deploy_result *result;
    const struct err *how;
    struct git *git; /* or NULL */
    char *web;       /* "https://github.com/owner/name", or NULL */
    struct strv strings;
    void **arrays;
    size_t arrays_len;
    struct page_event *events;
    const char **states; /* of the events, the bare word */
    size_t events_len;
    struct moments *moments; /* of result->apps */
};

static void draft_clear(struct draft *draft)
{
    for (size_t i = 0; i < draft->arrays_len; i++) {
        free(draft->arrays[i]);
    }
    free(draft->arrays);
    strv_clear(&draft->strings);
    git_close(draft->git);
    free(draft->web);
}

static const char *keep(struct draft *draft, char *text)
{
    strv_take(&draft->strings, text);
    return text;
}

static void *array(struct draft *draft, size_t count, size_t size)
{
    void *items = xcalloc(count + 1, size);

    draft->arrays = xrealloc(draft->arrays, (draft->arrays_len + 1) * sizeof(*draft->arrays));
    draft->arrays[draft->arrays_len++] = items;
    return items;
}

/* ---- links ---- */

/* The repository's pages, where it is on GitHub. */
static char *web_of(const struct tell *tell)
{
    autofree char *normal = git_url_normal(tell->result->repo_url);
    bool github =
        text_starts(normal, "github.com/") || conf_has(tell->conf, "notify.github.tokenEnv");

    return github && normal[0] != '/' ? xasprintf("https://%s", normal) : NULL;
}

static const char *commit_url(struct draft *draft, const char *commit)
{
    return draft->web && git_is_id(commit)
               ? keep(draft, xasprintf("%s/commit/%s", draft->web, commit))
               : NULL;
}

static const char *line_url(struct draft *draft, const char *file, int line)
{
    autobuf struct buf url = BUF_INIT(BUF_SMALL);
    autostrv struct strv parts = STRV_INIT;

    if (!draft->web || !git_is_id(draft->result->revision)) {
        return NULL;
    }
    buf_addf(&url, "%s/blob/%s", draft->web, draft->result->revision);
    strv_split(&parts, file, '/');
    for (size_t i = 0; i < parts.len; i++) {
        autofree char *coded = url_encode(parts.items[i]);

        buf_addf(&url, "/%s", coded);
    }
    if (line > 0) {
        buf_addf(&url, "#L%d", line);
    }
    return keep(draft, buf_steal(&url));
}

/* ---- what happened ---- */

static enum page_tone tone_of_state(const char *state)
{
    static const char *const bad[] = {"degraded", "failed", "lost", "reverted"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (strcmp(state, bad[i]) == 0) {
            return PAGE_BAD;
        }
    }
    return strcmp(state, "done") == 0 ? PAGE_GOOD : PAGE_WAIT;
}

static const char *word_of_state(const char *state)
{
    return strcmp(state, "done") == 0 ? "live" : state;
}

static int64_t since_start(const struct draft *draft, const cJSON *event)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t at = 0;

    if (time_parse_rfc3339(json_str_or(event, "time", ""), &at, &ignored) != 0) {
        return 0;
    }
    at -= draft->result->started_ms;
    return at > 0 ? at : 0;
}

static void take_events(struct draft *draft, const cJSON *kept)
{
    const cJSON *event;

    draft->events = array(draft, (size_t)cJSON_GetArraySize(kept), sizeof(*draft->events));
    draft->states = array(draft, (size_t)cJSON_GetArraySize(kept), sizeof(*draft->states));
    cJSON_ArrayForEach(event, kept)
    {
        const char *state = json_str_or(event, "state", "");
        const char *reason = json_str_or(event, "reason", "");

        if (strcmp(json_str_or(event, "type", ""), "app") != 0) {
            continue;
        }
        draft->states[draft->events_len] = state;
        draft->events[draft->events_len++] = (struct page_event){
            .at_ms = since_start(draft, event),
            .tone = tone_of_state(state),
            .who = json_str_or(event, "app", ""),
            .what = keep(draft,
                         xasprintf("%s%s%s", word_of_state(state), reason[0] ? ": " : "", reason)),
        };
    }
}

/* ---- the timeline ---- */

#define NEVER INT64_MAX

/* When what depends on it can begin. */
static bool is_synced(const char *state)
{
    return strcmp(state, "settling") == 0 || strcmp(state, "degraded") == 0 ||
           strcmp(state, "done") == 0;
}

static int64_t group_of(const struct draft *draft, const char *name)
{
    int64_t group = INT64_MAX;

    if (strcmp(name, draft->result->root) == 0) {
        return INT64_MIN;
    }
    (void)json_i64(cJSON_GetObjectItemCaseSensitive(draft->tell->groups, name), "", &group);
    return group;
}

static void find_moments(struct draft *draft)
{
    const struct deploy_result *result = draft->result;

    draft->moments = array(draft, result->len, sizeof(*draft->moments));
    for (size_t i = 0; i < result->len; i++) {
        struct moments *own = &draft->moments[i];

        *own = (struct moments){
            .group = group_of(draft, result->apps[i].name), .began = NEVER, .synced = NEVER};
        for (size_t j = 0; j < draft->events_len; j++) {
            const struct page_event *event = &draft->events[j];

            if (strcmp(event->who, result->apps[i].name) != 0) {
                continue;
            }
            own->began = own->began == NEVER ? event->at_ms : own->began;
            own->synced =
                own->synced == NEVER && is_synced(draft->states[j]) ? event->at_ms : own->synced;
            own->events++;
        }
    }
}

/* The application of an earlier turn that was the last one to get so far before this one began. */
static const struct deploy_app *waited_for(const struct draft *draft, const struct moments *own)
{
    const struct deploy_app *last = NULL;
    int64_t last_at = 0;

    for (size_t i = 0; i < draft->result->len && own->began != NEVER; i++) {
        const struct moments *other = &draft->moments[i];

        if (other->group < own->group && other->synced <= own->began && other->synced >= last_at) {
            last = &draft->result->apps[i];
            last_at = other->synced;
        }
    }
    return last;
}

static const char *bar_note(struct draft *draft, size_t index)
{
    const struct deploy_app *app = &draft->result->apps[index];
    const struct moments *own = &draft->moments[index];
    const struct deploy_app *before = waited_for(draft, own);
    autofree char *waited = before ? xasprintf("waited for %s until +%s; ", before->name,
                                               duration_format(own->began).text)
                                   : xstrdup("");

    if (!app->started) {
        return "its turn did not come";
    }
    if (app->untouched && app->verdict == ARGOCD_DONE && app->ms == 0) {
        return "was live already";
    }
    return keep(draft,
                xasprintf("%s%s after %s", waited, word_of_state(argocd_verdict_name(app->verdict)),
                          duration_format(app->ms).text));
}

static struct page_bar bar_of(struct draft *draft, size_t index)
{
    const char *name = draft->result->apps[index].name;
    struct page_span *spans = array(draft, draft->moments[index].events, sizeof(*spans));
    struct page_bar bar = {.name = name, .note = bar_note(draft, index), .spans = spans};

    for (size_t i = 0; i < draft->events_len; i++) {
        const struct page_event *event = &draft->events[i];

        if (strcmp(event->who, name) != 0) {
            continue;
        }
        if (bar.len) {
            spans[bar.len - 1].to_ms = event->at_ms;
        }
        spans[bar.len++] = (struct page_span){.from_ms = event->at_ms,
                                              .to_ms = draft->result->ms,
                                              .tone = event->tone,
                                              .text = event->what};
    }
    return bar;
}

static const char *lane_name(struct draft *draft, int64_t group)
{
    if (group == INT64_MIN) {
        return "The root application";
    }
    if (group == INT64_MAX) {
        return "Applications that the commit does not render";
    }
    if (!draft->tell->by_order) {
        return keep(draft, xasprintf("Wave %lld", (long long)group));
    }
    return group == PLAN_GROUP_LAST ? "Those that app-sync-order.txt does not name"
                                    : keep(draft, xasprintf("Turn %lld", (long long)group + 1));
}

/* Applications come in the order of their turns. */
static void draw_lanes(struct draft *draft, struct page *page)
{
    const struct deploy_result *result = draft->result;
    struct page_lane *lanes = array(draft, result->len, sizeof(*lanes));
    struct page_bar *bars = array(draft, result->len, sizeof(*bars));

    if (draft->tell->options->dry_run || draft->tell->options->check_only) {
        return;
    }
    find_moments(draft);
    for (size_t i = 0; i < result->len; i++) {
        int64_t group = draft->moments[i].group;

        if (i == 0 || group != draft->moments[i - 1].group) {
            lanes[page->lanes_len++] =
                (struct page_lane){.name = lane_name(draft, group), .bars = &bars[i]};
        }
        bars[i] = bar_of(draft, i);
        lanes[page->lanes_len - 1].len++;
    }
    page->lanes = lanes;
}

/* ---- the applications ---- */

/* The lines around `line` of a text; `first` is the number of the first one. */
static char *lines_around(const char *text, int line, int *first)
{
    autobuf struct buf out = BUF_INIT(BUF_SMALL);
    int number = 1;

    *first = line > EXCERPT_LINES ? line - EXCERPT_LINES : 1;
    while (*text && number <= line + EXCERPT_LINES) {
        size_t len = strcspn(text, "\n");

        if (number >= *first) {
            buf_addf(&out, "%.*s\n", (int)(len < FILE_CAP ? len : FILE_CAP), text);
        }
        text += len + (text[len] == '\n');
        number++;
    }
    return buf_steal(&out);
}

static void add_excerpt(struct draft *draft, struct page_cause *cause)
{
    autobuf struct buf text = BUF_INIT(FILE_CAP);
    autoerr struct err ignored = ERR_INIT;

    if (!draft->git || cause->line < 1 || !git_is_id(draft->result->revision) ||
        git_read(draft->git, draft->result->revision, cause->file, &text, &ignored) != 0) {
        return;
    }
    cause->excerpt = keep(draft, lines_around(text.data, cause->line, &cause->excerpt_line));
}

/* The lines were shown with a cause before it. */
static bool is_shown_before(const struct page_cause *causes, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (causes[i].file && causes[i].line == causes[index].line &&
            strcmp(causes[i].file, causes[index].file) == 0) {
            return true;
        }
    }
    return false;
}

static void add_causes(struct draft *draft, const struct deploy_app *app, struct page_item *item)
{
    struct page_cause *causes = array(draft, app->causes_len, sizeof(*causes));

    for (size_t i = 0; i < app->causes_len; i++) {
        const struct deploy_cause *cause = &app->causes[i];

        causes[i] = (struct page_cause){
            .text = cause->text,
            .file = cause->file,
            .line = cause->line,
            .url = cause->file ? line_url(draft, cause->file, cause->line) : NULL,
            .changed = cause->changed,
        };
        if (cause->file && !is_shown_before(causes, i)) {
            add_excerpt(draft, &causes[i]);
        }
    }
    item->causes = causes;
    item->causes_len = app->causes_len;
}

static void add_resources(struct draft *draft, const struct deploy_app *app, struct page_item *item)
{
    static const char *const heading[] = {"Kind", "Name", "Sync", "Health", "Message", NULL};
    const size_t columns = TELL_COLUMNS;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(draft->tell->resources, app->name);
    size_t len = (size_t)cJSON_GetArraySize(rows), at = 0;
    const char **cells = array(draft, len * columns, sizeof(*cells));
    struct page_table *table = array(draft, 1, sizeof(*table));
    const cJSON *row;
    const cJSON *cell;

    cJSON_ArrayForEach(row, rows){cJSON_ArrayForEach(cell, row){cells[at++] = cell->valuestring;
}
}
*table =
    (struct page_table){.caption = "Resources", .heading = heading, .cells = cells, .rows = len};
item->table = table;
}

static enum page_tone tone_of(const struct draft *draft, const struct deploy_app *app)
{
    bool ended_early = draft->how->code == ERR_INTERRUPTED || draft->how->code == ERR_TERMINATED;

    if (app->causes_len) {
        return PAGE_BAD;
    }
    if (draft->tell->options->dry_run || draft->tell->options->check_only || !app->started) {
        return app->verdict == ARGOCD_DONE ? PAGE_GOOD : PAGE_PLAIN;
    }
    if (app->unproven) {
        return PAGE_WAIT;
    }
    enum page_tone tone = tone_of_state(argocd_verdict_name(app->verdict));
    return tone == PAGE_WAIT && draft->how->code != ERR_NONE && !ended_early ? PAGE_BAD : tone;
}

static struct page_item item_of(struct draft *draft, const struct deploy_app *app)
{
    struct page_fact *facts = array(draft, 4, sizeof(*facts));
    struct page_item item = {
        .name = app->name,
        .state = app->started || app->verdict == ARGOCD_DONE
                     ? word_of_state(argocd_verdict_name(app->verdict))
                     : "not started",
        .tone = tone_of(draft, app),
        .message = app->message,
        .facts = {facts, 4},
    };

    facts[0] = (struct page_fact){"Revision", app->revision, commit_url(draft, app->revision)};
    facts[1] = (struct page_fact){"Sync", app->sync};
    facts[2] = (struct page_fact){"Health", app->health};
    facts[3] = (struct page_fact){
        "Time", app->ms ? keep(draft, xstrdup(duration_format(app->ms).text)) : NULL};
    add_causes(draft, app, &item);
    add_resources(draft, app, &item);
    return item;
}

/* Those of the revision that was upgraded from come first. */
static struct page_item *add_items(struct draft *draft, size_t *len)
{
    const struct deploy_result *result = draft->result, *before = result->before;
    struct page_item *items = array(draft, result->len + (before ? before->len : 0),
                                    sizeof(struct page_item));

    for (size_t i = 0; before && i < before->len; i++) {
        items[*len] = item_of(draft, &before->apps[i]);
        items[(*len)++].name =
            keep(draft, xasprintf("%s before the upgrade", before->apps[i].name));
    }
    for (size_t i = 0; i < result->len; i++) {
        items[(*len)++] = item_of(draft, &result->apps[i]);
    }
    return items;
}

/* ---- at a glance ---- */

static bool is_skipped(const struct deploy_result *result)
{
    return result->no_cluster || result->no_apps;
}

static const char *result_word(const struct draft *draft)
{
    switch (draft->how->code) {
    case ERR_NONE:
        return is_skipped(draft->result)          ? "Skipped"
               : draft->tell->options->check_only ? "Checked"
               : draft->tell->options->dry_run    ? "Planned"
                                                  : "Live";
    case ERR_INTERRUPTED:
    case ERR_TERMINATED:
        return "Interrupted";
    case ERR_TIMEOUT:
        return "Timed out";
    case ERR_NO_CLUSTER:
        return "No cluster";
    default:
        return "Failed";
    }
}

static enum page_tone result_tone(const struct draft *draft)
{
    switch (draft->how->code) {
    case ERR_NONE:
        return is_skipped(draft->result) ? PAGE_PLAIN : PAGE_GOOD;
    case ERR_INTERRUPTED:
    case ERR_TERMINATED:
    case ERR_NO_CLUSTER:
        return PAGE_WAIT;
    default:
        return PAGE_BAD;
    }
}

static const char *headline(struct draft *draft)
{
    const struct deploy_result *result = draft->result;
    size_t live = 0;

    if (draft->how->code != ERR_NONE) {
        return err_text(draft->how);
    }
    for (size_t i = 0; i < result->len; i++) {
        live += result->apps[i].verdict == ARGOCD_DONE;
    }
    return keep(draft, xasprintf("%zu of %zu applications live after %s", live, result->len,
                                 duration_format(result->ms).text));
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void add_facts(struct draft *draft, struct page *page)
{
    const struct deploy_result *result = draft->result;
    const struct tell *tell = draft->tell;
    const char *revision = or_empty(result->revision);
    const char *build = tell->notify ? notify_build_url(tell->notify) : NULL;
    struct page_fact *facts = array(draft, FACTS_MOST, sizeof(*facts));
    size_t len = 0;

    facts[len++] = (struct page_fact){"Commit", revision, commit_url(draft, revision)};
    if (result->before) {
        const char *before = result->before->revision;

        facts[len++] = (struct page_fact){"Upgrade from", before, commit_url(draft, before)};
    }
    facts[len++] = (struct page_fact){"Subject", tell->subject};
    facts[len++] = (struct page_fact){"Author", tell->author};
    facts[len++] = (struct page_fact){"Repository", result->repo_url, draft->web};
    facts[len++] = (struct page_fact){"Build", build, build};
    facts[len++] = (struct page_fact){"Cluster", result->cluster};
    facts[len++] = (struct page_fact){"API server", result->server};
    facts[len++] = (struct page_fact){"Argo CD", result->argocd};
    facts[len++] = (struct page_fact){"Root application", result->root};
    facts[len++] = (struct page_fact){"Folder", result->path};
    page->facts = (struct page_facts){facts, len};
}

int tell_write_page(const struct tell *tell, const struct events *events, const char *path,
                    const struct err *how, struct err *err)
{
    const struct deploy_result *result = tell->result;
    CLEANUP(draft_clear) struct draft draft = {.tell = tell, .result = result, .how = how};
    autoerr struct err ignored = ERR_INIT;
    struct page_item *items;
    size_t items_len = 0;

    if (git_open(".", &draft.git, &ignored) != 0) {
        draft.git = NULL;
    }
    draft.web = result->repo_url ? web_of(tell) : NULL;
    take_events(&draft, events ? events_kept(events) : NULL);
    items = add_items(&draft, &items_len);
    struct page page = {
        .title = keep(&draft,
                      xasprintf("Deploy to %s", result->cluster ? result->cluster : "a cluster")),
        .result = result_word(&draft),
        .headline = headline(&draft),
        .tone = result_tone(&draft),
        .started_ms = result->started_ms,
        .ms = result->ms,
        .notes = (const char *const *)result->notes.items,
        .notes_len = result->notes.len,
        .items_name = "Applications",
        .items = items,
        .items_len = items_len,
        .events = draft.events,
        .events_len = draft.events_len,
        .made_by = "necoops-deploy " NECOOPS_VERSION,
    };
    add_facts(&draft, &page);
    draw_lanes(&draft, &page);
    return page_write(path, &page, err);
}
