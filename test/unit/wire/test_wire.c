/* Frames are told apart from everything else on the port; requests are taken only as they should
 * be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/wire/wire.h"

/* ---- frames ---- */

struct heard {
    struct wire_reader reader;
    char texts[1024]; /* the `text` of every frame, one behind the other */
};

static int hear(void *arg, const struct wire_reader *reader, const cJSON *frame, struct err *err)
{
    struct heard *heard = arg;
    (void)reader;
    (void)err;
    size_t len = strlen(heard->texts);
    snprintf(heard->texts + len, sizeof heard->texts - len, "%s|", json_str_or(frame, "text", "?"));
    return 0;
}

static void say(struct wire_writer *writer, const char *text, struct buf *out)
{
    autojson cJSON *object = json_object();
    json_set_str(object, "text", text);
    assert_int_equal(wire_frame(writer, object, out), 0);
}

static void feed(struct heard *heard, const char *text, size_t len)
{
    struct err err = ERR_INIT;
    assert_int_equal(wire_read(&heard->reader, text, len, hear, heard, &err), 0);
}

/* All of `port` as a serial port may give it: piece by piece, with carriage returns or without. */
static void hear_all(struct heard *heard, const char *port, size_t len, size_t piece)
{
    memset(heard->texts, 0, sizeof heard->texts);
    wire_reader_init(&heard->reader);
    for (size_t at = 0; at < len; at += piece)
        feed(heard, port + at, len - at < piece ? len - at : piece);
}

static void test_in_any_pieces(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_SMALL);
    struct wire_writer writer;
    wire_writer_init(&writer);
    say(&writer, "one", &port);
    say(&writer, "two\n \"\\ \x1b", &port);
    say(&writer, "日本 🎉", &port);
    for (size_t i = 0; i < port.len; i++)
        assert_true(port.data[i] == '\n' || (port.data[i] >= 0x20 && port.data[i] < 0x7f));
    for (size_t piece = 1; piece < 40; piece++) {
        struct heard heard;
        hear_all(&heard, port.data, port.len, piece);
        assert_string_equal(heard.texts, "one|two\n \"\\ \x1b|日本 🎉|");
        assert_int_equal(heard.reader.damaged + heard.reader.missing + heard.reader.foreign, 0);
        wire_reader_clear(&heard.reader);
    }
}

static void test_carriage_returns(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_SMALL);
    autobuf struct buf turned = BUF_INIT(BUF_SMALL);
    struct wire_writer writer;
    struct heard heard;
    wire_writer_init(&writer);
    say(&writer, "one", &port);
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] == '\n')
            buf_addc(&turned, '\r');
        buf_addc(&turned, port.data[i]);
    }
    hear_all(&heard, turned.data, turned.len, 7);
    assert_string_equal(heard.texts, "one|");
    assert_int_equal(heard.reader.foreign, 0);
    wire_reader_clear(&heard.reader);
}

/* Any byte of a frame that is lost or becomes another one spoils it, and is noticed. */
static void test_every_damage_is_seen(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_SMALL);
    struct wire_writer writer;
    wire_writer_init(&writer);
    say(&writer, "one", &port);
    size_t begin = port.len;
    say(&writer, "two", &port);
    size_t end = port.len;
    say(&writer, "three", &port);
    for (size_t at = begin + 1; at + 1 < end; at++) {
        autofree char *spoiled = xstrndup(port.data, port.len);
        struct heard heard;
        spoiled[at] ^= 1;
        hear_all(&heard, spoiled, port.len, 64);
        assert_string_equal(heard.texts, "one|three|");
        assert_int_equal(heard.reader.damaged + heard.reader.foreign, 1 + (spoiled[at] == '\n'));
        assert_int_equal(heard.reader.missing, 1);
        wire_reader_clear(&heard.reader);
    }
}

static void test_a_lost_stretch_is_a_gap(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_SMALL);
    struct wire_writer writer;
    struct heard heard;
    wire_writer_init(&writer);
    say(&writer, "one", &port);
    size_t lost_from = port.len + 10;
    say(&writer, "two", &port);
    say(&writer, "three", &port);
    size_t lost_to = port.len - 10;
    say(&writer, "four", &port);
    hear_all(&heard, port.data, lost_from, 64);
    wire_reader_gap(&heard.reader);
    feed(&heard, port.data + lost_to, port.len - lost_to);
    assert_string_equal(heard.texts, "one|four|");
    assert_int_equal(heard.reader.missing, 2);
    assert_int_equal(heard.reader.damaged, 0);
    wire_reader_clear(&heard.reader);
}

static void test_others_on_the_port(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_MEDIUM);
    struct wire_writer one, two;
    struct heard heard;
    wire_writer_init(&one);
    wire_writer_init(&two);
    buf_adds(&port, "neco-ops login: ");
    say(&one, "one", &port);
    for (size_t i = 0; i < WIRE_LINE_MAX + 10; i++)
        buf_addc(&port, 'x');
    say(&two, "two", &port);
    buf_adds(&port, "@necoops 0123456789abcdef 1 00000000 {}\n");
    say(&one, "three", &port);
    hear_all(&heard, port.data, port.len, 4096);
    assert_string_equal(heard.texts, "one|two|three|");
    assert_int_equal(heard.reader.foreign, 1); /* the line that is too long is nobody's */
    assert_int_equal(heard.reader.damaged, 1);
    assert_int_equal(heard.reader.restarts, 2);
    wire_reader_clear(&heard.reader);
}

static void test_what_is_too_long_is_refused(void **state)
{
    (void)state;
    autobuf struct buf port = BUF_INIT(BUF_MEDIUM);
    struct wire_writer writer;
    autofree char *text = xmalloc(WIRE_LINE_MAX + 1);
    memset(text, 'x', WIRE_LINE_MAX);
    text[WIRE_LINE_MAX] = '\0';
    autojson cJSON *object = json_object();
    json_set_str(object, "text", text);
    wire_writer_init(&writer);
    assert_int_equal(wire_frame(&writer, object, &port), -1);
    assert_int_equal(port.len, 0);
    assert_int_equal(writer.number, 0);
}

/* ---- requests ---- */

#define REQUEST                                                                                    \
    "{\"id\":\"0b6f4a52-59c5-4d0c-9f44-08a2a35f6f9e\",\"instance\":\"42\","                        \
    "\"tool\":\"necoops-deploy\",\"caller\":\"c\",\"time\":\"2026-11-23T00:00:00Z\","              \
    "\"timeoutMs\":60000,\"aliveMs\":1000,\"goneMs\":60000"

static int parse(const char *text, cJSON **json, struct wire_request *out, struct err *err)
{
    assert_int_equal(json_parse(text, strlen(text), "request", json, err), 0);
    return wire_request_parse(*json, out, err);
}

static void test_arguments(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    autojson cJSON *json = NULL;
    autostrv struct strv argv = STRV_INIT;
    struct wire_request request;
    assert_int_equal(parse(REQUEST ",\"options\":{\"revision\":"
                                   "\"0123456789abcdef0123456789abcdef01234567\","
                                   "\"apps\":[\"a*\",\"--prune\"],\"prune\":true,"
                                   "\"stable-for\":1500,\"verbose\":2}}",
                           &json, &request, &err),
                     0);
    wire_request_argv(&request, &argv);
    autofree char *line = strv_join(&argv, " ");
    assert_string_equal(line, "--revision=0123456789abcdef0123456789abcdef01234567 --apps=a* "
                              "--apps=--prune --prune --stable-for=1500ms --verbose --verbose");
    assert_int_equal(request.timeout_ms, 60000);
    assert_int_equal(request.time_ms % 1000, 0);
}

static void test_an_operand_is_no_option(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    autojson cJSON *json = NULL;
    autostrv struct strv argv = STRV_INIT;
    struct wire_request request;
    assert_int_equal(parse("{\"id\":\"0b6f4a52-59c5-4d0c-9f44-08a2a35f6f9e\","
                           "\"tool\":\"necoops-snapshot-load\",\"time\":\"2026-11-23T00:00:00Z\","
                           "\"timeoutMs\":1,\"aliveMs\":1000,\"goneMs\":60000,"
                           "\"options\":{\"\":\"gs://b/o\",\"if-needed\":true}}",
                           &json, &request, &err),
                     0);
    wire_request_argv(&request, &argv);
    autofree char *line = strv_join(&argv, " ");
    assert_string_equal(line, "--if-needed -- gs://b/o");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const rests[] = {
        ",\"options\":[]}",
        ",\"options\":{\"prune\":false}}",
        ",\"options\":{\"prune\":\"yes\"}}",
        ",\"options\":{\"junit\":\"/etc/passwd\"}}",
        ",\"options\":{\"mirror\":\"/\"}}",
        ",\"options\":{\"stable-for\":-1}}",
        ",\"options\":{\"stable-for\":1.5}}",
        ",\"options\":{\"apps\":[1]}}",
        ",\"set\":{\"notify.alertmanager.url\":\"http://evil\"}}",
        ",\"set\":{\"clusters.x.via\":\"direct\"}}",
        ",\"set\":{\"clusters.x.kubeconfig\":\"/x\"}}",
        ",\"set\":{\"deploy.stableFor\":5}}",
        ",\"env\":{\"PATH\":\"/tmp\"}}",
        ",\"files\":[\"stdout\"]}",
        ",\"version\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        struct err err = ERR_INIT;
        autojson cJSON *json = NULL;
        struct wire_request request;
        autofree char *text = xasprintf(REQUEST "%s", rests[i]);
        if (parse(text, &json, &request, &err) == 0)
            fail_msg("taken: %s", rests[i]);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(request.id);
        err_clear(&err);
    }
}

static void test_an_id_is_a_safe_name(void **state)
{
    (void)state;
    static const char *const ids[] = {"{\"id\":\"../../../../../../../../../etc/passwd.\"}",
                                      "{\"id\":\"\"}", "{\"id\":7}", "{}"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct err err = ERR_INIT;
        autojson cJSON *json = NULL;
        struct wire_request request;
        assert_int_equal(parse(ids[i], &json, &request, &err), -1);
        assert_null(request.id);
        err_clear(&err);
    }
}

static void test_the_item_of_several(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int64_t now = 0;
    autojson cJSON *none = wire_requests_parse("what is this");
    assert_int_equal(cJSON_GetArraySize(json_at(none, "requests")), 0);
    autojson cJSON *all = wire_requests_parse(
        "{\"requests\":[{\"id\":\"a\",\"time\":\"2026-11-23T00:00:00Z\",\"timeoutMs\":60000},"
        "7,{\"id\":\"b\",\"time\":\"2026-11-23T10:00:00Z\",\"timeoutMs\":60000},{\"id\":\"c\"}]}");
    assert_int_equal(cJSON_GetArraySize(json_at(all, "requests")), 3);
    assert_int_equal(time_parse_rfc3339("2026-11-23T10:30:00Z", &now, &err), 0);
    wire_requests_prune(all, now);
    assert_int_equal(cJSON_GetArraySize(json_at(all, "requests")), 1);
    assert_non_null(wire_requests_find(all, "b"));
    wire_requests_remove(all, "a");
    wire_requests_remove(all, "b");
    assert_int_equal(cJSON_GetArraySize(json_at(all, "requests")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_any_pieces),
        cmocka_unit_test(test_carriage_returns),
        cmocka_unit_test(test_every_damage_is_seen),
        cmocka_unit_test(test_a_lost_stretch_is_a_gap),
        cmocka_unit_test(test_others_on_the_port),
        cmocka_unit_test(test_what_is_too_long_is_refused),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_an_operand_is_no_option),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_an_id_is_a_safe_name),
        cmocka_unit_test(test_the_item_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
