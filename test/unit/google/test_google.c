#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../support/client.h"
#include "necoops/base/text.h"
#include "necoops/google/api.h"

static int set_up(void **state)
{
    *state = xcalloc(1, sizeof(struct client));
    client_start(*state);
    return 0;
}

static int tear_down(void **state)
{
    client_stop(*state);
    free(*state);
    return 0;
}

/* ---- endpoints ---- */

static void expect_endpoint(enum google_service service, const char *variable, const char *want)
{
    const char *const variables[] = {variable, NULL};
    const struct run run = {.clock = &clock_system, .environ = variables};
    autofree char *got = google_endpoint(&run, service);

    assert_string_equal(got, want);
}

static void test_endpoints(void **state)
{
    (void)state;
    expect_endpoint(GOOGLE_COMPUTE, NULL, "https://compute.googleapis.com/compute/v1");
    expect_endpoint(GOOGLE_STORAGE, NULL, "https://storage.googleapis.com");
    expect_endpoint(GOOGLE_OAUTH, NULL, "https://oauth2.googleapis.com/token");
    expect_endpoint(GOOGLE_STS, NULL, "https://sts.googleapis.com/v1/token");
    expect_endpoint(GOOGLE_IAM, NULL, "https://iamcredentials.googleapis.com");
    expect_endpoint(GOOGLE_COMPUTE, "NECOOPS_EMULATOR=http://h:1/", "http://h:1/compute/v1");
    expect_endpoint(GOOGLE_STORAGE, "NECOOPS_EMULATOR=http://h:1", "http://h:1");
    expect_endpoint(GOOGLE_OAUTH, "NECOOPS_EMULATOR=h:1", "http://h:1/token");
    expect_endpoint(GOOGLE_STS, "NECOOPS_EMULATOR=http://h:1", "http://h:1/v1/token");
    expect_endpoint(GOOGLE_IAM, "NECOOPS_EMULATOR=http://h:1", "http://h:1");
    expect_endpoint(GOOGLE_STORAGE, "STORAGE_EMULATOR_HOST=localhost:9", "http://localhost:9");
    expect_endpoint(GOOGLE_STORAGE, "STORAGE_EMULATOR_HOST=https://s:9/", "https://s:9");
    expect_endpoint(GOOGLE_COMPUTE, "NECOOPS_COMPUTE_ENDPOINT=https://c", "https://c/compute/v1");
    expect_endpoint(GOOGLE_COMPUTE, "NECOOPS_COMPUTE_ENDPOINT=https://c/beta/", "https://c/beta");
    expect_endpoint(GOOGLE_OAUTH, "STORAGE_EMULATOR_HOST=localhost:9",
                    "https://oauth2.googleapis.com/token");
}

static void test_own_variable_wins(void **state)
{
    const char *const variables[] = {"NECOOPS_EMULATOR=http://all", "STORAGE_EMULATOR_HOST=own",
                                     "GCE_METADATA_HOST=meta:8", NULL};
    const struct run run = {.clock = &clock_system, .environ = variables};
    autofree char *storage = google_endpoint(&run, GOOGLE_STORAGE);
    autofree char *metadata = google_metadata_url(&run, "instance/id");

    (void)state;
    assert_string_equal(storage, "http://own");
    assert_string_equal(metadata, "http://meta:8/computeMetadata/v1/instance/id");
}

/* ---- errors ---- */

struct row {
    int status;
    const char *body;
    enum err_code code;
    const char *reason;
    const char *text; /* a part of it */
};

#define ENVELOPE(reason, message)                                                                  \
    "{\"error\":{\"code\":1,\"message\":\"" message "\",\"errors\":[{\"reason\":\"" reason "\"}]}" \
    "}"

static const struct row rows[] = {
    {400, ENVELOPE("invalid", "Bad\\u001b[1m field"), ERR_INVALID, "invalid",
     "thing 'x': the request is invalid: Bad\\x1b[1m field"},
    {401, ENVELOPE("authError", "Invalid Credentials"), ERR_DENIED, "authError",
     "thing 'x': the credential of me@x was refused: Invalid Credentials"},
    {403, ENVELOPE("forbidden", "Required"), ERR_DENIED, "forbidden",
     "permission 'compute.instances.get' is denied to me@x: Required; grant a role that has it"},
    {403, ENVELOPE("insufficientPermissions", "Request had insufficient authentication scopes."),
     ERR_DENIED, "insufficientPermissions",
     "thing 'x': me@x has too narrow a scope: Request had insufficient "
     "authentication scopes.; on an instance set instance.serviceAccount.scopes, elsewhere"},
    {403,
     "{\"error\":{\"message\":\"No\",\"details\":[{\"reason\":\"x\"},{\"reason\":"
     "\"ACCESS_TOKEN_SCOPE_INSUFFICIENT\"}]}}",
     ERR_DENIED, "x", "me@x has too narrow a scope: No; "},
    {403, ENVELOPE("forbidden", "Provided scope(s) are not authorized"), ERR_DENIED, "forbidden",
     "me@x has too narrow a scope: Provided scope(s) are not authorized"},
    {403, ENVELOPE("quotaExceeded", "Quota"), ERR_CAPACITY, "quotaExceeded", "quota is used up"},
    {403, ENVELOPE("rateLimitExceeded", "Rate"), ERR_CAPACITY, "rateLimitExceeded",
     "too many requests: Rate"},
    {403, ENVELOPE("accessNotConfigured", "Off"), ERR_DENIED, "accessNotConfigured",
     "the API is not enabled in the project: Off"},
    {404, ENVELOPE("notFound", "The resource"), ERR_NOT_FOUND, "notFound",
     "thing 'x': not found: The resource"},
    {404, "No such object: b/o", ERR_NOT_FOUND, "", "answered 404: No such object: b/o"},
    {409, ENVELOPE("alreadyExists", "There"), ERR_EXISTS, "alreadyExists", "conflict: There"},
    {409, "{\"error\":{\"status\":\"ALREADY_EXISTS\"}}", ERR_EXISTS, "ALREADY_EXISTS", "conflict"},
    {409, ENVELOPE("conflict", "Busy"), ERR_CONFLICT, "conflict", "conflict: Busy"},
    {410, ENVELOPE("gone", "Gone"), ERR_GONE, "gone", "gone: Gone"},
    {412, ENVELOPE("conditionNotMet", "Stale"), ERR_CONFLICT, "conditionNotMet",
     "changed by somebody else meanwhile: Stale"},
    {416, ENVELOPE("requestedRangeNotSatisfiable", "Range"), ERR_INVALID,
     "requestedRangeNotSatisfiable", "Range"},
    {429, ENVELOPE("rateLimitExceeded", "Slow"), ERR_CAPACITY, "rateLimitExceeded",
     "too many requests: Slow"},
    {503, ENVELOPE("backendError", "Oops"), ERR_UNREACHABLE, "backendError",
     "the service failed (503): Oops"},
    {302, "", ERR_PROTOCOL, "", "answered 302"},
    {418, "tea", ERR_FAILED, "", "refused (418): answered 418: tea"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autoresponse struct http_response response = {0};
        autoerr struct err err = ERR_INIT;

        http_response_init(&response, BUF_SMALL);
        response.status = rows[i].status;
        buf_adds(&response.body, rows[i].body);
        assert_int_equal(
            google_error(&response, "thing 'x'", "compute.instances.get", "me@x", &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_int_equal(err.http_status, rows[i].status);
        assert_string_equal(err.reason, rows[i].reason);
        if (strstr(err_text(&err), rows[i].text) == NULL)
            assert_string_equal(err_text(&err), rows[i].text);
    }
}

static void test_stray_page_is_no_404(void **state)
{
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    http_response_init(&response, BUF_SMALL);
    response.status = 404;
    strv_add(&response.headers, "Content-Type: text/html");
    buf_adds(&response.body, "<html><title>nginx</title>");
    google_error(&response, "thing 'x'", NULL, NULL, &err);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_string_equal(err_text(&err),
                        "thing 'x': no API there: answered 404 with an HTML page ('nginx')");
}

static void test_long_message_is_cut(void **state)
{
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    char message[1000];

    (void)state;
    memset(message, 'a', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    http_response_init(&response, BUF_SMALL);
    response.status = 400;
    buf_addf(&response.body, "{\"error\":{\"message\":\"b\xc3\xa9%s\"}}", message);
    google_error(&response, "x", NULL, NULL, &err);
    assert_true(strlen(err_text(&err)) < 350);
    assert_true(text_ends(err_text(&err), "a…"));
}

static void test_try_again(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool again;
    } cases[] = {{403, ENVELOPE("rateLimitExceeded", "x"), true},
                 {403, ENVELOPE("userRateLimitExceeded", "x"), true},
                 {403, ENVELOPE("quotaExceeded", "x"), false},
                 {400, ENVELOPE("resourceNotReady", "x"), true},
                 {400, ENVELOPE("invalid", "x"), false},
                 {404, ENVELOPE("rateLimitExceeded", "x"), false},
                 {403, "<html>", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autoresponse struct http_response response = {0};

        http_response_init(&response, BUF_SMALL);
        response.status = cases[i].status;
        buf_adds(&response.body, cases[i].body);
        assert_int_equal(google_try_again(&response), cases[i].again);
    }
}

/* ---- calls ---- */

static void test_call(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;
    autofree char *url = xasprintf("%s/compute/v1/x?a=b", c->server.url);
    autojson cJSON *body = json_object();
    autojson cJSON *out = NULL;
    const struct google_call call = {.method = "POST", .url = url, .body = body, .what = "thing"};

    json_set_str(body, "k", "v");
    client_answer(c, 200, "{\"id\":\"12345678901234567890\"}");
    assert_int_equal(google_call(c->http, NULL, &call, &out, &err), 0);
    assert_string_equal(json_str(out, "id"), "12345678901234567890");
    assert_string_equal(server_line(&c->server, 0), "POST /compute/v1/x?a=b&prettyPrint=false");
    assert_string_equal(c->server.seen[0].body, "{\"k\":\"v\"}");
    assert_string_equal(server_header(&c->server, 0, "Content-Type"), "application/json");
    assert_null(server_header(&c->server, 0, "Authorization"));
}

static void test_call_without_body(void **state)
{
    struct client *c = *state;
    autofree char *url = xasprintf("%s/x", c->server.url);
    autoerr struct err err = ERR_INIT;
    const struct google_call call = {.method = "DELETE", .url = url, .what = "thing"};

    server_add(&c->server, (struct step){.status = 204});
    assert_int_equal(google_call(c->http, NULL, &call, NULL, &err), 0);
    assert_null(server_header(&c->server, 0, "Content-Type"));
}

static void test_call_tries_rate_limits_again(void **state)
{
    struct client *c = *state;
    autofree char *url = xasprintf("%s/x", c->server.url);
    autoerr struct err err = ERR_INIT;
    const struct google_call call = {.method = "POST", .url = url, .what = "thing"};

    client_answer(c, 403, ENVELOPE("rateLimitExceeded", "x"));
    client_answer(c, 200, "{}");
    assert_int_equal(google_call(c->http, NULL, &call, NULL, &err), 0);
    assert_int_equal(c->server.seen_len, 2);
}

static void expect_call_error(struct client *c, int status, const char *type, const char *body,
                              enum err_code code, const char *want)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *out = NULL;
    autofree char *header = xasprintf("Content-Type: %s\r\n", type);
    autofree char *text = NULL;
    autofree char *url = xasprintf("%s/x", c->server.url);
    const struct google_call call = {.method = "POST", .url = url, .what = "thing"};

    server_add(&c->server, (struct step){.status = status, .headers = header, .body = body});
    assert_int_equal(google_call(c->http, NULL, &call, &out, &err), -1);
    assert_int_equal(err.code, code);
    text = xasprintf(want, c->server.url);
    assert_string_equal(err_text(&err), text);
}

static void test_what_is_no_api(void **state)
{
    struct client *c = *state;

    expect_call_error(c, 200, "text/html", "<html><title>Hi</title>", ERR_PROTOCOL,
                      "thing: no JSON object: answered 200 with an HTML page ('Hi') (from '%s'); "
                      "check NECOOPS_EMULATOR");
    expect_call_error(
        c, 200, "application/json", "[]", ERR_PROTOCOL,
        "thing: no JSON object: answered 200: [] (from '%s'); check NECOOPS_EMULATOR");
    expect_call_error(c, 502, "text/html", "<html>", ERR_UNREACHABLE,
                      "thing: the service failed (502): answered 502 with an HTML page (from "
                      "'%s'); check NECOOPS_EMULATOR");
    expect_call_error(c, 404, "text/html", "<html>", ERR_PROTOCOL,
                      "thing: no API there: answered 404 with an HTML page (from '%s'); check "
                      "NECOOPS_EMULATOR");
}

static void test_refused_names_the_variable(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;
    struct strv before = c->environ;
    const struct google_call call = {
        .method = "POST", .url = "http://127.0.0.1:1/compute/v1/x", .what = "thing"};

    c->environ = (struct strv)STRV_INIT;
    client_setenv(c, "NECOOPS_EMULATOR", "http://127.0.0.1:1");
    assert_int_equal(google_call(c->http, NULL, &call, NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_string_equal(err_text(&err), "thing: cannot connect to 'http://127.0.0.1:1': connection "
                                        "refused; check NECOOPS_EMULATOR");
    strv_clear(&before);
}

static void test_nonsense_endpoint(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;
    struct strv before = c->environ;
    const struct google_call call = {
        .method = "GET", .url = "ftp://x/compute/v1/x", .what = "thing"};

    c->environ = (struct strv)STRV_INIT;
    client_setenv(c, "NECOOPS_EMULATOR", "ftp://x");
    assert_int_equal(google_call(c->http, NULL, &call, NULL, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err_text(&err), "is no http or https URL; check NECOOPS_EMULATOR"));
    strv_clear(&before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_own_variable_wins),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_stray_page_is_no_404),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_try_again),
        TEST(test_call),
        TEST(test_call_without_body),
        TEST(test_call_tries_rate_limits_again),
        TEST(test_what_is_no_api),
        TEST(test_refused_names_the_variable),
        TEST(test_nonsense_endpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
