/* What is written is what our own reader reads; GNU tar reads it in test/cli. */
#include "archive.h"
#include "snapshot/tar_write.h"

/* Writes the entry's head and zeros for its content, and reads it back. */
static void round_trip(const struct tar_entry *entry, struct tar_entry *out)
{
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_LARGE);
    static const char zeros[4096];
    assert_good(tar_write_head(entry, &a, &err), err);
    assert_int_equal(a.len % TAR_BLOCK, 0);
    uint64_t content = (tar_content_len(entry) + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (content <= sizeof(zeros)) {
        buf_add(&a, zeros, (size_t)content);
        tar_end(&a);
    }
    struct queue *queue = queue_of(a.data, a.len, 1000);
    struct reader in;
    reader_init(&in, queue);
    struct tar *tar = tar_new(&in);
    if (tar_next(tar, out, &err) != 1)
        fail_msg("%s", err_text(&err));
    if (content <= sizeof(zeros)) {
        CLEANUP(tar_entry_clear) struct tar_entry none = {0};
        assert_int_equal(tar_next(tar, &none, &err), 0);
    }
    tar_free(tar);
    reader_close(&in);
    queue_free(queue);
}

static void assert_same(const struct tar_entry *entry)
{
    CLEANUP(tar_entry_clear) struct tar_entry got = {0};
    round_trip(entry, &got);
    assert_int_equal(got.type, entry->type);
    assert_string_equal(got.path, entry->path);
    if (entry->link)
        assert_string_equal(got.link, entry->link);
    assert_int_equal(got.mode, entry->mode);
    assert_int_equal(got.uid, entry->uid);
    assert_int_equal(got.gid, entry->gid);
    assert_int_equal(got.mtime, entry->mtime);
    assert_int_equal(got.mtime_nsec, entry->mtime_nsec);
    assert_int_equal(got.size, entry->size);
    assert_int_equal(tar_content_len(&got), tar_content_len(entry));
}

#define DIGITS "0123456789"
#define LONG   DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS

static void test_entries(void **state)
{
    static char top[] = "", plain[] = "a/b", long_path[] = LONG "/" LONG,
                foreign[] = "\xe5\xb1\xb1", target[] = "../b", long_target[] = LONG;
    (void)state;
    assert_same(&(struct tar_entry){.type = TAR_DIR, .path = top, .mode = 01755});
    assert_same(&(struct tar_entry){.type = TAR_DIR, .path = plain, .mode = 0700});
    assert_same(&(struct tar_entry){.type = TAR_FILE, .path = long_path, .mode = 0644});
    assert_same(&(struct tar_entry){.type = TAR_FILE, .path = foreign, .mode = 0});
    assert_same(&(struct tar_entry){.type = TAR_SYMLINK, .path = plain, .link = target});
    assert_same(&(struct tar_entry){.type = TAR_SYMLINK, .path = plain, .link = long_target});
    assert_same(&(struct tar_entry){.type = TAR_HARDLINK, .path = plain, .link = foreign});
}

static void test_numbers(void **state)
{
    static char path[] = "x";
    static const struct tar_entry entries[] = {
        {.uid = 2097151, .gid = 2097152},
        {.uid = 4294967294, .gid = 1},
        {.mtime = 1700000000, .mtime_nsec = 1},
        {.mtime = -1, .mtime_nsec = 500000000},
        {.mtime = -1},
        {.mtime = -86400, .mtime_nsec = 999999999},
        {.mtime = (int64_t)1 << 40},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        struct tar_entry entry = entries[i];
        entry.path = path;
        assert_same(&entry);
    }
}

static void test_sizes(void **state)
{
    static char path[] = "disk.img";
    static const uint64_t sizes[] = {0, 1, 512, 513, 8589934591, 8589934592, (uint64_t)1 << 50};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct tar_extent all = {.len = sizes[i]};
        assert_same(&(struct tar_entry){
            .path = path, .size = sizes[i], .extents = &all, .extent_count = 1});
    }
}

static void test_holes(void **state)
{
    static char path[] = "disk.img";
    CLEANUP(tar_entry_clear) struct tar_entry got = {0};
    struct tar_extent extents[] = {{4096, 512}, {1 << 20, 100}};
    struct tar_entry entry = {
        .path = path, .size = (uint64_t)1 << 40, .extents = extents, .extent_count = 2};
    (void)state;
    assert_same(&entry);
    round_trip(&entry, &got);
    assert_int_equal(got.extent_count, 3); /* the last one, of no length, is where the file ends */
    assert_int_equal(got.extents[0].offset, 4096);
    assert_int_equal(got.extents[1].len, 100);
    assert_int_equal(got.extents[2].offset, (uint64_t)1 << 40);
    entry.size = (1 << 20) + 100; /* content up to the end */
    round_trip(&entry, &got);
    assert_int_equal(got.extent_count, 2);
    entry.extent_count = 0; /* a hole, and nothing else */
    assert_same(&entry);
}

static void test_many_extents(void **state)
{
    static char path[] = "disk.img";
    struct tar_extent *extents = xcalloc(TAR_WRITE_EXTENTS, sizeof(*extents));
    struct tar_entry entry = {.path = path,
                              .size = (uint64_t)1 << 62,
                              .extents = extents,
                              .extent_count = TAR_WRITE_EXTENTS};
    (void)state;
    for (size_t i = 0; i < TAR_WRITE_EXTENTS; i++)
        extents[i] = (struct tar_extent){.offset = ((uint64_t)1 << 61) + 8192 * i, .len = 4096};
    assert_same(&entry);
    free(extents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),      cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_many_extents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
