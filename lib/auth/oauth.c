/* Token endpoints: RFC 6749, RFC 7523, RFC 8693. */
#include "auth/internal.h"

#include <curl/curl.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define SKEW_MS (60 * 1000)

int endpoint_is_safe(const char *url, struct err *err)
{
    struct url_parts parts;

    if (!url_split(url, &parts))
        return err_set(err, ERR_DENIED, "its token endpoint '%.100s' is no https URL", url);
    if (strcmp(parts.scheme, "https") != 0 && !host_is_loopback(parts.host))
        return err_set(err, ERR_DENIED,
                       "no secret is sent in the clear: the token endpoint at '%s:%d' is neither "
                       "https nor on this machine",
                       parts.host, parts.port);
    return 0;
}

char *token_endpoint(const struct run *run, const char *named, enum google_service service)
{
    struct url_parts parts;

    if (named == NULL || (url_split(named, &parts) && strcmp(parts.scheme, "https") == 0 &&
                          text_ends(parts.host, ".googleapis.com")))
        return google_endpoint(run, service);
    return xstrdup(named);
}

void form_add(struct buf *form, const char *name, const char *value)
{
    autofree char *encoded = url_encode(value);

    buf_addf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, encoded);
}

static cJSON *error_body(const struct http_response *response)
{
    autoerr struct err ignored = ERR_INIT;
    cJSON *json = NULL;

    (void)!json_parse(response->body.data, response->body.len, "answer", &json, &ignored);
    return json;
}

/* Errors of RFC 6749 that pass, whatever the HTTP status. */
static bool try_again(const struct http_response *response)
{
    static const char *const passing[] = {"internal_failure", "server_error",
                                          "temporarily_unavailable"};
    autojson cJSON *json = error_body(response);

    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        if (strcmp(json_str_or(json, "error", ""), passing[i]) == 0 ||
            strcmp(json_str_or(json, "error_description", ""), passing[i]) == 0)
            return true;
    }
    return false;
}

/* How far this machine's clock is ahead of the server's, by its Date header; 0: it says nothing. */
static int64_t clock_ahead_ms(const struct run *run, const struct http_response *response)
{
    const char *date = http_header(response, "Date");
    time_t then = date != NULL ? curl_getdate(date, NULL) : -1;

    return then < 0 ? 0 : run_wall_ms(run) - (int64_t)then * 1000;
}

/* What to do about a refusal for a reason other than the grant itself; NULL: nothing is known. */
static char *way_out_of(const char *error)
{
    if (strcmp(error, "invalid_scope") == 0)
        return xstrdup("it may not have the scope " AUTH_SCOPE
                       "; use another credential, or log in "
                       "with that scope");
    if (strcmp(error, "unauthorized_client") == 0)
        return xstrdup("its provider does not admit it; look at the provider's conditions, and at "
                       "what the account may be used for");
    return NULL;
}

/* What to do about an invalid_grant. */
static char *way_out(const struct run *run, const struct credential *credential,
                     const struct http_response *response)
{
    int64_t ahead = clock_ahead_ms(run, response);

    if (ahead > SKEW_MS || ahead < -SKEW_MS)
        return xasprintf("the clock of this machine is %s %s; set it",
                         duration_format(ahead > 0 ? ahead : -ahead).text,
                         ahead > 0 ? "fast" : "slow");
    if (credential->kind == &kind_service_account)
        return xstrdup("the key may have been deleted or replaced; make a new one");
    if (credential->kind == &kind_authorized_user)
        return xstrdup(
            "it has expired or was revoked; run 'gcloud auth application-default login'");
    return xstrdup("its subject token may have expired, or is not meant for this provider");
}

static int refused(const struct run *run, const struct credential *credential, const char *url,
                   const struct http_response *response, struct err *err)
{
    autojson cJSON *json = error_body(response);
    const char *error = json_str(json, "error");
    autofree char *summary = http_summary(response);
    autofree char *words = NULL;
    autofree char *way = NULL;

    if (response->status >= 500 || response->status == 429 || error == NULL) {
        err_set(err, response->status == 429 ? ERR_CAPACITY : ERR_UNREACHABLE,
                "no token for %s: the token endpoint %s", credential->account, summary);
        err->http_status = response->status;
        return error == NULL ? google_hint(run, url, err) : -1;
    }
    words = xasprintf("%s: %s", error, json_str_or(json, "error_description", "no reason given"));
    autofree char *visible = text_visible(words, strnlen(words, 300), false);

    if (strcmp(error, "invalid_grant") == 0)
        way = way_out(run, credential, response);
    else
        way = way_out_of(error);
    err_set(err, ERR_DENIED, "the %s %s of %s is refused (%s)%s%s", credential->kind->words,
            credential->origin, credential->account, visible, way != NULL ? ": " : "",
            way != NULL ? way : "");
    err->http_status = response->status;
    text_copy(err->reason, sizeof(err->reason), error);
    return -1;
}

static int read_token(const struct credential *credential, const struct http_response *response,
                      struct token *out, struct err *err)
{
    autojson cJSON *json = error_body(response);
    const char *value = json_str(json, "access_token");

    if (value == NULL) {
        autofree char *summary = http_summary(response);

        return err_set(err, ERR_PROTOCOL, "no token for %s: the token endpoint %s",
                       credential->account, summary);
    }
    if (!json_i64(json, "expires_in", &out->lifetime_s) || out->lifetime_s <= 0)
        out->lifetime_s = 3600; /* STS may leave it out */
    out->value = xstrdup(value);
    return 0;
}

static int perform(struct credential *credential, struct http *http, const char *url,
                   const struct buf *form, const char *basic, struct token *out, struct err *err)
{
    autofree char *what = xasprintf("the token of %s", credential->account);
    autofree char *encoded = basic != NULL ? base64_encode(basic, strlen(basic)) : NULL;
    autofree char *header = encoded != NULL ? xasprintf("Authorization: Basic %s", encoded) : NULL;
    const char *const headers[] = {header, NULL};
    autoresponse struct http_response response = {0};
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .body = form->data,
                                         .body_len = form->len,
                                         .content_type = "application/x-www-form-urlencoded",
                                         .cap = BUF_SMALL,
                                         .timeout_ms = 30 * 1000,
                                         .retry_ms = 60 * 1000,
                                         .idempotent = true,
                                         .again = try_again,
                                         .what = what};

    if (http_perform(http, &request, &response, err) < 0)
        return google_hint(http_run(http), url, err);
    if (response.status != 200)
        return refused(http_run(http), credential, url, &response, err);
    if (read_token(credential, &response, out, err) < 0)
        return google_hint(http_run(http), url, err);
    return 0;
}

int oauth_token(struct credential *credential, struct http *http, const char *url,
                const struct buf *form, const char *basic, struct token *out, struct err *err)
{
    if (endpoint_is_safe(url, err) < 0)
        return err_prefix(err, "the %s %s", credential->kind->words, credential->origin);
    if (form->overflowed)
        return err_set(err, ERR_DENIED, "the %s %s is too long", credential->kind->words,
                       credential->origin);
    return perform(credential, http, url, form, basic, out, err);
}
