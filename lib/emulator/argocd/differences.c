/* Whether the live object is what Git says: asked of the store, which tries the apply. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/argocd/compare.h"
#include "emulator/argocd/pointer.h"

/* ---- equal but for bookkeeping ---- */

static bool is_bookkeeping(const char *key)
{
    static const char *const keys[] = {"managedFields", "resourceVersion",   "generation",
                                       "uid",           "creationTimestamp", "selfLink"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

static bool is_status(const char *key)
{
    return strcmp(key, "status") == 0;
}

/* Every member of `a` that is not skipped is in `b` with the same value. */
static bool covered(const cJSON *a, const cJSON *b, bool (*skip)(const char *key),
                    bool (*same)(const cJSON *a, const cJSON *b))
{
    const cJSON *item;

    cJSON_ArrayForEach(item, a)
    {
        const cJSON *other = object_member(b, item->string);

        if (!skip(item->string) && (other == NULL || !same(item, other)))
            return false;
    }
    return true;
}

static bool same_member(const cJSON *a, const cJSON *b)
{
    if (strcmp(a->string, "metadata") != 0)
        return json_equal(a, b);
    return covered(a, b, is_bookkeeping, json_equal) && covered(b, a, is_bookkeeping, json_equal);
}

bool same_content(const cJSON *a, const cJSON *b)
{
    return covered(a, b, is_status, same_member) && covered(b, a, is_status, same_member);
}

/* ---- ignoreDifferences ---- */

/* The next step of a path like .spec.template["x"].containers[].image; false at its end. */
static bool next_step(const char **path, char **key, bool *every)
{
    const char *at = *path;
    const char *end;

    *every = false;
    *key = NULL;
    if (strncmp(at, "[]", 2) == 0) {
        *every = true;
        *path = at + 2;
        return true;
    }
    if (strncmp(at, "[\"", 2) == 0 || strncmp(at, ".\"", 2) == 0) {
        end = strchr(at + 2, '"');
        if (end == NULL)
            return false;
        *key = xstrndup(at + 2, (size_t)(end - at - 2));
        *path = end + 1 + (end[1] == ']');
        return true;
    }
    if (*at != '.' && *at != '[')
        return false;
    end = at + 1 + strcspn(at + 1, ".[]");
    if (end == at + 1)
        return *path = end, *end != '\0' && next_step(path, key, every);
    *key = xstrndup(at + 1, (size_t)(end - at - 1));
    *path = end + (*end == ']');
    return true;
}

static cJSON *child_of(cJSON *value, const char *key)
{
    char *end;
    unsigned long index;

    if (cJSON_IsObject(value))
        return object_member_mutable(value, key);
    index = strtoul(key, &end, 10);
    return cJSON_IsArray(value) && *end == '\0' && index < 100000
               ? cJSON_GetArrayItem(value, (int)index)
               : NULL;
}

static void remove_path(cJSON *value, const char *path)
{
    autofree char *key = NULL;
    bool every;
    cJSON *child;

    if (value == NULL || !next_step(&path, &key, &every))
        return;
    if (every) {
        cJSON *next;

        for (child = value->child; child != NULL; child = next) {
            next = child->next;
            if (*path == '\0')
                cJSON_Delete(cJSON_DetachItemViaPointer(value, child));
            else
                remove_path(child, path);
        }
        return;
    }
    child = child_of(value, key);
    if (child != NULL && *path == '\0')
        cJSON_Delete(cJSON_DetachItemViaPointer(value, child));
    else
        remove_path(child, path);
}

static bool fits(const cJSON *rule, const char *key, const char *text)
{
    const char *pattern = json_str_or(rule, key, "");

    return *pattern == '\0' || glob_match(pattern, text);
}

static bool rule_applies(const cJSON *rule, const struct object_id *id)
{
    /* An empty group is the core group, "*" any. */
    return glob_match(json_str_or(rule, "group", ""), id->group) && fits(rule, "kind", id->kind) &&
           fits(rule, "name", id->name) && fits(rule, "namespace", id->space);
}

void drop_ignored(cJSON *object, const cJSON *ignore_differences)
{
    struct object_id id = object_id(object);
    const cJSON *rule;
    const cJSON *item;

    cJSON_ArrayForEach(rule, ignore_differences)
    {
        if (!rule_applies(rule, &id))
            continue;
        cJSON_ArrayForEach(item, json_at(rule, "jsonPointers"))
        {
            if (cJSON_IsString(item))
                (void)pointer_remove(object, item->valuestring);
        }
        cJSON_ArrayForEach(item, json_at(rule, "jqPathExpressions"))
        {
            if (cJSON_IsString(item))
                remove_path(object, item->valuestring);
        }
    }
}

/* ---- the question ---- */

bool differs(struct controller *controller, const cJSON *target, const cJSON *live,
             const cJSON *ignore_differences)
{
    autoerr struct err refused = ERR_INIT;
    struct stored *predicted = NULL;
    bool changed;

    if (store_apply(controller->store, target, ARGOCD_MANAGER, true, true, &predicted, &refused) <
        0)
        return true; /* what cannot be applied is not what is live */
    changed = !same_content(predicted->object, live);
    if (changed && ignore_differences != NULL && ignore_differences->child != NULL) {
        autojson cJSON *a = json_copy(predicted->object);
        autojson cJSON *b = json_copy(live);

        drop_ignored(a, ignore_differences);
        drop_ignored(b, ignore_differences);
        changed = !same_content(a, b);
    }
    stored_unref(predicted);
    return changed;
}
