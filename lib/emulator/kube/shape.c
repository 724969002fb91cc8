#include "emulator/kube/shape.h"

#include <stdlib.h>
#include <string.h>
#include "emulator/kube/core.h"

/* The lists of built-in types that are no single value. `merge_key` is that of a strategic merge
 * patch, which came first and sometimes knows fewer keys. */
static const struct builtin_list {
    const char *kind;   /* NULL: any */
    const char *parent; /* NULL: any */
    const char *field;
    enum list_kind how;
    const char *keys[4];
    const char *merge_key;
} lists[] = {
    {NULL, NULL, "containers", LIST_MAP, {"name"}, "name"},
    {NULL, NULL, "initContainers", LIST_MAP, {"name"}, "name"},
    {NULL, NULL, "ephemeralContainers", LIST_MAP, {"name"}, "name"},
    {NULL, NULL, "env", LIST_MAP, {"name"}, "name"},
    {NULL, "containers", "ports", LIST_MAP, {"containerPort", "protocol"}, "containerPort"},
    {NULL, "initContainers", "ports", LIST_MAP, {"containerPort", "protocol"}, "containerPort"},
    {NULL,
     "ephemeralContainers",
     "ports",
     LIST_MAP,
     {"containerPort", "protocol"},
     "containerPort"},
    {"Service", "spec", "ports", LIST_MAP, {"port", "protocol"}, "port"},
    {NULL, NULL, "volumeMounts", LIST_MAP, {"mountPath"}, "mountPath"},
    {NULL, NULL, "volumeDevices", LIST_MAP, {"devicePath"}, "devicePath"},
    {"PodSecurityPolicy", NULL, "volumes", LIST_ATOMIC, {NULL}, NULL},
    {NULL, NULL, "volumes", LIST_MAP, {"name"}, "name"},
    {"ServiceAccount", "", "imagePullSecrets", LIST_ATOMIC, {NULL}, NULL},
    {NULL, NULL, "imagePullSecrets", LIST_MAP, {"name"}, "name"},
    {"ServiceAccount", "", "secrets", LIST_MAP, {"name"}, "name"},
    {NULL, NULL, "hostAliases", LIST_MAP, {"ip"}, "ip"},
    {NULL,
     NULL,
     "topologySpreadConstraints",
     LIST_MAP,
     {"topologyKey", "whenUnsatisfiable"},
     "topologyKey"},
    {NULL, NULL, "schedulingGates", LIST_MAP, {"name"}, "name"},
    {NULL, NULL, "resourceClaims", LIST_MAP, {"name"}, "name"},
    {NULL, "status", "conditions", LIST_MAP, {"type"}, "type"},
    {NULL, "status", "podIPs", LIST_MAP, {"ip"}, "ip"},
    {"Node", "status", "addresses", LIST_MAP, {"type"}, "type"},
    {NULL, "metadata", "ownerReferences", LIST_MAP, {"uid"}, "uid"},
    {NULL, "metadata", "finalizers", LIST_SET, {NULL}, NULL},
    {NULL, "", "webhooks", LIST_MAP, {"name"}, "name"},
};

/* Maps of built-in types that are one value. */
static const char *const atomic_maps[] = {
    "selector",        "labelSelector",    "namespaceSelector", "podSelector",
    "objectSelector",  "nodeSelector",     "fieldRef",          "configMapKeyRef",
    "secretKeyRef",    "resourceFieldRef", "roleRef",           "scaleTargetRef",
    "claimRef",        "involvedObject",   "targetRef",         "nodePublishSecretRef",
    "ownerReferences",
};

/* Maps of built-in types whose keys users choose. */
static const char *const free_maps[] = {
    "labels", "annotations", "data",        "binaryData", "stringData", "limits",  "requests",
    "hard",   "used",        "allocatable", "capacity",   "parameters", "overhead"};

static bool is_one_of(const char *const *names, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

struct shape shape_root(const struct type *type)
{
    return (struct shape){
        .type = type,
        .schema = type->schema,
        .custom = (type->flags & TYPE_CUSTOM) != 0,
        .parent = "",
        .field = "",
    };
}

static bool is_object_meta(const struct shape *shape, const char *key)
{
    return shape->field[0] == '\0' && strcmp(key, "metadata") == 0;
}

struct shape shape_member(const struct shape *shape, const char *key)
{
    struct shape member = *shape;

    member.parent = shape->field;
    member.field = key;
    if (shape->custom && is_object_meta(shape, key)) {
        member.custom = false;
        member.schema = NULL;
    } else if (shape->custom) {
        member.schema = json_get(json_get(shape->schema, "properties"), key);
        if (member.schema == NULL &&
            cJSON_IsObject(json_get(shape->schema, "additionalProperties")))
            member.schema = json_get(shape->schema, "additionalProperties");
    }
    member.in_map =
        !member.custom && !shape->in_map && is_one_of(free_maps, ARRAY_LEN(free_maps), key);
    return member;
}

struct shape shape_item(const struct shape *shape)
{
    struct shape item = *shape;

    item.schema = json_get(shape->schema, "items");
    return item;
}

static const struct builtin_list *builtin_list(const struct shape *shape)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct builtin_list *list = &lists[i];

        if (strcmp(list->field, shape->field) == 0 &&
            (list->parent == NULL || strcmp(list->parent, shape->parent) == 0) &&
            (list->kind == NULL || strcmp(list->kind, shape->type->resource.kind) == 0))
            return list;
    }
    return NULL;
}

static struct list_rule schema_list(const cJSON *schema)
{
    struct list_rule rule = {.kind = LIST_ATOMIC};
    const char *kind = json_key_str(schema, "x-kubernetes-list-type");
    const cJSON *key;
    size_t len = 0;

    if (str_equal(kind, "set"))
        rule.kind = LIST_SET;
    if (!str_equal(kind, "map"))
        return rule;
    cJSON_ArrayForEach(key, json_get(schema, "x-kubernetes-list-map-keys"))
    {
        if (cJSON_IsString(key) && len + 1 < ARRAY_LEN(rule.keys))
            rule.keys[len++] = key->valuestring;
    }
    rule.kind = len > 0 ? LIST_MAP : LIST_ATOMIC;
    return rule;
}

struct list_rule shape_list(const struct shape *shape)
{
    const struct builtin_list *list = shape->custom ? NULL : builtin_list(shape);
    struct list_rule rule = {.kind = LIST_ATOMIC};

    if (shape->custom)
        return schema_list(shape->schema);
    if (list != NULL) {
        rule.kind = list->how;
        memcpy(rule.keys, list->keys, sizeof(rule.keys));
    }
    return rule;
}

bool shape_map_is_atomic(const struct shape *shape)
{
    if (shape->custom)
        return str_equal(json_key_str(shape->schema, "x-kubernetes-map-type"), "atomic");
    return is_one_of(atomic_maps, ARRAY_LEN(atomic_maps), shape->field);
}

bool shape_is_field(const struct shape *shape, const char *key)
{
    if (shape->custom)
        return is_object_meta(shape, key) ||
               json_get(json_get(shape->schema, "properties"), key) != NULL;
    return !shape->in_map;
}

bool shape_allows(const struct shape *shape, const char *key)
{
    if (!shape->custom || shape->type->schema == NULL || shape->type->preserve_unknown)
        return true;
    if (shape->field[0] == '\0' && (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 ||
                                    strcmp(key, "metadata") == 0))
        return true;
    /* Below a place that keeps what it does not know there is no schema either. */
    if (shape->schema == NULL ||
        json_bool(shape->schema, "x-kubernetes-preserve-unknown-fields", false))
        return true;
    return json_get(json_get(shape->schema, "properties"), key) != NULL ||
           (json_get(shape->schema, "additionalProperties") != NULL &&
            !cJSON_IsFalse(json_get(shape->schema, "additionalProperties")));
}

const char *shape_key_default(const struct shape *shape, const char *key)
{
    if (!shape->custom)
        return strcmp(key, "protocol") == 0 ? "TCP" : NULL;
    return json_key_str(json_get(json_get(json_get(shape->schema, "items"), "properties"), key),
                        "default");
}

const char *shape_merge_key(const struct shape *shape)
{
    const struct builtin_list *list = builtin_list(shape);

    return list != NULL ? list->merge_key : NULL;
}

bool shape_merges_primitives(const struct shape *shape)
{
    const struct builtin_list *list = builtin_list(shape);

    return list != NULL && list->how == LIST_SET;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *shape_item_element(const struct shape *shape, const struct list_rule *rule, const cJSON *item)
{
    autojson cJSON *keys = NULL;
    autofree char *text = NULL;
    const char *names[ARRAY_LEN(rule->keys)];
    size_t len = 0;

    if (rule->kind == LIST_SET) {
        text = json_print(item);
        return xasprintf("v:%s", text);
    }
    for (; rule->keys[len] != NULL; len++)
        names[len] = rule->keys[len];
    qsort(names, len, sizeof(names[0]), compare_names);
    keys = json_object();
    for (size_t i = 0; i < len; i++) {
        const cJSON *value = json_get(item, names[i]);

        if (value != NULL)
            json_set(keys, names[i], json_copy(value));
        else if (shape_key_default(shape, names[i]) != NULL)
            json_set_str(keys, names[i], shape_key_default(shape, names[i]));
        else
            return NULL;
    }
    text = json_print(keys);
    return xasprintf("k:%s", text);
}
