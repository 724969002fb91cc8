/* The token endpoints: JWT bearer and refresh grants, token exchange (STS), impersonation. */
#include "emulator/core/oauth_internal.h"

#include <errno.h>
#include <time.h>
#include "emulator/google/envelope.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define SKEW_S     300
#define LIFETIME_S 3600

static const char *form_value(const struct strv *form, const char *name)
{
    for (size_t i = 0; i + 1 < form->len; i += 2) {
        if (strcmp(form->items[i], name) == 0)
            return form->items[i + 1];
    }
    return NULL;
}

static void refuse(struct answer *answer, int status, const char *error, const char *description)
{
    cJSON *body = json_object();
    json_set_str(body, "error", error);
    json_set_str(body, "error_description", description);
    answer_json(answer, status, body);
}

static void grant(struct oauth *oauth, const char *email, const char *scopes, cJSON *body,
                  struct answer *answer)
{
    autofree char *token = oauth_issue(oauth, email, scopes, LIFETIME_S);
    json_set_str(body, "access_token", token);
    json_set_i64(body, "expires_in", LIFETIME_S - 1);
    json_set_str(body, "token_type", "Bearer");
    answer_header(answer, "Cache-Control: no-cache, no-store, max-age=0, must-revalidate");
    answer_json(answer, 200, body);
}

/* ---- service accounts ---- */

static bool audience_right(struct oauth *oauth, const char *audience)
{
    static const char *const known[] = {"https://oauth2.googleapis.com/token",
                                        "https://www.googleapis.com/oauth2/v4/token"};
    autofree char *own = xasprintf("%s/token", emu_url(oauth->emu));
    const char *port = strrchr(emu_url(oauth->emu), ':');
    autofree char *local = xasprintf("http://localhost%s/token", port);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(audience, known[i]) == 0)
            return true;
    }
    return strcmp(audience, own) == 0 || strcmp(audience, local) == 0;
}

static bool times_right(const cJSON *claims)
{
    int64_t issued = 0, expires = 0, now = (int64_t)time(NULL);
    return json_i64(claims, "iat", &issued) && json_i64(claims, "exp", &expires) &&
           issued <= now + SKEW_S && expires > now - SKEW_S && expires > issued &&
           expires - issued <= LIFETIME_S;
}

static bool account_known(struct oauth *oauth, const char *email)
{
    pthread_mutex_lock(&oauth->lock);
    bool known = account_find(oauth, email) != NULL;
    pthread_mutex_unlock(&oauth->lock);
    return known;
}

static void jwt_bearer(struct oauth *oauth, const struct strv *form, struct answer *answer)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *claims = NULL;
    const char *assertion = form_value(form, "assertion");
    if (assertion == NULL || assertion[0] == '\0') {
        refuse(answer, 400, "invalid_request", "Missing required parameter: assertion");
        return;
    }
    if (jwt_verify(oauth->key, assertion, &claims, &err) < 0) {
        refuse(answer, 400, "invalid_grant",
               err.code == ERR_DENIED ? "Invalid JWT Signature." : "Bad Request");
        return;
    }
    const char *issuer = json_str_or(claims, "iss", "");
    const char *scope = json_str_or(claims, "scope", "");
    if (!account_known(oauth, issuer))
        refuse(answer, 400, "invalid_grant", "Invalid grant: account not found");
    else if (!times_right(claims))
        refuse(answer, 400, "invalid_grant",
               "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
               "timeframe. Check your iat and exp values in the JWT claim.");
    else if (!audience_right(oauth, json_str_or(claims, "aud", "")))
        refuse(answer, 400, "invalid_grant",
               "Invalid JWT: Failed audience check. The right audience is "
               "https://oauth2.googleapis.com/token");
    else if (scope[strspn(scope, " ")] == '\0')
        refuse(answer, 400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.");
    else
        grant(oauth, issuer, scope, json_object(), answer);
}

/* ---- people ---- */

static char *account_of_refresh_token(struct oauth *oauth, const char *text)
{
    char *email = NULL;
    pthread_mutex_lock(&oauth->lock);
    for (struct account *account = oauth->accounts; account != NULL; account = account->next) {
        if (strcmp(account->refresh_token, text) == 0)
            email = xstrdup(account->email);
    }
    pthread_mutex_unlock(&oauth->lock);
    return email;
}

static void refresh(struct oauth *oauth, const struct strv *form, struct answer *answer)
{
    const char *id = form_value(form, "client_id");
    const char *secret = form_value(form, "client_secret");
    const char *token = form_value(form, "refresh_token");
    if (id == NULL || strcmp(id, OAUTH_CLIENT_ID) != 0) {
        refuse(answer, 401, "invalid_client", "The OAuth client was not found.");
        return;
    }
    if (secret == NULL || strcmp(secret, OAUTH_CLIENT_SECRET) != 0) {
        refuse(answer, 401, "invalid_client", "The provided client secret is invalid.");
        return;
    }
    autofree char *email = token != NULL ? account_of_refresh_token(oauth, token) : NULL;
    if (email == NULL) {
        refuse(answer, 400, "invalid_grant", "Bad Request");
        return;
    }
    const char *scope = "https://www.googleapis.com/auth/cloud-platform";
    cJSON *body = json_object();
    json_set_str(body, "scope", scope);
    grant(oauth, email, scope, body, answer);
}

/* ---- workload identity federation ---- */

/* A subject token is one that this run signed for the federation's audience. */
static char *account_of_subject(struct oauth *oauth, const struct strv *form)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *claims = NULL;
    const char *subject = form_value(form, "subject_token");
    const char *audience = form_value(form, "audience");
    int64_t expires = 0;
    if (subject == NULL || audience == NULL || jwt_verify(oauth->key, subject, &claims, &err) < 0 ||
        strcmp(json_str_or(claims, "aud", ""), audience) != 0 ||
        !json_i64(claims, "exp", &expires) || expires < (int64_t)time(NULL))
        return NULL;
    const char *email = json_str(claims, "sub");
    return email != NULL && account_known(oauth, email) ? xstrdup(email) : NULL;
}

static bool jwt_subject_type(const char *type)
{
    return type != NULL && (strcmp(type, "urn:ietf:params:oauth:token-type:jwt") == 0 ||
                            strcmp(type, "urn:ietf:params:oauth:token-type:id_token") == 0);
}

static void token_exchange(struct oauth *oauth, const struct strv *form, struct answer *answer)
{
    const char *requested = form_value(form, "requested_token_type");
    const char *scope = form_value(form, "scope");
    if (requested == NULL ||
        strcmp(requested, "urn:ietf:params:oauth:token-type:access_token") != 0 ||
        !jwt_subject_type(form_value(form, "subject_token_type")) || scope == NULL) {
        refuse(answer, 400, "invalid_request",
               "requested_token_type, subject_token_type and scope are required");
        return;
    }
    autofree char *email = account_of_subject(oauth, form);
    if (email == NULL) {
        refuse(answer, 400, "invalid_grant",
               "The subject token is not a valid token of this provider, or it has expired.");
        return;
    }
    cJSON *body = json_object();
    json_set_str(body, "issued_token_type", requested);
    grant(oauth, email, scope, body, answer);
}

static char *joined_scopes(const cJSON *scopes)
{
    autostrv struct strv list = STRV_INIT;
    const cJSON *scope = NULL;
    cJSON_ArrayForEach(scope, scopes)
    {
        if (cJSON_IsString(scope))
            strv_add(&list, scope->valuestring);
    }
    return strv_join(&list, " ");
}

/* "3600s" up to twelve hours. */
static bool read_lifetime(const char *text, int64_t *seconds)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *seconds = value;
    return errno == 0 && end != text && strcmp(end, "s") == 0 && value > 0 && value <= 43200;
}

/* POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken */
static void impersonate(struct oauth *oauth, const struct request *request, struct answer *answer)
{
    autojson cJSON *body = NULL;
    int64_t lifetime = 0;
    if (!oauth_admits(oauth, request, answer) || google_body(request, answer, &body) < 0)
        return;
    const char *target = request->parts.items[4];
    autofree char *email = xstrndup(target, strcspn(target, ":"));
    if (!account_known(oauth, email)) {
        google_error(answer, 404, "notFound", "Not found; Gaia id not found for email %s", email);
        return;
    }
    if (!oauth_permits(oauth, request, "iam.serviceAccounts.getAccessToken")) {
        google_error(answer, 403, "forbidden",
                     "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it "
                     "may not exist).");
        return;
    }
    autofree char *scopes = joined_scopes(json_at(body, "scope"));
    if (scopes[0] == '\0' || !read_lifetime(json_str_or(body, "lifetime", "3600s"), &lifetime)) {
        google_error(answer, 400, "badRequest", "Request contains an invalid argument.");
        return;
    }
    autofree char *token = oauth_issue(oauth, email, scopes, lifetime);
    cJSON *result = json_object();
    json_set_str(result, "accessToken", token);
    json_set_str(result, "expireTime", time_rfc3339(((int64_t)time(NULL) + lifetime) * 1000).text);
    answer_json(answer, 200, result);
}

/* ---- dispatch ---- */

void oauth_handle(void *service, const struct request *request, struct answer *answer)
{
    struct oauth *oauth = service;
    autostrv struct strv form = STRV_INIT;
    if (!request_is(request, "POST")) {
        answer_text(answer, 404, "text/html; charset=UTF-8", "<title>Error 404</title>\n");
        return;
    }
    if (request->parts.len == 5 && text_ends(request->parts.items[4], ":generateAccessToken")) {
        impersonate(oauth, request, answer);
        return;
    }
    const char *type = request_header(request, "Content-Type");
    if (type == NULL || !text_starts(type, "application/x-www-form-urlencoded") ||
        form_parse(&form, request->body) < 0) {
        refuse(answer, 400, "invalid_request", "the body must be a form");
        return;
    }
    const char *kind = form_value(&form, "grant_type");
    bool exchange = strcmp(request->path, "/v1/token") == 0;
    if (kind == NULL)
        refuse(answer, 400, "invalid_request", "Missing required parameter: grant_type");
    else if (exchange && strcmp(kind, "urn:ietf:params:oauth:grant-type:token-exchange") == 0)
        token_exchange(oauth, &form, answer);
    else if (!exchange && strcmp(kind, "urn:ietf:params:oauth:grant-type:jwt-bearer") == 0)
        jwt_bearer(oauth, &form, answer);
    else if (!exchange && strcmp(kind, "refresh_token") == 0)
        refresh(oauth, &form, answer);
    else
        refuse(answer, 400, "unsupported_grant_type", "Invalid grant_type");
}
