/* Strategic merge patch: a merge patch whose lists merge by key where the API's types say so, with
 * the directives $patch, $retainKeys, $setElementOrder/X and $deleteFromPrimitiveList/X. */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/patch.h"
#include "emulator/kube/shape.h"

#define ORDER  "$setElementOrder/"
#define DELETE "$deleteFromPrimitiveList/"

static int merge_map(const struct shape *shape, cJSON *target, const cJSON *patch, struct err *err);

static bool is_directive(const char *key)
{
    return key[0] == '$';
}

static cJSON *find_by_key(const cJSON *list, const char *key, const cJSON *value)
{
    cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (json_get(item, key) != NULL && json_equal(json_get(item, key), value))
            return item;
    }
    return NULL;
}

static bool has_value(const cJSON *list, const cJSON *value)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (json_equal(item, value))
            return true;
    }
    return false;
}

/* ---- lists ---- */

static int merge_item(const struct shape *shape, const char *key, cJSON *list, const cJSON *patch,
                      struct err *err)
{
    struct shape item_shape = shape_item(shape);
    const cJSON *value = json_get(patch, key);
    const char *directive = json_key_str(patch, "$patch");
    cJSON *found;

    if (value == NULL && directive == NULL)
        return kube_fail(err, 400, "BadRequest", "map: %s does not contain declared merge key: %s",
                         "item", key);
    found = find_by_key(list, key, value);
    if (directive != NULL && strcmp(directive, "delete") == 0) {
        if (found != NULL)
            cJSON_Delete(cJSON_DetachItemViaPointer(list, found));
        return 0;
    }
    if (found == NULL) {
        found = json_object();
        json_push(list, found);
    }
    return merge_map(&item_shape, found, patch, err);
}

static bool replaces_list(const cJSON *patch)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, patch)
    {
        if (str_equal(json_key_str(item, "$patch"), "replace") && cJSON_GetArraySize(item) == 1)
            return true;
    }
    return false;
}

static int merge_keyed(const struct shape *shape, const char *key, cJSON *list, const cJSON *patch,
                       struct err *err)
{
    const cJSON *item;
    bool replaced = replaces_list(patch);

    while (replaced && list->child != NULL)
        cJSON_Delete(cJSON_DetachItemViaPointer(list, list->child));
    cJSON_ArrayForEach(item, patch)
    {
        if (replaced && json_get(item, "$patch") != NULL)
            continue;
        if (merge_item(shape, key, list, item, err) < 0)
            return -1;
    }
    return 0;
}

static int merge_list(const struct shape *shape, cJSON *parent, const cJSON *patch, struct err *err)
{
    const char *key = shape_merge_key(shape);
    cJSON *list = json_get(parent, patch->string);
    const cJSON *item;

    if (key == NULL && !shape_merges_primitives(shape)) {
        json_set(parent, patch->string, json_copy(patch));
        return 0;
    }
    list = json_need_array(parent, patch->string);
    if (key != NULL)
        return merge_keyed(shape, key, list, patch, err);
    cJSON_ArrayForEach(item, patch)
    {
        if (!has_value(list, item))
            json_push(list, json_copy(item));
    }
    return 0;
}

/* The position of an item in an order, or -1. */
static int position(const cJSON *order, const char *key, const cJSON *item)
{
    const cJSON *entry;
    int index = 0;

    cJSON_ArrayForEach(entry, order)
    {
        const cJSON *wanted = key != NULL ? json_get(entry, key) : entry;
        const cJSON *is = key != NULL ? json_get(item, key) : item;

        if (wanted != NULL && is != NULL && json_equal(wanted, is))
            return index;
        index++;
    }
    return -1;
}

static cJSON *take_position(cJSON *list, const cJSON *order, const char *key, int wanted)
{
    cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (position(order, key, item) == wanted)
            return cJSON_DetachItemViaPointer(list, item);
    }
    return NULL;
}

/* Items of the order stand as it says; the others stay behind what they stood behind. */
static void set_order(const struct shape *shape, cJSON *parent, const char *name,
                      const cJSON *order)
{
    const char *key = shape_merge_key(shape);
    cJSON *list = json_get(parent, name);
    cJSON *sorted = json_array();
    int count = cJSON_GetArraySize(order);

    if (!cJSON_IsArray(list)) {
        cJSON_Delete(sorted);
        return;
    }
    for (int i = 0; i < count; i++) {
        cJSON *item;

        while (list->child != NULL && position(order, key, list->child) < 0)
            json_push(sorted, cJSON_DetachItemViaPointer(list, list->child));
        item = take_position(list, order, key, i);
        if (item != NULL)
            json_push(sorted, item);
    }
    while (list->child != NULL)
        json_push(sorted, cJSON_DetachItemViaPointer(list, list->child));
    json_set(parent, name, sorted);
}

static void delete_primitives(cJSON *parent, const char *name, const cJSON *values)
{
    cJSON *list = json_get(parent, name);
    cJSON *item = cJSON_IsArray(list) ? list->child : NULL;

    while (item != NULL) {
        cJSON *following = item->next;

        if (has_value(values, item))
            cJSON_Delete(cJSON_DetachItemViaPointer(list, item));
        item = following;
    }
}

/* ---- maps ---- */

static void retain_keys(cJSON *target, const cJSON *keys)
{
    cJSON *item = target->child;

    while (keys != NULL && item != NULL) {
        cJSON *following = item->next;

        if (!json_has_str(keys, item->string))
            cJSON_Delete(cJSON_DetachItemViaPointer(target, item));
        item = following;
    }
}

static int merge_member(const struct shape *shape, cJSON *target, const cJSON *patch,
                        struct err *err)
{
    struct shape member = shape_member(shape, patch->string);

    if (cJSON_IsNull(patch)) {
        cJSON_DeleteItemFromObjectCaseSensitive(target, patch->string);
        return 0;
    }
    if (cJSON_IsObject(patch))
        return merge_map(&member, json_need_object(target, patch->string), patch, err);
    if (cJSON_IsArray(patch))
        return merge_list(&member, target, patch, err);
    json_set(target, patch->string, json_copy(patch));
    return 0;
}

static void run_list_directives(const struct shape *shape, cJSON *target, const cJSON *patch)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, patch)
    {
        if (text_starts(item->string, DELETE))
            delete_primitives(target, item->string + strlen(DELETE), item);
    }
    cJSON_ArrayForEach(item, patch)
    {
        if (text_starts(item->string, ORDER)) {
            const char *name = item->string + strlen(ORDER);
            struct shape member = shape_member(shape, name);

            set_order(&member, target, name, item);
        }
    }
}

static int merge_map(const struct shape *shape, cJSON *target, const cJSON *patch, struct err *err)
{
    const char *directive = json_key_str(patch, "$patch");
    const cJSON *item;

    if (directive != NULL && strcmp(directive, "merge") != 0) {
        if (strcmp(directive, "replace") != 0 && strcmp(directive, "delete") != 0)
            return kube_fail(err, 400, "BadRequest", "unknown patch type found in: %s", directive);
        while (target->child != NULL)
            cJSON_Delete(cJSON_DetachItemViaPointer(target, target->child));
        if (strcmp(directive, "delete") == 0)
            return 0;
    }
    retain_keys(target, json_get(patch, "$retainKeys"));
    cJSON_ArrayForEach(item, patch)
    {
        if (!is_directive(item->string) && merge_member(shape, target, item, err) < 0)
            return -1;
    }
    run_list_directives(shape, target, patch);
    return 0;
}

int patch_strategic(const struct type *type, cJSON *document, const cJSON *patch, struct err *err)
{
    struct shape shape = shape_root(type);

    if (!cJSON_IsObject(patch))
        return kube_fail(err, 400, "BadRequest",
                         "error decoding patch: json: cannot unmarshal array into Go value of type "
                         "map[string]interface {}");
    return merge_map(&shape, document, patch, err);
}
