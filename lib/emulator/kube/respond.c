/* Answers: Status, objects, and the forms that Accept asks for. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"
#include "emulator/kube/convert.h"

/* ---- Status ---- */

static const char *reason_of(const struct err *err)
{
    if (err->reason[0] != '\0' || err->http_status != 0)
        return err->reason;
    return "InternalError";
}

/* A single fault told in the message only: "… is invalid: FIELD: what". */
static cJSON *causes_of_message(const char *message)
{
    const char *field = strstr(message, " is invalid: ");
    const char *colon = field != NULL ? strstr(field + 13, ": ") : NULL;
    autofree char *name = NULL;
    cJSON *causes;
    cJSON *cause;

    if (colon == NULL || field[13] == '[')
        return NULL;
    name = xstrndup(field + 13, (size_t)(colon - field - 13));
    causes = json_array();
    cause = json_object();
    json_set_str(cause, "reason",
                 text_starts(colon + 2, "Required")    ? "FieldValueRequired"
                 : text_starts(colon + 2, "Forbidden") ? "FieldValueForbidden"
                                                       : "FieldValueInvalid");
    json_set_str(cause, "message", colon + 2);
    json_set_str(cause, "field", name);
    json_push(causes, cause);
    return causes;
}

static cJSON *details_of(const struct call *call)
{
    cJSON *details = json_object();
    bool invalid = strcmp(call->err.reason, "Invalid") == 0;

    if (call->name[0] != '\0')
        json_set_str(details, "name", call->name);
    if (call->group[0] != '\0')
        json_set_str(details, "group", call->group);
    if (call->plural[0] != '\0')
        json_set_str(details, "kind",
                     invalid && call->type != NULL ? call->type->resource.kind : call->plural);
    if (call->causes != NULL) {
        json_set(details, "causes", json_copy(call->causes));
    } else if (invalid) {
        cJSON *causes = causes_of_message(err_text(&call->err));

        if (causes != NULL)
            json_set(details, "causes", causes);
    }
    return details;
}

cJSON *status_of(const struct call *call)
{
    cJSON *status = json_object();
    int code = call->err.http_status != 0 ? call->err.http_status : 500;
    const char *reason = reason_of(&call->err);

    json_set_str(status, "kind", "Status");
    json_set_str(status, "apiVersion", "v1");
    json_set_object(status, "metadata");
    json_set_str(status, "status", "Failure");
    json_set_str(status, "message", err_text(&call->err));
    if (reason[0] != '\0')
        json_set_str(status, "reason", reason);
    if (code != 401)
        json_set(status, "details", details_of(call));
    json_set_i64(status, "code", code);
    return status;
}

static void send(struct call *call, int http_status, cJSON *value)
{
    autofree char *text = json_print(value);

    cJSON_Delete(value);
    call->answer->status = http_status;
    answer_header(call->answer, "Content-Type: application/json");
    answer_header(call->answer, "Cache-Control: no-cache, private");
    buf_adds(&call->answer->body, text);
    buf_addc(&call->answer->body, '\n');
}

void respond_error(struct call *call)
{
    int code = call->err.http_status != 0 ? call->err.http_status : 500;

    if (code == 503 || code == 429)
        answer_header(call->answer, "Retry-After: 1");
    send(call, code, status_of(call));
}

void respond_fail(struct call *call, int http_status, const char *reason, const char *format, ...)
{
    autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    kube_fail(&call->err, http_status, reason, "%s", text);
    respond_error(call);
}

void respond_success(struct call *call, const cJSON *object)
{
    cJSON *status = json_object();
    cJSON *details;

    json_set_str(status, "kind", "Status");
    json_set_str(status, "apiVersion", "v1");
    json_set_object(status, "metadata");
    json_set_str(status, "status", "Success");
    details = json_set_object(status, "details");
    json_set_str(details, "name", json_str(object, "metadata.name"));
    if (call->group[0] != '\0')
        json_set_str(details, "group", call->group);
    json_set_str(details, "kind", call->plural);
    json_set_str(details, "uid", json_str(object, "metadata.uid"));
    send(call, 200, status);
}

/* ---- objects ---- */

const cJSON *view_of(const struct type *type, const struct stored *stored, cJSON **owned)
{
    *owned = NULL;
    if (!convert_needed(type, stored->object))
        return stored->object;
    *owned = convert(type, stored->object);
    return *owned;
}

cJSON *metadata_only(const cJSON *object)
{
    cJSON *partial = json_object();

    json_set_str(partial, "kind", "PartialObjectMetadata");
    json_set_str(partial, "apiVersion", "meta.k8s.io/v1");
    json_set(partial, "metadata", json_copy_object(json_get(object, "metadata")));
    return partial;
}

void respond_object(struct call *call, int http_status, const cJSON *object)
{
    cJSON *value;

    if (call->form == FORM_METADATA) {
        value = metadata_only(object);
    } else if (call->form == FORM_TABLE) {
        value = table_new(call->type, true);
        table_add(value, call->type, object, request_query(call->request, "includeObject"));
        json_set_str(json_need_object(value, "metadata"), "resourceVersion",
                     json_str(object, "metadata.resourceVersion"));
    } else {
        value = json_copy(object);
    }
    send(call, http_status, value);
}

char *print_item(const struct type *type, const cJSON *object)
{
    autojson cJSON *bare = NULL;
    cJSON *item;

    if ((type->flags & TYPE_CUSTOM) != 0)
        return json_print(object);
    bare = json_object();
    cJSON_ArrayForEach(item, object)
    {
        if (strcmp(item->string, "kind") != 0 && strcmp(item->string, "apiVersion") != 0)
            cJSON_AddItemReferenceToObject(bare, item->string, item);
    }
    return json_print(bare);
}

/* ---- Accept ---- */

/* One media range: "application/json;as=Table;v=v1;g=meta.k8s.io". */
static bool accepts(struct call *call, const char *range)
{
    CLEANUP(strv_clear) struct strv parts = STRV_INIT;
    const char *as = "";
    const char *version = "";

    strv_split(&parts, range, ';');
    if (parts.len == 0)
        return false;
    for (size_t i = 1; i < parts.len; i++) {
        const char *part = parts.items[i] + strspn(parts.items[i], " ");

        if (text_starts(part, "as="))
            as = part + 3;
        else if (text_starts(part, "v="))
            version = part + 2;
    }
    if (strcmp(parts.items[0], "application/json") != 0 && strcmp(parts.items[0], "*/*") != 0 &&
        strcmp(parts.items[0], "application/*") != 0)
        return false;
    if (as[0] == '\0') {
        call->form = FORM_OBJECT;
        return true;
    }
    if (strcmp(version, "v1") != 0)
        return false;
    if (strcmp(as, "Table") == 0)
        call->form = FORM_TABLE;
    else if (text_starts(as, "PartialObjectMetadata"))
        call->form = FORM_METADATA;
    else
        return false;
    return true;
}

bool respond_negotiate(struct call *call)
{
    const char *header = request_header(call->request, "Accept");
    CLEANUP(strv_clear) struct strv ranges = STRV_INIT;

    if (header == NULL || header[0] == '\0')
        return true;
    strv_split(&ranges, header, ',');
    for (size_t i = 0; i < ranges.len; i++) {
        if (accepts(call, ranges.items[i] + strspn(ranges.items[i], " ")))
            return true;
    }
    respond_fail(call, 406, "NotAcceptable",
                 "only the following media types are accepted: application/json, "
                 "application/json;as=Table;v=v1;g=meta.k8s.io");
    return false;
}
