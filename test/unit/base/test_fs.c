#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "necoops/base/fs.h"
#include "necoops/base/strv.h"

static char *dir; /* a new folder for each test */

static int setup(void **state)
{
    autoerr struct err err = ERR_INIT;

    (void)state;
    return fs_make_temp_dir("/tmp", "fs-test-", &dir, &err);
}

static int teardown(void **state)
{
    autoerr struct err err = ERR_INIT;
    int result = fs_remove_tree(dir, &err);

    (void)state;
    free_charp(&dir);
    return result;
}

static char *in_dir(const char *name)
{
    return path_join(dir, name);
}

static void put(const char *name, const char *text)
{
    autofree char *path = in_dir(name);
    autoerr struct err err = ERR_INIT;

    assert_ok(fs_write(path, text, strlen(text), 0644, &err), err);
}

static void holds(const char *name, const char *wanted)
{
    autofree char *path = in_dir(name);
    autobuf struct buf buf = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;

    assert_ok(fs_read(path, &buf, &err), err);
    assert_string_equal(buf.data, wanted);
}

static int entries(void)
{
    autofree char *command = xasprintf("ls -A '%s' | wc -l", dir);
    FILE *pipe = popen(command, "r");
    int count = -1;

    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static void what_is_written_is_read(void **state)
{
    autofree char *path = in_dir("f");
    struct stat info;

    (void)state;
    put("f", "hello");
    holds("f", "hello");
    put("f", "");
    holds("f", "");
    put("f", "again");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0644);
    assert_int_equal(entries(), 1); /* no temporary file is left */
}

static void the_mode_is_exact(void **state)
{
    autofree char *path = in_dir("secret");
    autoerr struct err err = ERR_INIT;
    mode_t mask = umask(0);
    struct stat info;

    (void)state;
    assert_ok(fs_write(path, "x", 1, 0600, &err), err);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void reading_has_a_cap(void **state)
{
    autofree char *path = in_dir("f");
    autofree char *wanted = xasprintf("'%s' is larger than 4 bytes", path);
    autobuf struct buf small = BUF_INIT(4);
    autobuf struct buf exact = BUF_INIT(5);
    autoerr struct err err = ERR_INIT;

    (void)state;
    put("f", "12345");
    assert_int_equal(fs_read(path, &small, &err), -1);
    assert_err(err, ERR_FAILED, wanted);
    assert_ok(fs_read(path, &exact, &err), err);
    assert_string_equal(exact.data, "12345");
}

static void reading_a_large_file(void **state)
{
    autofree char *path = in_dir("f");
    autofree char *data = xcalloc(300000, 1);
    autobuf struct buf buf = BUF_INIT(BUF_MEDIUM);
    autoerr struct err err = ERR_INIT;

    (void)state;
    data[299999] = 'x';
    assert_ok(fs_write(path, data, 300000, 0600, &err), err);
    assert_ok(fs_read(path, &buf, &err), err);
    assert_int_equal(buf.len, 300000);
    assert_memory_equal(buf.data, data, 300000);
}

static void a_dash_is_standard_input(void **state)
{
    autobuf struct buf buf = BUF_INIT(100);
    autoerr struct err err = ERR_INIT;
    int saved = dup(STDIN_FILENO);
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "piped", 5), 5);
    close(fds[1]);
    dup2(fds[0], STDIN_FILENO);
    close(fds[0]);
    assert_ok(fs_read("-", &buf, &err), err);
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_string_equal(buf.data, "piped");
}

static void failures_name_the_path(void **state)
{
    autofree char *missing = in_dir("no/file");
    autofree char *not_open = xasprintf("cannot open '%s': No such file or directory", missing);
    autofree char *not_read = xasprintf("cannot read '%s': Is a directory", dir);
    autofree char *not_written = xasprintf("cannot write '%s': No such file or directory", missing);
    autofree char *is_dir = xasprintf("cannot write '%s': Is a directory", dir);
    autobuf struct buf buf = BUF_INIT(100);
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(fs_read(missing, &buf, &err), -1);
    assert_err(err, ERR_NOT_FOUND, not_open);
    assert_int_equal(fs_read(dir, &buf, &err), -1);
    assert_err(err, ERR_FAILED, not_read);
    assert_int_equal(fs_write(missing, "x", 1, 0600, &err), -1);
    assert_err(err, ERR_NOT_FOUND, not_written);
    assert_int_equal(fs_write(dir, "x", 1, 0600, &err), -1);
    assert_err(err, ERR_FAILED, is_dir);
}

static void a_link_stays_and_its_file_is_written(void **state)
{
    autofree char *link = in_dir("link");
    struct stat info;

    (void)state;
    put("file", "old");
    assert_int_equal(symlink("file", link), 0);
    put("link", "new");
    holds("file", "new");
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void devices_and_pipes_are_not_replaced(void **state)
{
    autofree char *fifo = in_dir("fifo");
    autoerr struct err err = ERR_INIT;
    char seen[8] = "";
    struct stat info;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fd = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_ok(fs_write(fifo, "abc", 3, 0600, &err), err);
    assert_int_equal(read(fd, seen, sizeof(seen) - 1), 3);
    assert_string_equal(seen, "abc");
    close(fd);
    assert_ok(fs_write("/dev/null", "abc", 3, 0600, &err), err);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

static void folders_are_made_with_their_parents(void **state)
{
    autofree char *path = in_dir("a//b/c/");
    autofree char *file = in_dir("file");
    autofree char *below = in_dir("file/x");
    autofree char *wanted = xasprintf("cannot make folder '%s': File exists", file);
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_ok(fs_mkdirs(path, 0700, &err), err);
    assert_true(fs_is_dir(path));
    assert_ok(fs_mkdirs(path, 0700, &err), err);
    assert_ok(fs_mkdirs("/", 0700, &err), err);
    put("file", "");
    assert_int_equal(fs_mkdirs(below, 0700, &err), -1);
    assert_err(err, ERR_FAILED, wanted);
    assert_int_equal(fs_mkdirs("", 0700, &err), -1);
    assert_err(err, ERR_FAILED, "cannot make a folder without a name");
    assert_true(fs_exists(file));
    assert_false(fs_is_dir(file));
    assert_false(fs_exists(below));
}

static void make_folder(const char *name)
{
    autofree char *path = in_dir(name);
    autoerr struct err err = ERR_INIT;

    assert_ok(fs_mkdirs(path, 0755, &err), err);
}

static void a_tree_goes_but_not_what_it_links_to(void **state)
{
    autofree char *tree = in_dir("tree");
    autofree char *link = in_dir("tree/sub/out");
    autofree char *dangling = in_dir("tree/dangling");
    autofree char *fifo = in_dir("tree/fifo");
    autoerr struct err err = ERR_INIT;

    (void)state;
    make_folder("keep");
    put("keep/file", "kept");
    make_folder("tree/sub/deep");
    put("tree/sub/deep/file", "x");
    put("tree/.hidden", "x");
    assert_int_equal(symlink("../../keep", link), 0);
    assert_int_equal(symlink("nowhere", dangling), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_ok(fs_remove_tree(tree, &err), err);
    assert_false(fs_exists(tree));
    holds("keep/file", "kept");
}

static void a_link_at_the_top_goes_itself(void **state)
{
    autofree char *link = in_dir("link");
    autoerr struct err err = ERR_INIT;

    (void)state;
    make_folder("keep");
    put("keep/file", "kept");
    assert_int_equal(symlink("keep", link), 0);
    assert_ok(fs_remove_tree(link, &err), err);
    assert_false(fs_exists(link));
    holds("keep/file", "kept");
}

static void a_file_or_nothing_is_removed_too(void **state)
{
    autofree char *path = in_dir("file");
    autoerr struct err err = ERR_INIT;

    (void)state;
    put("file", "x");
    assert_ok(fs_remove_tree(path, &err), err);
    assert_false(fs_exists(path));
    assert_ok(fs_remove_tree(path, &err), err);
}

/* As anybody but root: root passes every mode. */
static void read_only_folders_go_too(void **state)
{
    autofree char *tree = in_dir("tree");
    autofree char *sub = in_dir("tree/sub");
    autofree char *locked = in_dir("tree/sub/locked");
    bool is_root = geteuid() == 0;
    autoerr struct err err = ERR_INIT;
    int result;

    (void)state;
    make_folder("tree/sub/locked");
    put("tree/sub/locked/file", "x");
    if (is_root) {
        autofree char *command = xasprintf("chown -R 65534 '%s'", dir);

        assert_int_equal(system(command), 0);
    }
    assert_int_equal(chmod(locked, 0000), 0);
    assert_int_equal(chmod(sub, 0500), 0);
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    result = fs_remove_tree(tree, &err);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_ok(result, err);
    assert_false(fs_exists(tree));
}

static void a_tree_without_end_of_names(void **state)
{
    autofree char *tree = in_dir("tree");
    autoerr struct err err = ERR_INIT;

    (void)state;
    make_folder("tree");
    for (int i = 0; i < 2000; i++) {
        autofree char *name = xasprintf("tree/file-with-a-rather-long-name-%d", i);
        autofree char *path = in_dir(name);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);

        assert_true(fd >= 0);
        close(fd);
    }
    assert_ok(fs_remove_tree(tree, &err), err);
    assert_false(fs_exists(tree));
}

static void what_cannot_be_removed_is_named(void **state)
{
    autoerr struct err err = ERR_INIT;
    struct stat info;

    (void)state;
    if (stat("/proc/self/status", &info) != 0)
        skip();
    assert_int_equal(fs_remove_tree("/proc/self/status", &err), -1);
    assert_non_null(strstr(err_text(&err), "cannot remove '/proc/self/status': "));
    assert_int_equal(err.code, ERR_FAILED);
}

static void temporary_folders_are_ours_alone(void **state)
{
    autofree char *a = NULL;
    autofree char *b = NULL;
    autofree char *missing = in_dir("no");
    autofree char *wanted =
        xasprintf("cannot make a folder in '%s': No such file or directory", missing);
    autoerr struct err err = ERR_INIT;
    struct stat info;

    (void)state;
    assert_ok(fs_make_temp_dir(dir, "x-", &a, &err), err);
    assert_ok(fs_make_temp_dir(dir, "x-", &b, &err), err);
    assert_string_not_equal(a, b);
    assert_memory_equal(a, dir, strlen(dir));
    assert_memory_equal(a + strlen(dir), "/x-", 3);
    assert_int_equal(stat(a, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    free_charp(&a);
    assert_int_equal(fs_make_temp_dir(missing, "x-", &a, &err), -1);
    assert_err(err, ERR_NOT_FOUND, wanted);
    assert_null(a);
}

static void paths(void **state)
{
    (void)state;
    assert_text(path_join("a", "b"), "a/b");
    assert_text(path_join("a/", "b"), "a/b");
    assert_text(path_join("/", "b"), "/b");
    assert_text(path_join("", "b"), "b");
    assert_text(path_join("a", "/b"), "/b");
    assert_text(path_expand_home("~/x", "/home/u"), "/home/u/x");
    assert_text(path_expand_home("~", "/home/u"), "/home/u");
    assert_text(path_expand_home("~x/y", "/home/u"), "~x/y");
    assert_text(path_expand_home("a~/y", "/home/u"), "a~/y");
    assert_text(path_expand_home("~/x", NULL), "~/x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(the_mode_is_exact),
        TEST(reading_has_a_cap),
        TEST(reading_a_large_file),
        TEST(a_dash_is_standard_input),
        TEST(failures_name_the_path),
        TEST(a_link_stays_and_its_file_is_written),
        TEST(devices_and_pipes_are_not_replaced),
        TEST(folders_are_made_with_their_parents),
        TEST(a_tree_goes_but_not_what_it_links_to),
        TEST(a_link_at_the_top_goes_itself),
        TEST(a_file_or_nothing_is_removed_too),
        TEST(read_only_folders_go_too),
        TEST(a_tree_without_end_of_names),
        TEST(what_cannot_be_removed_is_named),
        TEST(temporary_folders_are_ours_alone),
        cmocka_unit_test(paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
