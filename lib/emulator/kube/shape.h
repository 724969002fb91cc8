/* How the parts of an object merge: which lists are maps by keys, which are sets, which maps and
 * lists are one value. Internal. Facts: the listType, listMapKey, mapType, patchMergeKey and
 * patchStrategy markers of the Kubernetes API's types, and x-kubernetes-* of a custom resource's
 * schema.
 */
#ifndef EMULATOR_KUBE_SHAPE_H
#define EMULATOR_KUBE_SHAPE_H

#include "emulator/kube/types.h"

struct shape {
    const struct type *type;
    const cJSON *schema; /* of a custom resource at this place; NULL: not known */
    bool custom;         /* the schema rules; otherwise the names do */
    const char *parent;  /* the field that holds this one, "" at the root */
    const char *field;   /* this field, "" at the root */
    bool in_map;         /* the members are keys that users chose */
};

enum list_kind { LIST_ATOMIC, LIST_SET, LIST_MAP };

struct list_rule {
    enum list_kind kind;
    const char *keys[4]; /* NULL-terminated; of LIST_MAP */
};

struct shape shape_root(const struct type *type);
struct shape shape_member(const struct shape *shape, const char *key);
struct shape shape_item(const struct shape *shape);
struct list_rule shape_list(const struct shape *shape);
bool shape_map_is_atomic(const struct shape *shape);
/* Whether the schema knows the key as a field, and not as a key of a map. */
bool shape_is_field(const struct shape *shape, const char *key);
/* False when a custom resource's schema has no such field and keeps none. */
bool shape_allows(const struct shape *shape, const char *key);
/* What stands for a key that an item of a list leaves out, or NULL. */
const char *shape_key_default(const struct shape *shape, const char *key);

/* ---- strategic merge patch: built-in types only ---- */
/* The key by which the items of this list are merged, NULL when the list is replaced. */
const char *shape_merge_key(const struct shape *shape);
/* A list of primitive values that is merged (finalizers). */
bool shape_merges_primitives(const struct shape *shape);

/* The path element of an item: k:{…} or v:…; NULL when a key is missing. Caller frees. */
char *shape_item_element(const struct shape *shape, const struct list_rule *rule,
                         const cJSON *item);

#endif
