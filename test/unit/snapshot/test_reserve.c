#include "folder.h"
#include <errno.h>
#include <sys/statfs.h>
#include "snapshot/reserve.h"

#define MIB ((uint64_t)1 << 20)

static void test_gives_way(void **state)
{
    const struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct reserve *reserve = NULL;
    assert_good(reserve_new(folder->fd, 300 * MIB, 20 * MIB, &reserve, &err), err);
    if (reserve_held(reserve) == 0) {
        reserve_free(reserve);
        skip(); /* a file system that has no such thing */
    }
    assert_int_equal(reserve_held(reserve), 280 * MIB);
    reserve_yield(reserve, 21 * MIB);
    assert_int_equal(reserve_held(reserve), 215 * MIB); /* 64 MiB ahead of what is written */
    reserve_yield(reserve, 80 * MIB);
    assert_int_equal(reserve_held(reserve), 215 * MIB); /* not worth a call yet */
    reserve_yield(reserve, 85 * MIB);
    assert_int_equal(reserve_held(reserve), 151 * MIB);
    reserve_yield(reserve, 250 * MIB);
    assert_int_equal(reserve_held(reserve), 0);
    reserve_yield(reserve, 400 * MIB);
    assert_int_equal(reserve_held(reserve), 0);
    reserve_free(reserve);
}

static void test_more_than_there_is(void **state)
{
    const struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct reserve *reserve = NULL;
    struct statfs fs;
    assert_int_equal(fstatfs(folder->fd, &fs), 0);
    uint64_t total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_frsize + MIB;
    if (reserve_new(folder->fd, total, 0, &reserve, &err) == 0) {
        assert_int_equal(reserve_held(reserve), 0);
        reserve_free(reserve);
        skip();
    }
    assert_int_equal(err.errnum == ENOSPC || err.errnum == EFBIG, 1);
    assert_null(reserve);
    err_clear(&err);
}

static void test_nothing_to_hold(void **state)
{
    const struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct reserve *reserve = NULL;
    assert_good(reserve_new(folder->fd, 0, 0, &reserve, &err), err);
    reserve_yield(reserve, 100 * MIB);
    assert_int_equal(reserve_held(reserve), 0);
    reserve_free(reserve);
    reserve_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_gives_way),
        folder_test(test_more_than_there_is),
        folder_test(test_nothing_to_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
