/* A person's credential, as 'gcloud auth application-default login' leaves it: a refresh token is
 * traded for an access token (RFC 6749, section 6). */
#include "auth/internal.h"

static int check(struct credential *credential, struct err *err)
{
    static const char *const keys[] = {"client_id", "client_secret", "refresh_token", NULL};
    const char *account = json_str(credential->json, "account");
    const char *project = json_str(credential->json, "quota_project_id");

    if (credential_need(credential, keys, err) < 0)
        return -1;
    credential->account =
        xstrdup(account != NULL && account[0] != '\0' ? account : "the user of gcloud");
    credential->project = project != NULL ? xstrdup(project) : NULL;
    return 0;
}

static int fetch(struct credential *credential, struct http *http, struct token *out,
                 struct err *err)
{
    autobuf struct buf form = BUF_INIT(BUF_SMALL);
    autofree char *url =
        token_endpoint(http_run(http), json_str(credential->json, "token_uri"), GOOGLE_OAUTH);

    form_add(&form, "grant_type", "refresh_token");
    form_add(&form, "client_id", json_str(credential->json, "client_id"));
    form_add(&form, "client_secret", json_str(credential->json, "client_secret"));
    form_add(&form, "refresh_token", json_str(credential->json, "refresh_token"));
    return oauth_token(credential, http, url, &form, NULL, out, err);
}

const struct credential_kind kind_authorized_user = {
    .type = "authorized_user", .words = "user credential", .check = check, .fetch = fetch};
