#include "unit.h"
#include "necoops/base/buf.h"

static void starts_as_an_empty_string(void **state)
{
    autobuf struct buf buf = BUF_INIT(8);

    (void)state;
    assert_string_equal(buf.data, "");
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_add(&buf, "", 0), 0);
    assert_string_equal(buf.data, "");
}

static void takes_exactly_its_cap(void **state)
{
    autobuf struct buf buf = BUF_INIT(8);

    (void)state;
    assert_int_equal(buf_adds(&buf, "1234"), 0);
    assert_int_equal(buf_addf(&buf, "%03d", 56), 0);
    assert_int_equal(buf_addc(&buf, '8'), 0);
    assert_string_equal(buf.data, "12340568");
    assert_false(buf.overflowed);
    assert_int_equal(buf_addc(&buf, '9'), -1);
    assert_true(buf.overflowed);
    assert_string_equal(buf.data, "12340568");
    assert_int_equal(buf.len, 8);
}

static void what_goes_beyond_is_refused_as_a_whole(void **state)
{
    autobuf struct buf buf = BUF_INIT(8);

    (void)state;
    assert_int_equal(buf_adds(&buf, "abc"), 0);
    assert_int_equal(buf_addf(&buf, "%s", "too long"), -1);
    assert_string_equal(buf.data, "abc");
    /* and nothing is put after the hole */
    assert_int_equal(buf_addc(&buf, 'd'), -1);
    assert_string_equal(buf.data, "abc");
    buf_reset(&buf);
    assert_false(buf.overflowed);
    assert_int_equal(buf_adds(&buf, "again"), 0);
    assert_string_equal(buf.data, "again");
}

static void a_huge_length_does_not_wrap_around(void **state)
{
    autobuf struct buf buf = BUF_INIT(SIZE_MAX);

    (void)state;
    assert_int_equal(buf_adds(&buf, "abc"), 0);
    assert_int_equal(buf_add(&buf, "x", SIZE_MAX - 3), -1);
    assert_int_equal(buf_add(&buf, "x", SIZE_MAX), -1);
    assert_string_equal(buf.data, "abc");
}

static void a_cap_of_zero_takes_nothing(void **state)
{
    autobuf struct buf buf = BUF_INIT(0);

    (void)state;
    assert_int_equal(buf_adds(&buf, ""), 0);
    assert_int_equal(buf_adds(&buf, "a"), -1);
    assert_string_equal(buf.data, "");
}

static void grows_over_many_additions(void **state)
{
    autobuf struct buf buf = BUF_INIT(BUF_SMALL);

    (void)state;
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf_addf(&buf, "%d", i % 10), 0);
    assert_int_equal(buf.len, 10000);
    assert_int_equal(strlen(buf.data), 10000);
    assert_memory_equal(buf.data + 9990, "0123456789", 11);
}

static void keeps_nul_bytes(void **state)
{
    autobuf struct buf buf = BUF_INIT(8);

    (void)state;
    assert_int_equal(buf_add(&buf, "a\0b", 3), 0);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
}

static void steal_empties(void **state)
{
    autobuf struct buf buf = BUF_INIT(8);

    (void)state;
    assert_text(buf_steal(&buf), "");
    assert_int_equal(buf_adds(&buf, "abc"), 0);
    assert_text(buf_steal(&buf), "abc");
    assert_string_equal(buf.data, "");
    assert_int_equal(buf_adds(&buf, "12345678"), 0);
    assert_int_equal(buf_addc(&buf, '9'), -1);
    buf_clear(&buf);
    assert_int_equal(buf_adds(&buf, "12345678"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_an_empty_string),
        cmocka_unit_test(takes_exactly_its_cap),
        cmocka_unit_test(what_goes_beyond_is_refused_as_a_whole),
        cmocka_unit_test(a_huge_length_does_not_wrap_around),
        cmocka_unit_test(a_cap_of_zero_takes_nothing),
        cmocka_unit_test(grows_over_many_additions),
        cmocka_unit_test(keeps_nul_bytes),
        cmocka_unit_test(steal_empties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
