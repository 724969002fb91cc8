/* Service account keys: a JWT signed with the key is traded for a token (RFC 7523). */
#include "auth/internal.h"

#define LIFETIME_S 3600
/* The audience is this name, wherever the endpoint is reached. */
#define AUDIENCE "https://oauth2.googleapis.com/token"

static int check(struct credential *credential, struct err *err)
{
    static const char *const keys[] = {"client_email", "private_key", NULL};
    const char *project = json_str(credential->json, "project_id");

    if (credential_need(credential, keys, err) < 0)
        return -1;
    credential->account = xstrdup(json_str(credential->json, "client_email"));
    credential->project = project != NULL ? xstrdup(project) : NULL;
    return 0;
}

static int assertion(const struct credential *credential, const struct run *run, char **out,
                     struct err *err)
{
    autojson cJSON *claims = json_object();
    int64_t now = run_wall_ms(run) / 1000;

    json_set_str(claims, "iss", credential->account);
    json_set_str(claims, "scope", AUTH_SCOPE);
    json_set_str(claims, "aud", AUDIENCE);
    json_set_i64(claims, "iat", now);
    json_set_i64(claims, "exp", now + LIFETIME_S);
    if (jwt_sign(json_str(credential->json, "private_key"),
                 json_str(credential->json, "private_key_id"), claims, out, err) < 0)
        return err_prefix(err, "the service account key %s", credential->origin);
    return 0;
}

static int fetch(struct credential *credential, struct http *http, struct token *out,
                 struct err *err)
{
    autobuf struct buf form = BUF_INIT(BUF_SMALL);
    autofree char *jwt = NULL;
    autofree char *url =
        token_endpoint(http_run(http), json_str(credential->json, "token_uri"), GOOGLE_OAUTH);

    if (assertion(credential, http_run(http), &jwt, err) < 0)
        return -1;
    form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    form_add(&form, "assertion", jwt);
    return oauth_token(credential, http, url, &form, NULL, out, err);
}

const struct credential_kind kind_service_account = {
    .type = "service_account", .words = "service account key", .check = check, .fetch = fetch};
