/* YAML as Kubernetes reads it: scalars, anchors, documents, positions, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/yaml/yaml.h"

static void expect(const char *yaml, const char *json)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *value = NULL;
    if (yaml_parse_one(yaml, strlen(yaml), "t", &value, &err) < 0)
        fail_msg("%s: %s", yaml, err_text(&err));
    autofree char *text = json_print(value);
    assert_string_equal(text, json);
}

static void refuse(const char *yaml, const char *message)
{
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;
    assert_int_equal(yaml_parse_one(yaml, strlen(yaml), "t", &value, &err), -1);
    assert_string_equal(err_text(&err), message);
    assert_int_equal(err_exit_status(&err), 2);
    assert_null(value);
}

static void test_scalars(void **state)
{
    (void)state;
    expect("[~, null, '', \"\", yes, No, ON, off, y, N, true, False]",
           "[null,null,\"\",\"\",true,false,true,false,true,false,true,false]");
    expect("[0644, 0o17, 0x1F, 0b11, 08, 1_000, +5, -0]", "[420,15,31,3,8,1000,5,0]");
    expect("[1.5, .5, 1e3, -2.5E-3, 1., .]", "[1.5,0.5,1000,-0.0025,1,\".\"]");
    expect("[9007199254740993, 18446744073709551615, -9223372036854775808]",
           "[9007199254740993,18446744073709551615,-9223372036854775808]");
    expect("[2026-11-23, 07:30, 1.2.3, v1, '12', \"no\", 0x, --, 12e]",
           "[\"2026-11-23\",\"07:30\",\"1.2.3\",\"v1\",\"12\",\"no\",\"0x\",\"--\",\"12e\"]");
    expect("[!!str 12, !!int '7', !!float 2, !!bool yes, !!binary aGk=, !custom z]",
           "[\"12\",7,2,true,\"hi\",\"z\"]");
}

static void test_keys(void **state)
{
    (void)state;
    expect("{1: a, yes: b, 'x': c, 1.5: d}", "{\"1\":\"a\",\"true\":\"b\",\"x\":\"c\",\"1.5\":\"d\"}");
    refuse("a: 1\na: 2\n", "t:2:1: the key 'a' is there twice");
    refuse("~: 1\n", "t:1:1: a key must not be null");
    refuse("? [a]\n: 1\n", "t:1:3: a key must be a scalar");
}

static void test_blocks(void **state)
{
    (void)state;
    expect("a: |\n  x\n  y\nb: >-\n  x\n  y\nc:\nd: {}\ne:\n- 1\n-\n",
           "{\"a\":\"x\\ny\\n\",\"b\":\"x y\",\"c\":null,\"d\":{},\"e\":[1,null]}");
}

static void test_anchors_and_merges(void **state)
{
    (void)state;
    expect("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n",
           "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"q\":3,\"p\":1},\"c\":{\"p\":1,\"q\":2}}");
    expect("a: {<<: [{p: 1}, {p: 2, q: 3}]}", "{\"a\":{\"p\":1,\"q\":3}}");
    expect("a: {<<: &m {p: &v [1]}}\nb: *m\nc: *v\n",
           "{\"a\":{\"p\":[1]},\"b\":{\"p\":[1]},\"c\":[1]}");
    refuse("a: *x\n", "t:1:4: no anchor 'x'");
    refuse("a: &x [*x]\n", "t:1:8: an alias inside its own anchor");
    refuse("a: {<<: 3}\n", "t:1:4: a merge key ('<<') wants a mapping");
}

static void test_alias_bomb(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    buf_adds(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++)
        buf_addf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;
    assert_int_equal(yaml_parse_one(text.data, text.len, "t", &value, &err), -1);
    assert_non_null(strstr(err_text(&err), "aliases expand to too many values"));
}

static void test_depth(void **state)
{
    (void)state;
    char text[400];
    memset(text, '[', sizeof text);
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;
    assert_int_equal(yaml_parse_one(text, sizeof text, "t", &value, &err), -1);
    assert_string_equal(err_text(&err), "t:1:101: nested too deeply");
}

static void test_documents_and_positions(void **state)
{
    (void)state;
    const char *text = "# c\n---\na:\n  b: 1\n  list:\n  - x\n  - z: 2\n---\n---\n- z\n";
    autoerr struct err err = ERR_INIT;
    autoyaml struct yaml_stream *yaml = NULL;
    assert_int_equal(yaml_parse(text, strlen(text), "t", &yaml, &err), 0);
    assert_int_equal(yaml_count(yaml), 2);
    const cJSON *first = yaml_document(yaml, 0);
    int line = 0, column = 0;
    assert_true(yaml_position(yaml, json_at(first, "a.b"), &line, &column));
    assert_int_equal(line * 100 + column, 403);
    assert_true(yaml_position(yaml, json_at(first, "a.list[1]"), &line, &column));
    assert_int_equal(line * 100 + column, 705);
    assert_true(yaml_position(yaml, json_at(first, "a.list[1].z"), &line, &column));
    assert_int_equal(line * 100 + column, 705);
    assert_false(yaml_position(yaml, NULL, &line, &column));
    assert_null(yaml_document(yaml, 2));
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("a: [1\n", "t:2:1: while parsing a flow sequence did not find expected ',' or ']'");
    refuse("a: b: c\n", "t:1:5: mapping values are not allowed in this context");
    refuse("a: \"x\\0y\"\n", "t:1:4: a NUL character in a string");
    refuse("a: \xff\xfe\n", "t: byte 3: invalid leading UTF-8 octet");
    refuse("a: 1\n---\nb: 2\n", "t: one document expected, there are 2");
    refuse("", "t: one document expected, there are 0");
    refuse("a: !!int x\n", "t:1:4: 'x' is no value of type tag:yaml.org,2002:int");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),     cmocka_unit_test(test_keys),
        cmocka_unit_test(test_blocks),      cmocka_unit_test(test_anchors_and_merges),
        cmocka_unit_test(test_alias_bomb),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_documents_and_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
