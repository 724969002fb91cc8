/* Where the engine stands: all live, failed, or what is still missing. */
#include "internal.h"

#include <string.h>

/* After the first final failure, so long the others of the same turn may still end by themselves.
 */
#define LINGER_MS   10000
#define NAMES_SHOWN 3

bool engine_any_failed(const struct engine *engine)
{
    for (size_t i = 0; i < engine->len; i++) {
        if (engine->members[i]->selected && engine->members[i]->step == STEP_FAILED) {
            return true;
        }
    }
    return false;
}

bool engine_is_lost(const struct engine *engine)
{
    return engine->lock && !kube_lock_held(engine->lock);
}

size_t engine_count(const struct engine *engine, enum step step, bool of_step)
{
    size_t count = 0;

    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        count += member->selected && !member->is_root && (!of_step || member->step == step);
    }
    return count;
}

static bool all_held(const struct engine *engine)
{
    if (!engine->listed || engine->root->step != STEP_HELD || engine->membership_changed) {
        return false;
    }
    for (size_t i = 0; i < engine->len; i++) {
        if (engine->members[i]->selected && engine->members[i]->step != STEP_HELD) {
            return false;
        }
    }
    return true;
}

/* Nothing that was started is still open. */
static bool is_settled(const struct engine *engine)
{
    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        if (member->selected && (member->step == STEP_ASKING || member->step == STEP_WAITING)) {
            return false;
        }
    }
    return true;
}

static int first_failure(const struct engine *engine, struct err *err)
{
    const struct member *first = NULL;
    size_t count = 0;

    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        if (member->selected && member->step == STEP_FAILED) {
            first = first && !member->is_root ? first : member;
            count++;
        }
    }
    autofree char *more = count > 1 ? xasprintf(" (and %zu more)", count - 1) : xstrdup("");
    return err_set(err, first->failure == ERR_DENIED ? ERR_DENIED : ERR_FAILED,
                   "application '%s': %s%s", first->app.name, first->reason, more);
}

int engine_outcome(struct engine *engine, struct err *err)
{
    int64_t now = engine_now(engine);

    if (engine->err.code != ERR_NONE) {
        err_move(err, &engine->err);
        return -1;
    }
    if (engine_is_lost(engine)) {
        return err_set(err, ERR_BUSY,
                       "the lease of the cluster was lost (it is held by %s), so nothing more was "
                       "changed",
                       kube_lock_holder(engine->lock)[0] ? kube_lock_holder(engine->lock)
                                                         : "nobody");
    }
    if (engine_any_failed(engine)) {
        if (!engine->failed_since) {
            engine->failed_since = now;
        }
        if (engine->root->step == STEP_FAILED || is_settled(engine) ||
            now - engine->failed_since >= LINGER_MS) {
            return first_failure(engine, err);
        }
        return 0;
    }
    if (!all_held(engine)) {
        engine->held_since = 0;
        return 0;
    }
    if (engine_count(engine, STEP_HELD, false) == 0 && !engine->plan->root_changed) {
        engine->none_selected = true;
        return plan_fail_without_apps(engine->plan, err);
    }
    if (!engine->touched) {
        return 1;
    }
    if (!engine->held_since || kube_watch_trouble(engine->watch)) {
        engine->held_since = now; /* what nobody saw was not stable */
    }
    return now - engine->held_since >= engine->stable_ms && !kube_watch_trouble(engine->watch);
}

char *engine_missing(const struct engine *engine)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    size_t shown = 0, more = 0;

    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        if (!member->selected || member->step == STEP_HELD) {
            continue;
        }
        if (shown == NAMES_SHOWN) {
            more++;
            continue;
        }
        buf_addf(&text, "%s%s%s%s%s", shown ? ", " : "", member->app.name,
                 member->reason[0] ? " (" : "", member->reason, member->reason[0] ? ")" : "");
        shown++;
    }
    if (more) {
        buf_addf(&text, " and %zu more", more);
    }
    if (kube_watch_trouble(engine->watch)) {
        buf_addf(&text, "%s%s", text.len ? "; " : "", kube_watch_trouble(engine->watch));
    }
    if (!text.len) {
        buf_adds(&text,
                 engine->listed ? "all applications to stay healthy" : "the list of applications");
    }
    return buf_steal(&text);
}

void engine_name_leftovers(const struct engine *engine)
{
    for (size_t i = 0; i < engine->len; i++) {
        const struct member *member = engine->members[i];

        for (size_t j = 0; member->selected && j < member->app.resources_len; j++) {
            const struct argocd_resource *resource = &member->app.resources[j];

            if (resource->leftover && !resource->of_operation) {
                plan_note(engine->plan,
                          "application '%s': %s '%s%s%s' is no longer in the commit, and still in "
                          "the cluster; --prune deletes it",
                          member->app.name, resource->kind, resource->space,
                          resource->space[0] ? "/" : "", resource->name);
            }
        }
    }
}
