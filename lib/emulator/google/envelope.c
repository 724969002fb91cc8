/* See envelope.h. */
#include "emulator/google/envelope.h"

#include <strings.h>
#include "emulator/google/fields.h"

static const char *status_word(int status)
{
    switch (status) {
    case 400:
        return "INVALID_ARGUMENT";
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 409:
        return "ALREADY_EXISTS";
    case 412:
        return "FAILED_PRECONDITION";
    case 429:
        return "RESOURCE_EXHAUSTED";
    default:
        return NULL;
    }
}

int google_error(struct answer *answer, int status, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *message = xvasprintf(format, args);
    va_end(args);
    cJSON *envelope = json_object();
    cJSON *error = json_set_object(envelope, "error");
    json_set_i64(error, "code", status);
    json_set_str(error, "message", message);
    cJSON *item = json_object();
    json_set_str(item, "message", message);
    json_set_str(item, "domain", "global");
    json_set_str(item, "reason", reason);
    json_push(json_set_array(error, "errors"), item);
    json_set_str(error, "status", status_word(status));
    answer_json(answer, status, envelope);
    return -1;
}

static bool is_json_type(const char *type)
{
    return type != NULL && strncasecmp(type, "application/json", 16) == 0 &&
           (type[16] == '\0' || type[16] == ';' || type[16] == ' ');
}

int google_body(const struct request *request, struct answer *answer, cJSON **out)
{
    autoerr struct err err = ERR_INIT;
    cJSON *body = NULL;
    if (request->body_len == 0) {
        *out = json_object();
        return 0;
    }
    const char *type = request_header(request, "Content-Type");
    if (!is_json_type(type))
        return google_error(answer, 415, "unsupportedMediaType",
                            "Unsupported content with type: %s", type != NULL ? type : "");
    if (json_parse(request->body, request->body_len, "body", &body, &err) < 0)
        return google_error(answer, 400, "parseError",
                            "Invalid JSON payload received. Parse Error: %s", err_text(&err));
    if (!cJSON_IsObject(body)) {
        cJSON_Delete(body);
        return google_error(answer, 400, "parseError",
                            "Invalid JSON payload received. Root element must be a message.");
    }
    *out = body;
    return 0;
}

void google_answer(const struct request *request, struct answer *answer, cJSON *value)
{
    autoerr struct err err = ERR_INIT;
    autofields struct fields *fields = NULL;
    const char *text = request_query(request, "fields");
    if (text != NULL && text[0] != '\0' && fields_parse(text, &fields, &err) < 0) {
        cJSON_Delete(value);
        google_error(answer, 400, "invalidParameter", "%s", err_text(&err));
        return;
    }
    fields_apply(fields, value);
    answer_json(answer, 200, value);
}
