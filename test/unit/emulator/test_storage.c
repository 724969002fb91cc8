/* Cloud Storage on the wire: what goes in, and exactly what comes out. */
#include <zlib.h>
#include "emulator/google/storage.h"
#include "inside.h"
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define CHUNK 262144

/* ---- the rest of the emulator ---- */

struct emu {
    char *data_dir, *url;
    struct server *server;
    struct listener *listener;
    struct storage *storage;
};

static struct emu the;

const char *emu_data_dir(const struct emu *emu)
{
    return emu->data_dir;
}

const char *emu_url(const struct emu *emu)
{
    return emu->url;
}

static void seed(const char *text)
{
    struct err err = ERR_INIT;
    cJSON *json = NULL;
    assert_int_equal(json_parse(text, strlen(text), "seed", &json, &err), 0);
    if (storage_seed(the.storage, json, &err) < 0)
        fail_msg("%s", err_text(&err));
    cJSON_Delete(json);
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct server_config config = {.request_log = NULL};
    struct listener_spec spec = {.name = "google", .handler = storage_handle};
    (void)state;
    assert_int_equal(fs_make_temp_dir("/tmp", "storage-", &the.data_dir, &err), 0);
    assert_int_equal(server_new(&config, &the.server, &err), 0);
    assert_int_equal(storage_new(&the, &the.storage, &err), 0);
    spec.service = the.storage;
    assert_int_equal(listener_start(the.server, &spec, &the.listener, &err), 0);
    the.url = xasprintf("http://127.0.0.1:%u", (unsigned int)listener_port(the.listener));
    seed("{\"alpha\":{\"objects\":{\"hello\":{\"text\":\"hello world\"},\"empty\":{\"text\":\"\"},"
         "\"a/b/c\":{\"text\":\"1\"},\"a/d\":{\"text\":\"2\"},\"a/e\":{\"text\":\"3\"},"
         "\"z w+%\":{\"text\":\"odd\"}}},\"beta\":{}}");
    return 0;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    server_stop(the.server);
    storage_free(the.storage);
    server_free(the.server);
    assert_int_equal(fs_remove_tree(the.data_dir, &err), 0);
    free(the.data_dir);
    free(the.url);
    return 0;
}

/* ---- helpers ---- */

static struct reply call(const char *method, const char *target, const char *headers,
                         const char *body)
{
    return http_call(listener_port(the.listener), method, target, headers, body);
}

#define JSON "Content-Type: application/json\r\n"

/* One call: its status, and a piece of what came (NULL: nothing is looked at). */
static void expect(int status, const char *piece, const char *method, const char *target,
                   const char *headers, const char *body)
{
    struct reply reply = call(method, target, headers, body);
    if (reply.status != status || (piece != NULL && strstr(reply.body, piece) == NULL))
        fail_msg("%s %s: %d, '%s' is not in: %s%s", method, target, reply.status,
                 piece != NULL ? piece : "", reply.head, reply.body);
    reply_clear(&reply);
}

static cJSON *object(const char *name)
{
    char *target = xasprintf("/storage/v1/b/alpha/o/%s", name);
    struct reply reply = call("GET", target, "", "");
    assert_int_equal(reply.status, 200);
    cJSON *json = reply_json(&reply);
    reply_clear(&reply);
    free(target);
    return json;
}

static char *generation_of(const char *name)
{
    cJSON *json = object(name);
    char *generation = xstrdup(json_str(json, "generation"));
    cJSON_Delete(json);
    return generation;
}

/* ---- reading ---- */

static void test_metadata(void **state)
{
    (void)state;
    struct reply reply = call("GET", "/storage/v1/b/alpha/o/z%20w%2B%25", "", "");
    cJSON *json = reply_json(&reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(json_str(json, "kind"), "storage#object");
    assert_string_equal(json_str(json, "name"), "z w+%");
    assert_string_equal(json_str(json, "bucket"), "alpha");
    assert_string_equal(json_str(json, "size"), "3");
    assert_string_equal(json_str(json, "metageneration"), "1");
    assert_true(cJSON_IsString(json_at(json, "generation")));
    assert_null(json_at(json, "componentCount"));
    char *self = xasprintf("%s/storage/v1/b/alpha/o/z%%20w%%2B%%25", the.url);
    assert_string_equal(json_str(json, "selfLink"), self);
    free(self);
    cJSON_Delete(json);
    reply_clear(&reply);
}

static void test_media(void **state)
{
    (void)state;
    static const char *const targets[] = {"/storage/v1/b/alpha/o/hello?alt=media",
                                          "/download/storage/v1/b/alpha/o/hello?alt=media"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct reply reply = call("GET", targets[i], "", "");
        char *generation = generation_of("hello");
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "hello world");
        assert_header(&reply, "X-Goog-Generation", generation);
        assert_header(&reply, "X-Goog-Metageneration", "1");
        assert_header(&reply, "X-Goog-Stored-Content-Encoding", "identity");
        assert_header(&reply, "X-Goog-Stored-Content-Length", "11");
        assert_header(&reply, "Content-Type", "application/octet-stream");
        assert_header(&reply, "Content-Length", "11");
        /* One line and two are both legal. */
        assert_header(&reply, "X-Goog-Hash",
                      i == 0 ? "crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww==" : "crc32c=yZRlqg==");
        assert_non_null(strstr(reply.head, "md5=XrY7u+Ae7tCTyyK7j1rNww=="));
        free(generation);
        reply_clear(&reply);
    }
}

static void range(const char *value, int status, const char *body, const char *content_range)
{
    char *header = xasprintf("Range: %s\r\n", value);
    struct reply reply = call("GET", "/storage/v1/b/alpha/o/hello?alt=media", header, "");
    if (reply.status != status)
        fail_msg("%s: %d", value, reply.status);
    assert_string_equal(reply.body, body);
    assert_header(&reply, "Content-Range", content_range);
    reply_clear(&reply);
    free(header);
}

static void test_ranges(void **state)
{
    (void)state;
    static const char none[] = "Request range not satisfiable";
    range("bytes=0-4", 206, "hello", "bytes 0-4/11");
    range("bytes=6-", 206, "world", "bytes 6-10/11");
    range("bytes=-5", 206, "world", "bytes 6-10/11");
    range("bytes=-50", 206, "hello world", "bytes 0-10/11");
    range("bytes=10-99999999999999999999999", 206, "d", "bytes 10-10/11");
    range("bytes=11-", 416, none, "bytes */11");
    range("bytes=99999999999999999999999-", 416, none, "bytes */11");
    range("bytes=-0", 416, none, "bytes */11");
    range("bytes=4-2", 200, "hello world", NULL);
    range("bytes=0-1,3-4", 200, "hello world", NULL);
    range("lines=0-1", 200, "hello world", NULL);
    expect(416, NULL, "GET", "/storage/v1/b/alpha/o/empty?alt=media", "Range: bytes=0-\r\n", "");
    expect(416, NULL, "GET", "/storage/v1/b/alpha/o/empty?alt=media", "Range: bytes=-1\r\n", "");
    expect(200, "", "GET", "/storage/v1/b/alpha/o/empty?alt=media", "", "");
}

static void test_errors(void **state)
{
    (void)state;
    struct reply reply = call("GET", "/storage/v1/b/alpha/o/none", "", "");
    cJSON *json = reply_json(&reply);
    assert_int_equal(reply.status, 404);
    assert_string_equal(json_str(json, "error.message"), "No such object: alpha/none");
    assert_string_equal(json_str(json, "error.errors[0].reason"), "notFound");
    assert_string_equal(json_str(json, "error.errors[0].domain"), "global");
    cJSON_Delete(json);
    reply_clear(&reply);
    reply = call("GET", "/storage/v1/b/alpha/o/none?alt=media", "", "");
    assert_int_equal(reply.status, 404);
    assert_string_equal(reply.body, "No such object: alpha/none");
    assert_header(&reply, "Content-Type", "text/html; charset=UTF-8");
    reply_clear(&reply);
    expect(404, "The specified bucket does not exist.", "GET", "/storage/v1/b/none/o", "", "");
    expect(404, "The specified bucket does not exist.", "GET", "/storage/v1/b/none/o/x", "", "");
    expect(400, "invalidParameter", "GET", "/storage/v1/b/alpha/o/hello?generation=x", "", "");
    expect(400, "invalidParameter", "GET", "/storage/v1/b/alpha/o/hello?alt=proto", "", "");
    expect(404, "notFound", "GET", "/storage/v1/nothing", "", "");
    /* A session's id is no credential for anything but uploads. */
    expect(400, "upload_id", "GET", "/storage/v1/b/alpha/o/hello?upload_id=x", "", "");
}

static void test_read_preconditions(void **state)
{
    (void)state;
    char *generation = generation_of("hello");
    static const struct {
        const char *format;
        int status;
    } rows[] = {
        {"ifGenerationMatch=%s", 200},    {"ifGenerationMatch=%s1", 412},
        {"ifGenerationNotMatch=%s", 304}, {"ifGenerationNotMatch=%s1", 200},
        {"generation=%s", 200},           {"generation=%s1", 404},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *query = xasprintf(rows[i].format, generation);
        char *target = xasprintf("/storage/v1/b/alpha/o/hello?%s", query);
        char *media = xasprintf("/storage/v1/b/alpha/o/hello?alt=media&%s", query);
        expect(rows[i].status, rows[i].status == 412 ? "conditionNotMet" : NULL, "GET", target, "",
               "");
        expect(rows[i].status, NULL, "GET", media, "", "");
        free(query);
        free(target);
        free(media);
    }
    free(generation);
    expect(304, "", "GET", "/storage/v1/b/alpha/o/hello?ifMetagenerationNotMatch=1", "", "");
    expect(412, NULL, "GET", "/storage/v1/b/alpha/o/hello?ifMetagenerationMatch=2", "", "");
    expect(404, NULL, "GET", "/storage/v1/b/alpha/o/none?ifGenerationMatch=0", "", "");
}

static void test_gzip_transcoding(void **state)
{
    (void)state;
    unsigned char zipped[256];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t) "hello hello hello",
                  .avail_in = 17,
                  .next_out = zipped,
                  .avail_out = sizeof zipped};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = sizeof zipped - z.avail_out;
    deflateEnd(&z);
    struct reply reply =
        http_send(listener_port(the.listener), "POST",
                  "/upload/storage/v1/b/alpha/o?uploadType=media&name=zipped&contentEncoding=gzip",
                  "Content-Type: text/plain\r\n", zipped, len);
    assert_int_equal(reply.status, 200);
    reply_clear(&reply);

    reply =
        call("GET", "/storage/v1/b/alpha/o/zipped?alt=media", "Accept-Encoding: br, gzip\r\n", "");
    assert_int_equal(reply.len, len);
    assert_memory_equal(reply.body, zipped, len);
    assert_header(&reply, "Content-Encoding", "gzip");
    reply_clear(&reply);

    static const char *const undone[] = {"", "Accept-Encoding: gzip;q=0\r\n",
                                         "Range: bytes=2-3\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(undone); i++) {
        reply = call("GET", "/storage/v1/b/alpha/o/zipped?alt=media", undone[i], "");
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.len, 17);
        assert_memory_equal(reply.body, "hello hello hello", 17);
        assert_header(&reply, "Content-Encoding", NULL);
        assert_header(&reply, "Content-Length", NULL);
        assert_header(&reply, "X-GUploader-Response-Body-Transformations", "gunzipped");
        assert_header(&reply, "X-Goog-Stored-Content-Encoding", "gzip");
        reply_clear(&reply);
    }
    reply = call("GET", "/storage/v1/b/alpha/o/zipped?alt=media",
                 "Cache-Control: no-transform\r\nRange: bytes=0-1\r\n", "");
    assert_int_equal(reply.status, 206);
    assert_memory_equal(reply.body, "\x1f\x8b", 2);
    reply_clear(&reply);
}

static void test_fields(void **state)
{
    (void)state;
    struct reply reply = call("GET", "/storage/v1/b/alpha/o/hello?fields=name,size", "", "");
    assert_string_equal(reply.body, "{\"name\":\"hello\",\"size\":\"11\"}");
    reply_clear(&reply);
    expect(400, "Invalid field selection", "GET", "/storage/v1/b/alpha/o/hello?fields=name(", "",
           "");
}

/* ---- list ---- */

static void list(const char *query, const char *expected)
{
    char *target = xasprintf("/storage/v1/b/alpha/o?fields=prefixes,items/name&%s", query);
    struct reply reply = call("GET", target, "", "");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, expected);
    reply_clear(&reply);
    free(target);
}

static void test_list(void **state)
{
    (void)state;
    list("prefix=a/", "{\"items\":[{\"name\":\"a/b/c\"},{\"name\":\"a/d\"},{\"name\":\"a/e\"}]}");
    list("delimiter=/", "{\"prefixes\":[\"a/\"],\"items\":[{\"name\":\"empty\"},{\"name\":\"hello\""
                        "},{\"name\":\"z w+%\"}]}");
    list("delimiter=/&prefix=a/",
         "{\"prefixes\":[\"a/b/\"],\"items\":[{\"name\":\"a/d\"},{\"name\":\"a/e\"}]}");
    list("delimiter=/&prefix=a/b", "{\"prefixes\":[\"a/b/\"]}");
    list("startOffset=a/d&endOffset=empty", "{\"items\":[{\"name\":\"a/d\"},{\"name\":\"a/e\"}]}");
    list("matchGlob=a/*", "{\"items\":[{\"name\":\"a/d\"},{\"name\":\"a/e\"}]}");
    list("prefix=none", "{}");
    expect(200, "{\"kind\":\"storage#objects\"}", "GET", "/storage/v1/b/beta/o", "", "");
    expect(400, "invalidParameter", "GET", "/storage/v1/b/alpha/o?pageToken=!!", "", "");
}

/* All pages together are the whole, whatever their size. */
static void test_pages(void **state)
{
    (void)state;
    for (int max = 1; max <= 7; max++) {
        struct buf names = BUF_INIT(BUF_SMALL);
        char *token = xstrdup("");
        do {
            char *target = xasprintf("/storage/v1/b/alpha/o?delimiter=/&maxResults=%d&pageToken=%s",
                                     max, token);
            struct reply reply = call("GET", target, "", "");
            cJSON *json = reply_json(&reply);
            const cJSON *item;
            int count = 0;
            cJSON_ArrayForEach(item, json_at(json, "prefixes"))
            {
                buf_addf(&names, "%s|", item->valuestring);
                count++;
            }
            cJSON_ArrayForEach(item, json_at(json, "items"))
            {
                buf_addf(&names, "%s|", json_str(item, "name"));
                count++;
            }
            assert_true(count > 0 && count <= max);
            free(token);
            const char *next = json_str(json, "nextPageToken");
            token = next != NULL ? url_encode(next) : NULL;
            cJSON_Delete(json);
            reply_clear(&reply);
            free(target);
        } while (token != NULL);
        assert_string_equal(names.data, "a/|empty|hello|z w+%|");
        buf_clear(&names);
    }
}

/* ---- uploads in one request ---- */

static void test_upload_media(void **state)
{
    (void)state;
    struct reply reply = call("POST", "/upload/storage/v1/b/beta/o?uploadType=media&name=x%2Fy",
                              "Content-Type: text/plain\r\n", "123456789");
    cJSON *json = reply_json(&reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(json_str(json, "name"), "x/y");
    assert_string_equal(json_str(json, "crc32c"), "4waSgw==");
    assert_string_equal(json_str(json, "contentType"), "text/plain");
    cJSON_Delete(json);
    reply_clear(&reply);
    expect(200, "123456789", "GET", "/storage/v1/b/beta/o/x%2Fy?alt=media", "", "");
    expect(400, "Required", "POST", "/upload/storage/v1/b/beta/o?uploadType=media", "", "x");
    expect(400, "uploadType", "POST", "/upload/storage/v1/b/beta/o?name=x", "", "x");
    expect(404, "bucket does not exist", "POST",
           "/upload/storage/v1/b/none/o?uploadType=media&name=x", "", "x");
    expect(400, "Disallowed", "POST", "/upload/storage/v1/b/beta/o?uploadType=media&name=a%0Ab", "",
           "x");
}

static void test_upload_hashes(void **state)
{
    (void)state;
    static const char target[] = "/upload/storage/v1/b/beta/o?uploadType=media&name=x";
    expect(400, "Provided CRC32C \\\"AAAAAA==\\\" doesn't match calculated CRC32C \\\"4waSgw==\\\"",
           "POST", target, "X-Goog-Hash: crc32c=AAAAAA==\r\n", "123456789");
    expect(400, "Provided MD5 hash", "POST", target,
           "X-Goog-Hash: crc32c=4waSgw==, md5=XrY7u+Ae7tCTyyK7j1rNww==\r\n", "123456789");
    expect(404, NULL, "GET", "/storage/v1/b/beta/o/x", "", "");
    expect(200, NULL, "POST", target, "X-Goog-Hash: crc32c=4waSgw==\r\n", "123456789");
}

#define MULTIPART "Content-Type: multipart/related; boundary=\"sep\"\r\n"

static void test_upload_multipart(void **state)
{
    (void)state;
    static const char target[] = "/upload/storage/v1/b/beta/o?uploadType=multipart";
    struct reply reply =
        call("POST", target, MULTIPART,
             "--sep\r\nContent-Type: application/json\r\n\r\n"
             "{\"name\":\"m\",\"metadata\":{\"k\":\"v\"},\"crc32c\":\"4waSgw==\"}\r\n--sep\r\n"
             "Content-Type: text/css\r\n\r\n123456789\r\n--sep--\r\n");
    cJSON *json = reply_json(&reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(json_str(json, "contentType"), "text/css");
    assert_string_equal(json_str(json, "metadata.k"), "v");
    assert_string_equal(json_str(json, "size"), "9");
    cJSON_Delete(json);
    reply_clear(&reply);
    /* Line breaks and what looks like the boundary belong to the data. */
    expect(200, "\"size\":\"12\"", "POST", target, MULTIPART,
           "--sep\n\n{\"name\":\"n\"}\n--sep\n\n\r\n --sep\r\n\r\n\r\n--sep--");
    expect(200, "\"size\":\"2\"", "POST", target, MULTIPART,
           "--sep\n\n{\"name\":\"n\"}\n--sep\n\nx\n\n--sep--");
    expect(200, "\"size\":\"0\"", "POST", target, MULTIPART,
           "--sep\r\n\r\n{\"name\":\"n\"}\r\n--sep\r\n\r\n\r\n--sep--");
    expect(400, "Provided CRC32C", "POST", target, MULTIPART,
           "--sep\r\n\r\n{\"name\":\"o\",\"crc32c\":\"AAAAAA==\"}\r\n--sep\r\n\r\nx\r\n--sep--");
    expect(400, "boundary", "POST", target, "Content-Type: multipart/related\r\n", "x");
    expect(400, "no data part", "POST", target, MULTIPART, "--sep\r\n\r\n{}\r\n--sep--");
    expect(400, "no metadata part", "POST", target, MULTIPART, "nothing");
    expect(400, "Parse Error", "POST", target, MULTIPART,
           "--sep\r\n\r\n{\r\n--sep\r\n\r\nx\r\n--sep--");
}

static void test_write_preconditions(void **state)
{
    (void)state;
    static const char once[] =
        "/upload/storage/v1/b/beta/o?uploadType=media&name=x&ifGenerationMatch=0";
    expect(200, NULL, "POST", once, "", "1");
    expect(412, "At least one of the pre-conditions you specified did not hold.", "POST", once, "",
           "2");
    expect(412, "conditionNotMet", "POST",
           "/upload/storage/v1/b/beta/o?uploadType=media&name=new&ifGenerationMatch=5", "", "2");
    expect(412, NULL, "DELETE", "/storage/v1/b/beta/o/x?ifGenerationMatch=5", "", "");
    expect(404, NULL, "DELETE", "/storage/v1/b/beta/o/x?generation=5", "", "");
    expect(204, "", "DELETE", "/storage/v1/b/beta/o/x", "", "");
    expect(404, "No such object: beta/x", "DELETE", "/storage/v1/b/beta/o/x", "", "");
    expect(200, NULL, "POST", once, "", "3");
}

static void test_overwriting_makes_a_generation(void **state)
{
    (void)state;
    char *before = generation_of("hello");
    expect(200, NULL, "POST", "/upload/storage/v1/b/alpha/o?uploadType=media&name=hello", "", "x");
    char *after = generation_of("hello");
    assert_true(strtoll(after, NULL, 10) > strtoll(before, NULL, 10));
    char *target = xasprintf("/storage/v1/b/alpha/o/hello?alt=media&generation=%s", before);
    expect(404, "No such object: alpha/hello", "GET", target, "", "");
    free(target);
    free(before);
    free(after);
}

/* ---- resumable uploads ---- */

static char *session(const char *query, const char *headers, const char *body)
{
    char *target = xasprintf("/upload/storage/v1/b/beta/o?uploadType=resumable&%s", query);
    struct reply reply = call("POST", target, headers, body);
    if (reply.status != 200)
        fail_msg("%d %s", reply.status, reply.body);
    assert_string_equal(reply.body, "");
    char *location = reply_header(&reply, "Location");
    assert_non_null(location);
    assert_true(text_starts(location, the.url));
    char *path = xstrdup(location + strlen(the.url));
    free(location);
    reply_clear(&reply);
    free(target);
    return path;
}

/* Sends `len` bytes of a run of x and checks what is told to be there. */
static void chunk(const char *target, const char *content_range, size_t len, int status,
                  const char *persisted)
{
    char *headers = xasprintf("Content-Range: %s\r\n", content_range);
    char *data = xmalloc(len + 1);
    memset(data, 'x', len);
    struct reply reply = http_send(listener_port(the.listener), "PUT", target, headers, data, len);
    if (reply.status != status)
        fail_msg("%s: %d %s", content_range, reply.status, reply.body);
    assert_header(&reply, "Range", persisted);
    if (status == 308)
        assert_header(&reply, "Content-Length", "0");
    reply_clear(&reply);
    free(headers);
    free(data);
}

static void test_resumable(void **state)
{
    (void)state;
    char *target = session("name=r", "X-Upload-Content-Type: image/x\r\n", "");
    chunk(target, "bytes */*", 0, 308, NULL);
    chunk(target, "bytes 0-262143/*", CHUNK, 308, "bytes=0-262143");
    /* Cut to whole blocks; sent again, what is there is skipped. */
    chunk(target, "bytes 262144-624287/*", 362144, 308, "bytes=0-524287");
    chunk(target, "bytes 262144-786431/*", 2 * CHUNK, 308, "bytes=0-786431");
    chunk(target, "bytes */786532", 0, 308, "bytes=0-786431");
    chunk(target, "bytes 786432-786531/786532", 100, 200, NULL);
    chunk(target, "bytes */786532", 0, 200, NULL);
    free(target);
    struct reply reply = call("GET", "/storage/v1/b/beta/o/r", "", "");
    cJSON *json = reply_json(&reply);
    assert_string_equal(json_str(json, "size"), "786532");
    assert_string_equal(json_str(json, "contentType"), "image/x");
    char *data = xmalloc(786532);
    memset(data, 'x', 786532);
    assert_string_equal(json_str(json, "crc32c"), crc32c_base64(crc32c(0, data, 786532)).text);
    free(data);
    cJSON_Delete(json);
    reply_clear(&reply);
}

static void test_resumable_ends(void **state)
{
    (void)state;
    char *whole = session("name=one", JSON, "{\"metadata\":{\"a\":\"b\"}}");
    expect(200, "\"a\":\"b\"", "PUT", whole, "", "all of it");
    expect(200, "all of it", "GET", "/storage/v1/b/beta/o/one?alt=media", "", "");
    char *empty = session("name=empty", "", "");
    chunk(empty, "bytes */0", 0, 200, NULL);
    char *stars = session("name=stars", "", "");
    chunk(stars, "bytes 0-262143/*", CHUNK, 308, "bytes=0-262143");
    chunk(stars, "bytes */262144", 0, 200, NULL);
    char *announced = session("name=said", "X-Upload-Content-Length: 5\r\n", "");
    chunk(announced, "bytes 0-4/5", 5, 200, NULL);
    free(whole);
    free(empty);
    free(stars);
    free(announced);
}

static void test_resumable_faults(void **state)
{
    (void)state;
    char *target = session("name=r", "X-Upload-Content-Length: 400000\r\n", "");
    chunk(target, "bytes 0-99/400000", 100, 400, NULL);
    chunk(target, "bytes 0-262143/500000", CHUNK, 400, NULL);
    chunk(target, "bytes 262144-399999/400000", 137856, 400, NULL);
    chunk(target, "bytes 0-262143/400000", 5, 400, NULL);
    chunk(target, "bytes 5-4/400000", 0, 400, NULL);
    chunk(target, "what", 0, 400, NULL);
    chunk(target, "bytes */*", 5, 400, NULL);
    chunk(target, "bytes 0-262143/400000", CHUNK, 308, "bytes=0-262143");
    struct reply reply =
        call("PUT", target, "Content-Range: bytes */*\r\nX-GUploader-No-308: yes\r\n", "");
    assert_int_equal(reply.status, 200);
    assert_header(&reply, "X-HTTP-Status-Code-Override", "308");
    assert_header(&reply, "Range", "bytes=0-262143");
    reply_clear(&reply);
    expect(499, NULL, "DELETE", target, "", "");
    chunk(target, "bytes */*", 0, 410, NULL);
    expect(404, "", "PUT", "/upload/storage/v1/b/beta/o?uploadType=resumable&upload_id=guess", "",
           "x");
    expect(404, NULL, "GET", "/storage/v1/b/beta/o/r", "", "");
    expect(404, "bucket does not exist", "POST",
           "/upload/storage/v1/b/none/o?uploadType=resumable&name=x", "", "");
    free(target);
}

static void test_resumable_checks_at_the_end(void **state)
{
    (void)state;
    char *wrong = session("name=h", JSON, "{\"crc32c\":\"AAAAAA==\"}");
    expect(400, "Provided CRC32C", "PUT", wrong, "", "123456789");
    expect(404, NULL, "GET", "/storage/v1/b/beta/o/h", "", "");
    char *late = session("name=h", "", "");
    expect(400, "Provided CRC32C", "PUT", late, "X-Goog-Hash: crc32c=AAAAAA==\r\n", "123456789");
    char *first = session("name=c&ifGenerationMatch=0", "", "");
    char *second = session("name=c&ifGenerationMatch=0", "", "");
    expect(200, NULL, "PUT", first, "", "1");
    expect(412, "conditionNotMet", "PUT", second, "", "2");
    expect(412, "conditionNotMet", "POST",
           "/upload/storage/v1/b/beta/o?uploadType=resumable&name=c&ifGenerationMatch=0", "", "");
    expect(200, "1", "GET", "/storage/v1/b/beta/o/c?alt=media", "", "");
    free(wrong);
    free(late);
    free(first);
    free(second);
}

/* ---- objects out of objects ---- */

static void test_compose(void **state)
{
    (void)state;
    static const char target[] = "/storage/v1/b/alpha/o/joined/compose";
    struct reply reply = call("POST", target, JSON,
                              "{\"sourceObjects\":[{\"name\":\"a/b/c\"},{\"name\":\"hello\"},"
                              "{\"name\":\"empty\"}],\"destination\":{\"contentType\":\"a/b\"}}");
    cJSON *json = reply_json(&reply);
    assert_int_equal(reply.status, 200);
    assert_int_equal(json_at(json, "componentCount")->valueint, 3);
    assert_null(json_at(json, "md5Hash"));
    assert_string_equal(json_str(json, "contentType"), "a/b");
    assert_string_equal(json_str(json, "crc32c"),
                        crc32c_base64(crc32c(0, "1hello world", 12)).text);
    cJSON_Delete(json);
    reply_clear(&reply);
    reply = call("GET", "/storage/v1/b/alpha/o/joined?alt=media", "", "");
    assert_string_equal(reply.body, "1hello world");
    assert_null(strstr(reply.head, "md5="));
    reply_clear(&reply);
    /* Components add up; the destination may be a source; sources can go. */
    expect(200, "\"componentCount\":4", "POST", target, JSON,
           "{\"sourceObjects\":[{\"name\":\"joined\"},{\"name\":\"a/d\"}],"
           "\"deleteSourceObjects\":true}");
    expect(200, "1hello world2", "GET", "/storage/v1/b/alpha/o/joined?alt=media", "", "");
    expect(404, NULL, "GET", "/storage/v1/b/alpha/o/a%2Fd", "", "");
}

static void test_compose_faults(void **state)
{
    (void)state;
    static const char target[] = "/storage/v1/b/alpha/o/joined/compose";
    struct buf many = BUF_INIT(BUF_SMALL);
    buf_adds(&many, "{\"sourceObjects\":[");
    for (int i = 0; i < 33; i++)
        buf_adds(&many, i == 0 ? "{\"name\":\"hello\"}" : ",{\"name\":\"hello\"}");
    buf_adds(&many, "]}");
    expect(400, "The number of source components provided (33) exceeds the maximum (32)", "POST",
           target, JSON, many.data);
    buf_clear(&many);
    expect(400, "at least one source", "POST", target, JSON, "{\"sourceObjects\":[]}");
    expect(404, "Object none (generation: 0) not found.", "POST", target, JSON,
           "{\"sourceObjects\":[{\"name\":\"none\"}]}");
    expect(412, "conditionNotMet", "POST", target, JSON,
           "{\"sourceObjects\":[{\"name\":\"hello\",\"objectPreconditions\":"
           "{\"ifGenerationMatch\":\"5\"}}]}");
    expect(404, "generation: 5", "POST", target, JSON,
           "{\"sourceObjects\":[{\"name\":\"hello\",\"generation\":\"5\"}]}");
    expect(412, "conditionNotMet", "POST",
           "/storage/v1/b/alpha/o/hello/compose?ifGenerationMatch=0", JSON,
           "{\"sourceObjects\":[{\"name\":\"hello\"}]}");
    expect(400, "Unsupported content with type: text/plain", "POST", target,
           "Content-Type: text/plain\r\n", "{\"sourceObjects\":[{\"name\":\"hello\"}]}");
    expect(404, NULL, "GET", "/storage/v1/b/alpha/o/joined", "", "");
}

static void test_copies(void **state)
{
    (void)state;
    expect(200, "\"name\":\"h2\"", "POST", "/storage/v1/b/alpha/o/hello/copyTo/b/beta/o/h2", "",
           "");
    expect(200, "hello world", "GET", "/storage/v1/b/beta/o/h2?alt=media", "", "");
    expect(200, "\"done\":true", "POST", "/storage/v1/b/alpha/o/hello/rewriteTo/b/beta/o/h3", JSON,
           "{\"contentType\":\"x/y\"}");
    expect(200, "\"contentType\":\"x/y\"", "GET", "/storage/v1/b/beta/o/h3", "", "");
    expect(412, NULL, "POST", "/storage/v1/b/alpha/o/hello/copyTo/b/beta/o/h2?ifGenerationMatch=0",
           "", "");
    expect(412, NULL, "POST",
           "/storage/v1/b/alpha/o/hello/copyTo/b/beta/o/h4?ifSourceGenerationMatch=5", "", "");
    expect(404, NULL, "POST", "/storage/v1/b/alpha/o/hello/copyTo/b/beta/o/h4?sourceGeneration=5",
           "", "");
    expect(404, "alpha/none", "POST", "/storage/v1/b/alpha/o/none/copyTo/b/beta/o/h4", "", "");
    expect(404, "bucket", "POST", "/storage/v1/b/alpha/o/hello/copyTo/b/none/o/h4", "", "");
    expect(200, "\"name\":\"moved\"", "POST", "/storage/v1/b/alpha/o/hello/moveTo/o/moved", "", "");
    expect(404, NULL, "GET", "/storage/v1/b/alpha/o/hello", "", "");
    expect(200, "hello world", "GET", "/storage/v1/b/alpha/o/moved?alt=media", "", "");
}

static void test_rewrite_in_steps(void **state)
{
    (void)state;
    size_t size = (size_t)5 << 19; /* 2.5 MiB */
    char *data = xcalloc(1, size);
    struct reply reply =
        http_send(listener_port(the.listener), "POST",
                  "/upload/storage/v1/b/alpha/o?uploadType=media&name=big", "", data, size);
    assert_int_equal(reply.status, 200);
    reply_clear(&reply);
    free(data);
    static const char base[] =
        "/storage/v1/b/alpha/o/big/rewriteTo/b/beta/o/big?maxBytesRewrittenPerCall=1048576";
    char *token = NULL;
    int calls = 0;
    for (bool done = false; !done; calls++) {
        char *target = token != NULL ? xasprintf("%s&rewriteToken=%s", base, token) : xstrdup(base);
        reply = call("POST", target, "", "");
        assert_int_equal(reply.status, 200);
        cJSON *json = reply_json(&reply);
        done = json_bool(json, "done", false);
        assert_string_equal(json_str(json, "objectSize"), "2621440");
        assert_string_equal(json_str(json, "totalBytesRewritten"), calls == 0   ? "1048576"
                                                                   : calls == 1 ? "2097152"
                                                                                : "2621440");
        assert_true(done == (json_at(json, "resource") != NULL));
        free(token);
        token = done ? NULL : xstrdup(json_str(json, "rewriteToken"));
        cJSON_Delete(json);
        reply_clear(&reply);
        if (calls == 0) {
            char *other = xasprintf("/storage/v1/b/alpha/o/big/rewriteTo/b/beta/o/other"
                                    "?maxBytesRewrittenPerCall=1048576&rewriteToken=%s",
                                    token);
            expect(400, "rewriteToken", "POST", other, "", "");
            free(other);
        }
        free(target);
    }
    assert_int_equal(calls, 3);
    expect(400, "multiple of 1 MiB", "POST",
           "/storage/v1/b/alpha/o/big/rewriteTo/b/beta/o/b?maxBytesRewrittenPerCall=5", "", "");
}

static void test_patch(void **state)
{
    (void)state;
    char *generation = generation_of("hello");
    expect(200, "\"metageneration\":\"2\"", "PATCH", "/storage/v1/b/alpha/o/hello", JSON,
           "{\"contentType\":\"a/b\",\"metadata\":{\"x\":\"1\",\"y\":\"2\"},\"size\":\"99\"}");
    expect(200, NULL, "PATCH", "/storage/v1/b/alpha/o/hello?ifMetagenerationMatch=2", JSON,
           "{\"contentType\":null,\"metadata\":{\"x\":null,\"z\":\"3\"}}");
    cJSON *json = object("hello");
    assert_null(json_at(json, "contentType"));
    assert_null(json_at(json, "metadata.x"));
    assert_string_equal(json_str(json, "metadata.y"), "2");
    assert_string_equal(json_str(json, "metadata.z"), "3");
    assert_string_equal(json_str(json, "size"), "11");
    assert_string_equal(json_str(json, "metageneration"), "3");
    assert_string_equal(json_str(json, "generation"), generation);
    cJSON_Delete(json);
    expect(412, NULL, "PATCH", "/storage/v1/b/alpha/o/hello?ifMetagenerationMatch=2", JSON, "{}");
    expect(400, "not a valid string", "PATCH", "/storage/v1/b/alpha/o/hello", JSON,
           "{\"contentType\":5}");
    expect(400, "Parse Error", "PATCH", "/storage/v1/b/alpha/o/hello", JSON, "{");
    expect(200, NULL, "PUT", "/storage/v1/b/alpha/o/hello", JSON, "{\"contentType\":\"c/d\"}");
    json = object("hello");
    assert_null(json_at(json, "metadata"));
    cJSON_Delete(json);
    free(generation);
}

/* ---- buckets, seed ---- */

static void test_buckets(void **state)
{
    (void)state;
    expect(200, "\"storage#bucket\"", "GET", "/storage/v1/b/alpha", "", "");
    expect(200, "\"name\":\"beta\"", "GET", "/storage/v1/b?project=p&prefix=b", "", "");
    expect(400, "project", "GET", "/storage/v1/b", "", "");
    expect(200, "\"location\":\"EU\"", "POST", "/storage/v1/b?project=p", JSON,
           "{\"name\":\"gamma\",\"location\":\"EU\"}");
    expect(409, "you already own it", "POST", "/storage/v1/b?project=p", JSON,
           "{\"name\":\"gamma\"}");
    expect(400, "Invalid bucket name: 'No'", "POST", "/storage/v1/b?project=p", JSON,
           "{\"name\":\"No\"}");
    expect(200, "[\"storage.objects.get\",\"storage.objects.list\"]", "GET",
           "/storage/v1/b/alpha/iam/testPermissions?permissions=storage.objects.get&permissions="
           "storage.objects.list",
           "", "");
    expect(200, "\"hierarchicalNamespace\":{\"enabled\":false}", "GET",
           "/storage/v1/b/alpha/storageLayout", "", "");
}

static void test_seed(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    static const struct {
        const char *seed, *error;
    } rows[] = {
        {"{\"s\":{\"objects\":{\"x\":{}}}}",
         "bucket 's': object 'x' needs either 'file' or 'text'"},
        {"{\"alpha\":{}}", "bucket 'alpha' is there twice"},
        {"{\"t\":{\"objects\":{\"x\":{\"file\":\"/nonexistent/file\"}}}}",
         "bucket 't': object 'x': '/nonexistent/file' cannot be read: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cJSON *json = NULL;
        assert_int_equal(json_parse(rows[i].seed, strlen(rows[i].seed), "seed", &json, &err), 0);
        assert_int_equal(storage_seed(the.storage, json, &err), -1);
        assert_string_equal(err_text(&err), rows[i].error);
        err_clear(&err);
        cJSON_Delete(json);
    }
    /* A file with a hole at its end, and fields of its own. */
    char *path = path_join(the.data_dir, "image");
    char *data = xcalloc(1, 300000);
    memcpy(data, "text", 4);
    assert_int_equal(fs_write(path, data, 300000, 0600, &err), 0);
    char *text = xasprintf("{\"files\":{\"objects\":{\"i\":{\"file\":\"%s\",\"contentType\":"
                           "\"x/z\"}}}}",
                           path);
    seed(text);
    struct reply reply = call("GET", "/storage/v1/b/files/o/i?alt=media", "", "");
    assert_int_equal(reply.len, 300000);
    assert_memory_equal(reply.body, data, 300000);
    assert_header(&reply, "Content-Type", "x/z");
    reply_clear(&reply);
    free(path);
    free(data);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_metadata),
        TEST(test_media),
        TEST(test_ranges),
        TEST(test_errors),
        TEST(test_read_preconditions),
        TEST(test_gzip_transcoding),
        TEST(test_fields),
        TEST(test_list),
        TEST(test_pages),
        TEST(test_upload_media),
        TEST(test_upload_hashes),
        TEST(test_upload_multipart),
        TEST(test_write_preconditions),
        TEST(test_overwriting_makes_a_generation),
        TEST(test_resumable),
        TEST(test_resumable_ends),
        TEST(test_resumable_faults),
        TEST(test_resumable_checks_at_the_end),
        TEST(test_compose),
        TEST(test_compose_faults),
        TEST(test_copies),
        TEST(test_rewrite_in_steps),
        TEST(test_patch),
        TEST(test_buckets),
        TEST(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
