#include "unit.h"
#include "necoops/base/strv.h"

static void stays_terminated(void **state)
{
    autostrv struct strv list = STRV_INIT;

    (void)state;
    for (int i = 0; i < 100; i++) {
        strv_addf(&list, "%d", i);
        assert_null(list.items[list.len]);
    }
    assert_int_equal(list.len, 100);
    assert_string_equal(list.items[99], "99");
}

static void owns_what_it_holds(void **state)
{
    autostrv struct strv list = STRV_INIT;
    char text[] = "abc";

    (void)state;
    strv_add(&list, text);
    text[0] = 'x';
    strv_take(&list, xstrdup("taken"));
    assert_true(strv_has(&list, "abc"));
    assert_true(strv_has(&list, "taken"));
    assert_false(strv_has(&list, "xbc"));
}

static void split_leaves_empty_pieces_out(void **state)
{
    autostrv struct strv list = STRV_INIT;

    (void)state;
    strv_split(&list, ",a,,b c,", ',');
    assert_int_equal(list.len, 2);
    assert_text(strv_join(&list, "|"), "a|b c");
    strv_clear(&list);
    strv_split(&list, "", ',');
    strv_split(&list, ",,", ',');
    assert_int_equal(list.len, 0);
    strv_split(&list, "whole", ',');
    assert_text(strv_join(&list, ","), "whole");
}

static void nothing_joins_and_sorts(void **state)
{
    autostrv struct strv list = STRV_INIT;

    (void)state;
    strv_sort(&list);
    assert_text(strv_join(&list, ", "), "");
    assert_false(strv_has(&list, ""));
}

static void sorts_by_bytes(void **state)
{
    autostrv struct strv list = STRV_INIT;

    (void)state;
    strv_split(&list, "b a B aa A", ' ');
    strv_sort(&list);
    assert_text(strv_join(&list, " "), "A B a aa b");
    assert_null(list.items[5]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_terminated),
        cmocka_unit_test(owns_what_it_holds),
        cmocka_unit_test(split_leaves_empty_pieces_out),
        cmocka_unit_test(nothing_joins_and_sorts),
        cmocka_unit_test(sorts_by_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
