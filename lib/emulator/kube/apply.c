#include "emulator/kube/apply.h"

#include <stdlib.h>
#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/managed.h"
#include "emulator/kube/strategy.h"
#include "emulator/kube/typed.h"

/* ---- conflicts ---- */

struct conflicts {
    cJSON *causes;
    struct buf text;
    const struct manager *manager;
    int count;
};

static char *manager_text(const struct manager *manager)
{
    autofree char *subresource = manager->subresource[0] != '\0'
                                     ? xasprintf(" with subresource \"%s\"", manager->subresource)
                                     : xstrdup("");

    if (manager->applies)
        return xasprintf("\"%s\"%s", manager->name, subresource);
    return xasprintf("\"%s\"%s using %s", manager->name, subresource, manager->api_version);
}

static void add_cause(void *arg, const char *path)
{
    struct conflicts *conflicts = arg;
    autofree char *who = manager_text(conflicts->manager);
    autofree char *message = xasprintf("conflict with %s", who);
    cJSON *cause = json_object();

    json_set_str(cause, "reason", "FieldManagerConflict");
    json_set_str(cause, "message", message);
    json_set_str(cause, "field", path);
    json_push(conflicts->causes, cause);
    buf_addf(&conflicts->text, "\n- %s", path);
    conflicts->count++;
}

static int conflict_error(struct conflicts *conflicts, struct err *err)
{
    const cJSON *first = json_at(conflicts->causes, "[0]");

    if (conflicts->count == 1)
        return kube_fail(err, 409, "Conflict", "Apply failed with 1 conflict: %s: %s",
                         json_str_or(first, "message", ""), json_str_or(first, "field", ""));
    return kube_fail(err, 409, "Conflict", "Apply failed with %d conflicts: %s", conflicts->count,
                     conflicts->text.data);
}

/* What others own and `touched` changes. */
static int find_conflicts(const struct managers *managers, const struct manager *own,
                          const cJSON *touched, cJSON **causes, struct err *err)
{
    struct conflicts conflicts = {.causes = json_array(), .text = BUF_INIT(BUF_MEDIUM)};
    int result = 0;

    for (size_t i = 0; i < managers->len; i++) {
        autojson cJSON *both = NULL;
        autofree char *who = manager_text(&managers->items[i]);

        if (&managers->items[i] == own)
            continue;
        both = fieldset_intersection(managers->items[i].set, touched);
        if (fieldset_is_empty(both))
            continue;
        buf_addf(&conflicts.text, "%sconflicts with %s:", conflicts.text.len > 0 ? "\n" : "", who);
        conflicts.manager = &managers->items[i];
        fieldset_each(both, add_cause, &conflicts);
    }
    if (conflicts.count > 0)
        result = conflict_error(&conflicts, err);
    if (result < 0 && causes != NULL)
        *causes = steal(conflicts.causes);
    cJSON_Delete(conflicts.causes);
    buf_clear(&conflicts.text);
    return result;
}

/* ---- the merge ---- */

/* The main resource does not write a status that has a place of its own, and the other way. */
static cJSON *writable_part(const struct apply *apply)
{
    cJSON *part = json_copy(apply->object);
    static const char *const identity[] = {"apiVersion", "kind", "metadata", "status"};
    cJSON *item = part->child;

    if (strcmp(apply->subresource, "status") != 0) {
        if ((apply->type->flags & TYPE_STATUS) != 0)
            cJSON_DeleteItemFromObjectCaseSensitive(part, "status");
        return part;
    }
    while (item != NULL) {
        cJSON *following = item->next;
        bool stays = false;

        for (size_t i = 0; i < ARRAY_LEN(identity); i++)
            stays = stays || strcmp(item->string, identity[i]) == 0;
        if (!stays)
            cJSON_Delete(cJSON_DetachItemViaPointer(part, item));
        item = following;
    }
    json_set_object(part, "metadata");
    return part;
}

static cJSON *empty_object(const struct apply *apply)
{
    cJSON *object = json_object();

    json_set_str(object, "apiVersion", json_str(apply->object, "apiVersion"));
    json_set_str(object, "kind", json_str(apply->object, "kind"));
    json_set_object(object, "metadata");
    return object;
}

/* An object whose owners nobody wrote down: all it has belongs to those before. */
static void credit_earlier(const struct type *type, const cJSON *now, struct managers *managers)
{
    autofree char *api_version = api_version_of(&type->resource);
    struct manager *before;
    cJSON *set;

    if (now == NULL || managers->len > 0)
        return;
    before = managers_need(managers, "before-first-apply", false, api_version, "");
    set = typed_fields(type, now);
    if ((type->flags & TYPE_STATUS) != 0)
        cJSON_DeleteItemFromObjectCaseSensitive(set, "f:status");
    manager_set(before, set);
}

/* What this manager applied the last time, applies no more, and nobody else owns, goes. */
static void prune(const struct apply *apply, const struct managers *managers, const cJSON *last,
                  cJSON *merged)
{
    autojson cJSON *gone = NULL;
    autojson cJSON *owned = json_object();

    if (fieldset_is_empty(last))
        return;
    for (size_t i = 0; i < managers->len; i++)
        fieldset_add(owned, managers->items[i].set);
    gone = json_copy(last);
    typed_ensure_fields(apply->type, gone);
    typed_ensure_fields(apply->type, owned);
    fieldset_subtract(gone, owned);
    typed_remove(apply->type, merged, gone, owned);
}

static void take_over(struct managers *managers, const struct manager *own,
                      const struct typed_difference *difference)
{
    for (size_t i = 0; i < managers->len; i++) {
        struct manager *manager = &managers->items[i];

        if (manager == own)
            continue;
        fieldset_subtract(manager->set, difference->added);
        fieldset_subtract(manager->set, difference->modified);
        fieldset_subtract(manager->set, difference->removed);
    }
}

/* `managers` hold the new set of `own` already. */
static int settle(const struct apply *apply, struct managers *managers, const struct manager *own,
                  const cJSON *live, cJSON *merged, cJSON **causes, struct err *err)
{
    struct typed_difference difference;
    autojson cJSON *touched = NULL;
    int result = 0;

    typed_compare(apply->type, live, merged, &difference);
    touched = json_copy(difference.added);
    fieldset_add(touched, difference.modified);
    if (!apply->force)
        result = find_conflicts(managers, own, touched, causes, err);
    if (result == 0)
        take_over(managers, own, &difference);
    typed_difference_clear(&difference);
    return result;
}

int apply_merge(const struct apply *apply, const cJSON *now, cJSON **next, cJSON **causes,
                struct err *err)
{
    autofree char *api_version = api_version_of(&apply->type->resource);
    autofree char *what = xasprintf("failed to create typed patch object (%s/%s; %s, Kind=%s)",
                                    json_str_or(apply->object, "metadata.namespace", ""),
                                    json_str_or(apply->object, "metadata.name", ""), api_version,
                                    apply->type->resource.kind);
    autojson cJSON *applied = writable_part(apply);
    autojson cJSON *empty = now == NULL ? empty_object(apply) : NULL;
    const cJSON *live = now != NULL ? now : empty;
    autojson cJSON *merged = NULL;
    autojson cJSON *last = NULL;
    struct managers managers;
    struct manager *own;
    int result;

    if (typed_check(apply->type, applied, what, err) < 0)
        return -1;
    merged = typed_merge(apply->type, live, applied);
    managers_read(&managers, live);
    credit_earlier(apply->type, now, &managers);
    own = managers_need(&managers, apply->manager, true, api_version, apply->subresource);
    last = json_copy(own->set);
    manager_set(own, typed_fields(apply->type, applied));
    prune(apply, &managers, last, merged);
    result = settle(apply, &managers, own, live, merged, causes, err);
    if (result == 0) {
        managers_write(&managers, merged);
        *next = steal(merged);
    }
    managers_clear(&managers);
    return result;
}

int apply_object(const struct apply *apply, const cJSON *now, cJSON **next, cJSON **causes,
                 struct err *err)
{
    autojson cJSON *merged = NULL;

    if (apply_merge(apply, now, &merged, causes, err) < 0)
        return -1;
    if (strcmp(apply->subresource, "status") == 0)
        strategy_keep_all_but_status(now, merged);
    else
        strategy_keep_status(apply->type, now, merged);
    if (strategy_prepare(apply->type, now, merged, causes, err) < 0)
        return -1;
    *next = steal(merged);
    return 0;
}

/* ---- for the other parts of the emulator ---- */

static int apply_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    return apply_object(arg, now, next, NULL, err);
}

int store_apply(struct store *store, const cJSON *object, const char *manager, bool force,
                bool dry_run, struct stored **out, struct err *err)
{
    const char *api_version = json_str_or(object, "apiVersion", "");
    const char *kind = json_str_or(object, "kind", "");
    const struct resource *resource = store_kind(store, api_version, kind);
    struct apply apply = {.object = object, .manager = manager, .subresource = "", .force = force};

    if (resource == NULL)
        return kube_fail(err, 404, "NotFound", "no matches for kind \"%s\" in version \"%s\"", kind,
                         api_version);
    apply.type = type_of(resource);
    return (dry_run ? store_try : store_write)(
        store, resource, json_str(object, "metadata.namespace"),
        json_str_or(object, "metadata.name", ""), apply_change, &apply, out, err);
}
