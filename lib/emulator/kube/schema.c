/* Structural schemas of CustomResourceDefinitions: pruning, defaulting, validation. */
#include <math.h>
#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/shape.h"
#include "emulator/kube/strategy.h"

static bool preserves(const cJSON *schema)
{
    return json_bool(schema, "x-kubernetes-preserve-unknown-fields", false);
}

/* Members of every object that are not the schema's. */
static bool is_object_meta(const char *key)
{
    return strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 ||
           strcmp(key, "metadata") == 0;
}

/* ---- pruning ---- */

static void prune(const cJSON *schema, cJSON *value, bool root)
{
    const cJSON *properties = json_get(schema, "properties");
    const cJSON *additional = json_get(schema, "additionalProperties");
    cJSON *item = value->child;

    if (cJSON_IsArray(value)) {
        for (; item != NULL; item = item->next)
            prune(json_get(schema, "items"), item, false);
        return;
    }
    if (!cJSON_IsObject(value))
        return;
    root = root || json_bool(schema, "x-kubernetes-embedded-resource", false);
    while (item != NULL) {
        cJSON *following = item->next;
        const cJSON *known = json_get(properties, item->string);

        if (known == NULL && cJSON_IsObject(additional))
            known = additional;
        if (root && is_object_meta(item->string))
            known = NULL;
        else if (known != NULL)
            prune(known, item, false);
        else if (!preserves(schema) && !cJSON_IsTrue(additional))
            cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
        item = following;
    }
}

void schema_prune(const struct type *type, cJSON *object)
{
    if (type->schema != NULL && !type->preserve_unknown)
        prune(type->schema, object, true);
}

/* ---- defaults ---- */

static void set_defaults(const cJSON *schema, cJSON *value)
{
    const cJSON *property;
    cJSON *item;

    if (schema == NULL)
        return;
    if (cJSON_IsArray(value)) {
        cJSON_ArrayForEach(item, value)
        {
            set_defaults(json_get(schema, "items"), item);
        }
        return;
    }
    if (!cJSON_IsObject(value))
        return;
    cJSON_ArrayForEach(property, json_get(schema, "properties"))
    {
        const cJSON *fallback = json_get(property, "default");

        if (fallback != NULL && json_get(value, property->string) == NULL)
            json_set(value, property->string, json_copy(fallback));
        if (json_get(value, property->string) != NULL)
            set_defaults(property, json_get(value, property->string));
    }
    if (!cJSON_IsObject(json_get(schema, "additionalProperties")))
        return;
    cJSON_ArrayForEach(item, value)
    {
        if (json_at(json_get(schema, "properties"), item->string) == NULL)
            set_defaults(json_get(schema, "additionalProperties"), item);
    }
}

void schema_default(const struct type *type, cJSON *object)
{
    set_defaults(type->schema, object);
}

/* ---- validation ---- */

static const char *type_name(const cJSON *value)
{
    if (cJSON_IsString(value))
        return "string";
    if (cJSON_IsBool(value))
        return "boolean";
    if (cJSON_IsRaw(value))
        return strpbrk(value->valuestring, ".eE") == NULL ? "integer" : "number";
    if (cJSON_IsNumber(value))
        return value->valuedouble == trunc(value->valuedouble) ? "integer" : "number";
    if (cJSON_IsArray(value))
        return "array";
    return cJSON_IsObject(value) ? "object" : "null";
}

static bool type_fits(const cJSON *schema, const cJSON *value)
{
    const char *wanted = json_str_or(schema, "type", "");
    const char *is = type_name(value);

    if (json_bool(schema, "x-kubernetes-int-or-string", false))
        return strcmp(is, "integer") == 0 || strcmp(is, "string") == 0;
    if (wanted[0] == '\0' || strcmp(wanted, is) == 0)
        return true;
    return strcmp(wanted, "number") == 0 && strcmp(is, "integer") == 0;
}

static void check_enum(const cJSON *schema, const cJSON *value, const char *path,
                       struct violations *found)
{
    struct buf list = BUF_INIT(BUF_SMALL);
    const cJSON *choice;
    autofree char *text = NULL;

    cJSON_ArrayForEach(choice, json_get(schema, "enum"))
    {
        autofree char *one = json_print(choice);

        if (json_equal(choice, value)) {
            buf_clear(&list);
            return;
        }
        buf_addf(&list, "%s%s", list.len > 0 ? ", " : "", one);
    }
    text = json_print(value);
    if (json_get(schema, "enum") != NULL)
        violation_add(found, "FieldValueNotSupported", path,
                      "Unsupported value: %s: supported values: %s", text, list.data);
    buf_clear(&list);
}

static void check_number(const cJSON *schema, const cJSON *value, const char *path,
                         struct violations *found)
{
    const cJSON *minimum = json_get(schema, "minimum");
    const cJSON *maximum = json_get(schema, "maximum");

    if (!cJSON_IsNumber(value))
        return;
    if (cJSON_IsNumber(minimum) && value->valuedouble < minimum->valuedouble) {
        autofree char *limit = json_print(minimum);
        autofree char *text =
            xasprintf("%s in body should be greater than or equal to %s", path, limit);

        violation_invalid(found, path, value, text);
    }
    if (cJSON_IsNumber(maximum) && value->valuedouble > maximum->valuedouble) {
        autofree char *limit = json_print(maximum);
        autofree char *text =
            xasprintf("%s in body should be less than or equal to %s", path, limit);

        violation_invalid(found, path, value, text);
    }
}

static void check_length(const cJSON *schema, const cJSON *value, const char *path,
                         struct violations *found)
{
    int64_t limit;

    if (cJSON_IsString(value) && json_i64(schema, "minLength", &limit) &&
        strlen(value->valuestring) < (size_t)limit) {
        autofree char *text =
            xasprintf("%s in body should be at least %lld chars long", path, (long long)limit);

        violation_invalid(found, path, value, text);
    }
    if (cJSON_IsArray(value) && json_i64(schema, "minItems", &limit) &&
        cJSON_GetArraySize(value) < limit) {
        autofree char *text =
            xasprintf("%s in body should have at least %lld items", path, (long long)limit);

        violation_invalid(found, path, value, text);
    }
}

static void check_required(const cJSON *schema, const cJSON *value, const char *path,
                           struct violations *found)
{
    const cJSON *name;

    cJSON_ArrayForEach(name, json_get(schema, "required"))
    {
        autofree char *field = NULL;

        if (!cJSON_IsString(name) || json_get(value, name->valuestring) != NULL)
            continue;
        field = xasprintf("%s%s%s", path, path[0] != '\0' ? "." : "", name->valuestring);
        violation_required(found, field, "");
    }
}

static void check(const cJSON *schema, const cJSON *value, const char *path,
                  struct violations *found)
{
    const cJSON *item;
    int index = 0;

    if (schema == NULL || (cJSON_IsNull(value) && json_bool(schema, "nullable", false)))
        return;
    if (!type_fits(schema, value)) {
        autofree char *text = xasprintf("%s in body must be of type %s: \"%s\"", path,
                                        json_str_or(schema, "type", ""), type_name(value));
        cJSON said = {.type = cJSON_String, .valuestring = (char *)type_name(value)};

        violation_invalid(found, path, &said, text);
        return;
    }
    check_enum(schema, value, path, found);
    check_number(schema, value, path, found);
    check_length(schema, value, path, found);
    if (cJSON_IsObject(value))
        check_required(schema, value, path, found);
    cJSON_ArrayForEach(item, value)
    {
        const cJSON *known = json_get(json_get(schema, "properties"), item->string);
        autofree char *where =
            cJSON_IsArray(value)
                ? xasprintf("%s[%d]", path, index++)
                : xasprintf("%s%s%s", path, path[0] != '\0' ? "." : "", item->string);

        if (cJSON_IsArray(value))
            known = json_get(schema, "items");
        else if (known == NULL && cJSON_IsObject(json_get(schema, "additionalProperties")))
            known = json_get(schema, "additionalProperties");
        if (path[0] != '\0' || item->string == NULL || !is_object_meta(item->string))
            check(known, item, where, found);
    }
}

void schema_validate(const struct type *type, const cJSON *object, struct violations *found)
{
    if (type->schema != NULL)
        check(type->schema, object, "", found);
}

/* ---- strict decoding ---- */

static void add_unknown(const struct shape *shape, const cJSON *value, const char *path,
                        struct strv *unknown)
{
    const cJSON *item;
    int index = 0;

    cJSON_ArrayForEach(item, value)
    {
        bool in_array = cJSON_IsArray(value);
        struct shape below = in_array ? shape_item(shape) : shape_member(shape, item->string);
        autofree char *where =
            in_array ? xasprintf("%s[%d]", path, index++)
                     : xasprintf("%s%s%s", path, path[0] != '\0' ? "." : "", item->string);

        if (!in_array && !shape_allows(shape, item->string))
            strv_add(unknown, where);
        else if (below.custom)
            add_unknown(&below, item, where, unknown);
    }
}

void schema_unknown(const struct type *type, const cJSON *object, struct strv *unknown)
{
    struct shape shape = shape_root(type);

    if ((type->flags & TYPE_CUSTOM) != 0)
        add_unknown(&shape, object, "", unknown);
}
