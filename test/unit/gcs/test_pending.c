/* Making and deleting objects while other requests are under way. */
#include "gcs_world.h"
#include "necoops/base/digest.h"

static void add(struct world *w, int status, const char *body)
{
    server_add(&w->client.server, (struct step){.status = status, .body = body});
}

/* "hello world" */
#define STORED(size, crc)                                                                          \
    "{\"bucket\":\"b-1\",\"name\":\"p/0\",\"generation\":\"17\",\"size\":\"" size                  \
    "\",\"crc32c\":\"" crc "\"}"
#define RIGHT STORED("11", "yZRlqg==")

/* How a request came out. */
struct outcome {
    int done;
    enum err_code code;
    int64_t generation;
    char words[256];
};

static void on_done(void *arg, struct gcs_object *object, struct err *err)
{
    struct outcome *outcome = arg;

    outcome->done++;
    outcome->code = err->code;
    outcome->generation = object->generation;
    snprintf(outcome->words, sizeof(outcome->words), "%s", err_text(err));
}

static void drive(struct world *w, const struct outcome *outcome)
{
    autoerr struct err err = ERR_INIT;

    while (outcome->done == 0)
        assert_int_equal(http_drive(w->client.http, 1000, -1, "it", &err), 0);
    assert_int_equal(outcome->done, 1);
}

static struct gcs_wanted hello(void)
{
    return (struct gcs_wanted){.bucket = "b-1",
                               .name = "p/0",
                               .content_type = "text/plain",
                               .size = 11,
                               .crc = crc32c(0, "hello world", 11)};
}

static struct outcome put(struct world *w)
{
    struct outcome outcome = {0};
    const struct gcs_done done = {.call = on_done, .arg = &outcome};
    const struct gcs_wanted wanted = hello();

    (void)gcs_put_start(w->gcs, &wanted, "hello world", &done);
    drive(w, &outcome);
    return outcome;
}

static void test_put(void **state)
{
    struct world *w = *state;
    struct outcome outcome;

    add(w, 200, RIGHT);
    outcome = put(w);
    assert_int_equal(outcome.code, ERR_NONE);
    assert_int_equal(outcome.generation, 17);
    assert_string_equal(
        server_line(&w->client.server, 0),
        "POST /upload/storage/v1/b/b-1/o?uploadType=media&name=p%2F0&ifGenerationMatch=0&fields="
        "bucket,name,generation,metageneration,size,crc32c,contentEncoding,contentType,updated"
        "&prettyPrint=false");
    assert_string_equal(server_header(&w->client.server, 0, "X-Goog-Hash"), "crc32c=yZRlqg==");
    assert_string_equal(server_header(&w->client.server, 0, "Content-Type"), "text/plain");
}

static void test_what_is_stored_is_compared(void **state)
{
    struct world *w = *state;
    static const char *const wrong[] = {
        STORED("10", "yZRlqg=="), STORED("11", "AAAAAA=="),
        "{\"bucket\":\"b-1\",\"name\":\"p/0\",\"generation\":\"17\",\"size\":\"11\"}"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct outcome outcome;

        add(w, 200, wrong[i]);
        outcome = put(w);
        assert_int_equal(outcome.code, ERR_PROTOCOL);
        assert_string_equal(outcome.words,
                            "object 'gs://b-1/p/0': what was stored is not what was sent");
    }
}

/* One that is the very same is as good as the one that was to be made. */
static void test_it_is_there_already(void **state)
{
    struct world *w = *state;
    struct outcome outcome;

    add(w, 412, "{\"error\":{\"message\":\"At least one\"}}");
    add(w, 200, RIGHT);
    outcome = put(w);
    assert_int_equal(outcome.code, ERR_NONE);
    assert_int_equal(outcome.generation, 17);
    add(w, 412, "{\"error\":{\"message\":\"At least one\"}}");
    add(w, 200, STORED("11", "AAAAAA=="));
    outcome = put(w);
    assert_int_equal(outcome.code, ERR_CONFLICT);
}

static void test_refused(void **state)
{
    struct world *w = *state;
    struct outcome outcome;

    add(w, 403, "{\"error\":{\"message\":\"No\",\"errors\":[{\"reason\":\"forbidden\"}]}}");
    outcome = put(w);
    assert_int_equal(outcome.code, ERR_DENIED);
    assert_non_null(strstr(outcome.words, "storage.objects.create"));
}

static void test_compose(void **state)
{
    struct world *w = *state;
    struct outcome outcome = {0};
    const struct gcs_done done = {.call = on_done, .arg = &outcome};
    const struct gcs_wanted wanted = hello();
    const struct gcs_source sources[] = {{"p/1", 5}, {"p/2", 6}};

    add(w, 200, RIGHT);
    (void)gcs_compose_start(w->gcs, &wanted, sources, 2, &done);
    drive(w, &outcome);
    assert_int_equal(outcome.code, ERR_NONE);
    assert_non_null(strstr(server_line(&w->client.server, 0),
                           "POST /storage/v1/b/b-1/o/p%2F0/compose?ifGenerationMatch=0"));
    assert_string_equal(w->client.server.seen[0].body,
                        "{\"sourceObjects\":[{\"name\":\"p/1\",\"generation\":\"5\"},"
                        "{\"name\":\"p/2\",\"generation\":\"6\"}],"
                        "\"destination\":{\"contentType\":\"text/plain\"}}");
}

static void test_delete(void **state)
{
    struct world *w = *state;
    static const struct {
        int status;
        enum err_code code;
    } cases[] = {{204, ERR_NONE}, {404, ERR_NONE}, {403, ERR_DENIED}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome outcome = {0};
        const struct gcs_done done = {.call = on_done, .arg = &outcome};

        add(w, cases[i].status, cases[i].status == 204 ? NULL : "{}");
        (void)gcs_delete_start(w->gcs, "b-1", "p/0", 17, &done);
        drive(w, &outcome);
        assert_int_equal(outcome.code, cases[i].code);
    }
    assert_string_equal(server_line(&w->client.server, 0),
                        "DELETE /storage/v1/b/b-1/o/p%2F0?generation=17");
}

static void test_cancelled(void **state)
{
    struct world *w = *state;
    struct outcome outcome = {0};
    const struct gcs_done done = {.call = on_done, .arg = &outcome};
    const struct gcs_wanted wanted = hello();

    gcs_pending_cancel(gcs_put_start(w->gcs, &wanted, "hello world", &done));
    assert_int_equal(http_active(w->client.http), 0);
    assert_int_equal(outcome.done, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_put),
        TEST(test_what_is_stored_is_compared),
        TEST(test_it_is_there_already),
        TEST(test_refused),
        TEST(test_compose),
        TEST(test_delete),
        TEST(test_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
