#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "../support/client.h"
#include "necoops/auth/auth.h"
#include "necoops/base/fs.h"
#include "necoops/base/json.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

static EVP_PKEY *key;
static char *key_pem;
static char *dir;

static int make_key(void **state)
{
    struct err err = ERR_INIT;
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;

    (void)state;
    key = EVP_RSA_gen(2048);
    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(bio, &data);
    key_pem = xstrndup(data, (size_t)len);
    BIO_free(bio);
    return fs_make_temp_dir("/tmp", "auth-", &dir, &err);
}

static int drop_key(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    EVP_PKEY_free(key);
    free(key_pem);
    if (fs_remove_tree(dir, &err) < 0)
        return -1;
    free(dir);
    return 0;
}

static int set_up(void **state)
{
    *state = xcalloc(1, sizeof(struct client));
    client_start(*state);
    client_setenv(*state, "HOME", dir);
    return 0;
}

static int tear_down(void **state)
{
    client_stop(*state);
    free(*state);
    return 0;
}

/* ---- what tests write ---- */

static char *write_file(const char *name, const char *text, mode_t mode)
{
    autoerr struct err err = ERR_INIT;
    char *path = path_join(dir, name);

    assert_int_equal(fs_write(path, text, strlen(text), mode, &err), 0);
    return path;
}

static cJSON *service_account(struct client *c)
{
    cJSON *json = json_object();
    autofree char *uri = xasprintf("%s/token", c->server.url);

    json_set_str(json, "type", "service_account");
    json_set_str(json, "project_id", "neco-test");
    json_set_str(json, "private_key_id", "kid1");
    json_set_str(json, "private_key", key_pem);
    json_set_str(json, "client_email", "ci@neco-test.iam");
    json_set_str(json, "token_uri", uri);
    return json;
}

static void use_file(struct client *c, const cJSON *json)
{
    autofree char *text = json_print(json);
    autofree char *path = write_file("credential.json", text, 0600);

    client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", path);
}

/* ---- what tests ask ---- */

static int ask_url(struct client *c, struct auth *auth, const char *url, struct buf *value,
                   struct err *err)
{
    const struct http_auth *http = auth_http(auth);

    (void)c;
    buf_reset(value);
    return http->header(http->arg, url, value, err);
}

static void expect_header(struct client *c, struct auth *auth, const char *want)
{
    autobuf struct buf value = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;

    assert_int_equal(ask_url(c, auth, c->server.url, &value, &err), 0);
    assert_string_equal(value.data, want);
}

static void expect_refusal(struct client *c, enum err_code code, const char *part)
{
    autoauth struct auth *auth = NULL;
    autobuf struct buf value = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;

    if (auth_find(c->http, &auth, &err) == 0)
        assert_int_equal(ask_url(c, auth, c->server.url, &value, &err), -1);
    assert_int_equal(err.code, code);
    if (strstr(err_text(&err), part) == NULL)
        assert_string_equal(err_text(&err), part);
}

static char *form_value(const struct client *c, int n, const char *name)
{
    autofree char *start = xasprintf("%s=", name);
    const char *at = strstr(c->server.seen[n].body, start);

    assert_non_null(at);
    at += strlen(start);
    return url_decode(at, strcspn(at, "&"));
}

/* ---- a token in the environment ---- */

static void test_token(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autobuf struct buf value = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;

    client_setenv(c, "GOOGLE_OAUTH_ACCESS_TOKEN", "tok\n");
    client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer tok");
    assert_string_equal(auth_account(auth), "the token in GOOGLE_OAUTH_ACCESS_TOKEN");
    assert_string_equal(auth_source(auth), "token in GOOGLE_OAUTH_ACCESS_TOKEN");
    assert_null(auth_project(auth));
    assert_int_equal(ask_url(c, auth, "https://compute.googleapis.com/x", &value, &err), 0);
    assert_string_equal(value.data, "Bearer tok");
    assert_int_equal(ask_url(c, auth, "http://compute.googleapis.com/x", &value, &err), 0);
    assert_string_equal(value.data, ""); /* not in the clear */
    assert_null(strstr(client_log(c), "tok\n"));
}

static void test_token_cannot_smuggle_headers(void **state)
{
    struct client *c = *state;

    client_setenv(c, "GOOGLE_OAUTH_ACCESS_TOKEN", "tok\r\nX-Evil: 1");
    expect_refusal(c, ERR_DENIED, "the token in GOOGLE_OAUTH_ACCESS_TOKEN: that is no valid token");
}

/* ---- service accounts ---- */

static void verify_jwt(const char *jwt)
{
    const char *dot = strrchr(jwt, '.');
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    autobuf struct buf signature = BUF_INIT(BUF_SMALL);

    assert_int_equal(base64_decode(dot + 1, strlen(dot + 1), &signature), 0);
    assert_null(strpbrk(jwt, "=+/"));
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, (unsigned char *)signature.data, signature.len,
                                      (const unsigned char *)jwt, (size_t)(dot - jwt)),
                     1);
    EVP_MD_CTX_free(context);
}

static cJSON *jwt_part(const char *jwt, int n)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;
    cJSON *json = NULL;

    for (; n > 0; n--)
        jwt = strchr(jwt, '.') + 1;
    assert_int_equal(base64_decode(jwt, strcspn(jwt, "."), &text), 0);
    assert_int_equal(json_parse(text.data, text.len, "jwt", &json, &err), 0);
    return json;
}

static void expect_claims(const cJSON *claims)
{
    int64_t iat = 0;
    int64_t exp = 0;

    assert_string_equal(json_str(claims, "iss"), "ci@neco-test.iam");
    assert_string_equal(json_str(claims, "aud"), "https://oauth2.googleapis.com/token");
    assert_string_equal(json_str(claims, "scope"),
                        "https://www.googleapis.com/auth/cloud-platform");
    assert_true(json_i64(claims, "iat", &iat) && json_i64(claims, "exp", &exp));
    assert_int_equal(exp - iat, 3600);
    assert_true(llabs((long long)iat - (long long)time(NULL)) < 10);
}

static void test_service_account(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);
    autojson cJSON *header = NULL;
    autojson cJSON *claims = NULL;
    autofree char *jwt = NULL;
    autofree char *grant = NULL;

    use_file(c, json);
    client_answer(c, 200,
                  "{\"access_token\":\"t1\",\"expires_in\":3599,\"token_type\":\"Bearer\"}");
    client_answer(c, 200,
                  "{\"access_token\":\"t2\",\"expires_in\":3599,\"token_type\":\"Bearer\"}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    assert_int_equal(c->server.seen_len, 0); /* fetched when it is needed */
    assert_string_equal(auth_account(auth), "ci@neco-test.iam");
    assert_string_equal(auth_project(auth), "neco-test");
    assert_true(text_starts(auth_source(auth), "service account key '"));
    expect_header(c, auth, "Bearer t1");
    expect_header(c, auth, "Bearer t1"); /* kept */
    assert_int_equal(c->server.seen_len, 1);
    assert_string_equal(server_line(&c->server, 0), "POST /token");
    assert_string_equal(server_header(&c->server, 0, "Content-Type"),
                        "application/x-www-form-urlencoded");
    grant = form_value(c, 0, "grant_type");
    assert_string_equal(grant, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    jwt = form_value(c, 0, "assertion");
    verify_jwt(jwt);
    header = jwt_part(jwt, 0);
    assert_string_equal(json_str(header, "alg"), "RS256");
    assert_string_equal(json_str(header, "kid"), "kid1");
    claims = jwt_part(jwt, 1);
    expect_claims(claims);
    auth_http(auth)->refused(auth_http(auth)->arg);
    expect_header(c, auth, "Bearer t2"); /* fresh after a 401 */
    assert_null(strstr(client_log(c), "assertion=ey"));
    assert_null(strstr(client_log(c), "\"t1\""));
}

struct shifted {
    int64_t ms;
};

static int64_t shifted_mono(void *arg)
{
    return clock_system.mono_ms(NULL) + ((struct shifted *)arg)->ms;
}

static int64_t shifted_wall(void *arg)
{
    return clock_system.wall_ms(NULL) + ((struct shifted *)arg)->ms;
}

static void test_renewed_before_its_end(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);
    struct shifted shifted = {0};
    const struct clock clock = {.wall_ms = shifted_wall, .mono_ms = shifted_mono, .arg = &shifted};

    c->run.clock = &clock;
    use_file(c, json);
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    client_answer(c, 200, "{\"access_token\":\"t2\",\"expires_in\":60}");
    client_answer(c, 200, "{\"access_token\":\"t3\",\"expires_in\":60}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1");
    shifted.ms += (3600 - 225 - 5) * 1000;
    expect_header(c, auth, "Bearer t1");
    shifted.ms += 6 * 1000;
    expect_header(c, auth, "Bearer t2");
    shifted.ms += 25 * 1000; /* a short one is used for half of its life */
    expect_header(c, auth, "Bearer t2");
    shifted.ms += 6 * 1000;
    expect_header(c, auth, "Bearer t3");
}

static void test_google_endpoint_moves(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);

    json_set_str(json, "token_uri", "https://oauth2.googleapis.com/token");
    use_file(c, json);
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1"); /* from NECOOPS_EMULATOR */
}

static void test_no_secret_in_the_clear(void **state)
{
    struct client *c = *state;
    autojson cJSON *json = service_account(c);

    json_set_str(json, "token_uri", "http://token.example/token");
    use_file(c, json);
    expect_refusal(c, ERR_DENIED,
                   "no secret is sent in the clear: the token endpoint at 'token.example:80' is "
                   "neither https nor on this machine");
}

static void test_json_in_variables(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);
    autofree char *text = json_print(json);
    autofree char *encoded = base64_encode(text, strlen(text));

    for (int i = 0; i < 2; i++) {
        autoauth struct auth *auth = NULL;

        strv_clear(&c->environ);
        client_setenv(c, i == 0 ? "GCLOUD_SERVICE_KEY" : "GCLOUD_SERVICE_ACCOUNT",
                      i == 0 ? text : encoded);
        assert_int_equal(auth_find(c->http, &auth, &err), 0);
        assert_string_equal(auth_account(auth), "ci@neco-test.iam");
        assert_string_equal(auth_source(auth), i == 0
                                                   ? "service account key GCLOUD_SERVICE_KEY"
                                                   : "service account key GCLOUD_SERVICE_ACCOUNT");
    }
    strv_clear(&c->environ);
    client_setenv(c, "GCLOUD_SERVICE_ACCOUNT", "me@example.com");
    expect_refusal(c, ERR_DENIED, "GCLOUD_SERVICE_ACCOUNT holds neither the JSON of a credential");
}

/* ---- files that are wrong ---- */

static void test_wrong_files(void **state)
{
    struct client *c = *state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"{", "is not valid JSON; fetch it anew"},
        {"{\"installed\":{}}", "is no credential: it has no 'type'"},
        {"{\"type\":\"gdch_service_account\"}", "is of type 'gdch_service_account', which is not"},
        {"{\"type\":\"service_account\",\"private_key\":\"x\"}", "lacks 'client_email'"},
        {"{\"type\":\"service_account\",\"private_key\":\"x\",\"client_email\":\"e\"}",
         "its 'private_key' is no PEM private key; fetch the key file anew"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"x\"}", "lacks 'client_secret'"},
        {"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\"}",
         "lacks 'credential_source'"},
        {"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"x\"}",
         "names no service account"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *path = write_file("wrong.json", cases[i].text, 0600);

        strv_clear(&c->environ);
        client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", path);
        expect_refusal(c, ERR_DENIED, cases[i].part);
    }
    strv_clear(&c->environ);
    client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json");
    expect_refusal(c, ERR_DENIED, "'/nonexistent/key.json'");
}

static void test_key_for_everyone(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);
    autofree char *text = json_print(json);
    autofree char *path = write_file("open.json", text, 0644);

    chmod(path, 0644);
    client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", path);
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    assert_non_null(strstr(client_log(c), "can be read by everyone on this machine: chmod 600 it"));
}

/* Whose parts hold no secret needs no warning; what it is made of may. */
static void test_which_files_are_secret(void **state)
{
    struct client *c = *state;
    static const struct {
        const char *text;
        bool secret;
    } cases[] = {
        {"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
         "\"credential_source\":{\"file\":\"x\"}}",
         false},
        {"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
         "\"client_secret\":\"hush\",\"credential_source\":{\"file\":\"x\"}}",
         true},
        {"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":"
         "\"https://x/v1/projects/-/serviceAccounts/a@b:generateAccessToken\","
         "\"source_credentials\":{\"type\":\"authorized_user\",\"client_id\":\"i\","
         "\"client_secret\":\"hush\",\"refresh_token\":\"hush\"}}",
         true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autoauth struct auth *auth = NULL;
        autoerr struct err err = ERR_INIT;
        autofree char *name = xasprintf("open-%zu.json", i);
        autofree char *path = write_file(name, cases[i].text, 0644);

        assert_int_equal(chmod(path, 0644), 0);
        strv_clear(&c->environ);
        client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", path);
        assert_int_equal(auth_find(c->http, &auth, &err), 0);
        assert_int_equal(strstr(client_log(c), name) != NULL &&
                             strstr(strstr(client_log(c), name), "chmod 600 it") != NULL,
                         cases[i].secret);
        assert_null(strstr(client_log(c), "hush"));
    }
}

static void test_file_that_may_not_be_read(void **state)
{
    struct client *c = *state;
    autofree char *path = write_file("mine.json", "{}", 0);
    uid_t own = geteuid();

    if (own == 0) /* who may read everything */
        assert_int_equal(seteuid(65534), 0);
    client_setenv(c, "GOOGLE_APPLICATION_CREDENTIALS", path);
    expect_refusal(c, ERR_DENIED,
                   "mine.json': Permission denied (named by GOOGLE_APPLICATION_CREDENTIALS); "
                   "correct that");
    assert_int_equal(seteuid(own), 0);
}

static void test_nothing_found(void **state)
{
    struct client *c = *state;

    expect_refusal(c, ERR_DENIED, "no credentials for the emulator at 'http://127.0.0.1:");
    strv_clear(&c->environ);
    client_setenv(c, "HOME", "/nonexistent");
    expect_refusal(c, ERR_DENIED, "run 'gcloud auth application-default login' or name the key");
}

/* ---- what token endpoints answer ---- */

static void expect_grant_error(struct client *c, int status, const char *headers, const char *body,
                               enum err_code code, const char *part)
{
    autojson cJSON *json = service_account(c);

    use_file(c, json);
    server_add(&c->server, (struct step){.status = status, .headers = headers, .body = body});
    expect_refusal(c, code, part);
}

static void test_refused_grants(void **state)
{
    struct client *c = *state;
    time_t then = time(NULL) - 7200;
    struct tm parts;
    char date[128];

    expect_grant_error(
        c, 400, NULL,
        "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT "
        "Signature.\"}",
        ERR_DENIED,
        "of ci@neco-test.iam is refused (invalid_grant: Invalid JWT Signature.): the "
        "key may have been deleted or replaced; make a new one");
    gmtime_r(&then, &parts);
    strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    expect_grant_error(c, 400, date,
                       "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token "
                       "must be short-lived\"}",
                       ERR_DENIED, "the clock of this machine is 2h");
    expect_grant_error(c, 400, NULL, "{\"error\":\"invalid_scope\"}", ERR_DENIED,
                       "is refused (invalid_scope: no reason given): it may not have the scope "
                       "https://www.googleapis.com/auth/cloud-platform; use another credential");
    expect_grant_error(c, 401, NULL,
                       "{\"error\":\"unauthorized_client\",\"error_description\":\"The given "
                       "credential is rejected by the attribute condition.\"}",
                       ERR_DENIED,
                       "rejected by the attribute condition.): its provider does not admit it");
    expect_grant_error(c, 401, NULL, "{\"error\":\"invalid_client\"}", ERR_DENIED,
                       "is refused (invalid_client: no reason given)");
    expect_grant_error(c, 404, "Content-Type: text/html\r\n", "<html>", ERR_UNREACHABLE,
                       "the token endpoint answered 404 with an HTML page (from 'http://127.0.0.1");
    expect_grant_error(c, 200, NULL, "{}", ERR_PROTOCOL, "the token endpoint answered 200: {}");
    expect_grant_error(c, 200, NULL, "{\"access_token\":\"a b\"}", ERR_DENIED, "no valid token");
}

static void test_passing_errors_are_tried_again(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = service_account(c);

    use_file(c, json);
    client_answer(c, 503, "{}");
    client_answer(c, 400, "{\"error\":\"temporarily_unavailable\"}");
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1");
    assert_int_equal(c->server.seen_len, 3);
}

/* ---- the other kinds ---- */

static void test_authorized_user(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autofree char *config = path_join(dir, "config");
    autofree char *token = NULL;

    assert_int_equal(fs_mkdirs(config, 0700, &err), 0);
    autofree char *path =
        write_file("config/application_default_credentials.json",
                   "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"hush1\","
                   "\"refresh_token\":\"hush/2\",\"quota_project_id\":\"billed\"}",
                   0600);

    assert_true(fs_exists(path));
    client_setenv(c, "CLOUDSDK_CONFIG", config);
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1");
    assert_string_equal(auth_http(auth)->extra, "X-Goog-User-Project: billed");
    assert_string_equal(auth_account(auth), "the user of gcloud");
    token = form_value(c, 0, "refresh_token");
    assert_string_equal(token, "hush/2");
    assert_null(strstr(client_log(c), "hush"));
}

static void test_metadata(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;

    strv_clear(&c->environ);
    client_setenv(c, "GCE_METADATA_HOST", c->server.url + strlen("http://"));
    server_add(&c->server, (struct step){.status = 200,
                                         .headers = "Metadata-Flavor: Google\r\n",
                                         .body = "{\"access_token\":\"t1\",\"expires_in\":600}"});
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    assert_string_equal(auth_source(auth), "metadata server");
    expect_header(c, auth, "Bearer t1");
    assert_string_equal(server_line(&c->server, 0),
                        "GET /computeMetadata/v1/instance/service-accounts/default/token");
    assert_string_equal(server_header(&c->server, 0, "Metadata-Flavor"), "Google");
    server_add(&c->server, (struct step){.status = 200, .body = "{\"access_token\":\"t1\"}"});
    expect_refusal(c, ERR_PROTOCOL, "what answered is no metadata server");
    server_add(&c->server, (struct step){.status = 404, .body = "x"});
    expect_refusal(c, ERR_DENIED, "this instance has no service account");
}

static cJSON *federated(struct client *c, bool impersonating)
{
    cJSON *json = json_object();
    autofree char *url = xasprintf("%s/v1/token", c->server.url);

    json_set_str(json, "type", "external_account");
    json_set_str(json, "audience", "//iam.googleapis.com/projects/1/x");
    json_set_str(json, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
    json_set_str(json, "token_url", url);
    if (impersonating)
        json_set_str(json, "service_account_impersonation_url",
                     "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                     "ci@x.iam:generateAccessToken");
    return json;
}

static void add_impersonation_answer(struct client *c)
{
    static char body[128];

    snprintf(body, sizeof(body), "{\"accessToken\":\"t2\",\"expireTime\":\"%s\"}",
             time_rfc3339(clock_system.wall_ms(NULL) + 3600 * 1000).text);
    client_answer(c, 200, body);
}

static void test_federation_by_file(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = federated(c, true);
    autofree char *path = write_file("oidc", "subject.tok\n", 0600);
    autofree char *subject = NULL;

    json_set_str(json_set_object(json, "credential_source"), "file", path);
    use_file(c, json);
    client_answer(c, 200, "{\"access_token\":\"t1\"}");
    add_impersonation_answer(c);
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    assert_string_equal(auth_account(auth), "ci@x.iam");
    expect_header(c, auth, "Bearer t2");
    assert_string_equal(server_line(&c->server, 0), "POST /v1/token");
    assert_null(server_header(&c->server, 0, "Authorization"));
    subject = form_value(c, 0, "subject_token");
    assert_string_equal(subject, "subject.tok");
    autofree char *again = write_file("oidc", "a.fresh.one\n", 0600);
    auth_http(auth)->refused(auth_http(auth)->arg);
    client_answer(c, 200, "{\"access_token\":\"t1\"}");
    add_impersonation_answer(c);
    expect_header(c, auth, "Bearer t2");
    autofree char *fresh = form_value(c, 2, "subject_token");
    assert_string_equal(fresh, "a.fresh.one"); /* read again for each exchange */
    assert_string_equal(again, path);
    assert_string_equal(server_line(&c->server, 1),
                        "POST /v1/projects/-/serviceAccounts/ci@x.iam:generateAccessToken");
    assert_string_equal(server_header(&c->server, 1, "Authorization"), "Bearer t1");
    assert_string_equal(c->server.seen[1].body,
                        "{\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"],"
                        "\"lifetime\":\"3600s\"}");
}

/* CI's token is read again for each exchange: a job may have got a fresh one. */
static void test_federation_by_variable(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = federated(c, false);
    autofree char *first = NULL;
    autofree char *second = NULL;

    json_set_str(json_set_object(json, "credential_source"), "environment_variable", "CI_OIDC");
    use_file(c, json);
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    client_setenv(c, "CI_OIDC", "one");
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    expect_header(c, auth, "Bearer t1");
    auth_http(auth)->refused(auth_http(auth)->arg);
    first = form_value(c, 0, "subject_token");
    assert_string_equal(first, "one");
    strv_clear(&c->environ);
    client_setenv(c, "CI_OIDC", "two");
    client_setenv(c, "NECOOPS_EMULATOR", c->server.url);
    client_answer(c, 200, "{\"access_token\":\"t2\",\"expires_in\":3600}");
    expect_header(c, auth, "Bearer t2");
    second = form_value(c, 1, "subject_token");
    assert_string_equal(second, "two");
}

static void test_federation_without_the_variable(void **state)
{
    struct client *c = *state;
    autojson cJSON *json = federated(c, false);

    json_set_str(json_set_object(json, "credential_source"), "environment_variable", "CI_OIDC");
    use_file(c, json);
    expect_refusal(c, ERR_DENIED, "the environment variable CI_OIDC is not set");
}

static void test_federation_by_url(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = federated(c, false);
    cJSON *source = json_set_object(json, "credential_source");
    cJSON *format = json_set_object(source, "format");
    autofree char *url = xasprintf("%s/oidc?audience=x", c->server.url);
    autofree char *subject = NULL;

    json_set_str(source, "url", url);
    json_set_str(json_set_object(source, "headers"), "X-Ci", "yes");
    json_set_str(format, "type", "json");
    json_set_str(format, "subject_token_field_name", "value");
    use_file(c, json);
    client_answer(c, 200, "{\"value\":\"subject2\"}");
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1");
    assert_string_equal(server_line(&c->server, 0), "GET /oidc?audience=x");
    assert_string_equal(server_header(&c->server, 0, "X-Ci"), "yes");
    subject = form_value(c, 1, "subject_token");
    assert_string_equal(subject, "subject2");
}

static void test_federation_by_program(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = federated(c, false);
    cJSON *program = json_set_object(json_set_object(json, "credential_source"), "executable");
    autofree char *path = write_file("program",
                                     "#!/bin/sh\n"
                                     "echo \"{\\\"version\\\":1,\\\"success\\\":true,"
                                     "\\\"id_token\\\":\\\"$1:"
                                     "$GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE\\\"}\"\n",
                                     0700);
    autofree char *command = xasprintf("%s arg", path);
    autofree char *subject = NULL;

    json_set_str(program, "command", command);
    use_file(c, json);
    expect_refusal(c, ERR_DENIED,
                   "if that is meant, set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1");
    client_setenv(c, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1");
    client_setenv(c, "PATH", "/usr/bin:/bin");
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    expect_header(c, auth, "Bearer t1");
    subject = form_value(c, 0, "subject_token");
    assert_string_equal(subject, "arg:urn:ietf:params:oauth:token-type:jwt");
}

static void test_federation_failures(void **state)
{
    struct client *c = *state;
    autojson cJSON *json = federated(c, false);
    cJSON *source = json_set_object(json, "credential_source");

    use_file(c, json);
    expect_refusal(c, ERR_DENIED,
                   "has neither 'file', 'url', 'environment_variable' nor "
                   "'executable'");
    json_set_str(source, "file", "/nonexistent/oidc");
    use_file(c, json);
    expect_refusal(c, ERR_DENIED, "no subject token in '/nonexistent/oidc'");
    json_set_str(source, "environment_id", "aws1");
    use_file(c, json);
    expect_refusal(c, ERR_DENIED, "is one for AWS, which is not supported");
}

static void test_impersonated(void **state)
{
    struct client *c = *state;
    autoauth struct auth *auth = NULL;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = json_object();
    cJSON *source = service_account(c);
    autofree char *url =
        xasprintf("%s/v1/projects/-/serviceAccounts/b@x:generateAccessToken", c->server.url);

    json_set_str(json, "type", "impersonated_service_account");
    json_set_str(json, "service_account_impersonation_url", url);
    json_push_str(json_set_array(json, "delegates"), "projects/-/serviceAccounts/mid@x");
    json_set(json, "source_credentials", source);
    use_file(c, json);
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    add_impersonation_answer(c);
    assert_int_equal(auth_find(c->http, &auth, &err), 0);
    assert_string_equal(auth_account(auth), "b@x");
    expect_header(c, auth, "Bearer t2");
    assert_non_null(strstr(c->server.seen[1].body, "mid@x"));
    client_answer(c, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    client_answer(c, 403, "{\"error\":{\"message\":\"No\",\"status\":\"PERMISSION_DENIED\"}}");
    expect_refusal(c, ERR_DENIED,
                   "the token of b@x: permission 'iam.serviceAccounts.getAccessToken' is denied to "
                   "ci@neco-test.iam: No");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_token),
        TEST(test_token_cannot_smuggle_headers),
        TEST(test_service_account),
        TEST(test_renewed_before_its_end),
        TEST(test_google_endpoint_moves),
        TEST(test_no_secret_in_the_clear),
        TEST(test_json_in_variables),
        TEST(test_wrong_files),
        TEST(test_key_for_everyone),
        TEST(test_which_files_are_secret),
        TEST(test_file_that_may_not_be_read),
        TEST(test_nothing_found),
        TEST(test_refused_grants),
        TEST(test_passing_errors_are_tried_again),
        TEST(test_authorized_user),
        TEST(test_metadata),
        TEST(test_federation_by_file),
        TEST(test_federation_by_variable),
        TEST(test_federation_without_the_variable),
        TEST(test_federation_by_url),
        TEST(test_federation_by_program),
        TEST(test_federation_failures),
        TEST(test_impersonated),
    };

    return cmocka_run_group_tests(tests, make_key, drop_key);
}
