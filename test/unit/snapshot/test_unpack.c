#include "folder.h"
#include <sys/statfs.h>
#include "snapshot/unpack.h"

static int unpack_within(const struct folder *folder, const struct buf *archive,
                         const struct unpack_limits *limits, struct unpack_stats *stats,
                         struct err *err)
{
    struct queue *queue = queue_of(archive->data, archive->len, 100000);
    struct reader in;
    reader_init(&in, queue);
    struct unpack_job job = {.tree_fd = folder->fd, .limits = *limits, .stats = stats};
    int result = unpack(&in, &job, err);
    reader_close(&in);
    queue_free(queue);
    return result;
}

static int unpack_all(const struct folder *folder, const struct buf *archive, struct err *err)
{
    struct unpack_limits limits = {0};
    struct unpack_stats stats = {0};
    int result = unpack_within(folder, archive, &limits, &stats, err);
    unpack_stats_clear(&stats);
    return result;
}

static void assert_refused(const struct folder *folder, struct buf *archive, const char *message)
{
    struct err err = ERR_INIT;
    tar_end(archive);
    assert_int_equal(unpack_all(folder, archive, &err), -1);
    assert_error(err, ERR_FAILED, message);
    buf_clear(archive);
}

static void test_tree(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, &(struct header){.name = "./", .type = '5', .mode = 0750});
    tar_header(&a, &(struct header){.name = "locked/", .type = '5', .mode = 0500});
    tar_file(&a, "locked/file", "in it");
    tar_file(&a, "implied/parents/file", "hello");
    tar_header(&a, &(struct header){.name = "link", .type = '2', .link = "implied/parents"});
    tar_header(&a, &(struct header){.name = "hard", .type = '1', .link = "implied/parents/file"});
    tar_header(&a, &(struct header){.name = "run", .mode = 0755});
    tar_end(&a);
    struct unpack_limits limits = {0};
    struct unpack_stats stats = {0};
    assert_good(unpack_within(folder, &a, &limits, &stats, &err), err);
    assert_int_equal(stats.entries, 7);
    assert_int_equal(stats.files, 3);
    assert_int_equal(stats.apparent_bytes, 10);
    assert_string_equal(stats.names.items[1], "implied/parents/file");
    unpack_stats_clear(&stats);
    autofree char *hard = folder_read(folder, "hard");
    assert_string_equal(hard, "hello");
    struct stat st;
    assert_int_equal(fstatat(folder->fd, "run", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtime, 1700000000);
    assert_int_equal(fstatat(folder->fd, "locked", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0500);
    assert_int_equal(st.st_mtime, 1700000000);
    assert_int_equal(fstat(folder->fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    char target[64] = "";
    assert_int_equal(readlinkat(folder->fd, "link", target, sizeof(target)), 15);
    assert_string_equal(target, "implied/parents");
}

static void test_through_a_link(void **state)
{
    struct folder *folder = *state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, &(struct header){.name = "dir", .type = '5', .mode = 0755});
    tar_header(&a, &(struct header){.name = "link", .type = '2', .link = "dir"});
    tar_file(&a, "link/file", "x");
    assert_refused(folder, &a, "entry 'link/file': path leads through 'link', which is no folder");
    assert_false(folder_has(folder, "dir/file"));
}

static void test_hard_link_through_a_link(void **state)
{
    struct folder *folder = *state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_file(&a, "dir/file", "x");
    tar_header(&a, &(struct header){.name = "link", .type = '2', .link = "dir"});
    tar_header(&a, &(struct header){.name = "hard", .type = '1', .link = "link/file"});
    assert_refused(folder, &a,
                   "entry 'hard': hard link to 'link/file': path leads through 'link', which is "
                   "no folder");
    assert_false(folder_has(folder, "hard"));
}

static void test_hard_link_to_what_is_not_there(void **state)
{
    struct folder *folder = *state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, &(struct header){.name = "hard", .type = '1', .link = "file"});
    assert_refused(folder, &a,
                   "entry 'hard': hard link to 'file', which is no file that came before");
}

static void test_replacing(void **state)
{
    struct folder *folder = *state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_file(&a, "file", "first");
    tar_file(&a, "file", "second");
    assert_refused(folder, &a, "entry 'file': it replaces an entry that came before");
    autofree char *text = folder_read(folder, "file");
    assert_string_equal(text, "first");
    tar_header(&a, &(struct header){.name = "other", .type = '2', .link = "x"});
    tar_file(&a, "other", "through");
    assert_refused(folder, &a, "entry 'other': it replaces an entry that came before");
    assert_false(folder_has(folder, "x"));
    tar_file(&a, "third", "x");
    tar_header(&a, &(struct header){.name = "third", .type = '5', .mode = 0755});
    assert_refused(folder, &a, "entry 'third': path leads through 'third', which is no folder");
    tar_header(&a, &(struct header){.name = ".", .type = '2', .link = "x"});
    assert_refused(folder, &a, "entry '': the top folder cannot be replaced");
}

static void test_limits(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    struct unpack_stats stats = {0};
    tar_file(&a, "one", "12345");
    tar_file(&a, "two", "12345");
    tar_end(&a);
    assert_int_equal(unpack_within(folder, &a, &(struct unpack_limits){.entries = 1}, &stats, &err),
                     -1);
    assert_error(err, ERR_FAILED,
                 "entry 'two': archive holds more than the 1 entries that are "
                 "allowed");
    unpack_stats_clear(&stats);
    assert_int_equal(unlinkat(folder->fd, "one", 0), 0);
    assert_int_equal(
        unpack_within(folder, &a, &(struct unpack_limits){.apparent_bytes = 9}, &stats, &err), -1);
    assert_error(err, ERR_FAILED,
                 "entry 'two': archive holds more than the 9 bytes that are "
                 "allowed");
    unpack_stats_clear(&stats);
    assert_int_equal(unlinkat(folder->fd, "one", 0), 0);
    assert_int_equal(
        unpack_within(folder, &a, &(struct unpack_limits){.disk_bytes = 9}, &stats, &err), -1);
    assert_error(err, ERR_FAILED,
                 "entry 'two': archive holds more than the 9 bytes of disk space "
                 "that are allowed");
    unpack_stats_clear(&stats);
}

/* Blocks with content, by what the file system says. */
static uint64_t blocks_of(const struct folder *folder, const char *name)
{
    struct stat st;
    assert_int_equal(fstatat(folder->fd, name, &st, 0), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void test_zeros_become_holes(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_LARGE);
    const size_t len = (3 << 20) + 100;
    autofree char *image = xcalloc(1, len);
    memset(image + (1 << 20), 'x', 8192);
    image[len - 1] = 'e';
    tar_header(&a, &(struct header){.name = "image", .size = len});
    tar_content(&a, image, len);
    tar_header(&a, &(struct header){.name = "zeros", .size = 1 << 20});
    tar_content(&a, (const char[1 << 20]){0}, 1 << 20);
    tar_end(&a);
    struct unpack_limits limits = {0};
    struct unpack_stats stats = {0};
    assert_good(unpack_within(folder, &a, &limits, &stats, &err), err);
    assert_int_equal(atomic_load(&stats.disk_bytes), 8192 + 100);
    unpack_stats_clear(&stats);
    assert_true(blocks_of(folder, "image") <= 8192 + 2 * 4096);
    assert_int_equal(blocks_of(folder, "zeros"), 0);
    autofree char *path = path_join(folder->path, "image");
    autobuf struct buf back = BUF_INIT(BUF_LARGE);
    assert_good(fs_read(path, &back, &err), err);
    assert_int_equal(back.len, len);
    assert_memory_equal(back.data, image, len);
}

static void test_sparse_entry(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_pax(&a, 'x',
            (const char *const[]){"GNU.sparse.size=1073741824", "GNU.sparse.numblocks=2",
                                  "GNU.sparse.map=4096,5,1073741820,4", NULL});
    tar_header(&a, &(struct header){.name = "big", .size = 9});
    tar_content(&a, "helloTAIL", 9);
    tar_end(&a);
    assert_good(unpack_all(folder, &a, &err), err);
    struct stat st;
    assert_int_equal(fstatat(folder->fd, "big", &st, 0), 0);
    assert_int_equal(st.st_size, 1073741824);
    assert_true(st.st_blocks * 512 <= 65536);
    autoclose int fd = openat(folder->fd, "big", O_RDONLY);
    char text[6] = "";
    assert_int_equal(pread(fd, text, 5, 4096), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(pread(fd, text, 5, 1073741820), 4);
    assert_memory_equal(text, "TAIL", 4);
}

static void test_write_sparse_in_pieces(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    const size_t len = 100000;
    autofree char *data = xcalloc(1, len);
    for (size_t i = 0; i < len; i++)
        data[i] = (i / 5000) % 3 == 0 ? (char)i : 0;
    static const size_t steps[] = {1, 7, 4096, 5000, 100000};
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        autoclose int fd = openat(folder->fd, "f", O_RDWR | O_CREAT | O_TRUNC, 0600);
        uint64_t written = 0;
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
        for (size_t at = 0; at < len; at += steps[s]) {
            size_t piece = len - at < steps[s] ? len - at : steps[s];
            assert_good(write_sparse(fd, at, data + at, piece, &written, &err), err);
        }
        autofree char *back = xmalloc(len);
        assert_int_equal(pread(fd, back, len, 0), len);
        assert_memory_equal(back, data, len);
        assert_true(written < 90000);
    }
}

static void test_a_disk_that_is_full(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_pax(
        &a, 'x',
        (const char *const[]){"GNU.sparse.size=9223372036854775807", "GNU.sparse.map=0,1", NULL});
    tar_header(&a, &(struct header){.name = "huge", .size = 1});
    tar_content(&a, "x", 1);
    tar_end(&a);
    assert_int_equal(unpack_all(folder, &a, &err), -1);
    assert_non_null(
        strstr(err_text(&err), "entry 'huge': cannot make a file of 9223372036854775807 bytes"));
    err_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_tree),
        folder_test(test_through_a_link),
        folder_test(test_hard_link_through_a_link),
        folder_test(test_hard_link_to_what_is_not_there),
        folder_test(test_replacing),
        folder_test(test_limits),
        folder_test(test_zeros_become_holes),
        folder_test(test_sparse_entry),
        folder_test(test_write_sparse_in_pieces),
        folder_test(test_a_disk_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
