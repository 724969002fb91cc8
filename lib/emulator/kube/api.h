/* The API server: one request, from its path to its answer. Internal. */
#ifndef EMULATOR_KUBE_API_H
#define EMULATOR_KUBE_API_H

#include "emulator/core/server.h"
#include "emulator/kube/auth.h"
#include "emulator/kube/core.h"
#include "emulator/kube/selector.h"

struct pod_logs;

struct api {
    struct store *store;
    struct tokens *tokens;
    struct pod_logs *logs;
    const char *version; /* "v1.27.16" */
    int64_t ready_at;    /* mono_ms */
    char run[40];        /* of this run: goes into addresses that clients keep */
    /* Watches from before are told 410: a server that has just started knows only what came since.
     */
    _Atomic uint64_t oldest;
};

void api_handle(void *api, const struct request *request, struct answer *answer);

/* ---- one call ---- */

enum form { FORM_OBJECT, FORM_TABLE, FORM_METADATA };

struct call {
    struct api *api;
    const struct request *request;
    struct answer *answer;
    struct identity identity;
    /* from the path; "" where there is none; borrowed from the request */
    const char *group, *version, *plural, *space, *name, *subresource;
    size_t rest;      /* index of the first part of the path behind these */
    const char *verb; /* get, list, watch, create, update, patch, delete, deletecollection */
    const struct type *type;
    enum form form;
    struct err err;
    cJSON *causes; /* of a fault, for its details */
};

/* Reads resources: calls to /version, /readyz, discovery and OpenAPI. False when it is none of
 * these. */
bool paths_handle(struct call *call);
void discovery_groups(struct call *call);    /* /apis */
void discovery_core(struct call *call);      /* /api */
void discovery_group(struct call *call);     /* /apis/G */
void discovery_resources(struct call *call); /* /api/v1, /apis/G/V */
void openapi_v2(struct call *call);
void openapi_v3(struct call *call); /* the index, or one group and version */

void read_get(struct call *call);
void read_list(struct call *call);
void watch_start(struct call *call);
void write_create(struct call *call);
void write_update(struct call *call);
void write_patch(struct call *call);
void write_delete(struct call *call);
void write_delete_collection(struct call *call);

/* Subresources with a life of their own; false when this one is none of them. */
bool subresource_handle(struct call *call);
void review_create(struct call *call);
void scale_get(struct call *call);
void scale_put(struct call *call);
void scale_patch(struct call *call);
void pod_log(struct call *call);
void service_proxy(struct call *call);
void token_request(struct call *call);

/* ---- answers ---- */

/* The Status of call->err. */
void respond_error(struct call *call);
/* kube_fail and respond_error in one. */
void respond_fail(struct call *call, int http_status, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* An object in the form that was asked for. */
void respond_object(struct call *call, int http_status, const cJSON *object);
/* {"kind":"Status","status":"Success"} with the object's name and uid. */
void respond_success(struct call *call, const cJSON *object);
/* What the Accept header asks for: false when there is nothing we can give (406 is answered). */
bool respond_negotiate(struct call *call);
cJSON *status_of(const struct call *call);
/* Text of one JSON value without `kind` and `apiVersion`, as built-in items of lists have it. */
char *print_item(const struct type *type, const cJSON *object);
/* The object in this call's version: borrowed from `stored`, or *owned. */
const cJSON *view_of(const struct type *type, const struct stored *stored, cJSON **owned);

/* ---- requests ---- */

/* The body as JSON; false when it is none (answered). YAML is read where the type says so. */
bool body_parse(struct call *call, cJSON **out);
/* The field manager: as asked, or the program of the User-Agent. Caller frees. */
char *manager_of(const struct request *request);
/* dryRun, fieldManager and fieldValidation; false when one is wrong (answered). */
bool options_check(struct call *call, bool *dry_run);
bool call_allows(struct call *call, const struct access *access);

/* ---- tables ---- */

/* Rows of a kind; `first`: with the columns' definitions. */
cJSON *table_new(const struct type *type, bool first);
/* `include`: the query's includeObject. */
void table_add(cJSON *table, const struct type *type, const cJSON *object, const char *include);
cJSON *metadata_only(const cJSON *object);

#endif
