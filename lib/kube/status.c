/* Kubernetes' Status objects as errors. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

static enum err_code code_of(int status, const char *reason)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return strcmp(reason, "AlreadyExists") == 0 ? ERR_EXISTS : ERR_CONFLICT;
    case 410:
        return ERR_GONE;
    case 412:
        return ERR_CONFLICT;
    case 429:
        return ERR_CAPACITY;
    default:
        if (status >= 500) {
            return ERR_UNREACHABLE;
        }
        return status >= 400 ? ERR_INVALID : ERR_PROTOCOL;
    }
}

int kube_status_error(const cJSON *status, int code, const char *what, struct err *err)
{
    const char *reason = json_str_or(status, "reason", "");
    const char *message = json_str_or(status, "message", "");

    err_set(err, code_of(code, reason), "%s: %s (%d%s%s)", what,
            message[0] ? message : "the API server gave no reason", code, reason[0] ? " " : "",
            reason);
    err->http_status = code;
    text_copy(err->reason, sizeof(err->reason), reason);
    return -1;
}

int kube_error(const struct http_response *response, const char *what, struct err *err)
{
    autoerr struct err ignored = ERR_INIT;
    autojson cJSON *status = NULL;

    if (json_parse(response->body.data, response->body.len, "answer", &status, &ignored) == 0 &&
        strcmp(json_str_or(status, "kind", ""), "Status") == 0) {
        return kube_status_error(status, response->status, what, err);
    }
    const char *type = http_header(response, "Content-Type");
    err_set(err, code_of(response->status, ""),
            "%s: the answer (HTTP %d, %s) is not from a Kubernetes API server; is the server's "
            "address right, or a proxy in between?",
            what, response->status, type ? type : "no type");
    err->http_status = response->status;
    return -1;
}
