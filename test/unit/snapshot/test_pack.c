#include "folder.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "snapshot/pack.h"
#include "snapshot/tar_write.h"

static const struct strv nothing = STRV_INIT;

static void scan(const struct folder *folder, struct scan *out)
{
    struct err err = ERR_INIT;
    assert_good(scan_folder(folder->fd, &nothing, out, &err), err);
}

static void make_dir(const struct folder *folder, const char *name)
{
    assert_int_equal(mkdirat(folder->fd, name, 0755), 0);
}

/* ---- looking ---- */

static void test_order_and_links(void **state)
{
    struct folder *folder = *state;
    CLEANUP(scan_clear) struct scan found = {0};
    static const char *const wanted[] = {"", "B", "a", "a.b", "a/x", "a/y", "c"};
    make_dir(folder, "a");
    folder_write(folder, "c", "12345");
    folder_write(folder, "B", "12");
    folder_write(folder, "a.b", "");
    folder_write(folder, "a/y", "1");
    assert_int_equal(linkat(folder->fd, "c", folder->fd, "a/x", 0), 0);
    scan(folder, &found);
    assert_int_equal(found.count, ARRAY_LEN(wanted));
    /* What is in a folder comes right behind it. */
    static const int order[] = {0, 1, 2, 4, 5, 3, 6};
    for (size_t i = 0; i < found.count; i++)
        assert_string_equal(found.entries[i].path, wanted[order[i]]);
    assert_int_equal(found.entries[3].type, TAR_FILE);
    assert_int_equal(found.entries[6].type, TAR_HARDLINK);
    assert_string_equal(found.entries[6].link, "a/x");
    assert_int_equal(found.files, 4);
    assert_int_equal(found.apparent_bytes, 5 + 2 + 0 + 1);
}

static void test_left_out(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    CLEANUP(scan_clear) struct scan found = {0};
    autostrv struct strv exclude = STRV_INIT;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/monitor", folder->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    make_dir(folder, "logs");
    folder_write(folder, "logs/a", "");
    folder_write(folder, "x.log", "");
    folder_write(folder, "disk", "");
    strv_add(&exclude, "*.log");
    strv_add(&exclude, "logs");
    assert_good(scan_folder(folder->fd, &exclude, &found, &err), err);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.entries[1].path, "disk");
    autofree char *left_out = strv_join(&found.left_out, " ");
    assert_string_equal(left_out, "logs monitor x.log");
}

static void assert_changed(const struct folder *folder, const struct scan *found, const char *what)
{
    struct err err = ERR_INIT;
    autofree char *message = xasprintf("'%s': it was changed while it was packed: stop what writes "
                                       "to it (snapshot.save.before)",
                                       what);
    assert_int_equal(scan_check(folder->fd, found, &err), -1);
    assert_error(err, ERR_FAILED, message);
}

static void test_changes(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    static const char *const what[] = {"write", "size", "remove", "add", "replace", "mode"};
    make_dir(folder, "d");
    for (size_t i = 0; i < ARRAY_LEN(what); i++) {
        CLEANUP(scan_clear) struct scan found = {0};
        folder_write(folder, "d/file", "content");
        scan(folder, &found);
        assert_good(scan_check(folder->fd, &found, &err), err);
        autofree char *path = path_join(folder->path, "d/file");
        switch (i) {
        case 0: {
            /* The very same size: its times tell. */
            struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
            assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
            break;
        }
        case 1:
            assert_int_equal(truncate(path, 3), 0);
            break;
        case 2:
            assert_int_equal(unlink(path), 0);
            break;
        case 3:
            folder_write(folder, "d/new", "");
            break;
        case 4:
            folder_write(folder, "d/file", "content"); /* renamed over it */
            break;
        default:
            assert_int_equal(chmod(path, 0600), 0);
        }
        assert_changed(folder, &found, i >= 2 && i <= 4 ? "d" : "d/file");
    }
}

static void test_a_lock_is_seen(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    CLEANUP(scan_clear) struct scan found = {0};
    folder_write(folder, "disk", "content");
    autoclose int fd = openat(folder->fd, "disk", O_RDWR | O_CLOEXEC);
    /* A byte far beyond the end, shared, as QEMU does it. */
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_int_equal(scan_folder(folder->fd, &nothing, &found, &err), -1);
    assert_error(err, ERR_FAILED,
                 "'disk': a running program has locked it: stop the VMs first "
                 "(snapshot.save.before)");
}

/* ---- packing ---- */

/* Packs the folder as it is now, though it was scanned before; the bytes of the archive, frames. */
static size_t pack_folder(const struct folder *folder, const struct scan *found, struct err *err)
{
    struct flow *flow = NULL;
    struct pack *pack = NULL;
    size_t bytes = 0;
    struct queue *out = queue_new(4);
    assert_good(flow_new(&flow, err), *err);
    const struct pack_spec spec = {
        .folder_fd = folder->fd, .scan = found, .level = 1, .flow = flow, .out = out};
    assert_good(pack_start(&spec, &pack, err), *err);
    struct reader in;
    reader_init(&in, out);
    for (;;) {
        size_t len = 0;
        (void)reader_peek(&in, &len);
        if (len == 0)
            break;
        reader_skip(&in, len);
        bytes += len;
    }
    reader_close(&in);
    pack_join(pack);
    (void)!flow_check(flow, err);
    flow_free(flow);
    queue_free(out);
    return bytes;
}

static void test_packing_tells_changes(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    CLEANUP(scan_clear) struct scan found = {0};
    folder_write(folder, "a", "content");
    folder_write(folder, "b", "content");
    scan(folder, &found);
    assert_true(pack_folder(folder, &found, &err) > 0);
    assert_int_equal(err.code, ERR_NONE);
    autofree char *path = path_join(folder->path, "b");
    assert_int_equal(truncate(path, 3), 0);
    (void)pack_folder(folder, &found, &err);
    assert_error(err, ERR_FAILED,
                 "'b': it was changed while it was packed: stop what writes to it "
                 "(snapshot.save.before)");
    assert_int_equal(unlink(path), 0);
    (void)pack_folder(folder, &found, &err);
    assert_error(err, ERR_FAILED, "'b': cannot read it: No such file or directory");
    folder_write(folder, "b", "content"); /* another file now */
    (void)pack_folder(folder, &found, &err);
    assert_int_equal(err.code, ERR_FAILED);
    err_clear(&err);
}

/* Whoever reads gives up: everything ends all the same. */
static void test_nobody_reads(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    CLEANUP(scan_clear) struct scan found = {0};
    struct flow *flow = NULL;
    struct pack *pack = NULL;
    struct queue *out = queue_new(1);
    autoclose int fd = openat(folder->fd, "big", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    autofree char *block = xcalloc(1, 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, block, 1 << 20), 1 << 20);
    scan(folder, &found);
    assert_good(flow_new(&flow, &err), err);
    const struct pack_spec spec = {
        .folder_fd = folder->fd, .scan = &found, .level = 1, .flow = flow, .out = out};
    assert_good(pack_start(&spec, &pack, &err), err);
    struct reader in;
    size_t len = 0;
    reader_init(&in, out);
    (void)reader_peek(&in, &len);
    reader_close(&in);
    pack_join(pack);
    flow_free(flow);
    queue_free(out);
}

/* ---- extents ---- */

static void test_extents(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct tar_extent *extents = NULL;
    size_t count = 0;
    autoclose int fd = openat(folder->fd, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, "x", 1, 1 << 20), 1);
    assert_int_equal(pwrite(fd, "x", 1, 8 << 20), 1);
    assert_int_equal(ftruncate(fd, 16 << 20), 0);
    assert_good(extents_find(fd, 16 << 20, &extents, &count, &err), err);
    assert_int_equal(count, 2);
    assert_in_range(extents[0].offset, (1 << 20) - (64 << 10), 1 << 20);
    assert_in_range(extents[0].len, 1, 128 << 10);
    assert_in_range(extents[1].offset, (8 << 20) - (64 << 10), 8 << 20);
    free(extents);
    /* Only its first bytes: what was added later does not count. */
    assert_good(extents_find(fd, (1 << 20) + 1, &extents, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(extents[0].offset + extents[0].len, (1 << 20) + 1);
    free(extents);
    assert_good(extents_find(fd, 0, &extents, &count, &err), err);
    assert_int_equal(count, 0);
    free(extents);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_good(extents_find(fd, 1 << 20, &extents, &count, &err), err);
    assert_int_equal(count, 0);
    free(extents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_order_and_links),
        folder_test(test_left_out),
        folder_test(test_changes),
        folder_test(test_a_lock_is_seen),
        folder_test(test_packing_tells_changes),
        folder_test(test_nobody_reads),
        folder_test(test_extents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
