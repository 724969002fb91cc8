/* What an error answer means (digest of https://cloud.google.com/apis/design/errors, the v1 form of
 * Compute Engine and Cloud Storage, and RFC 6749 for token endpoints). */
#include "google/internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define MESSAGE_MAX 300

struct envelope {
    cJSON *json;
    char *message; /* one visible line */
    const char *reason;
};

static void envelope_clear(struct envelope *envelope)
{
    cJSON_Delete(envelope->json);
    free_charp(&envelope->message);
}
#define autoenvelope CLEANUP(envelope_clear)

static const char *find_reason(const cJSON *json)
{
    static const char *const paths[] = {"error.errors[0].reason", "error.details[0].reason",
                                        "error.status", "error"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *text = json_str(json, paths[i]);

        if (text != NULL)
            return text;
    }
    return "";
}

static char *visible_message(const cJSON *json)
{
    const char *text = json_str_or(json, "error.message", json_str(json, "error_description"));
    size_t len = text != NULL ? strlen(text) : 0;
    autofree char *visible = NULL;

    if (len == 0)
        return NULL;
    while (len > MESSAGE_MAX || (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80))
        len--; /* at most so much, and not in the middle of a character */
    visible = text_visible(text, len, false);
    return xasprintf("%s%s", visible, text[len] != '\0' ? "…" : "");
}

static void open_envelope(const struct http_response *response, struct envelope *out)
{
    autoerr struct err ignored = ERR_INIT;

    *out = (struct envelope){.reason = ""};
    /* Not JSON is nothing unusual: proxies and front ends answer, too. */
    if (json_parse(response->body.data, response->body.len, "answer", &out->json, &ignored) == 0) {
        out->reason = find_reason(out->json);
        out->message = visible_message(out->json);
    }
    if (out->message == NULL)
        out->message = http_summary(response);
}

bool google_try_again(const struct http_response *response)
{
    autoenvelope struct envelope envelope = {0};

    if (response->status != 403 && response->status != 400)
        return false;
    open_envelope(response, &envelope);
    if (response->status == 400)
        return strcmp(envelope.reason, "resourceNotReady") == 0;
    return strcmp(envelope.reason, "rateLimitExceeded") == 0 ||
           strcmp(envelope.reason, "userRateLimitExceeded") == 0;
}

static bool is_one_of(const char *reason, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(reason, *list) == 0)
            return true;
    }
    return false;
}

/* The token, not the account: Compute Engine's words and reason, then those of Cloud Storage. */
static bool is_scope(const struct envelope *envelope)
{
    const cJSON *detail;

    cJSON_ArrayForEach(detail, json_at(envelope->json, "error.details"))
    {
        if (strcmp(json_str_or(detail, "reason", ""), "ACCESS_TOKEN_SCOPE_INSUFFICIENT") == 0)
            return true;
    }
    return strstr(envelope->message, "insufficient authentication scopes") != NULL ||
           strstr(envelope->message, "scope(s) are not authorized") != NULL;
}

static int forbidden(const struct envelope *envelope, const char *what, const char *permission,
                     const char *account, struct err *err)
{
    static const char *const quota[] = {"quotaExceeded", "dailyLimitExceeded", "RESOURCE_EXHAUSTED",
                                        NULL};
    static const char *const rate[] = {"rateLimitExceeded", "userRateLimitExceeded",
                                       "RATE_LIMIT_EXCEEDED", NULL};
    static const char *const off[] = {"accessNotConfigured", "SERVICE_DISABLED", NULL};
    const char *who = account != NULL ? account : "a caller without credentials";

    if (is_one_of(envelope->reason, quota))
        return err_set(err, ERR_CAPACITY, "%s: the quota is used up: %s", what, envelope->message);
    if (is_one_of(envelope->reason, rate))
        return err_set(err, ERR_CAPACITY, "%s: too many requests: %s", what, envelope->message);
    if (is_one_of(envelope->reason, off))
        return err_set(err, ERR_DENIED, "%s: the API is not enabled in the project: %s", what,
                       envelope->message);
    if (is_scope(envelope))
        return err_set(err, ERR_DENIED,
                       "%s: %s has too narrow a scope: %s; on an instance set "
                       "instance.serviceAccount.scopes, elsewhere fetch a token with the scope "
                       "https://www.googleapis.com/auth/cloud-platform",
                       what, who, envelope->message);
    if (permission != NULL)
        return err_set(err, ERR_DENIED,
                       "%s: permission '%s' is denied to %s: %s; grant a role that has it", what,
                       permission, who, envelope->message);
    return err_set(err, ERR_DENIED, "%s: denied to %s: %s", what, who, envelope->message);
}

static int refused(const struct envelope *envelope, const char *what, const char *account,
                   struct err *err)
{
    if (account == NULL)
        return err_set(err, ERR_DENIED, "%s: a credential is needed: %s", what, envelope->message);
    return err_set(err, ERR_DENIED,
                   "%s: the credential of %s was refused: %s; it may have expired or been revoked",
                   what, account, envelope->message);
}

static int classify(const struct envelope *envelope, int status, const char *what,
                    const char *permission, const char *account, struct err *err)
{
    static const char *const exists[] = {"alreadyExists", "ALREADY_EXISTS", NULL};
    const char *message = envelope->message;

    switch (status) {
    case 400:
    case 411:
    case 413:
    case 414:
    case 416:
    case 422:
        return err_set(err, ERR_INVALID, "%s: the request is invalid: %s", what, message);
    case 401:
        return refused(envelope, what, account, err);
    case 403:
        return forbidden(envelope, what, permission, account, err);
    case 404:
        return err_set(err, ERR_NOT_FOUND, "%s: not found: %s", what, message);
    case 407:
        return err_set(err, ERR_DENIED, "%s: the proxy wants a password: %s", what, message);
    case 409:
        return err_set(err, is_one_of(envelope->reason, exists) ? ERR_EXISTS : ERR_CONFLICT,
                       "%s: conflict: %s", what, message);
    case 410:
        return err_set(err, ERR_GONE, "%s: gone: %s", what, message);
    case 412:
        return err_set(err, ERR_CONFLICT, "%s: changed by somebody else meanwhile: %s", what,
                       message);
    case 429:
        return err_set(err, ERR_CAPACITY, "%s: too many requests: %s", what, message);
    default:
        break;
    }
    if (status >= 500 || status == 408)
        return err_set(err, ERR_UNREACHABLE, "%s: the service failed (%d): %s", what, status,
                       message);
    if (status < 400)
        return err_set(err, ERR_PROTOCOL, "%s: answered %d, which no such call does", what, status);
    return err_set(err, ERR_FAILED, "%s: refused (%d): %s", what, status, message);
}

bool google_is_api_answer(const struct http_response *response)
{
    autoerr struct err ignored = ERR_INIT;
    autojson cJSON *json = NULL;

    return json_parse(response->body.data, response->body.len, "answer", &json, &ignored) == 0 &&
           cJSON_IsObject(json);
}

/* An HTML page that says 404 comes from something that is not the API: it must not count as "there
 * is no such thing". */
static bool is_stray_page(const struct http_response *response)
{
    const char *type = http_header(response, "Content-Type");
    int status = response->status;

    return (status == 404 || status == 409 || status == 410 || status == 412) && type != NULL &&
           text_starts(type, "text/html") && !google_is_api_answer(response);
}

int google_error(const struct http_response *response, const char *what, const char *permission,
                 const char *account, struct err *err)
{
    autoenvelope struct envelope envelope = {0};

    open_envelope(response, &envelope);
    if (is_stray_page(response))
        err_set(err, ERR_PROTOCOL, "%s: no API there: %s", what, envelope.message);
    else
        classify(&envelope, response->status, what, permission, account, err);
    err->http_status = response->status;
    text_copy(err->reason, sizeof(err->reason), envelope.reason);
    return -1;
}
