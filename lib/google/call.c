/* One JSON call. */
#include "google/internal.h"

#include <string.h>
#include "necoops/auth/auth.h"

static int read_answer(const struct google_call *call, const struct http_response *response,
                       cJSON **out, struct err *err)
{
    autojson cJSON *json = NULL;

    if (json_parse(response->body.data, response->body.len, "answer", &json, err) < 0 ||
        !cJSON_IsObject(json)) {
        autofree char *summary = http_summary(response);

        return err_set(err, ERR_PROTOCOL, "%s: no JSON object: %s", call->what, summary);
    }
    *out = steal(json);
    return 0;
}

int google_call(struct http *http, struct auth *auth, const struct google_call *call, cJSON **out,
                struct err *err)
{
    autoresponse struct http_response response = {0};
    autofree char *url =
        xasprintf("%s%sprettyPrint=false", call->url, strchr(call->url, '?') != NULL ? "&" : "?");
    autofree char *body = call->body != NULL ? json_print(call->body) : NULL;
    const struct http_request request = {
        .method = call->method,
        .url = url,
        .body = body,
        .body_len = body != NULL ? strlen(body) : 0,
        .content_type = body != NULL ? "application/json" : NULL,
        .cap = call->cap,
        .timeout_ms = call->timeout_ms,
        .retry_ms = call->retry_ms,
        .secret = call->secret,
        .stall_ms = call->timeout_ms > 0 ? -1 : 0, /* who waits long waits in silence */
        .idempotent = call->idempotent,
        .again = google_try_again,
        .auth = auth != NULL ? auth_http(auth) : NULL,
        .what = call->what,
    };

    if (http_perform(http, &request, &response, err) < 0)
        return google_hint(http_run(http), call->url, err);
    if (response.status < 200 || response.status > 299) {
        google_error(&response, call->what, call->permission,
                     auth != NULL ? auth_account(auth) : NULL, err);
        return google_is_api_answer(&response) ? -1 : google_hint(http_run(http), call->url, err);
    }
    if (out == NULL)
        return 0;
    if (read_answer(call, &response, out, err) < 0)
        return google_hint(http_run(http), call->url, err);
    return 0;
}
