#include "unit.h"
#include "necoops/base/json.h"

static cJSON *parse(const char *text)
{
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;

    assert_ok(json_parse(text, strlen(text), "test", &value, &err), err);
    return value;
}

static void is_refused(const char *text, size_t len, const char *message)
{
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;

    if (json_parse(text, len, "f.json", &value, &err) == 0)
        fail_msg("'%s' was taken", text);
    assert_null(value);
    assert_err(err, ERR_PROTOCOL, message);
}

static void prints_back(const char *text)
{
    cJSON *value = parse(text);

    assert_text(json_print(value), text);
    json_freep(&value);
}

/* ---- parsing ---- */

static void every_kind_is_read(void **state)
{
    (void)state;
    prints_back("{\"a\":[1,-2,0.5,true,false,null,\"x\"],\"b\":{},\"c\":[]}");
    prints_back("\"whole\"");
    prints_back("7");
    prints_back("null");
    prints_back("\"\\u0001\\n\\\"\\\\\"");
}

static void escapes_are_decoded(void **state)
{
    autojson cJSON *value = parse(" [\"\\u00e4\\ud83d\\ude00\\/\\t\", \"ä😀\"]\r\n");

    (void)state;
    assert_string_equal(json_str(value, "[0]"), "ä😀/\t");
    assert_string_equal(json_str(value, "[1]"), "ä😀");
}

static void the_text_needs_no_terminator(void **state)
{
    static const char raw[] = {'[', '1', '2', ']', '3'};
    autoerr struct err err = ERR_INIT;
    char *exact = xmalloc(4); /* so that a sanitizer sees a read beyond */
    cJSON *value = NULL;

    (void)state;
    memcpy(exact, raw, 4);
    assert_ok(json_parse(exact, 4, "t", &value, &err), err);
    assert_text(json_print(value), "[12]");
    json_freep(&value);
    assert_ok(json_parse(exact + 1, 2, "t", &value, &err), err);
    assert_text(json_print(value), "12");
    json_freep(&value);
    free(exact);
}

static void syntax_errors_have_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"", "f.json:1:1: unexpected end, expected a value"},
        {" \n ", "f.json:2:2: unexpected end, expected a value"},
        {"{", "f.json:1:2: unexpected end, expected a key"},
        {"{\"a\"}", "f.json:1:5: syntax error, expected ':'"},
        {"{\"a\":1,}", "f.json:1:8: syntax error, expected a key"},
        {"{\"a\":1 \"b\":2}", "f.json:1:8: syntax error, expected ',' or '}'"},
        {"{\n  \"ä\": x}", "f.json:2:8: syntax error, expected a value"},
        {"[1,]", "f.json:1:4: syntax error, expected a value"},
        {"[1 2]", "f.json:1:4: syntax error, expected ',' or ']'"},
        {"[1", "f.json:1:3: unexpected end, expected ',' or ']'"},
        {"[1}", "f.json:1:3: syntax error, expected ',' or ']'"},
        {"1 2", "f.json:1:3: syntax error, expected the end"},
        {"{} }", "f.json:1:4: syntax error, expected the end"},
        {"tru", "f.json:1:1: syntax error, expected a value"},
        {"nullx", "f.json:1:5: syntax error, expected the end"},
        {"'a'", "f.json:1:1: syntax error, expected a value"},
        {"<html>", "f.json:1:1: syntax error, expected a value"},
        {"01", "f.json:1:2: syntax error, expected the end"},
        {"-", "f.json:1:2: unexpected end, expected a value"},
        {"+1", "f.json:1:1: syntax error, expected a value"},
        {".5", "f.json:1:1: syntax error, expected a value"},
        {"1.", "f.json:1:3: unexpected end, expected a digit"},
        {"1.e5", "f.json:1:3: syntax error, expected a digit"},
        {"1e", "f.json:1:3: unexpected end, expected a digit"},
        {"1e+-5", "f.json:1:4: syntax error, expected a digit"},
        {"NaN", "f.json:1:1: syntax error, expected a value"},
        {"\"abc", "f.json:1:5: unexpected end within a string"},
        {"\"a\nb\"", "f.json:1:3: control character in a string"},
        {"\"\\x\"", "f.json:1:3: invalid escape"},
        {"\"\\", "f.json:1:3: invalid escape"},
        {"\"\\u12\"", "f.json:1:3: invalid escape"},
        {"\"\\u12g4\"", "f.json:1:3: invalid escape"},
        {"\"\\u", "f.json:1:3: invalid escape"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        is_refused(rows[i].text, strlen(rows[i].text), rows[i].message);
}

static void what_strings_cannot_hold_is_refused(void **state)
{
    (void)state;
    is_refused("[1\0]", 4, "f.json:1:3: NUL byte");
    is_refused("{}\0", 3, "f.json:1:3: NUL byte");
    is_refused("\"a\0\"", 4, "f.json:1:3: NUL byte");
    is_refused("\"\\u0000\"", 8, "f.json:1:3: NUL in a string");
    is_refused("\"\\ud800\"", 8, "f.json:1:8: half of a surrogate pair");
    is_refused("\"\\ud800\\u0041\"", 14, "f.json:1:10: half of a surrogate pair");
    is_refused("\"\\udc00\"", 8, "f.json:1:8: half of a surrogate pair");
    is_refused("\"a\xff\"", 4, "f.json:1:3: invalid UTF-8");
    is_refused("\"\xc0\x80\"", 4, "f.json:1:2: invalid UTF-8");
    is_refused("\"\xed\xa0\x80\"", 5, "f.json:1:2: invalid UTF-8");
    is_refused("\"\xe2\x82", 3, "f.json:1:2: invalid UTF-8");
}

static char *nested(size_t depth)
{
    char *text = xmalloc(depth * 2 + 1);

    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[depth * 2] = '\0';
    return text;
}

static void depth_has_its_limit(void **state)
{
    autofree char *allowed = nested(JSON_MAX_DEPTH);
    autofree char *deeper = nested(JSON_MAX_DEPTH + 1);
    autofree char *hostile = nested(1000000);
    cJSON *value = parse(allowed);

    (void)state;
    json_freep(&value);
    is_refused(deeper, strlen(deeper), "f.json:1:201: nested too deeply");
    is_refused(hostile, strlen(hostile), "f.json:1:201: nested too deeply");
}

/* ---- numbers ---- */

static void numbers_come_back_as_they_were(void **state)
{
    (void)state;
    prints_back("[999999999999999,-999999999999999,1000000000000000]");
    prints_back("[9007199254740991,9007199254740992,9007199254740993]");
    prints_back("[9223372036854775807,-9223372036854775808,18446744073709551615]");
    prints_back("[123456789012345678901234567890,0.1,0.3,3.14159265358979]");
    prints_back("[0.30000000000000004,3.141592653589793238,1e400,1e-400,-1e+999]");
    prints_back("{\"a\":1,\"b\":{\"c\":[12345678901234567,2]},\"d\":98765432109876543,\"e\":3}");
    prints_back("[0,0,12345678901234567,0]");
}

static void a_number_longer_than_a_buffer_stays(void **state)
{
    char text[302];

    (void)state;
    memset(text, '1', sizeof(text));
    text[0] = '[';
    text[300] = ']';
    text[301] = '\0';
    prints_back(text);
    memset(text + 3, '0', 297); /* few significant digits, and yet longer than cJSON reads */
    text[1] = '0';
    text[2] = '.';
    text[299] = '5';
    prints_back(text);
}

static void integers_are_read_from_every_form(void **state)
{
    autojson cJSON *value =
        parse("{\"n\":42,\"big\":9223372036854775807,\"s\":\"-7\",\"max\":\"18446744073709551615\","
              "\"over\":9223372036854775808,\"wide\":18446744073709551616,\"half\":1.5,\"neg\":-1,"
              "\"e\":1e3,\"sp\":\" 7\",\"plus\":\"+7\",\"tail\":\"7x\",\"empty\":\"\",\"t\":true,"
              "\"long\":1.0000000000000001,\"min\":-9223372036854775808}");
    int64_t i = 77;
    uint64_t u = 77;

    (void)state;
    assert_true(json_i64(value, "n", &i));
    assert_int_equal(i, 42);
    assert_true(json_i64(value, "big", &i));
    assert_true(i == INT64_MAX);
    assert_true(json_i64(value, "min", &i));
    assert_true(i == INT64_MIN);
    assert_true(json_i64(value, "s", &i));
    assert_int_equal(i, -7);
    assert_true(json_i64(value, "e", &i));
    assert_int_equal(i, 1000);
    assert_true(json_u64(value, "max", &u));
    assert_true(u == UINT64_MAX);
    assert_true(json_u64(value, "over", &u));
    assert_true(u == (uint64_t)INT64_MAX + 1);
    assert_true(json_u64(value, "n", &u));
    assert_int_equal(u, 42);
    i = 77;
    u = 77;
    assert_false(json_i64(value, "over", &i));
    assert_false(json_u64(value, "wide", &u));
    assert_false(json_u64(value, "neg", &u));
    assert_false(json_u64(value, "s", &u));
    assert_false(json_i64(value, "half", &i));
    assert_false(json_i64(value, "long", &i));
    assert_false(json_i64(value, "sp", &i));
    assert_false(json_i64(value, "plus", &i));
    assert_false(json_i64(value, "tail", &i));
    assert_false(json_i64(value, "empty", &i));
    assert_false(json_i64(value, "t", &i));
    assert_false(json_i64(value, "missing", &i));
    assert_int_equal(i, 77);
    assert_int_equal(u, 77);
}

static void integers_are_set_exactly(void **state)
{
    autojson cJSON *object = json_object();

    (void)state;
    json_set_i64(object, "a", INT64_MAX);
    json_set_i64(object, "b", INT64_MIN);
    json_set_i64(object, "c", 9007199254740991);
    json_set_i64(object, "d", -3);
    json_set_i64_str(object, "e", INT64_MAX);
    assert_text(json_print(object), "{\"a\":9223372036854775807,\"b\":-9223372036854775808,"
                                    "\"c\":9007199254740991,\"d\":-3,"
                                    "\"e\":\"9223372036854775807\"}");
}

static void a_number_is_made_of_its_text(void **state)
{
    autojson cJSON *array = json_array();

    (void)state;
    json_push(array, json_number_from_text("5"));
    json_push(array, json_number_from_text("-0.25"));
    json_push(array, json_number_from_text("100000000000000000000"));
    assert_text(json_print(array), "[5,-0.25,100000000000000000000]");
    assert_null(json_number_from_text(""));
    assert_null(json_number_from_text("0x10"));
    assert_null(json_number_from_text("1]"));
    assert_null(json_number_from_text(" 1"));
    assert_null(json_number_from_text("nan"));
}

/* ---- paths ---- */

static void paths_lead_to_values(void **state)
{
    autojson cJSON *value =
        parse("{\"a\":{\"b\":[{\"c\":\"x\"},[1,[2,3]]],\"ab\":true},\"n\":null,\"k\":5}");
    int64_t n;

    (void)state;
    assert_string_equal(json_str(value, "a.b[0].c"), "x");
    assert_true(json_i64(value, "a.b[1][1][0]", &n));
    assert_int_equal(n, 2);
    assert_true(json_bool(value, "a.ab", false));
    assert_true(json_bool(value, "a.missing", true));
    assert_false(json_bool(value, "k", false));
    assert_true(cJSON_IsNull(json_at(value, "n")));
    assert_ptr_equal(json_at(value, ""), value);
    assert_ptr_equal(json_at(value, NULL), value);
    assert_null(json_at(NULL, "a"));
    assert_null(json_at(value, "A"));
    assert_null(json_at(value, "a.b[2]"));
    assert_null(json_at(value, "a.b[-1]"));
    assert_null(json_at(value, "a.b[x]"));
    assert_null(json_at(value, "a.b[0"));
    assert_null(json_at(value, "a.b[99999999999999999999]"));
    assert_null(json_at(value, "a[0]"));
    assert_null(json_at(value, "k.x"));
    assert_null(json_str(value, "k"));
    assert_string_equal(json_str_or(value, "k", "else"), "else");
    assert_null(json_str(NULL, "k"));
}

/* ---- building ---- */

static void objects_are_built(void **state)
{
    autojson cJSON *object = json_object();
    cJSON *labels;

    (void)state;
    json_set_str(object, "name", "x");
    json_set_str(object, "none", NULL);
    json_set_bool(object, "on", true);
    labels = json_set_object(object, "labels");
    json_set_str(labels, "a", "1");
    json_push_str(json_set_array(object, "list"), "e");
    json_set_str(object, "name", "y"); /* in its place */
    json_set_str(object, "NAME", "z"); /* another key */
    assert_text(json_print(object), "{\"name\":\"y\",\"on\":true,\"labels\":{\"a\":\"1\"},"
                                    "\"list\":[\"e\"],\"NAME\":\"z\"}");
}

static void a_copy_is_independent(void **state)
{
    autojson cJSON *value = parse("{\"a\":[12345678901234567890,{\"b\":1}]}");
    autojson cJSON *copy = json_copy(value);

    (void)state;
    json_set_str(value, "a", "changed");
    assert_text(json_print(copy), "{\"a\":[12345678901234567890,{\"b\":1}]}");
}

static void pretty_has_two_spaces(void **state)
{
    autojson cJSON *value = parse("{\"a\":[1,{\"b\\n\":12345678901234567890}],\"e\":{},\"f\":[]}");

    (void)state;
    assert_text(json_print_pretty(value), "{\n"
                                          "  \"a\": [\n"
                                          "    1,\n"
                                          "    {\n"
                                          "      \"b\\n\": 12345678901234567890\n"
                                          "    }\n"
                                          "  ],\n"
                                          "  \"e\": {},\n"
                                          "  \"f\": []\n"
                                          "}");
}

/* ---- comparing, merging ---- */

static bool same(const char *a, const char *b)
{
    autojson cJSON *x = parse(a);
    autojson cJSON *y = parse(b);

    assert_int_equal(json_equal(x, y), json_equal(y, x));
    return json_equal(x, y);
}

static void equality_ignores_the_order_of_keys(void **state)
{
    (void)state;
    assert_true(same("{\"a\":1,\"b\":[true,null,\"x\"]}", "{\"b\":[true,null,\"x\"],\"a\":1}"));
    assert_true(same("1.0", "1"));
    assert_true(same("12345678901234567890", "12345678901234567890"));
    assert_false(same("12345678901234567890", "12345678901234567891"));
    assert_false(same("0.1", "0.10000000000000001"));
    assert_false(same("[1,2]", "[2,1]"));
    assert_false(same("[1]", "[1,2]"));
    assert_false(same("{\"a\":1}", "{\"A\":1}"));
    assert_false(same("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    assert_false(same("{\"a\":null}", "{}"));
    assert_false(same("1", "\"1\""));
    assert_false(same("true", "false"));
    assert_false(same("{}", "[]"));
    assert_true(json_equal(NULL, NULL));
}

/* The table of RFC 7386, appendix A, and more. */
static void merge_patches(void **state)
{
    static const char *const rows[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":1}", "{\"a\":{\"b\":12345678901234567890}}",
         "{\"a\":{\"b\":12345678901234567890}}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autojson cJSON *target = parse(rows[i][0]);
        autojson cJSON *patch = parse(rows[i][1]);

        json_merge(target, patch);
        assert_text(json_print(target), rows[i][2]);
    }
}

static void merge_diffs(void **state)
{
    static const char *const rows[][3] = {
        {"{\"a\":1}", "{\"a\":1}", "{}"},
        {"{\"a\":1}", "{\"b\":2}", "{\"b\":2,\"a\":null}"},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1}}", "{\"a\":{\"c\":null}}"},
        {"{\"a\":[1,2]}", "{\"a\":[2]}", "{\"a\":[2]}"},
        {"{\"a\":[1]}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"},
        {"{}", "{\"a\":{\"b\":12345678901234567890}}", "{\"a\":{\"b\":12345678901234567890}}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autojson cJSON *from = parse(rows[i][0]);
        autojson cJSON *to = parse(rows[i][1]);
        autojson cJSON *patch = json_merge_diff(from, to);

        assert_text(json_print(patch), rows[i][2]);
        json_merge(from, patch);
        assert_true(json_equal(from, to));
    }
}

/* Broken at every place, a text is refused or read, never worse. */
static void mutations_do_no_harm(void **state)
{
    static const char text[] = "{\"a\":[1,-2.5e3,\"\\u00e4\\n\",true],\"b\":12345678901234567890}";
    static const char bytes[] = "\0\"\\{}[],:0e-\xff\xc3 ";
    autoerr struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (size_t k = 0; k < sizeof(bytes); k++) {
            autofree char *copy = xmalloc(sizeof(text) - 1);
            autojson cJSON *value = NULL;

            memcpy(copy, text, sizeof(text) - 1);
            copy[i] = bytes[k];
            if (json_parse(copy, sizeof(text) - 1, "m", &value, &err) < 0)
                assert_int_equal(err.code, ERR_PROTOCOL);
            else
                free(json_print(value));
        }
        assert_int_equal(json_parse(text, i, "m", &(cJSON *){NULL}, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(the_text_needs_no_terminator),
        cmocka_unit_test(syntax_errors_have_their_place),
        cmocka_unit_test(what_strings_cannot_hold_is_refused),
        cmocka_unit_test(depth_has_its_limit),
        cmocka_unit_test(numbers_come_back_as_they_were),
        cmocka_unit_test(a_number_longer_than_a_buffer_stays),
        cmocka_unit_test(integers_are_read_from_every_form),
        cmocka_unit_test(integers_are_set_exactly),
        cmocka_unit_test(a_number_is_made_of_its_text),
        cmocka_unit_test(paths_lead_to_values),
        cmocka_unit_test(objects_are_built),
        cmocka_unit_test(a_copy_is_independent),
        cmocka_unit_test(pretty_has_two_spaces),
        cmocka_unit_test(equality_ignores_the_order_of_keys),
        cmocka_unit_test(merge_patches),
        cmocka_unit_test(merge_diffs),
        cmocka_unit_test(mutations_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
