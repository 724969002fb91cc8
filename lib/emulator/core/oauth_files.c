/* The credential files that clients are given. */
#include "emulator/core/oauth_internal.h"

#include "necoops/base/fs.h"

#define FEDERATION                                                                                 \
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ci/"        \
    "providers/ci"

static cJSON *service_account_key(struct oauth *oauth, const char *email)
{
    cJSON *key = json_object();
    autofree char *pem = signing_key_pem(oauth->key);
    autofree char *token_uri = xasprintf("%s/token", emu_url(oauth->emu));
    json_set_str(key, "type", "service_account");
    json_set_str(key, "project_id", emu_project(oauth->emu));
    json_set_str(key, "private_key_id", oauth->key_id);
    json_set_str(key, "private_key", pem);
    json_set_str(key, "client_email", email);
    json_set_str(key, "client_id", "100000000000000000001");
    json_set_str(key, "auth_uri", "https://accounts.google.com/o/oauth2/auth");
    json_set_str(key, "token_uri", token_uri);
    json_set_str(key, "universe_domain", "googleapis.com");
    return key;
}

static cJSON *user_credentials(struct oauth *oauth, const char *email)
{
    cJSON *file = json_object();
    json_set_str(file, "type", "authorized_user");
    json_set_str(file, "client_id", OAUTH_CLIENT_ID);
    json_set_str(file, "client_secret", OAUTH_CLIENT_SECRET);
    json_set_str(file, "refresh_token", account_get(oauth, email)->refresh_token);
    json_set_str(file, "quota_project_id", emu_project(oauth->emu));
    return file;
}

/* The subject token, which CI would write, stands in PATH.token. */
static int federated_credentials(struct oauth *oauth, const char *email, const char *path,
                                 cJSON **out, struct err *err)
{
    autofree char *token_path = xasprintf("%s.token", path);
    autofree char *token = oauth_identity(oauth, email, FEDERATION, NULL);
    if (token == NULL)
        return err_set(err, ERR_FAILED, "the subject token cannot be signed");
    if (fs_write(token_path, token, strlen(token), 0600, err) < 0)
        return -1;
    autofree char *token_url = xasprintf("%s/v1/token", emu_url(oauth->emu));
    autofree char *impersonation = xasprintf(
        "%s/v1/projects/-/serviceAccounts/%s:generateAccessToken", emu_url(oauth->emu), email);
    cJSON *file = json_object();
    json_set_str(file, "type", "external_account");
    json_set_str(file, "audience", FEDERATION);
    json_set_str(file, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
    json_set_str(file, "token_url", token_url);
    json_set_str(file, "service_account_impersonation_url", impersonation);
    json_set_str(json_set_object(file, "credential_source"), "file", token_path);
    *out = file;
    return 0;
}

static int write_credentials(const cJSON *value, const char *path, struct err *err)
{
    autofree char *text = json_print_pretty(value);
    return fs_write(path, text, strlen(text), 0600, err);
}

int oauth_write_key(struct oauth *oauth, const char *path, struct err *err)
{
    autojson cJSON *key = service_account_key(oauth, oauth->default_account);
    return write_credentials(key, path, err);
}

static int seed_credentials(struct oauth *oauth, const char *email, const cJSON *spec,
                            struct err *err)
{
    autojson cJSON *file = NULL;
    const char *path = json_str(spec, "credentials");
    const char *type = json_str_or(spec, "type", "service_account");
    if (path == NULL)
        return 0;
    if (strcmp(type, "service_account") == 0)
        file = service_account_key(oauth, email);
    else if (strcmp(type, "authorized_user") == 0)
        file = user_credentials(oauth, email);
    else if (strcmp(type, "external_account") != 0)
        return err_set(err, ERR_USAGE, "seed: account '%s': unknown type '%s'", email, type);
    else if (federated_credentials(oauth, email, path, &file, err) < 0)
        return -1;
    return write_credentials(file, path, err);
}

int oauth_seed(struct oauth *oauth, const cJSON *accounts, struct err *err)
{
    const cJSON *spec = NULL, *permission = NULL;
    cJSON_ArrayForEach(spec, accounts)
    {
        const char *email =
            strcmp(spec->string, "default") == 0 ? oauth->default_account : spec->string;
        struct account *account = account_get(oauth, email);
        cJSON_ArrayForEach(permission, json_at(spec, "deny"))
        {
            if (cJSON_IsString(permission))
                strv_add(&account->deny, permission->valuestring);
        }
        if (seed_credentials(oauth, email, spec, err) < 0)
            return -1;
    }
    return 0;
}
