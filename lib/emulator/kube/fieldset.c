#include "emulator/kube/fieldset.h"

#include <string.h>

#define FIELDSET_DEPTH 200

static cJSON *child_of(cJSON *node, const char *element)
{
    cJSON *child = cJSON_GetObjectItemCaseSensitive(node, element);

    return child != NULL ? child : json_set_object(node, element);
}

static cJSON *node_at(cJSON *set, const struct field_path *path)
{
    return path != NULL ? child_of(node_at(set, path->up), path->element) : set;
}

static void make_member(cJSON *node)
{
    if (!fieldset_is_member(node))
        json_set_object(node, ".");
}

void fieldset_insert(cJSON *set, const struct field_path *path)
{
    if (path != NULL)
        make_member(node_at(set, path));
}

void fieldset_add(cJSON *set, const cJSON *other)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, other)
    {
        if (strcmp(item->string, ".") == 0)
            make_member(set);
        else
            fieldset_add(child_of(set, item->string), item);
    }
}

bool fieldset_is_empty(const cJSON *set)
{
    return set == NULL || set->child == NULL;
}

static void subtract(cJSON *set, const cJSON *other, bool trees)
{
    cJSON *item = set->child;

    while (item != NULL) {
        cJSON *following = item->next;
        const cJSON *same = cJSON_GetObjectItemCaseSensitive(other, item->string);

        if (same != NULL) {
            bool whole = strcmp(item->string, ".") == 0 || (trees && fieldset_is_member(same));

            if (!whole)
                subtract(item, same, trees);
            if (whole || fieldset_is_empty(item))
                cJSON_Delete(cJSON_DetachItemViaPointer(set, item));
        }
        item = following;
    }
}

void fieldset_subtract(cJSON *set, const cJSON *other)
{
    subtract(set, other, false);
}

void fieldset_subtract_trees(cJSON *set, const cJSON *other)
{
    subtract(set, other, true);
}

cJSON *fieldset_intersection(const cJSON *a, const cJSON *b)
{
    cJSON *both = json_object();
    const cJSON *item;

    cJSON_ArrayForEach(item, a)
    {
        const cJSON *same = cJSON_GetObjectItemCaseSensitive(b, item->string);
        cJSON *below;

        if (same == NULL)
            continue;
        if (strcmp(item->string, ".") == 0) {
            make_member(both);
            continue;
        }
        below = fieldset_intersection(item, same);
        if (fieldset_is_empty(below))
            cJSON_Delete(below);
        else
            json_set(both, item->string, below);
    }
    return both;
}

/* ---- the wire ---- */

static cJSON *from_wire(const cJSON *fields, int depth)
{
    cJSON *set = json_object();
    const cJSON *item;

    cJSON_ArrayForEach(item, fields)
    {
        if (item->string == NULL || depth == 0)
            continue;
        if (strcmp(item->string, ".") == 0)
            make_member(set);
        else
            json_set(set, item->string, from_wire(item, depth - 1));
    }
    if (set->child == NULL)
        make_member(set);
    return set;
}

cJSON *fieldset_from_wire(const cJSON *fields)
{
    return fields != NULL && fields->child != NULL ? from_wire(fields, FIELDSET_DEPTH)
                                                   : json_object();
}

cJSON *fieldset_to_wire(const cJSON *set)
{
    cJSON *fields = json_object();
    const cJSON *item;

    if (fieldset_is_member(set) && set->child->next == NULL)
        return fields;
    cJSON_ArrayForEach(item, set)
    {
        json_set(fields, item->string,
                 strcmp(item->string, ".") == 0 ? json_object() : fieldset_to_wire(item));
    }
    return fields;
}

/* ---- for people ---- */

/* [name="a",protocol="TCP"] */
static void add_keys(struct buf *out, const char *keys)
{
    autojson cJSON *object = cJSON_Parse(keys);
    const cJSON *key;

    buf_addc(out, '[');
    cJSON_ArrayForEach(key, object)
    {
        autofree char *value = json_print(key);

        buf_addf(out, "%s%s=%s", key == object->child ? "" : ",", key->string, value);
    }
    buf_addc(out, ']');
}

static void add_element(struct buf *out, const char *element)
{
    if (element[0] == 'k')
        add_keys(out, element + 2);
    else if (element[0] == 'v')
        buf_addf(out, "[=%s]", element + 2);
    else if (element[0] == 'i')
        buf_addf(out, "[%s]", element + 2);
    else
        buf_addf(out, ".%s", element + 2);
}

static void each(const cJSON *node, const char *path, fieldset_visitor visit, void *arg)
{
    const cJSON *item;

    if (fieldset_is_member(node))
        visit(arg, path);
    cJSON_ArrayForEach(item, node)
    {
        autobuf struct buf below = BUF_INIT(BUF_SMALL);

        if (strcmp(item->string, ".") == 0 || strlen(item->string) < 2)
            continue;
        buf_adds(&below, path);
        add_element(&below, item->string);
        each(item, below.data, visit, arg);
    }
}

void fieldset_each(const cJSON *set, fieldset_visitor visit, void *arg)
{
    each(set, "", visit, arg);
}
