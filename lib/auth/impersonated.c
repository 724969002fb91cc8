/* Service accounts whose tokens somebody else may make (IAM Credentials API). */
#include "auth/internal.h"

#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define GOOGLE_HOST "https://iamcredentials.googleapis.com/"

char *impersonated_account(const char *url)
{
    const char *start = strstr(url, "/serviceAccounts/");
    const char *end = start != NULL ? strstr(start, ":generateAccessToken") : NULL;

    if (end == NULL)
        return NULL;
    start += strlen("/serviceAccounts/");
    return url_decode(start, (size_t)(end - start));
}

/* Google's own may be moved; another one is taken as it is. */
static char *endpoint(const struct run *run, const char *url)
{
    autofree char *base = NULL;

    if (!text_starts(url, GOOGLE_HOST))
        return xstrdup(url);
    base = google_endpoint(run, GOOGLE_IAM);
    return xasprintf("%s/%s", base, url + strlen(GOOGLE_HOST));
}

static char *request_body(const struct credential *credential, int64_t lifetime_s)
{
    autojson cJSON *body = json_object();
    const cJSON *delegates = json_at(credential->json, "delegates");
    autofree char *lifetime = xasprintf("%llds", (long long)lifetime_s);

    if (cJSON_IsArray(delegates))
        json_set(body, "delegates", json_copy(delegates));
    json_push_str(json_set_array(body, "scope"), AUTH_SCOPE);
    json_set_str(body, "lifetime", lifetime);
    return json_print(body);
}

static int read_answer(const struct credential *credential, const struct run *run,
                       const struct http_response *response, struct token *out, struct err *err)
{
    autojson cJSON *json = NULL;
    autofree char *what = xasprintf("the token of %s", credential->account);
    int64_t ends;

    if (response->status != 200)
        return google_error(response, what, "iam.serviceAccounts.getAccessToken",
                            credential->source != NULL ? credential->source->account
                                                       : "the federated identity",
                            err);
    if (json_parse(response->body.data, response->body.len, "token", &json, err) < 0 ||
        json_str(json, "accessToken") == NULL)
        return err_set(err, ERR_PROTOCOL, "%s: the answer has none", what);
    if (time_parse_rfc3339(json_str_or(json, "expireTime", ""), &ends, err) < 0)
        return err_prefix(err, "%s", what);
    out->lifetime_s = (ends - run_wall_ms(run)) / 1000;
    out->value = xstrdup(json_str(json, "accessToken"));
    return 0;
}

int impersonate(struct credential *credential, struct http *http, const char *url,
                const struct token *bearer, int64_t lifetime_s, struct token *out, struct err *err)
{
    autofree char *place = endpoint(http_run(http), url);
    autofree char *body = request_body(credential, lifetime_s);
    autofree char *header = xasprintf("Authorization: Bearer %s", bearer->value);
    const char *const headers[] = {header, NULL};
    autofree char *what = xasprintf("the token of %s", credential->account);
    autoresponse struct http_response response = {0};
    const struct http_request request = {.method = "POST",
                                         .url = place,
                                         .headers = headers,
                                         .body = body,
                                         .body_len = strlen(body),
                                         .content_type = "application/json",
                                         .cap = BUF_SMALL,
                                         .timeout_ms = 30 * 1000,
                                         .retry_ms = 60 * 1000,
                                         .idempotent = true,
                                         .again = google_try_again,
                                         .what = what};

    if (endpoint_is_safe(place, err) < 0)
        return err_prefix(err, "the %s %s", credential->kind->words, credential->origin);
    if (http_perform(http, &request, &response, err) < 0)
        return google_hint(http_run(http), place, err);
    return read_answer(credential, http_run(http), &response, out, err);
}

/* ---- impersonated_service_account: the source is another credential in the same file ---- */

static int check(struct credential *credential, struct err *err)
{
    static const char *const keys[] = {"service_account_impersonation_url", NULL};
    const cJSON *source = json_at(credential->json, "source_credentials");
    autofree char *origin = xasprintf("'source_credentials' of %s", credential->origin);

    if (credential_need(credential, keys, err) < 0)
        return -1;
    credential->account =
        impersonated_account(json_str(credential->json, "service_account_impersonation_url"));
    if (credential->account == NULL)
        return err_set(err, ERR_DENIED,
                       "the credential in %s: its 'service_account_impersonation_url' names no "
                       "service account",
                       credential->origin);
    if (!cJSON_IsObject(source) ||
        strcmp(json_str_or(source, "type", ""), kind_impersonated.type) == 0)
        return err_set(err, ERR_DENIED, "the credential in %s lacks usable 'source_credentials'",
                       credential->origin);
    return credential_from_json(json_copy(source), origin, &credential->source, err);
}

static int fetch(struct credential *credential, struct http *http, struct token *out,
                 struct err *err)
{
    autotoken struct token source = {0};

    if (credential->source->kind->fetch(credential->source, http, &source, err) < 0)
        return -1;
    return impersonate(credential, http,
                       json_str(credential->json, "service_account_impersonation_url"), &source,
                       3600, out, err);
}

const struct credential_kind kind_impersonated = {.type = "impersonated_service_account",
                                                  .words = "impersonating credential",
                                                  .check = check,
                                                  .fetch = fetch};
