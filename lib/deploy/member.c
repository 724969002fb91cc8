/* One application on its way to being live. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define UNSEEN_TIMES                                                                               \
    3 /* deploy.askAgain: an operation that has not shown up is asked for again                    \
       */
#define REFRESHES_MOST 5
#define LOSSES_MOST    3
#define REVERTS_MOST   2

static bool is_follow(const struct member *member)
{
    return member->engine->plan->follow;
}

static bool is_ours(const struct member *member)
{
    return member->is_root || argocd_app_is_from(&member->app, member->engine->plan->repo_url);
}

/* It is synced by Argo CD itself; we only wait. */
static bool syncs_itself(const struct member *member)
{
    return is_follow(member) || (!is_ours(member) && member->app.automated);
}

static void set_reason(struct member *member, enum argocd_verdict verdict, char *reason)
{
    member->verdict = verdict;
    free(member->reason);
    member->reason = reason ? reason : xstrdup("");
}

void member_fail(struct member *member, enum err_code code, char *reason)
{
    member->step = STEP_FAILED;
    member->failure = code;
    member->engine->dirty = true;
    set_reason(member, ARGOCD_FAILED, reason);
}

/* The revision that its sources of our repository must run. */
static const char *wanted_revision(const struct member *member)
{
    const struct plan *plan = member->engine->plan;

    if (!is_ours(member)) {
        return NULL;
    }
    if (!plan->follow || member->is_root) {
        return plan->commit;
    }
    return argocd_app_targets(&member->app, plan->repo_url, plan->branch) ? plan->commit : NULL;
}

static const char *wanted_target(const struct member *member)
{
    const struct plan *plan = member->engine->plan;

    if (!is_ours(member)) {
        return NULL;
    }
    if (plan->follow) {
        return member->is_root ? plan->branch : NULL;
    }
    return plan->commit;
}

struct argocd_wanted member_wanted(const struct member *member)
{
    return (struct argocd_wanted){
        .repo_url = member->engine->plan->repo_url,
        .revision = wanted_revision(member),
        .target = wanted_target(member),
        .token = member->token[0] ? member->token : NULL,
        .token_seen = member->token_seen,
        .root_apart =
            member->is_root && (member->engine->root_apart || member->app.patches_ignored),
        .coming = member->engine->plan->manifests ? &member->engine->plan->coming : NULL,
        .with_leftovers = !plan_prunes(member->engine->plan, &member->app),
        .reconciled_before = member->reconciled_before,
        .refreshed = member->refresh_seen && !member->app.refreshing,
    };
}

/* The root's own spec is as wanted. */
static bool root_fits(const struct member *member)
{
    const struct engine *engine = member->engine;
    const struct plan *plan = engine->plan;
    struct argocd_root root = {
        .name = plan->root,
        .space = plan->space,
        .repo_url = plan->repo_url,
        .path = plan->path,
        .target = plan->follow ? plan->branch : plan->commit,
        .automated = plan->follow,
        .patches = engine->patches,
    };
    autojson cJSON *patch = argocd_root_spec_patch(&member->app, &root);

    return patch == NULL;
}

/* There is nothing in it that a sync of ours would have to touch, so none is to be looked for. */
static bool is_rendered(const struct member *root)
{
    autojson cJSON *resources = engine_root_resources(root->engine);

    return resources && !resources->child;
}

bool member_is_live(const struct member *member)
{
    struct argocd_wanted wanted = member_wanted(member);
    autofree char *reason = NULL;

    if (!member->present || argocd_app_busy(&member->app) || member->app.refreshing ||
        (member->is_root && !root_fits(member))) {
        return false;
    }
    if (is_follow(member) && !member->engine->plan->commit) {
        return false; /* only a fresh look at the branch can tell */
    }
    if (!is_follow(member) && is_ours(member) && member->app.automated) {
        return false; /* it would follow its branch again */
    }
    wanted.token = NULL;
    wanted.was_live = !syncs_itself(member);
    wanted.reconciled_before = NULL;
    if (member->is_root && !member->engine->patches) {
        wanted.root_apart = !is_follow(member);
        wanted.was_live = wanted.was_live && !is_rendered(member);
    }
    return argocd_judge(&member->app, &wanted, &reason) == ARGOCD_DONE;
}

bool member_is_synced(const struct member *member)
{
    return member->step == STEP_HELD ||
           (member->step == STEP_WAITING &&
            (member->verdict == ARGOCD_SETTLING || member->verdict == ARGOCD_DEGRADED));
}

/* ---- waiting for its turn ---- */

/* An operation of an earlier run of ours for the same commit: its result is ours, too. */
static bool adopt(struct member *member)
{
    const struct argocd_app *app = &member->app;
    const struct plan *plan = member->engine->plan;

    if (!app->state_token[0] || !plan->commit || strcmp(app->state_commit, plan->commit) != 0 ||
        plan->options->prune || !argocd_app_targets(app, plan->repo_url, plan->commit) ||
        (member->is_root && !root_fits(member))) {
        return false;
    }
    text_copy(member->token, sizeof(member->token), app->state_token);
    member->token_seen = true;
    member->step = STEP_WAITING;
    member->started_at = member->waiting_since = engine_now(member->engine);
    return true;
}

static bool may_end(const struct member *member)
{
    const struct plan *plan = member->engine->plan;
    const struct argocd_app *app = &member->app;

    switch (plan->options->in_progress) {
    case DEPLOY_TERMINATE:
        return true;
    case DEPLOY_SUPERSEDE:
        return app->state_token[0] && plan->commit && strcmp(app->state_commit, plan->commit) != 0;
    default:
        return false;
    }
}

/* An operation that is not ours is under way. */
static void step_busy(struct member *member)
{
    const struct argocd_app *app = &member->app;
    const char *by = app->state_by[0] ? app->state_by : "somebody";
    bool running = strcmp(app->phase, "Running") == 0;

    if (running && adopt(member)) {
        member_step(member);
        return;
    }
    if (running && may_end(member) && !member->pending &&
        (!member->asked_at || strcmp(member->asked_at, app->version) != 0)) {
        ask_termination(member);
    }
    set_reason(member, ARGOCD_PENDING,
               xasprintf("a sync by %s%s%.12s is in progress%s", by,
                         app->state_commit[0] ? " of " : "", app->state_commit,
                         member->asking_termination ? " and is being ended" : ""));
}

void member_await_automated(struct member *member)
{
    if (argocd_app_busy(&member->app)) {
        step_busy(member);
    } else {
        set_reason(member, ARGOCD_PENDING, xstrdup("its automated sync is being suspended"));
    }
}

static bool is_too_early(struct member *member)
{
    if (engine_now(member->engine) >= member->retry_at) {
        member->retry_at = 0;
        return false;
    }
    /* what the watch shows is still what was refused */
    return !member->present || !member->asked_at ||
           strcmp(member->asked_at, member->app.version) == 0;
}

static void step_queued(struct member *member)
{
    if (member->pending) {
        return;
    }
    if (!member->touched_before && member_is_live(member)) {
        member->step = STEP_HELD;
        member->untouched = true;
        member->held_at = engine_now(member->engine);
        set_reason(member, ARGOCD_DONE, NULL);
        return;
    }
    if (syncs_itself(member) && !(member->is_root && is_follow(member))) {
        member->step = STEP_WAITING;
        member->untouched = true;
        member->started_at = member->waiting_since = engine_now(member->engine);
        member_step(member);
        return;
    }
    if (is_too_early(member)) {
        return;
    }
    if (member->present && argocd_app_busy(&member->app) && !is_follow(member)) {
        step_busy(member);
        return;
    }
    member->touched_before = true;
    set_reason(member, ARGOCD_PENDING, xstrdup("the sync is being asked for"));
    if (member->is_root) {
        ask_root(member);
    } else {
        ask_sync(member);
    }
}

/* ---- waiting for Argo CD ---- */

static void step_lost(struct member *member, char *reason)
{
    if (++member->losses > LOSSES_MOST) {
        member_fail(member, ERR_FAILED, reason);
        return;
    }
    log_warning(member->engine->run->log, "application '%s': %s; asking again", member->app.name,
                reason);
    member->step = STEP_QUEUED;
    set_reason(member, ARGOCD_PENDING, reason);
}

static void step_reverted(struct member *member, char *reason)
{
    if (++member->reverts > REVERTS_MOST) {
        member_fail(member, ERR_FAILED,
                    xasprintf("its revision is set back again and again: %s; is there a parent "
                              "with selfHeal?",
                              reason));
        free(reason);
        return;
    }
    log_warning(member->engine->run->log, "application '%s': %s; setting it again",
                member->app.name, reason);
    member->step = STEP_QUEUED;
    set_reason(member, ARGOCD_PENDING, reason);
}

static void step_degraded(struct member *member, char *reason)
{
    int64_t now = engine_now(member->engine);

    if (!member->degraded_since) {
        member->degraded_since = now;
    }
    if (now - member->degraded_since >= member->engine->grace_ms) {
        member_fail(member, ERR_FAILED, reason);
        return;
    }
    set_reason(member, ARGOCD_DEGRADED, reason);
}

static void hold(struct member *member)
{
    if (member->step != STEP_HELD) {
        member->step = STEP_HELD;
        member->held_at = engine_now(member->engine);
    }
    member->degraded_since = 0;
    set_reason(member, ARGOCD_DONE, NULL);
}

/* What is shown may be older than what was done. */
static bool awaits_comparison(const struct member *member)
{
    return member->verdict == ARGOCD_STALE ||
           (member->verdict == ARGOCD_PROGRESSING && member->token_seen &&
            strcmp(member->app.phase, "Succeeded") == 0);
}

/* A comparison that was asked for, or that is due after a sync, can be lost: ask again, less and
 * less often. */
static void keep_fresh(struct member *member)
{
    int64_t now = engine_now(member->engine);

    if (!awaits_comparison(member) || member->refreshes >= REFRESHES_MOST) {
        member->refresh_at = 0;
        return;
    }
    if (!member->refresh_at) {
        member->refresh_at = now + (member->engine->again_ms << member->refreshes);
    } else if (now >= member->refresh_at && !member->pending) {
        member->refresh_at = 0;
        ask_refresh(member);
    }
}

static int64_t unseen_ms(const struct member *member)
{
    return member->engine->again_ms * UNSEEN_TIMES;
}

static bool is_unseen(const struct member *member)
{
    return member->token[0] && !member->token_seen && !argocd_app_busy(&member->app) &&
           engine_now(member->engine) - member->waiting_since >= unseen_ms(member);
}

static void see_ours(struct member *member)
{
    if (member->token[0] && (strcmp(member->app.operation_token, member->token) == 0 ||
                             strcmp(member->app.state_token, member->token) == 0)) {
        member->token_seen = true;
    }
    if (member->app.refreshing) {
        member->refresh_seen = true;
    }
}

static void take_verdict(struct member *member, enum argocd_verdict verdict, char *reason)
{
    if (verdict == ARGOCD_DONE) {
        free(reason);
        hold(member);
        return;
    }
    if (member->step == STEP_HELD) {
        member->step = STEP_WAITING;
        member->waiting_since = engine_now(member->engine);
    }
    switch (verdict) {
    case ARGOCD_FAILED:
        member_fail(member, ERR_FAILED, reason);
        return;
    case ARGOCD_LOST:
        step_lost(member, reason);
        return;
    case ARGOCD_REVERTED:
        step_reverted(member, reason);
        return;
    case ARGOCD_DEGRADED:
        step_degraded(member, reason);
        return;
    default:
        member->degraded_since = 0;
        set_reason(member, verdict, reason);
        keep_fresh(member);
    }
}

static void step_waiting(struct member *member)
{
    struct argocd_wanted wanted;
    enum argocd_verdict verdict;
    char *reason = NULL;

    if (!member->present) {
        if (member->is_root && member->step == STEP_HELD) {
            member_fail(member, ERR_FAILED, xstrdup("it was deleted meanwhile"));
        }
        return;
    }
    if (member->asked_at && strcmp(member->asked_at, member->app.version) == 0) {
        return; /* what we wrote has not come back yet */
    }
    see_ours(member);
    wanted = member_wanted(member);
    if (member->untouched && member->step == STEP_HELD) {
        wanted.reconciled_before = NULL;
        if (member->is_root && !member->engine->patches) {
            wanted.root_apart = !is_follow(member);
        }
    }
    verdict = argocd_judge(&member->app, &wanted, &reason);
    if (verdict == ARGOCD_PENDING && is_unseen(member)) {
        free(reason);
        verdict = ARGOCD_LOST;
        reason = xstrdup("Argo CD did not take the sync up");
    }
    take_verdict(member, verdict, reason);
}

void member_step(struct member *member)
{
    switch (member->step) {
    case STEP_QUEUED:
        step_queued(member);
        break;
    case STEP_WAITING:
    case STEP_HELD:
        step_waiting(member);
        break;
    default:
        break;
    }
}

static int64_t sooner(int64_t at, int64_t now, int64_t at_most)
{
    int64_t left = at - now;

    left = left > 0 ? left : 0;
    return left < at_most ? left : at_most;
}

int64_t member_due(const struct member *member, int64_t at_most)
{
    int64_t now = engine_now(member->engine);

    if (member->step == STEP_QUEUED && member->retry_at && !member->pending) {
        at_most = sooner(member->retry_at, now, at_most);
    }
    if (member->step != STEP_WAITING) {
        return at_most;
    }
    if (member->degraded_since) {
        at_most = sooner(member->degraded_since + member->engine->grace_ms, now, at_most);
    }
    if (member->refresh_at && !member->pending) {
        at_most = sooner(member->refresh_at, now, at_most);
    }
    if (member->look_at) {
        at_most = sooner(member->look_at, now, at_most);
    }
    if (member->token[0] && !member->token_seen) {
        int64_t at = member->waiting_since + unseen_ms(member);

        at_most = at > now ? sooner(at, now, at_most) : at_most;
    }
    return at_most;
}

void member_free(struct member *member)
{
    if (!member) {
        return;
    }
    if (member->pending) {
        kube_cancel(member->pending);
    }
    argocd_app_clear(&member->app);
    free(member->asked_at);
    free(member->reconciled_before);
    free(member->reason);
    free(member);
}
