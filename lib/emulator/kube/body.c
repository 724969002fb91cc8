/* What comes with a writing request: its body, and the options in its query. */
#include <stdlib.h>
#include <string.h>
#include "necoops/yaml/yaml.h"
#include "emulator/kube/api.h"
#include "emulator/kube/protobuf.h"

static char *content_type(const struct request *request)
{
    const char *header = request_header(request, "Content-Type");

    return header != NULL ? xstrndup(header, strcspn(header, "; ")) : xstrdup("");
}

bool body_parse(struct call *call, cJSON **out)
{
    const struct request *request = call->request;
    autofree char *type = content_type(request);
    autoerr struct err err = ERR_INIT;
    int result;

    if (strcmp(type, "application/json") == 0 || (type[0] == '\0' && request->body_len > 0)) {
        result = json_parse(request->body, request->body_len, "body", out, &err);
    } else if (strcmp(type, "application/yaml") == 0 && request->body_len > 0) {
        result = yaml_parse_one(request->body, request->body_len, "body", out, &err);
    } else if (strcmp(type, "application/vnd.kubernetes.protobuf") == 0) {
        if (protobuf_parse(request->body, request->body_len, out, &call->err) == 0)
            return true;
        respond_error(call);
        return false;
    } else {
        respond_fail(call, 415, "UnsupportedMediaType",
                     "the body of the request was in an unknown format - accepted media types "
                     "include: application/json, application/yaml, "
                     "application/vnd.kubernetes.protobuf");
        return false;
    }
    if (result == 0 && cJSON_IsObject(*out))
        return true;
    if (result == 0) {
        cJSON_Delete(*out);
        *out = NULL;
    }
    respond_fail(call, 400, "BadRequest",
                 "the object provided is unrecognized (must be of type %s): %s",
                 call->type != NULL ? call->type->resource.kind : "Object", err_text(&err));
    return false;
}

#define MANAGER_MAX 128

char *manager_of(const struct request *request)
{
    const char *manager = request_query(request, "fieldManager");
    const char *agent = request_header(request, "User-Agent");
    size_t len;

    if (manager != NULL && manager[0] != '\0')
        return xstrdup(manager);
    if (agent == NULL || agent[0] == '\0')
        return xstrdup("unknown");
    len = strcspn(agent, "/");
    return xstrndup(agent, len > MANAGER_MAX ? MANAGER_MAX : len);
}

static void invalid_option(struct call *call, const char *kind, const char *field,
                           const char *value, const char *detail)
{
    respond_fail(call, 422, "Invalid", "%s.meta.k8s.io \"\" is invalid: %s: %s: \"%s\"%s", kind,
                 field, strcmp(field, "fieldManager") == 0 ? "Invalid value" : "Unsupported value",
                 value, detail);
}

static const char *options_kind(const struct call *call)
{
    if (strcmp(call->verb, "create") == 0)
        return "CreateOptions";
    return strcmp(call->verb, "patch") == 0 ? "PatchOptions" : "UpdateOptions";
}

bool options_check(struct call *call, bool *dry_run)
{
    const char *kind = options_kind(call);
    const char *dry = request_query(call->request, "dryRun");
    const char *manager = request_query(call->request, "fieldManager");
    const char *validation = request_query(call->request, "fieldValidation");

    *dry_run = dry != NULL && dry[0] != '\0';
    if (*dry_run && strcmp(dry, "All") != 0) {
        invalid_option(call, kind, "dryRun", dry, ": supported values: \"All\"");
        return false;
    }
    if (manager != NULL && strlen(manager) > MANAGER_MAX) {
        invalid_option(call, kind, "fieldManager", manager, ": may not be longer than 128");
        return false;
    }
    for (const char *c = manager; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            invalid_option(call, kind, "fieldManager", "",
                           ": should only contain printable characters");
            return false;
        }
    }
    if (validation != NULL && validation[0] != '\0' && strcmp(validation, "Ignore") != 0 &&
        strcmp(validation, "Warn") != 0 && strcmp(validation, "Strict") != 0) {
        invalid_option(call, kind, "fieldValidation", validation,
                       ": supported values: \"Ignore\", \"Strict\", \"Warn\"");
        return false;
    }
    return true;
}
