/* One deploy and whom to tell of it. */
#include "internal.h"

#include <string.h>
#include "necoops/base/ci.h"

#define SLOW_AGAIN_MS 60000

/* ---- links ---- */

/* What is no http or https URL is not shown as a link. */
static char *build_link(const struct run *run)
{
    autofree char *page = ci_page(run);

    return notify_link(page) ? steal(page) : NULL;
}

static char *report_link(const struct run *run, const struct conf *conf)
{
    const char *url = conf_str(conf, "notify.reportURL");

    if (url && !notify_link(url)) {
        log_warning(run->log, "notify.reportURL: '%s' is no http or https URL; not used", url);
        return NULL;
    }
    return url ? xstrdup(url) : NULL;
}

const char *notify_build_url(const struct notify *notify)
{
    return notify->build_url;
}

/* ---- life ---- */

struct notify *notify_new(const struct run *run, const struct conf *conf)
{
    struct notify *notify = xcalloc(1, sizeof(*notify));

    notify->run = run;
    notify->conf = conf;
    notify->build_url = build_link(run);
    notify->report_url = report_link(run, conf);
    alerts_configure(notify);
    return notify;
}

static void subject_clear(struct subject *subject)
{
    free(subject->cluster);
    free(subject->repo_url);
    free(subject->revision);
    free(subject->author);
    free(subject->commit_subject);
    *subject = (struct subject){0};
}

void notify_free(struct notify *notify)
{
    if (!notify) {
        return;
    }
    alerts_cancel(notify);
    http_free(notify->http);
    subject_clear(&notify->about);
    free(notify->build_url);
    free(notify->report_url);
    free(notify->service_path);
    free(notify->url);
    free(notify);
}

static char *copy(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

void notify_about(struct notify *notify, const struct notify_subject *subject)
{
    subject_clear(&notify->about);
    notify->about = (struct subject){
        .cluster = xstrdup(subject->cluster),
        .repo_url = xstrdup(subject->repo_url),
        .revision = xstrdup(subject->revision),
        .author = copy(subject->author),
        .commit_subject = copy(subject->subject),
    };
}

struct http *notify_http(struct notify *notify)
{
    autoerr struct err err = ERR_INIT;

    notify->own = run_for_cleanup(notify->run, TELL_MS);
    if (!notify->http && http_new(&notify->own, &notify->http, &err) != 0) {
        log_warning(notify->run->log, "nobody is told: %s", err_text(&err));
    }
    return notify->http;
}

/* ---- what happens ---- */

void notify_reach(struct notify *notify, struct kube *kube)
{
    if (!kube) {
        alerts_cancel(notify);
    }
    notify->kube = kube;
}

void notify_started(struct notify *notify)
{
    github_status(notify, "pending", "the deploy is under way");
}

void notify_tick(struct notify *notify)
{
    int64_t now = run_mono_ms(notify->run);

    if (notify->ended || !notify->kube) {
        return;
    }
    if (!notify->slow_at) { /* now it begins: what was waited for before was another run */
        notify->began = now;
        notify->slow_at = now + conf_duration_ms(notify->conf, "notify.slowAfter", 0);
    }
    if (now >= notify->slow_at) {
        notify->slow_at = now + SLOW_AGAIN_MS;
        alerts_slow(notify);
    }
}

static const char *state_of(enum notify_end end)
{
    switch (end) {
    case NOTIFY_SUCCESS:
        return "success";
    case NOTIFY_FAILURE:
        return "failure";
    default:
        return "error";
    }
}

void notify_ended(struct notify *notify, const struct notify_outcome *outcome)
{
    if (notify->ended || !notify->about.cluster) {
        return;
    }
    notify->ended = true;
    alerts_cancel(notify);
    alerts_ended(notify, outcome);
    github_status(notify, state_of(outcome->end),
                  outcome->end == NOTIFY_SUCCESS && !outcome->reason[0]
                      ? "all applications are live"
                      : outcome->reason);
}
