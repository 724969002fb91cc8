/* What came out, for people and machines. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/report/junit.h"

#define UNPROVEN "live, but not proven: the run ended before it was so for long enough"

/* ---- from the engine ---- */

static int by_turn(const void *a, const void *b)
{
    const struct member *one = *(struct member *const *)a, *two = *(struct member *const *)b;

    if (one->group != two->group) {
        return one->group < two->group ? -1 : 1;
    }
    return strcmp(one->app.name, two->app.name);
}

/* It came to life by our doing, and the run ended before it was so for long enough. */
static bool is_unproven(const struct member *member)
{
    const struct engine *engine = member->engine;

    return member->step == STEP_HELD && !member->untouched &&
           engine_now(engine) - member->held_at < engine->stable_ms;
}

static struct deploy_app app_of(const struct member *member, bool over)
{
    const struct engine *engine = member->engine;
    int64_t end = member->step == STEP_HELD ? member->held_at : engine_now(engine);
    bool present = member->present;

    return (struct deploy_app){
        .name = xstrdup(member->app.name),
        .revision =
            xstrdup(present ? argocd_app_revision(&member->app, engine->plan->repo_url) : ""),
        .sync = xstrdup(present ? member->app.sync_status : ""),
        .health = xstrdup(present ? member->app.health : ""),
        .verdict = member->verdict,
        .untouched = member->untouched,
        .started = member->step != STEP_QUEUED || member->touched_before,
        .unproven = !over && is_unproven(member),
        .message = xstrdup(!over && is_unproven(member) ? UNPROVEN : member->reason),
        .ms = member->started_at ? end - member->started_at : 0,
    };
}

void result_take(struct deploy_result *result, const struct engine *engine, bool over)
{
    struct member **sorted = xcalloc(engine->len + 1, sizeof(struct member *));
    size_t len = 0;

    for (size_t i = 0; i < engine->len; i++) {
        if (engine->members[i]->selected) {
            sorted[len++] = engine->members[i];
        }
    }
    qsort(sorted, len, sizeof(struct member *), by_turn);
    result->apps = xcalloc(len + 1, sizeof(*result->apps));
    for (size_t i = 0; i < len; i++) {
        result->apps[result->len++] = app_of(sorted[i], over);
    }
    free(sorted);
}

static enum argocd_verdict verdict_of(const char *name)
{
    for (int i = ARGOCD_PENDING; i <= ARGOCD_REVERTED; i++) {
        if (strcmp(argocd_verdict_name((enum argocd_verdict)i), name) == 0) {
            return (enum argocd_verdict)i;
        }
    }
    return ARGOCD_PENDING;
}

static struct deploy_app app_from_json(const cJSON *json)
{
    struct deploy_app app = {
        .name = xstrdup(json_str_or(json, "name", "")),
        .revision = xstrdup(json_str_or(json, "revision", "")),
        .sync = xstrdup(json_str_or(json, "sync", "")),
        .health = xstrdup(json_str_or(json, "health", "")),
        .verdict = verdict_of(json_str_or(json, "state", "")),
        .untouched = json_bool(json, "untouched", false),
        .message = xstrdup(json_str_or(json, "message", "")),
        .started = json_str_or(json, "message", "")[0] != '\0',
    };
    const cJSON *cause;

    (void)json_i64(json, "milliseconds", &app.ms);
    cJSON_ArrayForEach(cause, json_at(json, "causes"))
    {
        result_add_cause(&app, xstrdup(json_str_or(cause, "text", "")), json_str(cause, "file"), 0,
                         json_bool(cause, "changed", false));
    }
    return app;
}

void result_from_json(struct deploy_result *result, const cJSON *json)
{
    const cJSON *list = json_at(json, "apps");
    const cJSON *app;

    result->no_cluster = json_bool(json, "noCluster", false);
    result->no_apps = json_bool(json, "noApps", false);
    result->apps = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*result->apps));
    cJSON_ArrayForEach(app, list)
    {
        result->apps[result->len++] = app_from_json(app);
    }
}

void result_add_cause(struct deploy_app *app, char *text, const char *file, int line, bool changed)
{
    app->causes = xrealloc(app->causes, (app->causes_len + 1) * sizeof(*app->causes));
    app->causes[app->causes_len++] = (struct deploy_cause){
        .text = text, .file = file ? xstrdup(file) : NULL, .line = line, .changed = changed};
}

static void app_clear(struct deploy_app *app)
{
    for (size_t i = 0; i < app->causes_len; i++) {
        free(app->causes[i].text);
        free(app->causes[i].file);
    }
    free(app->causes);
    free(app->name);
    free(app->revision);
    free(app->sync);
    free(app->health);
    free(app->message);
}

void deploy_result_clear(struct deploy_result *result)
{
    if (result->before) {
        deploy_result_clear(result->before);
        free(result->before);
    }
    for (size_t i = 0; i < result->len; i++) {
        app_clear(&result->apps[i]);
    }
    free(result->apps);
    free(result->cluster);
    free(result->server);
    free(result->repo_url);
    free(result->root);
    free(result->path);
    free(result->revision);
    free(result->argocd);
    strv_clear(&result->restored);
    free(result->output);
    strv_clear(&result->notes);
    *result = (struct deploy_result){0};
}

/* ---- JSON ---- */

static cJSON *cause_json(const struct deploy_cause *cause)
{
    cJSON *json = json_object();

    json_set_str(json, "text", cause->text);
    if (cause->file) {
        json_set_str(json, "file", cause->file);
        json_set_i64(json, "line", cause->line);
        json_set_bool(json, "changed", cause->changed);
    }
    return json;
}

static cJSON *app_json(const struct deploy_app *app)
{
    cJSON *json = json_object();
    cJSON *causes;

    json_set_str(json, "name", app->name);
    json_set_str(json, "revision", app->revision);
    json_set_str(json, "sync", app->sync);
    json_set_str(json, "health", app->health);
    json_set_str(json, "state", argocd_verdict_name(app->verdict));
    json_set_bool(json, "untouched", app->untouched);
    json_set_bool(json, "proven", app->verdict == ARGOCD_DONE && !app->unproven);
    json_set_i64(json, "milliseconds", app->ms);
    json_set_str(json, "message", app->message);
    causes = json_set_array(json, "causes");
    for (size_t i = 0; i < app->causes_len; i++) {
        json_push(causes, cause_json(&app->causes[i]));
    }
    return json;
}

static void add_apps(cJSON *json, const struct deploy_result *result)
{
    cJSON *list = json_set_array(json, "apps");

    for (size_t i = 0; i < result->len; i++) {
        json_push(list, app_json(&result->apps[i]));
    }
}

static void add_before(cJSON *json, const struct deploy_result *before)
{
    cJSON *object = json_set_object(json, "upgradeFrom");

    json_set_str(object, "revision", before->revision);
    json_set_i64(object, "milliseconds", before->ms);
    add_apps(object, before);
}

cJSON *deploy_json(const struct deploy_result *result, const struct err *err)
{
    cJSON *json = json_object();
    cJSON *list;

    json_set_str(json, "cluster", result->cluster);
    json_set_str(json, "server", result->server);
    json_set_str(json, "repoURL", result->repo_url);
    json_set_str(json, "root", result->root);
    json_set_str(json, "path", result->path);
    json_set_str(json, "revision", result->revision);
    json_set_str(json, "argocd", result->argocd);
    json_set_bool(json, "dryRun", result->dry_run);
    json_set_bool(json, "noCluster", result->no_cluster);
    json_set_bool(json, "noApps", result->no_apps);
    json_set_str(json, "startedAt", time_rfc3339_ms(result->started_ms).text);
    json_set_i64(json, "milliseconds", result->ms);
    json_set_i64(json, "status", err_exit_status(err));
    json_set_str(json, "error", err->code == ERR_NONE ? NULL : err_text(err));
    if (result->before) {
        add_before(json, result->before);
    }
    add_apps(json, result);
    list = json_set_array(json, "restored");
    for (size_t i = 0; i < result->restored.len; i++) {
        json_push_str(list, result->restored.items[i]);
    }
    list = json_set_array(json, "notes");
    for (size_t i = 0; i < result->notes.len; i++) {
        json_push_str(list, result->notes.items[i]);
    }
    return json;
}

/* ---- JUnit ---- */

static char *story(const struct deploy_app *app)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);

    buf_addf(&text, "%s\nsync: %s, health: %s, revision: %s\n", app->message, app->sync,
             app->health, app->revision);
    for (size_t i = 0; i < app->causes_len; i++) {
        const struct deploy_cause *cause = &app->causes[i];

        if (cause->file) {
            buf_addf(&text, "%s:%d: ", cause->file, cause->line);
        }
        buf_addf(&text, "%s%s\n", cause->text, cause->changed ? " (changed by this commit)" : "");
    }
    return buf_steal(&text);
}

static enum junit_outcome outcome_of(const struct deploy_app *app)
{
    if (app->verdict == ARGOCD_DONE) {
        return app->unproven ? JUNIT_SKIPPED : JUNIT_PASSED;
    }
    return app->started ? JUNIT_FAILED : JUNIT_SKIPPED;
}

static struct junit_case case_of(const struct deploy_app *app, const char *classname, char *text)
{
    struct junit_case one = {
        .name = app->name,
        .classname = classname,
        .ms = app->ms,
        .outcome = outcome_of(app),
        .message = app->message[0] ? app->message : "its turn did not come",
        .text = text,
    };

    for (size_t i = 0; i < app->causes_len && !one.file; i++) {
        one.file = app->causes[i].file;
        one.line = app->causes[i].line;
    }
    return one;
}

/* The cases of one file; they borrow `strings`. */
struct cases {
    struct junit_case *items;
    size_t len, failed;
    struct strv strings;
};

static void add_cases(struct cases *cases, const struct deploy_result *result, char *classname)
{
    strv_take(&cases->strings, classname);
    cases->items = xrealloc(cases->items, (cases->len + result->len + 1) * sizeof(*cases->items));
    for (size_t i = 0; i < result->len; i++) {
        char *text = story(&result->apps[i]);

        strv_take(&cases->strings, text);
        cases->items[cases->len] = case_of(&result->apps[i], classname, text);
        cases->failed += cases->items[cases->len++].outcome == JUNIT_FAILED;
    }
}

int result_write_junit(const struct deploy_result *result, const char *path, const struct err *how,
                       struct err *err)
{
    autofree char *name = xasprintf("necoops-deploy %s", result->cluster ? result->cluster : "");
    struct cases cases = {.strings = STRV_INIT};
    int rc;

    if (result->before) {
        add_cases(&cases, result->before,
                  xasprintf("%s before the upgrade (%.12s)", name, result->before->revision));
    }
    add_cases(&cases, result, xstrdup(name));
    if (how->code != ERR_NONE && cases.failed == 0) { /* what went wrong is no application's */
        cases.items[cases.len++] = (struct junit_case){.name = "deploy",
                                                       .classname = name,
                                                       .ms = result->ms,
                                                       .outcome = JUNIT_ERROR,
                                                       .message = err_text(how),
                                                       .text = err_text(how)};
    }
    struct junit_suite suite = {name, result->started_ms, result->ms, cases.items, cases.len};
    rc = junit_write(path, &suite, err);
    free(cases.items);
    strv_clear(&cases.strings);
    return rc;
}
