/* Workload identity federation: a token of another identity provider (CircleCI, GitHub, …) is
 * traded at the security token service (RFC 8693), and mostly once more for a service account's. */
#include "auth/internal.h"

static int check(struct credential *credential, struct err *err)
{
    static const char *const keys[] = {"audience", "subject_token_type", NULL};
    const char *url = json_str(credential->json, "service_account_impersonation_url");

    if (credential_need(credential, keys, err) < 0)
        return -1;
    if (!cJSON_IsObject(json_at(credential->json, "credential_source")))
        return err_set(err, ERR_DENIED, "the credential in %s lacks 'credential_source'",
                       credential->origin);
    if (url != NULL)
        credential->account = impersonated_account(url);
    if (credential->account == NULL)
        credential->account = xstrdup(json_str(credential->json, "audience"));
    return 0;
}

static void add_user_project(const struct credential *credential, struct buf *form)
{
    const char *project = json_str(credential->json, "workforce_pool_user_project");
    autojson cJSON *options = NULL;
    autofree char *text = NULL;

    if (project == NULL || json_str(credential->json, "client_id") != NULL)
        return;
    options = json_object();
    json_set_str(options, "userProject", project);
    text = json_print(options);
    form_add(form, "options", text);
}

static int exchange(struct credential *credential, struct http *http, struct token *out,
                    struct err *err)
{
    autobuf struct buf form = BUF_INIT(2 * BUF_SMALL);
    autofree char *subject = NULL;
    autofree char *url =
        token_endpoint(http_run(http), json_str(credential->json, "token_url"), GOOGLE_STS);
    const char *id = json_str(credential->json, "client_id");
    autofree char *basic =
        id != NULL ? xasprintf("%s:%s", id, json_str_or(credential->json, "client_secret", ""))
                   : NULL;

    if (subject_token(credential, http, &subject, err) < 0)
        return -1;
    form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    form_add(&form, "audience", json_str(credential->json, "audience"));
    form_add(&form, "scope", AUTH_SCOPE);
    form_add(&form, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    form_add(&form, "subject_token", subject);
    form_add(&form, "subject_token_type", json_str(credential->json, "subject_token_type"));
    add_user_project(credential, &form);
    return oauth_token(credential, http, url, &form, basic, out, err);
}

static int fetch(struct credential *credential, struct http *http, struct token *out,
                 struct err *err)
{
    const char *url = json_str(credential->json, "service_account_impersonation_url");
    autotoken struct token federated = {0};
    int64_t lifetime = 3600;

    if (url == NULL)
        return exchange(credential, http, out, err);
    (void)json_i64(credential->json, "service_account_impersonation.token_lifetime_seconds",
                   &lifetime);
    if (exchange(credential, http, &federated, err) < 0)
        return -1;
    return impersonate(credential, http, url, &federated, lifetime, out, err);
}

const struct credential_kind kind_external_account = {
    .type = "external_account", .words = "federated credential", .check = check, .fetch = fetch};
