/* Alerts and the commit's status; what the report will want to know. */
#include "tell.h"

#include <string.h>

#define TELL_MS        25000
#define RESOURCES_MOST 300 /* of one application */

void tell_init(struct tell *tell, const struct run *run, const struct conf *conf,
               const struct deploy_options *options, const struct deploy_result *result)
{
    bool deploys = !options->dry_run && !options->check_only;

    *tell = (struct tell){
        .run = run,
        .conf = conf,
        .options = options,
        .result = result,
        .notify = deploys ? notify_new(run, conf) : NULL,
        .began = run_mono_ms(run),
        .groups = json_object(),
        .resources = json_object(),
    };
}

void tell_clear(struct tell *tell)
{
    notify_free(tell->notify);
    free(tell->author);
    free(tell->subject);
    cJSON_Delete(tell->groups);
    cJSON_Delete(tell->resources);
    *tell = (struct tell){0};
}

/* ---- what it is about ---- */

static void tell_about(struct tell *tell)
{
    const struct deploy_result *result = tell->result;
    struct notify_subject about = {
        .cluster = result->cluster,
        .repo_url = result->repo_url,
        .revision = result->revision,
        .author = tell->author,
        .subject = tell->subject,
    };

    notify_about(tell->notify, &about);
}

static void read_commit(struct tell *tell, const struct plan *plan)
{
    if (plan->git && plan->commit && !tell->subject) {
        tell->subject = git_subject(plan->git, plan->commit);
        tell->author = git_author(plan->git, plan->commit);
    }
}

void tell_plan(struct tell *tell, const struct plan *plan)
{
    read_commit(tell, plan);
    tell->by_order = plan->order.len > 0;
    for (size_t i = 0; i < plan->len; i++) {
        const struct argocd_app *app = &plan->apps[i].app;

        json_set_i64(tell->groups, app->name, plan_group(plan, app));
    }
    if (tell->notify) {
        tell_about(tell);
        notify_started(tell->notify);
    }
}

void tell_reached(struct tell *tell, struct kube *kube)
{
    if (tell && tell->notify) {
        notify_reach(tell->notify, kube);
    }
}

void tell_tick(struct tell *tell)
{
    if (tell && tell->notify) {
        notify_tick(tell->notify);
    }
}

/* ---- resources, for the report ---- */

static cJSON *resource_row(const cJSON *resource)
{
    cJSON *row = json_array();
    const char *space = json_str_or(resource, "namespace", "");
    autofree char *name =
        xasprintf("%s%s%s", space, space[0] ? "/" : "", json_str_or(resource, "name", ""));

    json_push_str(row, json_str_or(resource, "kind", ""));
    json_push_str(row, name);
    json_push_str(row, json_str_or(resource, "status", ""));
    json_push_str(row, json_str_or(resource, "health.status", ""));
    json_push_str(row, json_str_or(resource, "health.message", ""));
    return row;
}

static cJSON *more_row(int more)
{
    autofree char *text = xasprintf("and %d more", more);
    cJSON *row = json_array();

    json_push_str(row, "…");
    json_push_str(row, text);
    for (int i = 2; i < TELL_COLUMNS; i++) {
        json_push_str(row, "");
    }
    return row;
}

static bool is_shown(const struct deploy_result *result, const char *name)
{
    for (size_t i = 0; i < result->len; i++) {
        if (strcmp(result->apps[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int take_resources(void *arg, const cJSON *app, struct err *err)
{
    struct tell *tell = arg;
    const char *name = json_str_or(app, "metadata.name", "");
    const cJSON *resources = json_at(app, "status.resources");
    const cJSON *resource;
    cJSON *rows;

    (void)err;
    if (!is_shown(tell->result, name)) {
        return 0;
    }
    rows = json_set_array(tell->resources, name);
    cJSON_ArrayForEach(resource, resources)
    {
        if (cJSON_GetArraySize(rows) == RESOURCES_MOST) {
            json_push(rows, more_row(cJSON_GetArraySize(resources) - RESOURCES_MOST));
            break;
        }
        json_push(rows, resource_row(resource));
    }
    return 0;
}

static void list_resources(struct tell *tell, struct kube *kube, const char *space)
{
    autofree char *path = xasprintf(ARGOCD_API "/namespaces/%s/applications", space);
    autoerr struct err err = ERR_INIT;

    if (kube_list(kube, path, "applications", take_resources, tell, NULL, &err) != 0) {
        log_warning(tell->run->log, "the report does not list the resources: %s", err_text(&err));
    }
}

/* ---- the end ---- */

static enum notify_end end_of(const struct err *how)
{
    switch (how->code) {
    case ERR_NONE:
        return NOTIFY_SUCCESS;
    case ERR_FAILED:
    case ERR_USAGE:
    case ERR_INVALID:
    case ERR_TIMEOUT:
        return NOTIFY_FAILURE;
    default:
        return NOTIFY_ERROR;
    }
}

/* Nobody is woken because somebody pressed Ctrl-C, it is night, or another run came first. */
static bool is_alert(const struct deploy_result *result, const struct err *how)
{
    return !result->no_cluster && how->code != ERR_NO_CLUSTER && how->code != ERR_INTERRUPTED &&
           how->code != ERR_TERMINATED && how->code != ERR_BUSY;
}

static const char *reason_of(const struct deploy_app *app)
{
    if (!app->started) {
        return NULL;
    }
    return app->causes_len ? app->causes[0].text : app->message;
}

static void tell_outcome(struct tell *tell, const struct err *how)
{
    const struct deploy_result *result = tell->result;
    struct notify_app *apps = xcalloc(result->len + 1, sizeof(*apps));
    bool whole = tell->options->apps.len == 0 && !tell->options->changed_since;

    for (size_t i = 0; i < result->len; i++) {
        const struct deploy_app *app = &result->apps[i];

        apps[i] = (struct notify_app){
            .name = app->name,
            .live = app->verdict == ARGOCD_DONE,
            .reason = reason_of(app),
        };
    }
    struct notify_outcome outcome = {
        .end = end_of(how),
        .alert = is_alert(result, how) && !result->output, /* the agent's deploy has alerted */
        .reason = how->code != ERR_NONE ? err_text(how)
                  : result->no_cluster  ? "skipped: there is no cluster now"
                  : result->no_apps     ? "skipped: no application is concerned"
                                        : "",
        .root = result->root,
        .apps = apps,
        .len = result->len,
        .whole = whole,
        .ms = run_mono_ms(tell->run) - tell->began,
    };
    tell_about(tell); /* the commit of a branch may be known only now */
    notify_ended(tell->notify, &outcome);
    free(apps);
}

void tell_leaving(struct tell *tell, struct run *run, struct kube *kube, const char *space,
                  const struct err *how)
{
    if (!tell) {
        return;
    }
    *run = run_for_cleanup(run, TELL_MS);
    if (tell->options->report) {
        list_resources(tell, kube, space);
    }
    if (tell->notify) {
        tell_outcome(tell, how);
        notify_reach(tell->notify, NULL);
    }
}

void tell_ended(struct tell *tell, const struct err *how)
{
    if (tell->notify && tell->result->cluster) {
        tell_outcome(tell, how);
    }
}
