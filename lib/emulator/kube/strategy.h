/* What an API server does to an object before it keeps it: defaults, validation, what must not
 * change. Internal. */
#ifndef EMULATOR_KUBE_STRATEGY_H
#define EMULATOR_KUBE_STRATEGY_H

#include "emulator/kube/types.h"

/* Fills in defaults in `next` and checks it against `now` (NULL: it is created), all in this type's
 * version. A fault is 422 in the API's words, its causes (`reason`, `message`, `field`) in *causes
 * (optional; an array, the caller's). */
int strategy_prepare(const struct type *type, const cJSON *now, cJSON *next, cJSON **causes,
                     struct err *err);
/* A write to the resource itself leaves its status alone; one to /status leaves all else alone. */
void strategy_keep_status(const struct type *type, const cJSON *now, cJSON *next);
void strategy_keep_all_but_status(const cJSON *now, cJSON *next);

/* decode.c: the JSON types of a built-in object's well-known fields, as Go's decoder refuses them
 * (400); all that follows may rely on them. */
int decode_check(const struct type *type, const cJSON *object, struct err *err);

/* defaults.c */
void defaults_set(const struct type *type, const cJSON *now, cJSON *object);
/* defaults_pod.c: of a pod's specification, in a pod or in a template. */
void defaults_pod_spec(cJSON *spec);
/* Sets KEY unless it is there. */
void default_str(cJSON *object, const char *key, const char *value);
void default_i64(cJSON *object, const char *key, int64_t value);
void default_bool(cJSON *object, const char *key, bool value);

/* ---- found of an object ---- */
struct violations {
    cJSON *causes;
};
void violation_add(struct violations *found, const char *reason, const char *field,
                   const char *format, ...) PRINTF_LIKE(4, 5);
void violation_required(struct violations *found, const char *field, const char *detail);
/* `value` is printed as Go prints it (a string quoted). */
void violation_invalid(struct violations *found, const char *field, const cJSON *value,
                       const char *detail);

/* validate.c */
void validate_object(const struct type *type, const cJSON *now, const cJSON *next,
                     struct violations *found);
/* validate_workload.c: pods, templates, selectors */
void validate_workload(const struct type *type, const cJSON *now, const cJSON *next,
                       struct violations *found);
/* schema.c: an instance of a CustomResourceDefinition against its schema, which also gives defaults
 * and takes away what it does not know. */
void schema_prune(const struct type *type, cJSON *object);
void schema_default(const struct type *type, cJSON *object);
void schema_validate(const struct type *type, const cJSON *object, struct violations *found);
/* Paths of an instance that its schema does not know and would prune. */
void schema_unknown(const struct type *type, const cJSON *object, struct strv *unknown);

#endif
