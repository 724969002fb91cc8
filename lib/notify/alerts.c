/* Which alerts there are, and what they say. */
#include "internal.h"

#include <ctype.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define FAILED_MS    ((int64_t)7 * 24 * 3600 * 1000)
#define SUCCEEDED_MS ((int64_t)3 * 60 * 1000) /* longer than Alertmanager's group_wait */
#define SLOW_MS      ((int64_t)4 * 60 * 1000) /* four times as long as until it is sent again */
/* An end in the future of the Alertmanager's clock would not be an end. */
#define SKEW_MS    30000
#define APPS_MOST  50
#define TEXT_MOST  1500
#define LABEL_MOST 200

/* ---- where ---- */

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-.", text[i])) {
            return false;
        }
    }
    return len > 0;
}

/* "NAMESPACE/[SCHEME:]NAME:PORT" as the path of the API server's proxy; NULL when it is none. */
static char *service_path(const char *service)
{
    size_t space = strcspn(service, "/");
    const char *name = service + space + 1;
    size_t scheme, len;

    if (service[space] == '\0' || !is_name(service, space)) {
        return NULL;
    }
    scheme = text_starts(name, "https:") ? 6 : text_starts(name, "http:") ? 5 : 0;
    len = strcspn(name + scheme, ":");
    if (!is_name(name + scheme, len) || name[scheme + len] != ':' ||
        !is_name(name + scheme + len + 1, strlen(name + scheme + len + 1))) {
        return NULL;
    }
    return xasprintf("/api/v1/namespaces/%.*s/services/%s/proxy", (int)space, service, name);
}

void alerts_configure(struct notify *notify)
{
    const char *url = conf_str(notify->conf, "notify.alertmanager.url");
    const char *service = conf_str(notify->conf, "notify.alertmanager.service");

    if (url && !notify_link(url)) {
        log_warning(notify->run->log, "notify.alertmanager.url is no http or https URL; not used");
        url = NULL;
    }
    if (url) {
        notify->url = xstrdup(url);
        while (text_ends(notify->url, "/")) {
            notify->url[strlen(notify->url) - 1] = '\0';
        }
    } else if (service) {
        notify->service_path = service_path(service);
        if (!notify->service_path) {
            log_warning(notify->run->log,
                        "notify.alertmanager.service: '%s' is not NAMESPACE/NAME:PORT; not used",
                        service);
        }
    }
}

/* ---- one alert ---- */

static void set_text(cJSON *object, const char *key, const char *value, size_t most)
{
    if (value && value[0]) {
        autofree char *text = notify_text(value, most);

        json_set_str(object, key, text);
    }
}

/* `app` may be NULL. Borrowed by the caller from `alerts`. */
static cJSON *add_alert(const struct notify *notify, cJSON *alerts, const char *name,
                        const char *severity, const char *app, int64_t starts, int64_t ends)
{
    cJSON *alert = json_object();
    cJSON *labels = json_set_object(alert, "labels");

    json_set_str(labels, "alertname", name);
    json_set_str(labels, "severity", severity);
    json_set_str(labels, "source", "necoops");
    set_text(labels, "cluster", notify->about.cluster, LABEL_MOST);
    set_text(labels, "app", app, LABEL_MOST);
    json_set_str(alert, "startsAt", time_rfc3339_ms(starts).text);
    json_set_str(alert, "endsAt", time_rfc3339_ms(ends).text);
    json_push(alerts, alert);
    return alert;
}

static void annotate(const struct notify *notify, cJSON *alert, const char *summary,
                     const char *reason)
{
    cJSON *annotations = json_set_object(alert, "annotations");

    set_text(annotations, "summary", summary, TEXT_MOST);
    set_text(annotations, "reason", reason, TEXT_MOST);
    set_text(annotations, "revision", notify->about.revision, LABEL_MOST);
    set_text(annotations, "author", notify->about.author, LABEL_MOST);
    set_text(annotations, "subject", notify->about.commit_subject, LABEL_MOST);
    json_set_str(annotations, "build_url", notify->build_url);
    json_set_str(annotations, "report_url", notify->report_url);
    json_set_str(alert, "generatorURL", notify->build_url ? notify->build_url : notify->report_url);
}

/* ---- slow ---- */

void alerts_slow(struct notify *notify)
{
    autojson cJSON *alerts = NULL;
    int64_t now = run_wall_ms(notify->run);
    autofree char *summary =
        xasprintf("The deployment on %s has been running for %s", notify->about.cluster,
                  duration_format(run_mono_ms(notify->run) - notify->began).text);

    if (!post_is_possible(notify)) {
        return;
    }
    if (!notify->slow_wall) {
        notify->slow_wall = now;
    }
    alerts = json_array();
    annotate(notify,
             add_alert(notify, alerts, "DeploymentSlow", "warning", NULL, notify->slow_wall,
                       now + SLOW_MS),
             summary, NULL);
    post_start(notify, alerts);
}

/* ---- the end ---- */

/* A moment that is past by the Alertmanager's clock, too, and not before the alert began. */
static int64_t end_of(const struct notify *notify, int64_t starts)
{
    int64_t end = run_wall_ms(notify->run) - SKEW_MS;

    return end > starts ? end : starts + 1;
}

static void end_slow(struct notify *notify, cJSON *alerts)
{
    if (notify->slow_wall) {
        autofree char *summary = xasprintf("The deployment on %s has ended", notify->about.cluster);

        annotate(notify,
                 add_alert(notify, alerts, "DeploymentSlow", "warning", NULL, notify->slow_wall,
                           end_of(notify, notify->slow_wall)),
                 summary, NULL);
    }
}

static void add_failure(const struct notify *notify, cJSON *alerts, const char *app,
                        const char *reason)
{
    int64_t now = run_wall_ms(notify->run);
    autofree char *summary = xasprintf("%s is not live on %s", app, notify->about.cluster);

    annotate(notify,
             add_alert(notify, alerts, "DeploymentFailed", "critical", app, now, now + FAILED_MS),
             summary, reason);
}

static void add_failures(const struct notify *notify, cJSON *alerts,
                         const struct notify_outcome *outcome)
{
    size_t told = 0, more = 0;

    for (size_t i = 0; i < outcome->len; i++) {
        if (outcome->apps[i].live || !outcome->apps[i].reason) {
            continue;
        }
        if (told == APPS_MOST) {
            more++;
            continue;
        }
        add_failure(notify, alerts, outcome->apps[i].name, outcome->apps[i].reason);
        told++;
    }
    if (more) {
        log_warning(notify->run->log, "%zu more applications failed; no alert tells of them", more);
    }
    if (!told) {
        add_failure(notify, alerts, outcome->root, outcome->reason);
    }
}

static void add_success(const struct notify *notify, cJSON *alerts,
                        const struct notify_outcome *outcome)
{
    int64_t now = run_wall_ms(notify->run);
    autofree char *summary =
        xasprintf("%.12s is live on %s: %zu application%s after %s", notify->about.revision,
                  notify->about.cluster, outcome->len, outcome->len == 1 ? "" : "s",
                  duration_format(outcome->ms).text);

    annotate(
        notify,
        add_alert(notify, alerts, "DeploymentSucceeded", "info", NULL, now, now + SUCCEEDED_MS),
        summary, outcome->reason);
}

/* ---- what is no longer so ---- */

static bool is_cured(const struct notify_outcome *outcome, const char *app)
{
    if (outcome->end == NOTIFY_SUCCESS && outcome->whole) {
        return true;
    }
    for (size_t i = 0; i < outcome->len; i++) {
        autofree char *label = notify_text(outcome->apps[i].name, LABEL_MOST);

        if (outcome->apps[i].live && strcmp(label, app) == 0) {
            return true;
        }
    }
    return false;
}

static char *failures_query(const struct notify *notify)
{
    static const char *const fixed[] = {"alertname=\"DeploymentFailed\"", "source=\"necoops\""};
    autobuf struct buf query = BUF_INIT(BUF_SMALL);
    autofree char *cluster = notify_text(notify->about.cluster, LABEL_MOST);
    autofree char *quoted = NULL;
    autojson cJSON *json = cJSON_CreateString(cluster);
    autofree char *matcher = NULL;

    buf_adds(&query, "?active=true&silenced=true&inhibited=true");
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        autofree char *coded = url_encode(fixed[i]);

        buf_addf(&query, "&filter=%s", coded);
    }
    quoted = json_print(json);
    matcher = xasprintf("cluster=%s", quoted);
    autofree char *coded = url_encode(matcher);
    buf_addf(&query, "&filter=%s", coded);
    return buf_steal(&query);
}

static void resolve(const struct notify *notify, const cJSON *firing, cJSON *alerts)
{
    const char *starts_at = json_str_or(firing, "startsAt", "");
    autoerr struct err ignored = ERR_INIT;
    int64_t starts;
    cJSON *alert;
    cJSON *annotations;

    if (time_parse_rfc3339(starts_at, &starts, &ignored) != 0) {
        starts = run_wall_ms(notify->run) - SKEW_MS;
    }
    alert = json_object();
    json_set(alert, "labels", json_copy(json_at(firing, "labels")));
    annotations = json_set(alert, "annotations", json_copy(json_at(firing, "annotations")));
    set_text(annotations, "resolved_by", notify->about.revision, LABEL_MOST);
    json_set_str(alert, "generatorURL", notify->build_url);
    json_set_str(alert, "startsAt", starts_at);
    json_set_str(alert, "endsAt", time_rfc3339_ms(end_of(notify, starts)).text);
    json_push(alerts, alert);
}

/* Failures that fire now and that this run has seen live. */
static void add_cures(struct notify *notify, cJSON *alerts, const struct notify_outcome *outcome)
{
    autofree char *query = failures_query(notify);
    autojson cJSON *firing = NULL;
    autoerr struct err err = ERR_INIT;
    const cJSON *one;

    if (post_ask(notify, query, &firing, &err) != 0) {
        log_warning(notify->run->log, "alerts of earlier failures stay as they are: %s",
                    err_text(&err));
        return;
    }
    cJSON_ArrayForEach(one, firing)
    {
        if (cJSON_IsObject(json_at(one, "labels")) && cJSON_IsObject(json_at(one, "annotations")) &&
            is_cured(outcome, json_str_or(one, "labels.app", ""))) {
            resolve(notify, one, alerts);
        }
    }
}

void alerts_ended(struct notify *notify, const struct notify_outcome *outcome)
{
    autojson cJSON *alerts = json_array();
    autoerr struct err err = ERR_INIT;

    if (!post_is_possible(notify)) {
        if (notify->service_path && outcome->alert) {
            log_warning(notify->run->log,
                        "the Alertmanager was not told: it lies in the cluster, which was not "
                        "reached; notify.alertmanager.url would do");
        }
        return;
    }
    end_slow(notify, alerts);
    if (outcome->alert) {
        add_cures(notify, alerts, outcome);
        if (outcome->end == NOTIFY_SUCCESS) {
            add_success(notify, alerts, outcome);
        } else {
            add_failures(notify, alerts, outcome);
        }
    }
    if (cJSON_GetArraySize(alerts) && post_alerts(notify, alerts, &err) != 0) {
        log_warning(notify->run->log, "how the deploy ended was not told: %s", err_text(&err));
    }
}
