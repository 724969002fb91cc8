/* delete and deletecollection. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/deletion.h"
#include "emulator/kube/write.h"

struct delete_op {
    struct write_op op; /* first */
    struct deletion deletion;
    const char *uid, *version; /* preconditions, or NULL */
};

static bool read_propagation(struct call *call, const char *text, enum propagation *out)
{
    if (text == NULL || text[0] == '\0' || strcmp(text, "Background") == 0)
        *out = PROPAGATE_BACKGROUND;
    else if (strcmp(text, "Foreground") == 0)
        *out = PROPAGATE_FOREGROUND;
    else if (strcmp(text, "Orphan") == 0)
        *out = PROPAGATE_ORPHAN;
    else {
        respond_fail(call, 422, "Invalid",
                     "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported "
                     "value: \"%s\": supported values: \"Background\", \"Foreground\", \"Orphan\"",
                     text);
        return false;
    }
    return true;
}

/* The options come as a body or in the query. */
static bool read_options(struct delete_op *delete)
{
    struct call *call = delete->op.call;
    const char *policy = request_query(call->request, "propagationPolicy");
    const char *grace = request_query(call->request, "gracePeriodSeconds");
    const char *dry = request_query(call->request, "dryRun");
    const cJSON *options;

    if (call->request->body_len > 0 && !body_parse(call, &delete->op.object))
        return false;
    options = delete->op.object;
    delete->deletion.grace_seconds = -1;
    if (grace != NULL)
        delete->deletion.grace_seconds = strtoll(grace, NULL, 10);
    json_i64(options, "gracePeriodSeconds", &delete->deletion.grace_seconds);
    delete->uid = json_str(options, "preconditions.uid");
    delete->version = json_str(options, "preconditions.resourceVersion");
    delete->op.dry_run = dry != NULL || cJSON_GetArraySize(json_get(options, "dryRun")) > 0;
    policy = json_str_or(options, "propagationPolicy", policy);
    if (json_bool(options, "orphanDependents", false))
        policy = "Orphan";
    return read_propagation(call, policy, &delete->deletion.propagation);
}

static int check_preconditions(const struct delete_op *delete, const cJSON *now, struct err *err)
{
    const struct resource *resource = &delete->op.call->type->resource;
    const char *uid = json_str_or(now, "metadata.uid", "");
    const char *version = json_str_or(now, "metadata.resourceVersion", "");
    const char *name = json_str_or(now, "metadata.name", "");

    if (delete->uid != NULL && strcmp(delete->uid, uid) != 0)
        return kube_fail(err, 409, "Conflict",
                         "Operation cannot be fulfilled on %s \"%s\": the UID in the precondition "
                         "(%s) does not match the UID in record (%s). The object might have been "
                         "deleted and then recreated",
                         group_resource(resource).text, name, delete->uid, uid);
    if (delete->version != NULL && strcmp(delete->version, version) != 0)
        return kube_fail(err, 409, "Conflict",
                         "Operation cannot be fulfilled on %s \"%s\": the ResourceVersion in the "
                         "precondition (%s) does not match the ResourceVersion in record (%s). The "
                         "object might have been modified",
                         group_resource(resource).text, name, delete->version, version);
    return 0;
}

static int check_protected(const struct call *call, const cJSON *now, struct err *err)
{
    static const char *const names[] = {"default", "kube-system", "kube-public"};
    const char *name = json_str_or(now, "metadata.name", "");

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(call->plural, "namespaces") == 0 && call->group[0] == '\0' &&
            strcmp(names[i], name) == 0)
            return kube_fail(err, 403, "Forbidden",
                             "namespaces \"%s\" is forbidden: this namespace may not be deleted",
                             name);
    }
    return 0;
}

static int delete_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct delete_op *delete = arg;
    const struct call *call = delete->op.call;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(&call->type->resource).text, call->name);
    if (check_preconditions(delete, now, err) < 0 || check_protected(call, now, err) < 0)
        return -1;
    *next = deletion_next(call->type, now, &delete->deletion);
    delete->op.removed = *next == NULL;
    return 0;
}

void write_delete(struct call *call)
{
    struct delete_op delete = {.op = {.call = call}};

    if (read_options(&delete))
        write_run(&delete.op, delete_change);
    write_end(&delete.op);
}

/* ---- a collection ---- */

static cJSON *delete_matching(struct delete_op *delete, const struct selector *selector)
{
    struct call *call = delete->op.call;
    cJSON *items = json_array();
    struct stored **list = store_list(call->api->store, &call->type->resource, call->space, NULL);

    for (size_t i = 0; list[i] != NULL; i++) {
        const char *space = json_str(list[i]->object, "metadata.namespace");
        autoerr struct err err = ERR_INIT;

        if (!selector_matches(selector, list[i]->object))
            continue;
        /* One that is gone already is no fault. */
        if ((delete->op.dry_run ? store_try
                                : store_write)(call->api->store, &call->type->resource, space,
                                               json_str_or(list[i]->object, "metadata.name", ""),
                                               delete_change, delete, NULL, &err) == 0)
            json_push(items, json_copy(list[i]->object));
    }
    store_list_free(list);
    return items;
}

static void respond_list(struct call *call, cJSON *items)
{
    autojson cJSON *list = json_object();
    autofree char *kind = call->type->list_kind != NULL
                              ? xstrdup(call->type->list_kind)
                              : xasprintf("%sList", call->type->resource.kind);
    autofree char *api_version = api_version_of(&call->type->resource);

    json_set_str(list, "kind", kind);
    json_set_str(list, "apiVersion", api_version);
    json_set_i64_str(json_set_object(list, "metadata"), "resourceVersion",
                     (int64_t)store_version(call->api->store));
    json_set(list, "items", items);
    call->form = FORM_OBJECT;
    respond_object(call, 200, list);
}

void write_delete_collection(struct call *call)
{
    struct delete_op delete = {.op = {.call = call}};
    struct selector *selector = NULL;

    if (read_options(&delete)) {
        if (selector_parse(request_query(call->request, "labelSelector"),
                           request_query(call->request, "fieldSelector"), call->type->resource.kind,
                           (call->type->flags & TYPE_CUSTOM) != 0, &selector, &call->err) < 0)
            respond_error(call);
        else
            respond_list(call, delete_matching(&delete, selector));
    }
    selector_free(selector);
    write_end(&delete.op);
}
