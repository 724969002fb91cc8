#include "emulator/kube/typed.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"

static char *field_element(const char *name)
{
    return xasprintf("f:%s", name);
}

/* Identity, and what only the server writes. */
static bool is_ignored(const struct shape *shape, const char *key)
{
    static const char *const root[] = {"apiVersion", "kind"};
    static const char *const meta[] = {
        "name",        "namespace",         "creationTimestamp",         "selfLink",
        "uid",         "generation",        "resourceVersion",           "managedFields",
        "clusterName", "deletionTimestamp", "deletionGracePeriodSeconds"};

    if (shape->field[0] == '\0') {
        for (size_t i = 0; i < ARRAY_LEN(root); i++) {
            if (strcmp(root[i], key) == 0)
                return true;
        }
    }
    if (strcmp(shape->field, "metadata") != 0 || shape->parent[0] != '\0' || shape->custom)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(meta); i++) {
        if (strcmp(meta[i], key) == 0)
            return true;
    }
    return false;
}

/* ---- paths of a value ---- */

static void add_fields(const struct shape *shape, const cJSON *value, const struct field_path *path,
                       cJSON *set);

static void add_map(const struct shape *shape, const cJSON *map, const struct field_path *path,
                    cJSON *set)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, map)
    {
        struct shape member = shape_member(shape, item->string);
        autofree char *element = field_element(item->string);
        struct field_path below = {.up = path, .element = element};

        if (is_ignored(shape, item->string))
            continue;
        add_fields(&member, item, &below, set);
        if (!shape_is_field(shape, item->string) ||
            (cJSON_IsObject(item) && item->child == NULL && path != NULL))
            fieldset_insert(set, &below);
    }
}

static void add_list(const struct shape *shape, const cJSON *list, const struct field_path *path,
                     cJSON *set)
{
    struct list_rule rule = shape_list(shape);
    struct shape member = shape_item(shape);
    const cJSON *item;

    if (rule.kind == LIST_ATOMIC) {
        fieldset_insert(set, path);
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        autofree char *element = shape_item_element(shape, &rule, item);
        struct field_path below = {.up = path, .element = element};

        if (element == NULL)
            continue;
        fieldset_insert(set, &below);
        if (rule.kind == LIST_MAP)
            add_fields(&member, item, &below, set);
    }
}

static void add_fields(const struct shape *shape, const cJSON *value, const struct field_path *path,
                       cJSON *set)
{
    if (cJSON_IsObject(value) && !shape_map_is_atomic(shape))
        add_map(shape, value, path, set);
    else if (cJSON_IsArray(value))
        add_list(shape, value, path, set);
    else
        fieldset_insert(set, path);
}

cJSON *typed_fields(const struct type *type, const cJSON *object)
{
    struct shape shape = shape_root(type);
    cJSON *set = json_object();

    add_fields(&shape, object, NULL, set);
    return set;
}

/* ---- comparing ---- */

static void compare(const struct shape *shape, const cJSON *before, const cJSON *after,
                    const struct field_path *path, struct typed_difference *out);

static void compare_member(const struct shape *shape, const char *key, const cJSON *before,
                           const cJSON *after, const struct field_path *path,
                           struct typed_difference *out)
{
    struct shape member = shape_member(shape, key);
    autofree char *element = field_element(key);
    struct field_path below = {.up = path, .element = element};

    if (!is_ignored(shape, key))
        compare(&member, before, after, &below, out);
}

static void compare_maps(const struct shape *shape, const cJSON *before, const cJSON *after,
                         const struct field_path *path, struct typed_difference *out)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, before)
    {
        compare_member(shape, item->string, item, json_get(after, item->string), path, out);
    }
    cJSON_ArrayForEach(item, after)
    {
        if (json_get(before, item->string) == NULL)
            compare_member(shape, item->string, NULL, item, path, out);
    }
}

static const cJSON *find_item(const struct shape *shape, const struct list_rule *rule,
                              const cJSON *list, const char *element)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        autofree char *own = shape_item_element(shape, rule, item);

        if (str_equal(own, element) && own != NULL)
            return item;
    }
    return NULL;
}

static void compare_lists(const struct shape *shape, const struct list_rule *rule,
                          const cJSON *before, const cJSON *after, const struct field_path *path,
                          struct typed_difference *out)
{
    struct shape member = shape_item(shape);
    const cJSON *item;

    cJSON_ArrayForEach(item, before)
    {
        autofree char *element = shape_item_element(shape, rule, item);
        struct field_path below = {.up = path, .element = element};

        if (element != NULL)
            compare(&member, item, find_item(shape, rule, after, element), &below, out);
    }
    cJSON_ArrayForEach(item, after)
    {
        autofree char *element = shape_item_element(shape, rule, item);
        struct field_path below = {.up = path, .element = element};

        if (element != NULL && find_item(shape, rule, before, element) == NULL)
            compare(&member, NULL, item, &below, out);
    }
}

/* In a Go struct these are always there, so that nobody ever adds them. */
static bool is_always_there(const struct shape *shape)
{
    static const char *const names[] = {"metadata", "spec",     "status",     "template",
                                        "strategy", "subjects", "containers", "updateStrategy"};

    for (size_t i = 0; !shape->custom && i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], shape->field) == 0)
            return true;
    }
    return false;
}

static bool is_granular(const struct shape *shape, const cJSON *value)
{
    if (cJSON_IsObject(value))
        return !shape_map_is_atomic(shape);
    return cJSON_IsArray(value) && shape_list(shape).kind != LIST_ATOMIC;
}

static void compare(const struct shape *shape, const cJSON *before, const cJSON *after,
                    const struct field_path *path, struct typed_difference *out)
{
    const cJSON *one = after != NULL ? after : before;
    bool granular = is_granular(shape, one) && one->child != NULL;
    bool same_kind =
        before == NULL || after == NULL || (before->type & 0xff) == (after->type & 0xff);

    if (before != NULL && after != NULL && !granular)
        granular = same_kind && is_granular(shape, before) && before->child != NULL;
    if (granular && same_kind) {
        struct list_rule rule = shape_list(shape);
        bool is_item = path != NULL && path->element[0] != 'f';

        if (cJSON_IsObject(one))
            compare_maps(shape, before, after, path, out);
        else if (cJSON_IsArray(one) && !is_item)
            compare_lists(shape, &rule, before, after, path, out);
        if (before == NULL && (is_item || !is_always_there(shape)))
            fieldset_insert(out->added, path);
        else if (after == NULL)
            fieldset_insert(out->removed, path);
        return;
    }
    if (before == NULL)
        fieldset_insert(out->added, path);
    else if (after == NULL)
        fieldset_insert(out->removed, path);
    else if (!json_equal(before, after))
        fieldset_insert(out->modified, path);
}

void typed_compare(const struct type *type, const cJSON *before, const cJSON *after,
                   struct typed_difference *out)
{
    struct shape shape = shape_root(type);
    autojson cJSON *nothing = json_object();

    *out = (struct typed_difference){json_object(), json_object(), json_object()};
    compare_maps(&shape, before != NULL ? before : nothing, after, NULL, out);
}

void typed_difference_clear(struct typed_difference *difference)
{
    cJSON_Delete(difference->added);
    cJSON_Delete(difference->modified);
    cJSON_Delete(difference->removed);
}

/* ---- merging ---- */

static cJSON *merge(const struct shape *shape, const cJSON *live, const cJSON *applied);

static cJSON *merge_maps(const struct shape *shape, const cJSON *live, const cJSON *applied)
{
    cJSON *merged = json_copy(live);
    const cJSON *item;

    cJSON_ArrayForEach(item, applied)
    {
        struct shape member = shape_member(shape, item->string);

        json_set(merged, item->string, merge(&member, json_get(live, item->string), item));
    }
    return merged;
}

static bool stands_before(const cJSON *list, const cJSON *item, const cJSON *end)
{
    const cJSON *scan = list->child;

    while (scan != end && scan != item)
        scan = scan->next;
    return scan != end;
}

/* Live items from *next on that nobody applies, up to one that is still to be applied (`current` is
 * the next of those; NULL: none is left). */
static void add_unapplied(const struct shape *shape, const struct list_rule *rule, cJSON *merged,
                          const cJSON **next, const cJSON *applied, const cJSON *current)
{
    for (; *next != NULL; *next = (*next)->next) {
        autofree char *element = shape_item_element(shape, rule, *next);
        const cJSON *same = element != NULL ? find_item(shape, rule, applied, element) : NULL;

        if (same == NULL)
            json_push(merged, json_copy(*next));
        else if (!stands_before(applied, same, current))
            return;
    }
}

static cJSON *merge_lists(const struct shape *shape, const struct list_rule *rule,
                          const cJSON *live, const cJSON *applied)
{
    struct shape member = shape_item(shape);
    cJSON *merged = json_array();
    const cJSON *next = live->child;
    const cJSON *item;

    cJSON_ArrayForEach(item, applied)
    {
        autofree char *element = shape_item_element(shape, rule, item);
        const cJSON *same = find_item(shape, rule, live, element);

        add_unapplied(shape, rule, merged, &next, applied, item);
        json_push(merged, rule->kind == LIST_MAP ? merge(&member, same, item) : json_copy(item));
    }
    add_unapplied(shape, rule, merged, &next, applied, NULL);
    return merged;
}

static cJSON *merge(const struct shape *shape, const cJSON *live, const cJSON *applied)
{
    struct list_rule rule;

    if (cJSON_IsObject(live) && cJSON_IsObject(applied) && !shape_map_is_atomic(shape))
        return merge_maps(shape, live, applied);
    rule = shape_list(shape);
    if (cJSON_IsArray(live) && cJSON_IsArray(applied) && rule.kind != LIST_ATOMIC)
        return merge_lists(shape, &rule, live, applied);
    return json_copy(applied);
}

cJSON *typed_merge(const struct type *type, const cJSON *live, const cJSON *applied)
{
    struct shape shape = shape_root(type);

    return merge(&shape, live, applied);
}

/* ---- removing ---- */

/* A child of `value` named by this path element. */
static cJSON *child_by_element(const struct shape *shape, cJSON *value, const char *element)
{
    struct list_rule rule;

    if (element[0] == 'f')
        return cJSON_IsObject(value) ? json_get(value, element + 2) : NULL;
    rule = shape_list(shape);
    if (!cJSON_IsArray(value) || rule.kind == LIST_ATOMIC)
        return NULL;
    return (cJSON *)find_item(shape, &rule, value, element);
}

static void remove_paths(const struct shape *shape, cJSON *value, const cJSON *set,
                         const cJSON *kept)
{
    const cJSON *node;

    cJSON_ArrayForEach(node, set)
    {
        const cJSON *stays = json_get(kept, node->string);
        bool is_field = node->string[0] == 'f';
        struct shape below = is_field ? shape_member(shape, node->string + 2) : shape_item(shape);
        cJSON *child = child_by_element(shape, value, node->string);

        if (strcmp(node->string, ".") == 0 || child == NULL)
            continue;
        if (fieldset_is_member(node) && fieldset_is_empty(stays)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(value, child));
            continue;
        }
        remove_paths(&below, child, node, stays);
    }
}

void typed_remove(const struct type *type, cJSON *object, const cJSON *set, const cJSON *kept)
{
    struct shape shape = shape_root(type);

    remove_paths(&shape, object, set, kept);
}

static void ensure_fields(const struct shape *shape, cJSON *node, bool root)
{
    cJSON *item;

    cJSON_ArrayForEach(item, node)
    {
        bool is_field = item->string[0] == 'f';
        struct shape below;

        if (strcmp(item->string, ".") == 0)
            continue;
        below = is_field ? shape_member(shape, item->string + 2) : shape_item(shape);
        ensure_fields(&below, item, false);
        if (is_field && !root && shape_is_field(shape, item->string + 2) &&
            !fieldset_is_member(item))
            json_set_object(item, ".");
    }
}

/* The members of the root (metadata, spec) are never taken away whole. */
void typed_ensure_fields(const struct type *type, cJSON *set)
{
    struct shape shape = shape_root(type);

    ensure_fields(&shape, set, true);
}

/* ---- checking ---- */

static int check(const struct shape *shape, const cJSON *value, const char *path, const char *what,
                 struct err *err);

static int check_items(const struct shape *shape, const struct list_rule *rule, const cJSON *list,
                       const char *path, const char *what, struct err *err)
{
    struct shape member = shape_item(shape);
    const cJSON *item;
    int index = 0;

    cJSON_ArrayForEach(item, list)
    {
        autofree char *element = shape_item_element(shape, rule, item);
        autofree char *below = xasprintf("%s[%d]", path, index);

        if (element == NULL)
            return kube_fail(err, 500, "",
                             "%s: %s: element %d: associative list with keys has an element that "
                             "omits key field \"%s\" (and doesn't have default value)",
                             what, path, index, rule->keys[0]);
        if (find_item(shape, rule, list, element) != item)
            return kube_fail(err, 500, "", "%s: %s: duplicate entries for key %s", what, path,
                             element + 2);
        if (rule->kind == LIST_MAP && check(&member, item, below, what, err) < 0)
            return -1;
        index++;
    }
    return 0;
}

static int check(const struct shape *shape, const cJSON *value, const char *path, const char *what,
                 struct err *err)
{
    struct list_rule rule = shape_list(shape);
    const cJSON *item;

    if (cJSON_IsArray(value))
        return rule.kind == LIST_ATOMIC ? 0 : check_items(shape, &rule, value, path, what, err);
    if (!cJSON_IsObject(value) || shape_map_is_atomic(shape))
        return 0;
    cJSON_ArrayForEach(item, value)
    {
        struct shape member = shape_member(shape, item->string);
        autofree char *below = xasprintf("%s.%s", path, item->string);

        if (!shape_allows(shape, item->string))
            return kube_fail(err, 500, "", "%s: %s: field not declared in schema", what, below);
        if (check(&member, item, below, what, err) < 0)
            return -1;
    }
    return 0;
}

int typed_check(const struct type *type, const cJSON *object, const char *what, struct err *err)
{
    struct shape shape = shape_root(type);

    return check(&shape, object, "", what, err);
}
