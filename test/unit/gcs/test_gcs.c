#include "gcs_world.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define FIELDS                                                                                     \
    "bucket,name,generation,metageneration,size,crc32c,contentEncoding,contentType,updated"
/* "hello world" */
#define OBJECT                                                                                     \
    "{\"bucket\":\"b-1\",\"name\":\"d/a b\",\"generation\":\"17\",\"metageneration\":\"2\","       \
    "\"size\":\"11\",\"crc32c\":\"yZRlqg==\",\"contentType\":\"text/plain\","                      \
    "\"updated\":\"2026-01-02T03:04:05Z\"}"

static void add(struct world *w, int status, const char *headers, const char *body)
{
    server_add(&w->client.server,
               (struct step){.status = status, .headers = headers, .body = body});
}

static const char *line(struct world *w, int n)
{
    return server_line(&w->client.server, n);
}

/* ---- names ---- */

static void test_split_url(void **state)
{
    autofree char *bucket = NULL;
    autofree char *object = NULL;
    autoerr struct err err = ERR_INIT;
    static const char *const bad[] = {"",          "gs://",    "gs://bucket", "gs://bucket/",
                                      "s3://bu/x", "gs://b/x", "gs://BUCK/x", "gs:///x",
                                      "gs://b@d/x"};

    (void)state;
    assert_int_equal(gcs_split_url("gs://neco-snap.x/a/b.tar", &bucket, &object, &err), 0);
    assert_string_equal(bucket, "neco-snap.x");
    assert_string_equal(object, "a/b.tar");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        autofree char *want =
            xasprintf("'%s' is no object of Cloud Storage; gs://BUCKET/OBJECT is", bad[i]);
        char *no_bucket = NULL;
        char *no_object = NULL;

        assert_int_equal(gcs_split_url(bad[i], &no_bucket, &no_object, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err_text(&err), want);
        assert_null(no_bucket);
    }
}

/* ---- metadata ---- */

static void test_stat(void **state)
{
    struct world *w = *state;
    autogcsobject struct gcs_object object = {0};
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_stat(w->gcs, "b-1", "d/a b", 17, &object, &err), 0);
    assert_string_equal(line(w, 0), "GET /storage/v1/b/b-1/o/d%2Fa%20b?fields=" FIELDS
                                    "&generation=17&prettyPrint=false");
    assert_string_equal(object.name, "d/a b");
    assert_int_equal(object.generation, 17);
    assert_int_equal(object.metageneration, 2);
    assert_int_equal(object.size, 11);
    assert_true(object.has_crc32c);
    assert_int_equal(object.crc32c, 0xc99465aa);
    assert_null(object.content_encoding);
    assert_string_equal(object.updated, "2026-01-02T03:04:05Z");
}

static void test_stat_failures(void **state)
{
    struct world *w = *state;
    autogcsobject struct gcs_object object = {0};
    autoerr struct err err = ERR_INIT;

    add(w, 404, NULL, "{\"error\":{\"code\":404,\"message\":\"No such object: b-1/x\"}}");
    assert_int_equal(gcs_stat(w->gcs, "b-1", "x", 0, &object, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "object 'gs://b-1/x': not found: No such object: b-1/x");
    assert_string_equal(line(w, 0),
                        "GET /storage/v1/b/b-1/o/x?fields=" FIELDS "&prettyPrint=false");
    add(w, 403, NULL, "{\"error\":{\"message\":\"Nope\",\"errors\":[{\"reason\":\"forbidden\"}]}}");
    assert_int_equal(gcs_stat(w->gcs, "b-1", "x", 0, &object, &err), -1);
    assert_string_equal(err_text(&err),
                        "object 'gs://b-1/x': permission 'storage.objects.get' is denied to a "
                        "caller without credentials: Nope; grant a role that has it");
    add(w, 200, NULL, "{\"bucket\":\"b\",\"name\":\"x\",\"generation\":\"1\",\"size\":\"-1\"}");
    assert_int_equal(gcs_stat(w->gcs, "b-1", "x", 0, &object, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    add(w, 200, NULL,
        "{\"bucket\":\"b\",\"name\":\"x\",\"generation\":\"1\",\"size\":\"1\",\"crc32c\":\"zz\"}");
    assert_int_equal(gcs_stat(w->gcs, "b-1", "x", 0, &object, &err), -1);
    assert_non_null(strstr(err_text(&err), "crc32c is no checksum"));
    assert_null(object.name);
}

struct names {
    struct strv list;
    size_t stop_at;
};

static int add_name(void *arg, const struct gcs_object *object, struct err *err)
{
    struct names *names = arg;

    strv_add(&names->list, object->name);
    return names->list.len == names->stop_at ? err_set(err, ERR_FAILED, "enough") : 0;
}

static void test_list(void **state)
{
    struct world *w = *state;
    struct names names = {.list = STRV_INIT};
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, "{\"items\":[" OBJECT "],\"nextPageToken\":\"t/1\"}");
    add(w, 200, NULL, "{\"nextPageToken\":\"t2\"}");
    add(w, 200, NULL, "{\"items\":[" OBJECT "]}");
    assert_int_equal(gcs_list(w->gcs, "b-1", "d/", add_name, &names, &err), 0);
    assert_int_equal(names.list.len, 2);
    assert_string_equal(line(w, 0),
                        "GET /storage/v1/b/b-1/o?prefix=d%2F&fields=nextPageToken,items(" FIELDS
                        ")&maxResults=1000&prettyPrint=false");
    assert_non_null(strstr(line(w, 1), "&pageToken=t%2F1"));
    assert_non_null(strstr(line(w, 2), "&pageToken=t2"));
    names.stop_at = 3;
    add(w, 200, NULL, "{\"items\":[" OBJECT "," OBJECT "],\"nextPageToken\":\"t\"}");
    assert_int_equal(gcs_list(w->gcs, "b-1", NULL, add_name, &names, &err), -1);
    assert_string_equal(err_text(&err), "enough");
    assert_int_equal(names.list.len, 3);
    names.stop_at = 0;
    add(w, 200, NULL, "{\"nextPageToken\":\"t\"}");
    add(w, 200, NULL, "{\"nextPageToken\":\"t\"}");
    assert_int_equal(gcs_list(w->gcs, "b-1", NULL, add_name, &names, &err), -1);
    assert_non_null(strstr(err_text(&err), "the same page was answered twice"));
    strv_clear(&names.list);
}

/* ---- small objects ---- */

static void test_read(void **state)
{
    struct world *w = *state;
    autobuf struct buf out = BUF_INIT(100);
    autogcsobject struct gcs_object object = {0};
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, OBJECT);
    add(w, 200, NULL, "hello world");
    assert_int_equal(gcs_read(w->gcs, "b-1", "d/a b", 0, &out, &object, &err), 0);
    assert_string_equal(out.data, "hello world");
    assert_int_equal(object.generation, 17);
    assert_string_equal(line(w, 1), "GET /storage/v1/b/b-1/o/d%2Fa%20b?alt=media&generation=17");
    assert_string_equal(server_header(&w->client.server, 1, "Accept-Encoding"), "gzip");
}

static void test_read_failures(void **state)
{
    struct world *w = *state;
    autobuf struct buf out = BUF_INIT(100);
    autobuf struct buf little = BUF_INIT(10);
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, OBJECT);
    add(w, 200, NULL, "hello w0rld");
    assert_int_equal(gcs_read(w->gcs, "b-1", "x", 0, &out, NULL, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_non_null(strstr(err_text(&err), "its checksum is wrong: what came has CRC32C "));
    assert_int_equal(out.len, 0);
    add(w, 200, NULL, OBJECT);
    add(w, 200, NULL, "hello");
    assert_int_equal(gcs_read(w->gcs, "b-1", "x", 0, &out, NULL, &err), -1);
    assert_non_null(strstr(err_text(&err), "5 bytes came, it has 11"));
    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_read(w->gcs, "b-1", "x", 0, &little, NULL, &err), -1);
    assert_non_null(strstr(err_text(&err), "it has 11 bytes, at most 10 are expected"));
    add(w, 200, NULL, OBJECT);
    add(w, 404, NULL, "No such object: b-1/x");
    assert_int_equal(gcs_read(w->gcs, "b-1", "x", 17, &out, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_read_while_replaced(void **state)
{
    struct world *w = *state;
    autobuf struct buf out = BUF_INIT(100);
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, OBJECT);
    add(w, 404, NULL, "No such object");
    add(w, 200, NULL, OBJECT);
    add(w, 200, NULL, "hello world");
    assert_int_equal(gcs_read(w->gcs, "b-1", "x", 0, &out, NULL, &err), 0);
    assert_string_equal(out.data, "hello world");
}

static void test_write(void **state)
{
    struct world *w = *state;
    autogcsobject struct gcs_object object = {0};
    autoerr struct err err = ERR_INIT;
    const char *body;

    add(w, 200, NULL, OBJECT);
    assert_int_equal(
        gcs_write(w->gcs, "b-1", "d/a b", "text/plain", "hello world", 11, 0, &object, &err), 0);
    assert_int_equal(object.generation, 17);
    assert_string_equal(line(w, 0),
                        "POST /upload/storage/v1/b/b-1/o?uploadType=multipart"
                        "&name=d%2Fa%20b&ifGenerationMatch=0&fields=" FIELDS "&prettyPrint=false");
    assert_true(text_starts(server_header(&w->client.server, 0, "Content-Type"),
                            "multipart/related; boundary=necoops-"));
    body = w->client.server.seen[0].body;
    assert_non_null(strstr(body, "\r\n\r\n{\"contentType\":\"text/plain\","
                                 "\"crc32c\":\"yZRlqg==\"}\r\n--"));
    assert_non_null(strstr(body, "\r\nContent-Type: text/plain\r\n\r\nhello world\r\n--"));
}

static void test_write_conflict(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    add(w, 412, NULL,
        "{\"error\":{\"message\":\"At least one\",\"errors\":[{\"reason\":"
        "\"conditionNotMet\"}]}}");
    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_write(w->gcs, "b-1", "x", NULL, "other", 5, 0, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.reason, "conditionNotMet");
    assert_int_equal(w->client.server.seen_len, 2); /* one try, and a look whether it was ours */
}

static void test_write_whose_answer_was_lost(void **state)
{
    struct world *w = *state;
    autogcsobject struct gcs_object object = {0};
    autoerr struct err err = ERR_INIT;

    server_add(&w->client.server, (struct step){.status = 0});
    add(w, 412, NULL, "{\"error\":{\"message\":\"At least one\"}}");
    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_write(w->gcs, "b-1", "x", NULL, "hello world", 11, 0, &object, &err), 0);
    assert_int_equal(object.generation, 17);
    server_add(&w->client.server, (struct step){.status = 0});
    add(w, 412, NULL, "{\"error\":{\"message\":\"At least one\"}}");
    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_write(w->gcs, "b-1", "x", NULL, "other", 5, 0, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void test_unguarded_write_is_not_repeated(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    server_add(&w->client.server, (struct step){.status = 0});
    assert_int_equal(
        gcs_write(w->gcs, "b-1", "x", NULL, "hello world", 11, GCS_ANY_GENERATION, NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_int_equal(w->client.server.seen_len, 1);
    assert_null(strstr(line(w, 0), "ifGenerationMatch"));
}

static void test_write_is_compared(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    add(w, 200, NULL, OBJECT);
    assert_int_equal(gcs_write(w->gcs, "b-1", "x", NULL, "hello w0rld", 11, 0, NULL, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_string_equal(err_text(&err),
                        "object 'gs://b-1/x': what was stored is not what was sent");
}

static void test_delete(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    add(w, 204, NULL, NULL);
    assert_int_equal(gcs_delete(w->gcs, "b-1", "x", 17, &err), 0);
    assert_string_equal(line(w, 0), "DELETE /storage/v1/b/b-1/o/x?generation=17&prettyPrint=false");
}

/* ---- ranges ---- */

struct part {
    struct buf text;
    int done;
    enum err_code code;
    char words[256];
    bool refuse;
    bool cancel;
    struct gcs_range_transfer *transfer;
};

static int part_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct part *part = arg;

    if (part->cancel) {
        gcs_range_cancel(part->transfer);
        return 0;
    }
    if (part->refuse)
        return err_set(err, ERR_PROTOCOL, "the archive is corrupt");
    return buf_add(&part->text, data, len);
}

static void part_done(void *arg, struct err *err)
{
    struct part *part = arg;

    part->done++;
    part->code = err->code;
    snprintf(part->words, sizeof(part->words), "%s", err_text(err));
}

static struct part get_range(struct world *w, struct part part)
{
    struct gcs_object object = {
        .bucket = (char *)"b-1", .name = (char *)"d/x", .generation = 17, .size = 100};
    const struct gcs_range range = {.object = &object,
                                    .retry_ms = -1,
                                    .first = 10,
                                    .len = 5,
                                    .data = part_data,
                                    .done = part_done,
                                    .arg = &part};
    autoerr struct err err = ERR_INIT;

    buf_init(&part.text, 1000);
    part.transfer = gcs_range_start(w->gcs, &range);
    while (http_active(w->client.http) > 0)
        assert_int_equal(http_drive(w->client.http, 1000, -1, "tests", &err), 0);
    return part;
}

static void test_range(void **state)
{
    struct world *w = *state;
    struct part part;

    add(w, 206, "Content-Range: bytes 10-14/100\r\nX-Goog-Generation: 17\r\n", "01234");
    part = get_range(w, (struct part){0});
    assert_int_equal(part.done, 1);
    assert_int_equal(part.code, ERR_NONE);
    assert_string_equal(part.text.data, "01234");
    assert_string_equal(line(w, 0), "GET /storage/v1/b/b-1/o/d%2Fx?alt=media&generation=17");
    assert_string_equal(server_header(&w->client.server, 0, "Range"), "bytes=10-14");
    assert_string_equal(server_header(&w->client.server, 0, "Accept-Encoding"), "gzip");
    buf_clear(&part.text);
}

static void test_range_failures(void **state)
{
    struct world *w = *state;
    static const struct {
        struct step step;
        enum err_code code;
        const char *part;
    } cases[] = {
        {{.status = 200, .body = "01234"}, ERR_PROTOCOL, "a range was asked for, 200 was answered"},
        {{.status = 206, .headers = "Content-Range: bytes 10-15/100\r\n", .body = "012345"},
         ERR_PROTOCOL,
         "another range was answered than asked for"},
        {{.status = 206, .headers = "Content-Range: bytes 10-14/101\r\n", .body = "01234"},
         ERR_PROTOCOL,
         "another range was answered than asked for"},
        {{.status = 206, .body = "01234"},
         ERR_PROTOCOL,
         "another range was answered than asked for"},
        {{.status = 206,
          .headers = "Content-Range: bytes 10-14/100\r\nX-Goog-Generation: 18\r\n",
          .body = "01234"},
         ERR_PROTOCOL,
         "another generation was answered than asked for"},
        {{.status = 206,
          .headers = "Content-Range: bytes 10-14/100\r\n"
                     "X-GUploader-Response-Body-Transformations: gunzipped\r\n",
          .body = "01234"},
         ERR_PROTOCOL,
         "the service decompressed it"},
        {{.status = 206, .headers = "Content-Range: bytes 10-14/100\r\n", .body = "0123"},
         ERR_UNREACHABLE,
         "object 'gs://b-1/d/x': only 4 of 5 bytes came"},
        {{.status = 206, .headers = "Content-Range: bytes 10-14/100\r\n", .body = "012345"},
         ERR_PROTOCOL,
         "more came than asked for"},
        {{.status = 206,
          .headers = "Content-Range: bytes 10-14/100\r\n",
          .body = "01234",
          .cut = 2},
         ERR_UNREACHABLE,
         "object 'gs://b-1/d/x': lost the connection to 'http://127.0.0.1:"},
        {{.status = 404, .body = "No such object: b-1/d/x"},
         ERR_NOT_FOUND,
         "not found: answered 404: No such object"},
        {{.status = 503, .body = "{\"error\":{\"message\":\"Later\"}}"},
         ERR_UNREACHABLE,
         "the service failed (503): Later"},
        {{.status = 416, .body = "x"}, ERR_INVALID, "the request is invalid"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct part part;

        server_add(&w->client.server, cases[i].step);
        part = get_range(w, (struct part){0});
        assert_int_equal(part.done, 1);
        assert_int_equal(part.code, cases[i].code);
        if (strstr(part.words, cases[i].part) == NULL)
            assert_string_equal(part.words, cases[i].part);
        buf_clear(&part.text);
    }
    assert_int_equal(w->client.server.seen_len, ARRAY_LEN(cases)); /* nothing is tried again here */
}

static void test_range_given_up_by_its_caller(void **state)
{
    struct world *w = *state;
    struct part part;

    add(w, 206, "Content-Range: bytes 10-14/100\r\n", "01234");
    part = get_range(w, (struct part){.refuse = true});
    assert_int_equal(part.done, 1);
    assert_string_equal(part.words, "the archive is corrupt");
    buf_clear(&part.text);
    add(w, 206, "Content-Range: bytes 10-14/100\r\n", "01234");
    part = get_range(w, (struct part){.cancel = true});
    assert_int_equal(part.done, 0);
    buf_clear(&part.text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_url),
        TEST(test_stat),
        TEST(test_stat_failures),
        TEST(test_list),
        TEST(test_read),
        TEST(test_read_failures),
        TEST(test_read_while_replaced),
        TEST(test_write),
        TEST(test_write_conflict),
        TEST(test_write_whose_answer_was_lost),
        TEST(test_unguarded_write_is_not_repeated),
        TEST(test_write_is_compared),
        TEST(test_delete),
        TEST(test_range),
        TEST(test_range_failures),
        TEST(test_range_given_up_by_its_caller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
