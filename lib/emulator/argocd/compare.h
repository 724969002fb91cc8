/* What Git says and what is live, side by side, for one application. */
#ifndef EMULATOR_ARGOCD_COMPARE_H
#define EMULATOR_ARGOCD_COMPARE_H

#include "emulator/argocd/controller.h"
#include "emulator/argocd/object.h"

/* A resource of the application: in Git, live, or both. */
struct managed {
    struct object_id id;             /* of the target, else of the live object */
    const struct resource *resource; /* NULL: the API does not serve this kind */
    cJSON *target;                   /* owned; NULL: not in Git */
    struct stored *live;             /* NULL: not there */
    bool modified;                   /* an apply would change the live object */
};

struct comparison {
    struct managed *items;
    size_t len, size;
    cJSON *hooks;          /* targets that are hooks: array */
    cJSON *conditions;     /* array of {type, message} that came up */
    bool failed;           /* Git could not be read or rendered: nothing is known of targets */
    struct strv revisions; /* of each source */
    struct strv types;     /* of each source */
    bool is_multi;         /* spec.sources */
    cJSON *sources;        /* what was rendered: an object, or an array when is_multi */
};
void comparison_clear(struct comparison *comparison);

/* Which sources and revisions are wanted; NULL members are taken from the application. */
struct comparison_request {
    const cJSON *app;
    const cJSON *sources;   /* operation.sync.source(s): object or array */
    const cJSON *revisions; /* array of strings, or NULL; "" means the source's own */
    bool no_cache;
};
/* Never fails: what goes wrong is a condition of the result. */
void compare_application(struct controller *controller, const struct comparison_request *request,
                         struct comparison *out);

/* spec.sources or spec.source without what this version does not know; the caller's. */
cJSON *application_sources(const struct controller *controller, const cJSON *app, bool *is_multi);

/* True when an apply of `target` would change what is live, ignoreDifferences aside. */
bool differs(struct controller *controller, const cJSON *target, const cJSON *live,
             const cJSON *ignore_differences);
/* The rules of spec.ignoreDifferences for this object: their fields are taken out of `object`. */
void drop_ignored(cJSON *object, const cJSON *ignore_differences);
/* Equal but for what the API server writes: status and the bookkeeping of metadata. */
bool same_content(const cJSON *a, const cJSON *b);

/* ---- for compare.c: the objects of all sources ---- */

/* Adds targets (prepared: namespace, mark, nulls) and hooks; sets revisions, types, conditions. */
int load_targets(struct controller *controller, const struct comparison_request *request,
                 struct comparison *out, struct err *err);
void condition_add(cJSON *conditions, const char *type, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
