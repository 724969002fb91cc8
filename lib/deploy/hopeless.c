/* Waiting that cannot end well: an image that cannot be pulled, pods that are refused. The
 * application only says Progressing then, until its deadline, which is ten minutes unless told
 * otherwise. Pods are looked at seldom: after half the grace, and then each time after twice as
 * long. */
#include "internal.h"

#include <string.h>
#include "evidence.h"

#define RESOURCES_MOST 5
#define AT_ONCE        8 /* applications; what waits behind us is more urgent */
#define LOOKS_MOST     6 /* intervals do not grow any more */

static bool is_settling(const struct member *member)
{
    return member->selected && member->present && member->step == STEP_WAITING &&
           strcmp(member->app.health, "Progressing") == 0;
}

static char *look(const struct engine *engine, const struct member *member)
{
    autostrv struct strv parts = STRV_INIT; /* the watch goes on while we ask, and replaces them */
    char *text = NULL;

    for (size_t i = 0; i < member->app.resources_len && parts.len < RESOURCES_MOST * 4; i++) {
        const struct argocd_resource *resource = &member->app.resources[i];

        if (strcmp(resource->health, "Progressing") == 0) {
            strv_add(&parts, resource->group);
            strv_add(&parts, resource->kind);
            strv_add(&parts, resource->space);
            strv_add(&parts, resource->name);
        }
    }
    for (size_t i = 0; i < parts.len && !text; i += 4) {
        text = evidence_of_hopeless(engine->kube, parts.items[i], parts.items[i + 1],
                                    parts.items[i + 2], parts.items[i + 3]);
    }
    return text;
}

/* Seen twice, the grace apart, it is final: a registry may have its moment, and an image may come.
 */
static void judge(struct member *member, char *text)
{
    const struct engine *engine = member->engine;
    int64_t now = engine_now(engine);

    if (!text) {
        member->hopeless_since = 0;
        member->looks += member->looks < LOOKS_MOST;
        member->look_at = now + (engine->grace_ms << member->looks);
        return;
    }
    if (!member->hopeless_since) {
        member->hopeless_since = now;
        member->look_at = now + engine->grace_ms;
        free(text);
        return;
    }
    member_fail(member, ERR_FAILED, text);
}

void engine_look_for_hopeless(struct engine *engine)
{
    int64_t now = engine_now(engine);
    size_t looked = 0;

    for (size_t i = 0; i < engine->len; i++) {
        struct member *member = engine->members[i];

        if (!is_settling(member)) {
            member->look_at = member->hopeless_since = 0;
            member->looks = 0;
        } else if (!member->look_at) {
            member->look_at = now + engine->grace_ms / 2;
        } else if (now >= member->look_at && looked++ < AT_ONCE) {
            char *text = look(engine, member);

            if (is_settling(member)) { /* the watch went on meanwhile */
                judge(member, text);
            } else {
                free(text);
            }
        }
    }
}
