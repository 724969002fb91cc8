/* The `fields` parameter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "emulator/google/fields.h"

static cJSON *parse(const char *text)
{
    cJSON *value = NULL;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(json_parse(text, strlen(text), "test", &value, &err), 0);
    return value;
}

static void check(const char *selection, const char *value, const char *expected)
{
    autofields struct fields *fields = NULL;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(fields_parse(selection, &fields, &err), 0);
    autojson cJSON *json = parse(value);
    autojson cJSON *copy = fields_copy(fields, json);
    fields_apply(fields, json);
    autofree char *applied = json_print(json);
    autofree char *copied = json_print(copy);
    assert_string_equal(applied, expected);
    assert_string_equal(copied, expected);
}

static void test_selects(void **state)
{
    (void)state;
    check("a", "{\"a\":1,\"b\":2}", "{\"a\":1}");
    check("a,b", "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"b\":2}");
    check("a/b", "{\"a\":{\"b\":1,\"c\":2},\"d\":3}", "{\"a\":{\"b\":1}}");
    check("a(b,c/d)", "{\"a\":{\"b\":1,\"c\":{\"d\":2,\"e\":3},\"f\":4}}",
          "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}");
    check("missing", "{\"a\":1}", "{}");
}

static void test_lists_and_wildcards(void **state)
{
    (void)state;
    check("items(name),nextPageToken",
          "{\"kind\":\"k\",\"items\":[{\"name\":\"x\",\"id\":\"1\"},{\"id\":\"2\"}],"
          "\"nextPageToken\":\"t\"}",
          "{\"items\":[{\"name\":\"x\"},{}],\"nextPageToken\":\"t\"}");
    check("items/*/instances/name",
          "{\"items\":{\"zones/a\":{\"instances\":[{\"name\":\"x\",\"id\":\"1\"}]},"
          "\"zones/b\":{\"warning\":{}}}}",
          "{\"items\":{\"zones/a\":{\"instances\":[{\"name\":\"x\"}]},\"zones/b\":{}}}");
}

static void check_invalid(const char *selection)
{
    struct fields *fields = NULL;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(fields_parse(selection, &fields, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    autofree char *expected = xasprintf("Invalid field selection %s", selection);
    assert_string_equal(err_text(&err), expected);
    assert_null(fields);
}

static void test_invalid(void **state)
{
    (void)state;
    check_invalid("a,");
    check_invalid("a(b");
    check_invalid("a)b");
    check_invalid("a//b");
    check_invalid("(a)");
    check_invalid("a b");
}

static void test_has_and_below(void **state)
{
    (void)state;
    autofields struct fields *fields = NULL;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(fields_parse("items(id),x", &fields, &err), 0);
    assert_true(fields_has(fields, "items"));
    assert_false(fields_has(fields, "kind"));
    const struct fields *below = fields_below(fields, "items");
    assert_true(fields_has(below, "id"));
    assert_false(fields_has(below, "name"));
    assert_true(fields_has(fields_below(fields, "x"), "anything"));
    assert_true(fields_has(NULL, "anything"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selects),
        cmocka_unit_test(test_lists_and_wildcards),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_has_and_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
