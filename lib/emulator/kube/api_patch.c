/* patch: JSON patch, merge patch, strategic merge patch, server-side apply. */
#include <stdlib.h>
#include <string.h>
#include "necoops/yaml/yaml.h"
#include "emulator/kube/apply.h"
#include "emulator/kube/patch.h"
#include "emulator/kube/strategy.h"
#include "emulator/kube/write.h"

enum patch_kind { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY, PATCH_UNKNOWN };

static const struct {
    const char *type;
    enum patch_kind kind;
} patch_types[] = {
    {"application/json-patch+json", PATCH_JSON},
    {"application/merge-patch+json", PATCH_MERGE},
    {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
    {"application/apply-patch+yaml", PATCH_APPLY},
};

struct patch_op {
    struct write_op op; /* first */
    enum patch_kind kind;
    bool force;
};

static enum patch_kind kind_of(const struct call *call)
{
    const char *header = request_header(call->request, "Content-Type");
    size_t len = header != NULL ? strcspn(header, "; ") : 0;

    for (size_t i = 0; i < ARRAY_LEN(patch_types); i++) {
        bool custom = (call->type->flags & TYPE_CUSTOM) != 0;

        if (len == strlen(patch_types[i].type) && strncmp(header, patch_types[i].type, len) == 0)
            return custom && patch_types[i].kind == PATCH_STRATEGIC ? PATCH_UNKNOWN
                                                                    : patch_types[i].kind;
    }
    return PATCH_UNKNOWN;
}

static void unsupported(struct call *call)
{
    bool custom = (call->type->flags & TYPE_CUSTOM) != 0;

    respond_fail(call, 415, "UnsupportedMediaType",
                 "the body of the request was in an unknown format - accepted media types include: "
                 "application/json-patch+json, application/merge-patch+json%s, "
                 "application/apply-patch+yaml",
                 custom ? "" : ", application/strategic-merge-patch+json");
}

static bool parse_patch(struct call *call, enum patch_kind kind, cJSON **out)
{
    const struct request *request = call->request;
    autoerr struct err err = ERR_INIT;
    int result = kind == PATCH_APPLY
                     ? yaml_parse_one(request->body, request->body_len, "body", out, &err)
                     : json_parse(request->body, request->body_len, "body", out, &err);

    if (result == 0 && (kind == PATCH_JSON || cJSON_IsObject(*out)))
        return true;
    if (kind == PATCH_APPLY)
        respond_fail(call, 400, "BadRequest", "error decoding YAML: %s", err_text(&err));
    else
        respond_fail(call, 400, "BadRequest", "error decoding patch: %s", err_text(&err));
    return false;
}

/* ---- patches of what is there ---- */

static int run_patch(struct patch_op *patch, cJSON **document, struct err *err)
{
    const struct write_op *op = &patch->op;

    if (patch->kind == PATCH_JSON)
        return patch_json(document, op->object, err);
    if (patch->kind == PATCH_STRATEGIC)
        return patch_strategic(op->call->type, *document, op->object, err);
    json_merge(*document, op->object);
    return 0;
}

static int check_names(const struct write_op *op, const cJSON *now, const cJSON *next,
                       struct err *err)
{
    if (str_equal(json_str(now, "metadata.name"), json_str(next, "metadata.name")) &&
        str_equal(json_str(now, "metadata.namespace"), json_str(next, "metadata.namespace")) &&
        str_equal(json_str(now, "kind"), json_str(next, "kind")) &&
        str_equal(json_str(now, "apiVersion"), json_str(next, "apiVersion")))
        return 0;
    return kube_fail(err, 400, "BadRequest",
                     "the name of the object (%s) does not match the name on the URL (%s)",
                     json_str_or(next, "metadata.name", ""), op->call->name);
}

/* Fields that the patch brought in and the schema has not. */
static int check_fields(const struct write_op *op, const cJSON *document, struct err *err)
{
    const char *validation = request_query(op->call->request, "fieldValidation");
    CLEANUP(strv_clear) struct strv unknown = STRV_INIT;
    autofree char *names = NULL;
    autofree char *patch = NULL;

    if (validation == NULL || strcmp(validation, "Strict") != 0)
        return 0;
    schema_unknown(op->call->type, document, &unknown);
    if (unknown.len == 0)
        return 0;
    names = strv_join(&unknown, "\", unknown field \"");
    patch = json_print(op->object);
    return kube_fail(err, 422, "Invalid",
                     " \"\" is invalid: patch: Invalid value: \"%s\": strict decoding error: "
                     "unknown field \"%s\"",
                     patch, names);
}

static int patch_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct patch_op *patch = arg;
    struct write_op *op = &patch->op;
    autojson cJSON *document = NULL;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(&op->call->type->resource).text, op->call->name);
    document = json_copy(now);
    if (run_patch(patch, &document, err) < 0)
        return -1;
    if (!cJSON_IsObject(document))
        return kube_fail(err, 422, "Invalid",
                         "the server rejected our request due to an error in our request");
    /* Without a version in the patch it is the present one; null takes the guard away. */
    if (json_at(document, "metadata.resourceVersion") != NULL &&
        write_check_version(op, now, json_str(document, "metadata.resourceVersion"), err) < 0)
        return -1;
    if (check_names(op, now, document, err) < 0 || check_fields(op, document, err) < 0 ||
        write_settle(op, now, document, err) < 0)
        return -1;
    *next = steal(document);
    return 0;
}

/* ---- server-side apply ---- */

static int check_applied(const struct write_op *op, const cJSON *now, struct err *err)
{
    const char *version = json_str_or(op->object, "metadata.resourceVersion", "");
    const char *uid = json_str_or(op->object, "metadata.uid", "");

    if (now == NULL && (op->status || strcmp(op->call->subresource, "scale") == 0))
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(&op->call->type->resource).text, op->call->name);
    if (now == NULL && version[0] != '\0')
        return kube_fail(err, 409, "Conflict",
                         "Operation cannot be fulfilled on %s \"%s\": the object does not exist, "
                         "and a resourceVersion was given",
                         group_resource(&op->call->type->resource).text, op->call->name);
    if (version[0] != '\0' && write_check_version(op, now, version, err) < 0)
        return -1;
    if (uid[0] != '\0' && !str_equal(uid, json_str(now, "metadata.uid")))
        return kube_fail(
            err, 409, "Conflict",
            "uid mismatch: the provided object specified uid %s, and %s uid was found: "
            "%s",
            uid, now != NULL ? "another" : "no", json_str_or(now, "metadata.uid", ""));
    return 0;
}

static int apply_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct patch_op *patch = arg;
    struct write_op *op = &patch->op;
    struct apply apply = {
        .type = op->call->type,
        .object = op->object,
        .manager = op->manager,
        .subresource = op->status ? "status" : "",
        .force = patch->force,
    };

    if (check_applied(op, now, err) < 0 ||
        apply_object(&apply, now, next, &op->call->causes, err) < 0)
        return -1;
    op->created = now == NULL;
    return 0;
}

static bool apply_is_fine(struct patch_op *patch)
{
    struct call *call = patch->op.call;
    const char *manager = request_query(call->request, "fieldManager");
    const cJSON *managed = json_at(patch->op.object, "metadata.managedFields");

    if (manager == NULL || manager[0] == '\0') {
        respond_fail(call, 422, "Invalid",
                     "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is "
                     "required for apply patch");
        return false;
    }
    if (managed != NULL && !cJSON_IsNull(managed)) {
        respond_fail(call, 400, "BadRequest", "metadata.managedFields must be nil");
        return false;
    }
    if (json_str_or(patch->op.object, "metadata.name", call->name)[0] == '\0') {
        respond_fail(call, 400, "BadRequest", "name must be provided");
        return false;
    }
    return write_check_identity(&patch->op) && write_check_fields(&patch->op, patch->op.object);
}

void write_patch(struct call *call)
{
    struct patch_op patch = {.kind = kind_of(call)};

    if (patch.kind == PATCH_UNKNOWN) {
        unsupported(call);
        return;
    }
    patch.force = request_flag(call->request, "force");
    if (!write_begin(&patch.op, call)) {
        write_end(&patch.op);
        return;
    }
    if (patch.force && patch.kind != PATCH_APPLY)
        respond_fail(call, 422, "Invalid",
                     "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be "
                     "specified for non-apply patch");
    else if (parse_patch(call, patch.kind, &patch.op.object) &&
             (patch.kind != PATCH_APPLY || apply_is_fine(&patch)))
        write_run(&patch.op, patch.kind == PATCH_APPLY ? apply_change : patch_change);
    write_end(&patch.op);
}
