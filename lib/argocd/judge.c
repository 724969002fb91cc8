/* When is a commit live? The whole test, on one state of an Application. */
#include "necoops/argocd/application.h"

#include <string.h>
#include "necoops/base/text.h"

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

static const struct argocd_condition *condition(const struct argocd_app *app, const char *type)
{
    for (size_t i = 0; i < app->conditions_len; i++) {
        if (is(app->conditions[i].type, type)) {
            return &app->conditions[i];
        }
    }
    return NULL;
}

/* What a repo server says that starts, is overloaded or cannot reach Git just now: worth waiting.
 */
static bool is_passing(const char *message)
{
    static const char *const words[] = {"code = Unavailable",
                                        "connection refused",
                                        "connection reset",
                                        "code = DeadlineExceeded",
                                        "i/o timeout",
                                        "context deadline exceeded",
                                        "connection error",
                                        "no such host",
                                        "TLS handshake timeout",
                                        "transport is closing",
                                        "EOF",
                                        "Too Many Requests",
                                        "failed to get cluster info",
                                        "the cache has not been synced"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strstr(message, words[i])) {
            return true;
        }
    }
    return false;
}

/* The state in `app` was written after our operation was asked for. */
static bool is_fresh(const struct argocd_app *app, const struct argocd_wanted *wanted)
{
    return !wanted->reconciled_before || wanted->refreshed ||
           strcmp(app->reconciled_at, wanted->reconciled_before) != 0;
}

/* A condition that waiting cannot cure. */
static const struct argocd_condition *final_condition(const struct argocd_app *app,
                                                      const struct argocd_wanted *wanted)
{
    const struct argocd_condition *found;

    if (!is_fresh(app, wanted) || app->refreshing) {
        return NULL;
    }
    found = condition(app, "InvalidSpecError");
    if (found && !is_passing(found->message)) {
        return found;
    }
    found = condition(app, "ComparisonError");
    if (found && app->compared_as_spec && is(app->sync_status, "Unknown") &&
        !is_passing(found->message)) {
        return found;
    }
    return NULL;
}

/* True when every source of this repository has the commit in `revisions`. */
static bool all_at(const struct argocd_app *app, const struct argocd_wanted *wanted,
                   const struct strv *revisions)
{
    if (!wanted->revision) {
        return true;
    }
    if (revisions->len != app->sources.len) {
        return false;
    }
    for (size_t i = 0; i < app->sources.len; i++) {
        if (argocd_source_is(&app->sources.items[i], wanted->repo_url) &&
            strcasecmp(revisions->items[i], wanted->revision) != 0) {
            return false;
        }
    }
    return true;
}

static char *name_resource(const struct argocd_resource *resource)
{
    return xasprintf("%s %s%s%s", resource->kind, resource->space, resource->space[0] ? "/" : "",
                     resource->name);
}

/* "Deployment x/y: message" of the first resource that matters, or NULL. */
static char *first_resource(const struct argocd_app *app, bool of_operation, bool unhealthy)
{
    for (size_t i = 0; i < app->resources_len; i++) {
        const struct argocd_resource *resource = &app->resources[i];
        bool sick = resource->health[0] && !is(resource->health, "Healthy");

        if (resource->of_operation != of_operation || (unhealthy && !sick)) {
            continue;
        }
        autofree char *name = name_resource(resource);
        const char *state = sick ? resource->health : resource->status;

        return xasprintf("%s is %s%s%s", name, state[0] ? state : "not ready",
                         resource->message[0] ? ": " : "", resource->message);
    }
    return NULL;
}

static enum argocd_verdict say(enum argocd_verdict verdict, char **reason, char *text)
{
    *reason = text;
    return verdict;
}

/* ---- the operation ---- */

/* A kind that the cluster does not know, and that nothing in the commit defines. */
static bool is_unknown_kind(const struct argocd_app *app, const struct argocd_wanted *wanted,
                            const struct argocd_resource *resource)
{
    if (!strstr(resource->message, "CRD is installed") &&
        !strstr(resource->message, "no matches for kind")) {
        return false;
    }
    return wanted->coming ? !strv_has(wanted->coming, resource->group) : app->retries > 0;
}

/* What an API server or a webhook refuses now, it will refuse again. */
static bool is_refused(const char *message)
{
    return strstr(message, " is invalid: ") || strstr(message, "field is immutable") ||
           strstr(message, "denied the request");
}

/* The operation would be tried again, and fail again. */
static bool is_hopeless(const struct argocd_app *app, const struct argocd_wanted *wanted)
{
    if (text_starts(app->state_message, "ComparisonError") ||
        text_starts(app->state_message, "InvalidSpecError")) {
        return !is_passing(app->state_message);
    }
    for (size_t i = 0; i < app->resources_len; i++) {
        const struct argocd_resource *resource = &app->resources[i];

        if (resource->of_operation &&
            (is_unknown_kind(app, wanted, resource) || is_refused(resource->message))) {
            return true;
        }
    }
    return final_condition(app, wanted) != NULL;
}

static enum argocd_verdict judge_failed(const struct argocd_app *app,
                                        const struct argocd_wanted *wanted, char **reason)
{
    const struct argocd_condition *final = final_condition(app, wanted);
    autofree char *resource = first_resource(app, true, false);

    if (final && !resource) {
        return say(ARGOCD_FAILED, reason, xasprintf("%s: %s", final->type, final->message));
    }
    return say(ARGOCD_FAILED, reason,
               xasprintf("the sync failed: %s%s%s", app->state_message, resource ? "; " : "",
                         resource ? resource : ""));
}

static enum argocd_verdict judge_running(const struct argocd_app *app,
                                         const struct argocd_wanted *wanted, char **reason)
{
    if (app->finished && is_hopeless(app, wanted)) {
        return judge_failed(app, wanted, reason);
    }
    if (app->finished) {
        return say(ARGOCD_PROGRESSING, reason,
                   xasprintf("the sync failed and will be tried again: %s", app->state_message));
    }
    return say(ARGOCD_PROGRESSING, reason,
               xasprintf("syncing%s%s", app->state_message[0] ? ": " : "", app->state_message));
}

static enum argocd_verdict judge_not_ours(const struct argocd_app *app,
                                          const struct argocd_wanted *wanted, char **reason)
{
    if (app->has_operation && is(app->operation_token, wanted->token)) {
        return say(ARGOCD_PENDING, reason, xstrdup("waiting for Argo CD to start the sync"));
    }
    if (!wanted->token_seen) {
        return say(ARGOCD_PENDING, reason, xstrdup("the sync was asked for"));
    }
    return say(ARGOCD_LOST, reason,
               xasprintf("another sync%s%s took the place of ours", app->state_by[0] ? " by " : "",
                         app->state_by));
}

/* Automated sync tries a commit once: when that failed, nothing more will come. */
static enum argocd_verdict judge_automated(const struct argocd_app *app,
                                           const struct argocd_wanted *wanted, char **reason)
{
    bool failed = is(app->phase, "Failed") || is(app->phase, "Error");

    if (failed && !is(app->sync_status, "Synced") && app->compared_as_spec &&
        all_at(app, wanted, &app->synced)) {
        (void)judge_failed(app, wanted, reason);
        return ARGOCD_DEGRADED;
    }
    return ARGOCD_DONE;
}

/* ARGOCD_DONE: the operation is as wanted, go on. */
static enum argocd_verdict judge_operation(const struct argocd_app *app,
                                           const struct argocd_wanted *wanted, char **reason)
{
    bool ours = wanted->token && app->has_state && is(app->state_token, wanted->token);

    if (wanted->token && !ours) {
        return judge_not_ours(app, wanted, reason);
    }
    if (is(app->phase, "Running") || is(app->phase, "Terminating")) {
        return judge_running(app, wanted, reason);
    }
    if (app->has_operation) {
        return say(ARGOCD_PROGRESSING, reason, xstrdup("a sync is about to start"));
    }
    if (!ours && !wanted->was_live) {
        return judge_automated(app, wanted, reason);
    }
    if (is(app->phase, "Failed") || is(app->phase, "Error")) {
        return judge_failed(app, wanted, reason);
    }
    if (!is(app->phase, "Succeeded")) {
        return say(ARGOCD_PENDING, reason, xstrdup("it was never synced"));
    }
    if (!all_at(app, wanted, &app->synced)) {
        return say(ours ? ARGOCD_FAILED : ARGOCD_PENDING, reason,
                   xasprintf("the sync took revision '%s' instead of '%s'",
                             app->synced.len ? app->synced.items[0] : "", wanted->revision));
    }
    return ARGOCD_DONE;
}

/* ---- what was compared, and its health ---- */

static bool may_differ(const struct argocd_resource *resource, const struct argocd_wanted *wanted)
{
    return (wanted->with_leftovers && resource->leftover) ||
           (wanted->root_apart && is(resource->kind, "Application") &&
            is(resource->group, "argoproj.io"));
}

/* All that is out of sync is what may be. */
static bool differs_as_allowed(const struct argocd_app *app, const struct argocd_wanted *wanted)
{
    bool any = false;

    for (size_t i = 0; i < app->resources_len; i++) {
        const struct argocd_resource *resource = &app->resources[i];

        if (resource->of_operation || is(resource->status, "Synced")) {
            continue;
        }
        if (!may_differ(resource, wanted)) {
            return false;
        }
        any = true;
    }
    return any && is(app->sync_status, "OutOfSync");
}

static enum argocd_verdict judge_sync(const struct argocd_app *app,
                                      const struct argocd_wanted *wanted, char **reason)
{
    const struct argocd_condition *final = final_condition(app, wanted);
    const struct argocd_condition *passing = condition(app, "ComparisonError");

    if (final) {
        return say(ARGOCD_FAILED, reason, xasprintf("%s: %s", final->type, final->message));
    }
    if (!app->compared_as_spec || app->refreshing || (!wanted->token && !is_fresh(app, wanted))) {
        return say(ARGOCD_STALE, reason, xstrdup("not compared with Git yet"));
    }
    if (!all_at(app, wanted, &app->revisions)) {
        return say(
            ARGOCD_STALE, reason,
            xasprintf("still at revision '%.12s'", argocd_app_revision(app, wanted->repo_url)));
    }
    if (is(app->sync_status, "Synced") || differs_as_allowed(app, wanted)) {
        return ARGOCD_DONE;
    }
    if (passing) {
        return say(ARGOCD_PROGRESSING, reason,
                   xasprintf("%s: %s", passing->type, passing->message));
    }
    autofree char *resource = first_resource(app, false, false);
    return say(ARGOCD_PROGRESSING, reason,
               xasprintf("%s%s%s", app->sync_status[0] ? app->sync_status : "no sync status",
                         resource ? ": " : "", resource ? resource : ""));
}

static enum argocd_verdict judge_health(const struct argocd_app *app, char **reason)
{
    autofree char *resource = NULL;

    if (is(app->health, "Healthy")) {
        return ARGOCD_DONE;
    }
    resource = first_resource(app, false, true);
    *reason = xasprintf("%s%s%s", app->health[0] ? app->health : "no health yet",
                        resource || app->health_message[0] ? ": " : "",
                        resource ? resource : app->health_message);
    return is(app->health, "Degraded") ? ARGOCD_DEGRADED : ARGOCD_SETTLING;
}

static bool is_reverted(const struct argocd_app *app, const struct argocd_wanted *wanted)
{
    return wanted->target && !argocd_app_targets(app, wanted->repo_url, wanted->target);
}

enum argocd_verdict argocd_judge(const struct argocd_app *app, const struct argocd_wanted *wanted,
                                 char **reason)
{
    enum argocd_verdict verdict;

    *reason = NULL;
    if (app->deleting) {
        return say(ARGOCD_PROGRESSING, reason, xstrdup("it is being deleted"));
    }
    if (is_reverted(app, wanted) && (!wanted->token || wanted->token_seen)) {
        return say(ARGOCD_REVERTED, reason,
                   xasprintf("its revision is not '%.12s'%s%s", wanted->target,
                             app->spec_manager[0] ? "; last set by " : "", app->spec_manager));
    }
    verdict = judge_operation(app, wanted, reason);
    if (verdict == ARGOCD_DONE) {
        verdict = judge_sync(app, wanted, reason);
    }
    return verdict == ARGOCD_DONE ? judge_health(app, reason) : verdict;
}

const char *argocd_verdict_name(enum argocd_verdict verdict)
{
    static const char *const names[] = {
        [ARGOCD_PENDING] = "pending",   [ARGOCD_PROGRESSING] = "progressing",
        [ARGOCD_STALE] = "stale",       [ARGOCD_SETTLING] = "settling",
        [ARGOCD_DONE] = "done",         [ARGOCD_DEGRADED] = "degraded",
        [ARGOCD_FAILED] = "failed",     [ARGOCD_LOST] = "lost",
        [ARGOCD_REVERTED] = "reverted",
    };

    return names[verdict];
}
