#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../support/client.h"
#include "necoops/gce/metadata.h"

static int set_up(void **state)
{
    struct client *c = xcalloc(1, sizeof(*c));

    client_start(c);
    client_setenv(c, "GCE_METADATA_HOST", c->server.url + strlen("http://"));
    client_setenv(c, "http_proxy", "http://127.0.0.1:1"); /* never for this server */
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    client_stop(*state);
    free(*state);
    return 0;
}

static void add(struct client *c, int status, const char *body)
{
    server_add(
        &c->server,
        (struct step){.status = status, .headers = "Metadata-Flavor: Google\r\n", .body = body});
}

static void test_present(void **state)
{
    struct client *c = *state;

    add(c, 200, "instance/\n");
    assert_true(metadata_present(c->http));
    assert_string_equal(server_line(&c->server, 0), "GET /computeMetadata/v1/");
    server_add(&c->server, (struct step){.status = 200, .body = "hello"});
    assert_false(metadata_present(c->http)); /* something else */
    add(c, 503, NULL);
    assert_false(metadata_present(c->http));
    assert_int_equal(c->server.seen_len, 3);
}

static void test_get(void **state)
{
    struct client *c = *state;
    autofree char *value = NULL;
    char *none = NULL;
    autoerr struct err err = ERR_INIT;

    add(c, 200, "1234");
    assert_int_equal(metadata_get(c->http, "instance/id", &value, &err), 0);
    assert_string_equal(value, "1234");
    assert_string_equal(server_line(&c->server, 0), "GET /computeMetadata/v1/instance/id");
    assert_string_equal(server_header(&c->server, 0, "Metadata-Flavor"), "Google");
    add(c, 404, "x");
    assert_int_equal(metadata_get(c->http, "instance/attributes/x", &none, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "metadata 'instance/attributes/x': there is none");
    server_add(&c->server, (struct step){.status = 200, .body = "1234"});
    assert_int_equal(metadata_get(c->http, "instance/id", &none, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_non_null(
        strstr(err_text(&err), "what answered is no metadata server (from 'http://127"));
    assert_non_null(strstr(err_text(&err), "check GCE_METADATA_HOST"));
    assert_null(none);
}

static void test_put(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;

    add(c, 200, NULL);
    add(c, 200, "value");
    assert_int_equal(metadata_put_guest_attribute(c->http, "necoops", "phase", "value", &err), 0);
    assert_string_equal(server_line(&c->server, 0),
                        "PUT /computeMetadata/v1/instance/guest-attributes/necoops/phase");
    assert_string_equal(c->server.seen[0].body, "value");
    assert_string_equal(server_header(&c->server, 0, "Metadata-Flavor"), "Google");
    assert_string_equal(server_line(&c->server, 1),
                        "GET /computeMetadata/v1/instance/guest-attributes/necoops/phase");
}

static void test_put_that_is_dropped(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;

    add(c, 200, NULL);
    add(c, 404, NULL); /* dropped */
    add(c, 200, NULL);
    add(c, 200, "value");
    assert_int_equal(metadata_put_guest_attribute(c->http, "necoops", "phase", "value", &err), 0);
    assert_int_equal(c->server.seen_len, 4);
}

static void test_put_that_is_disabled(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;

    add(c, 403, "Guest attributes endpoint access is disabled.");
    assert_int_equal(metadata_put_guest_attribute(c->http, "necoops", "phase", "value", &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err_text(&err),
                        "guest attribute 'necoops/phase': the metadata server answered 403: Guest "
                        "attributes endpoint access is disabled.; set the instance's metadata "
                        "'enable-guest-attributes' to TRUE");
}

/* Seven requests were made above; three more are free within the minute. */
static void test_pace(void **state)
{
    struct client *c = *state;
    autoerr struct err err = ERR_INIT;
    int64_t start = run_mono_ms(&c->run);

    c->run.deadline = start + 1500;
    for (int i = 0; i < 8; i++)
        add(c, 200, "value");
    assert_int_equal(metadata_put_guest_attribute(c->http, "necoops", "phase", "value", &err), 0);
    assert_int_equal(metadata_put_guest_attribute(c->http, "necoops", "phase", "value", &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_int_equal(c->server.seen_len, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_present),
        TEST(test_get),
        TEST(test_put),
        TEST(test_put_that_is_dropped),
        TEST(test_put_that_is_disabled),
        TEST(test_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
