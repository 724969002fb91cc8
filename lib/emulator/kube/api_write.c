/* create and update, and what every write shares. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "emulator/kube/managed.h"
#include "emulator/kube/strategy.h"
#include "emulator/kube/write.h"

bool write_begin(struct write_op *op, struct call *call)
{
    *op = (struct write_op){.call = call, .status = strcmp(call->subresource, "status") == 0};
    if (!options_check(call, &op->dry_run))
        return false;
    op->manager = manager_of(call->request);
    return true;
}

void write_end(struct write_op *op)
{
    cJSON_Delete(op->object);
    free(op->manager);
}

/* ---- what the object says of itself ---- */

static bool check_kind(struct write_op *op)
{
    struct call *call = op->call;
    const struct resource *resource = &call->type->resource;
    autofree char *wanted = api_version_of(resource);
    const char *api_version = json_str_or(op->object, "apiVersion", "");
    const char *kind = json_str_or(op->object, "kind", "");

    if (kind[0] == '\0') {
        respond_fail(call, 400, "BadRequest", "Object 'Kind' is missing in '{}'");
        return false;
    }
    if (strcmp(api_version, wanted) != 0) {
        respond_fail(
            call, 400, "BadRequest",
            "the API version in the data (%s) does not match the expected API version (%s)",
            api_version, wanted);
        return false;
    }
    if (strcmp(kind, resource->kind) != 0) {
        respond_fail(call, 400, "BadRequest",
                     "%s in version \"%s\" cannot be handled as a %s: no "
                     "kind \"%s\" is registered for version \"%s\"",
                     kind, resource->version, resource->kind, kind, wanted);
        return false;
    }
    return true;
}

bool write_check_identity(struct write_op *op)
{
    struct call *call = op->call;
    cJSON *meta;
    const char *name;
    const char *space;

    if (!check_kind(op))
        return false;
    meta = json_need_object(op->object, "metadata");
    name = json_str_or(meta, "name", "");
    space = json_str_or(meta, "namespace", "");
    if (space[0] != '\0' && strcmp(space, call->space) != 0) {
        respond_fail(call, 400, "BadRequest",
                     "the namespace of the provided object does not match the namespace sent on "
                     "the request");
        return false;
    }
    if (call->type->resource.namespaced && call->space[0] == '\0') {
        respond_fail(call, 400, "BadRequest", "an empty namespace may not be set during creation");
        return false;
    }
    if (call->name[0] != '\0' && name[0] != '\0' && strcmp(name, call->name) != 0) {
        respond_fail(call, 400, "BadRequest",
                     "the name of the object (%s) does not match the name on the URL (%s)", name,
                     call->name);
        return false;
    }
    if (call->name[0] != '\0')
        json_set_str(meta, "name", call->name);
    return true;
}

bool write_check_fields(struct write_op *op, const cJSON *object)
{
    struct call *call = op->call;
    const char *validation = request_query(call->request, "fieldValidation");
    CLEANUP(strv_clear) struct strv unknown = STRV_INIT;
    autofree char *text = NULL;

    if (validation == NULL || strcmp(validation, "Ignore") == 0)
        return true;
    schema_unknown(call->type, object, &unknown);
    if (unknown.len == 0)
        return true;
    if (strcmp(validation, "Warn") == 0) {
        for (size_t i = 0; i < unknown.len; i++)
            answer_header(call->answer, "Warning: 299 - \"unknown field \\\"%s\\\"\"",
                          unknown.items[i]);
        return true;
    }
    text = strv_join(&unknown, "\", unknown field \"");
    respond_fail(call, 400, "BadRequest",
                 "%s in version \"%s\" cannot be handled as a %s: strict decoding error: unknown "
                 "field \"%s\"",
                 call->type->resource.kind, call->type->resource.version, call->type->resource.kind,
                 text);
    return false;
}

/* ---- the change ---- */

int write_check_version(const struct write_op *op, const cJSON *now, const char *wanted,
                        struct err *err)
{
    if (str_equal(wanted, json_str(now, "metadata.resourceVersion")))
        return 0;
    return kube_fail(err, 409, "Conflict",
                     "Operation cannot be fulfilled on %s \"%s\": the object has been modified; "
                     "please apply your changes to the latest version and try again",
                     group_resource(&op->call->type->resource).text,
                     json_str_or(now, "metadata.name", op->call->name));
}

static int check_uid(const struct write_op *op, const cJSON *now, const cJSON *next,
                     struct err *err)
{
    const char *wanted = json_str(next, "metadata.uid");
    const char *is = json_str(now, "metadata.uid");

    if (wanted == NULL || wanted[0] == '\0' || str_equal(wanted, is))
        return 0;
    return kube_fail(err, 409, "Conflict",
                     "Operation cannot be fulfilled on %s \"%s\": Precondition failed: UID in "
                     "precondition: %s, UID in object meta: %s",
                     group_resource(&op->call->type->resource).text, op->call->name, wanted, is);
}

/* What a client cannot set: it is the object's as it is. */
static void keep_deletion(const cJSON *now, cJSON *next)
{
    static const char *const keys[] = {"deletionTimestamp", "deletionGracePeriodSeconds"};
    cJSON *meta = json_get(next, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const cJSON *value = json_get(json_get(now, "metadata"), keys[i]);

        if (value != NULL)
            json_set(meta, keys[i], json_copy(value));
        else
            cJSON_DeleteItemFromObjectCaseSensitive(meta, keys[i]);
    }
}

/* From the server's to the server's: timestamps and versions of the body do not count. */
static void strip_server_fields(cJSON *next)
{
    cJSON *meta = json_get(next, "metadata");

    cJSON_DeleteItemFromObjectCaseSensitive(meta, "creationTimestamp");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "resourceVersion");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "generation");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "uid");
}

int write_settle(struct write_op *op, const cJSON *now, cJSON *next, struct err *err)
{
    struct call *call = op->call;

    if (!cJSON_IsObject(json_get(next, "metadata")))
        return kube_fail(err, 422, "Invalid", "%s \"%s\" is invalid: metadata: Required value",
                         call->type->resource.kind, call->name);
    if (now != NULL && check_uid(op, now, next, err) < 0)
        return -1;
    keep_deletion(now, next);
    strip_server_fields(next);
    if (op->status)
        strategy_keep_all_but_status(now, next);
    else
        strategy_keep_status(call->type, now, next);
    if (now != NULL && json_at(next, "metadata.uid") == NULL)
        json_set_str(json_get(next, "metadata"), "uid", json_str(now, "metadata.uid"));
    if (strategy_prepare(call->type, now, next, &call->causes, err) < 0)
        return -1;
    managed_track(call->type, now, next, op->manager, op->status ? "status" : "");
    return 0;
}

void write_run(struct write_op *op, store_change change)
{
    struct call *call = op->call;
    const char *name = call->name[0] != '\0' ? call->name : json_str(op->object, "metadata.name");
    struct stored *result = NULL;
    int done =
        (op->dry_run ? store_try : store_write)(call->api->store, &call->type->resource,
                                                call->space, name, change, op, &result, &call->err);

    if (done < 0) {
        if (call->name[0] == '\0' && name != NULL)
            call->name = name;
        respond_error(call);
        return;
    }
    if (op->removed && json_at(result->object, "metadata.deletionTimestamp") == NULL &&
        strcmp(call->type->resource.kind, "Pod") != 0)
        respond_success(call, result->object);
    else
        respond_object(call, op->created ? 201 : 200, result->object);
    stored_unref(result);
}

/* ---- create ---- */

static int create_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct write_op *op = arg;
    autojson cJSON *object = NULL;

    if (now != NULL)
        return kube_fail(err, 409, "AlreadyExists", "%s \"%s\" already exists",
                         group_resource(&op->call->type->resource).text,
                         json_str_or(now, "metadata.name", ""));
    object = json_copy(op->object);
    if (write_settle(op, NULL, object, err) < 0)
        return -1;
    op->created = true;
    *next = steal(object);
    return 0;
}

#define RANDOM_LETTERS "bcdfghjklmnpqrstvwxz2456789"

/* generateName and five letters that spell nothing. */
static bool give_name(struct write_op *op)
{
    cJSON *meta = json_get(op->object, "metadata");
    const char *prefix = json_str_or(meta, "generateName", "");
    autofree char *name = NULL;
    char letters[6] = "";

    if (json_str_or(meta, "name", "")[0] != '\0')
        return true;
    if (prefix[0] == '\0') {
        respond_fail(op->call, 422, "Invalid",
                     "%s%s%s \"\" is invalid: metadata.name: Required value: name or generateName "
                     "is required",
                     op->call->type->resource.kind, op->call->group[0] != '\0' ? "." : "",
                     op->call->group);
        return false;
    }
    for (size_t i = 0; i < 5; i++)
        letters[i] = RANDOM_LETTERS[random_below(strlen(RANDOM_LETTERS))];
    name = xasprintf("%.58s%s", prefix, letters);
    json_set_str(meta, "name", name);
    return true;
}

/* The ServiceAccount admission: a pod's account must be there. */
static bool account_exists(struct write_op *op)
{
    struct call *call = op->call;
    const char *account = json_str_or(op->object, "spec.serviceAccountName",
                                      json_str_or(op->object, "spec.serviceAccount", "default"));
    struct stored *found;

    if (strcmp(call->type->resource.kind, "Pod") != 0 || call->group[0] != '\0')
        return true;
    found = store_get(call->api->store, store_resource(call->api->store, "", "serviceaccounts"),
                      call->space, account);
    if (found == NULL)
        respond_fail(call, 403, "Forbidden",
                     "pods \"%s\" is forbidden: error looking up service account %s/%s: "
                     "serviceaccount \"%s\" not found",
                     json_str_or(op->object, "metadata.name", ""), call->space, account, account);
    stored_unref(found);
    return found != NULL;
}

static bool namespace_exists(struct call *call)
{
    struct stored *space;

    if (!call->type->resource.namespaced)
        return true;
    space = store_get(call->api->store, store_resource(call->api->store, "", "namespaces"), NULL,
                      call->space);
    if (space == NULL) {
        call->plural = "namespaces";
        call->group = "";
        call->name = call->space;
        respond_fail(call, 404, "NotFound", "namespaces \"%s\" not found", call->space);
    }
    stored_unref(space);
    return space != NULL;
}

static bool version_is_unset(struct call *call, const cJSON *object)
{
    const char *version = json_str_or(object, "metadata.resourceVersion", "");

    if (version[0] == '\0' || strcmp(version, "0") == 0)
        return true;
    respond_fail(call, 500, "", "resourceVersion should not be set on objects to be created");
    return false;
}

void write_create(struct call *call)
{
    struct write_op op;

    if (write_begin(&op, call) && body_parse(call, &op.object) && write_check_identity(&op) &&
        give_name(&op) && version_is_unset(call, op.object) && namespace_exists(call) &&
        account_exists(&op) && write_check_fields(&op, op.object))
        write_run(&op, create_change);
    write_end(&op);
}

/* ---- update ---- */

/* Kinds that may not be written without saying which version is meant. */
static bool needs_version(const struct type *type)
{
    static const char *const kinds[] = {"Lease",
                                        "CustomResourceDefinition",
                                        "APIService",
                                        "EndpointSlice",
                                        "MutatingWebhookConfiguration",
                                        "ValidatingWebhookConfiguration",
                                        "PodDisruptionBudget"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i], type->resource.kind) == 0)
            return true;
    }
    return (type->flags & TYPE_CUSTOM) != 0;
}

/* Kinds that a PUT may create. */
static bool may_create(const struct type *type)
{
    static const char *const kinds[] = {
        "Lease", "Endpoints",   "Event",       "LimitRange",
        "Role",  "ClusterRole", "RoleBinding", "ClusterRoleBinding"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i], type->resource.kind) == 0)
            return (type->flags & TYPE_CUSTOM) == 0;
    }
    return false;
}

static int check_update(const struct write_op *op, const cJSON *now, struct err *err)
{
    const struct type *type = op->call->type;
    const char *version = json_str_or(op->object, "metadata.resourceVersion", "");

    if (now == NULL && (!may_create(type) || op->status))
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(&type->resource).text, op->call->name);
    if (now == NULL)
        return 0;
    if (version[0] != '\0')
        return write_check_version(op, now, version, err);
    if (!needs_version(type))
        return 0;
    return kube_fail(err, 422, "Invalid",
                     "%s%s%s \"%s\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must "
                     "be specified for an update",
                     type->resource.kind, type->resource.group[0] != '\0' ? "." : "",
                     type->resource.group, op->call->name);
}

static int update_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct write_op *op = arg;
    autojson cJSON *object = NULL;

    if (check_update(op, now, err) < 0)
        return -1;
    object = json_copy(op->object);
    if (write_settle(op, now, object, err) < 0)
        return -1;
    op->created = now == NULL;
    *next = steal(object);
    return 0;
}

void write_update(struct call *call)
{
    struct write_op op;

    if (write_begin(&op, call) && body_parse(call, &op.object) && write_check_identity(&op) &&
        write_check_fields(&op, op.object))
        write_run(&op, update_change);
    write_end(&op);
}
