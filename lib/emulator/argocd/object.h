/* What Argo CD reads out of a Kubernetes object: its identity, annotations, and the small values in
 * them. Objects are cJSON; nothing here changes one unless it says so. */
#ifndef EMULATOR_ARGOCD_OBJECT_H
#define EMULATOR_ARGOCD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/json.h"

#define ANNOTATION_HOOK          "argocd.argoproj.io/hook"
#define ANNOTATION_HOOK_DELETE   "argocd.argoproj.io/hook-delete-policy"
#define ANNOTATION_WAVE          "argocd.argoproj.io/sync-wave"
#define ANNOTATION_SYNC_OPTIONS  "argocd.argoproj.io/sync-options"
#define ANNOTATION_COMPARE       "argocd.argoproj.io/compare-options"
#define ANNOTATION_REFRESH       "argocd.argoproj.io/refresh"
#define ANNOTATION_TRACKING      "argocd.argoproj.io/tracking-id"
#define ANNOTATION_SKIP          "argocd.argoproj.io/skip-reconcile"
#define ANNOTATION_IGNORE_HEALTH "argocd.argoproj.io/ignore-healthcheck"

/* Identity; the texts never are NULL. `kind`, `space` and `name` are borrowed from the object. */
struct object_id {
    char group[256];
    char version[64];
    const char *kind;
    const char *space; /* "" when it has none */
    const char *name;
};
struct object_id object_id(const cJSON *object);
/* "apps", "v1" of "apps/v1"; "", "v1" of "v1". Too long a group is cut. */
void object_split_version(const char *api_version, char *group, size_t group_size, char *version,
                          size_t version_size);
/* The same resource whatever its version. */
bool object_same(const struct object_id *a, const struct object_id *b);

/* Borrowed; NULL when there is none. */
const cJSON *object_member(const cJSON *object, const char *key); /* a key as it stands, dots too */
cJSON *object_member_mutable(cJSON *object, const char *key);
const char *object_annotation(const cJSON *object, const char *name);
const char *object_label(const cJSON *object, const char *name);
/* Makes metadata.MAP where it is missing. */
void object_set_label(cJSON *object, const char *name, const char *value);
void object_set_annotation(cJSON *object, const char *name, const char *value);
void object_set_space(cJSON *object, const char *space); /* NULL removes */

/* True when `option` is one of the comma-separated words of the annotation. */
bool object_option(const cJSON *object, const char *annotation, const char *option);
bool list_has_option(const cJSON *options, const char *option); /* an array of strings */

int object_wave(const cJSON *object);
bool object_is_hook(const cJSON *object);
/* True when the hook annotation names this phase ("PreSync"). */
bool object_has_hook(const cJSON *object, const char *phase);

/* Removes members that are null, in maps at any depth: a null is an absent field. */
void object_drop_nulls(cJSON *value);
/* The pod template's spec (or a Pod's own), or NULL. */
const cJSON *object_pod_spec(const cJSON *object);

#endif
