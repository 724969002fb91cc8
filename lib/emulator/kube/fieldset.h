/* Sets of field paths, as metadata.managedFields has them (FieldsV1). Internal.
 *
 * A set is a tree of JSON objects whose keys are path elements: "f:NAME", "k:{…}" (an item of a
 * list by its keys), "v:VALUE" (an item of a set). A path is in the set when its node has a member
 * ".". FieldsV1 on the wire leaves that "." out of nodes without children.
 */
#ifndef EMULATOR_KUBE_FIELDSET_H
#define EMULATOR_KUBE_FIELDSET_H

#include <stdbool.h>
#include "necoops/base/buf.h"
#include "necoops/base/json.h"

/* A path, from its last element up; on the stack. */
struct field_path {
    const struct field_path *up; /* NULL: the root */
    const char *element;
};

void fieldset_insert(cJSON *set, const struct field_path *path);
void fieldset_add(cJSON *set, const cJSON *other);      /* union */
void fieldset_subtract(cJSON *set, const cJSON *other); /* exactly these paths */
/* These paths with all below them. */
void fieldset_subtract_trees(cJSON *set, const cJSON *other);
cJSON *fieldset_intersection(const cJSON *a, const cJSON *b);
bool fieldset_is_empty(const cJSON *set);
static inline bool fieldset_is_member(const cJSON *node)
{
    return cJSON_GetObjectItemCaseSensitive(node, ".") != NULL;
}

cJSON *fieldset_from_wire(const cJSON *fields); /* the caller's */
cJSON *fieldset_to_wire(const cJSON *set);

/* Calls `visit` with each path as people read it: `.spec.template.containers[name="a"].image`. */
typedef void (*fieldset_visitor)(void *arg, const char *path);
void fieldset_each(const cJSON *set, fieldset_visitor visit, void *arg);

#endif
