/* A folder of its own for each test. */
#ifndef TEST_SNAPSHOT_FOLDER_H
#define TEST_SNAPSHOT_FOLDER_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "archive.h"
#include "necoops/base/fs.h"

struct folder {
    char *path;
    int fd;
};

static int folder_set_up(void **state)
{
    struct folder *folder = xcalloc(1, sizeof(*folder));
    const char *tmp = getenv("TMPDIR");
    struct err err = ERR_INIT;
    assert_good(fs_make_temp_dir(tmp ? tmp : "/tmp", "snapshot-", &folder->path, &err), err);
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder->fd >= 0);
    *state = folder;
    return 0;
}

static int folder_tear_down(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    close(folder->fd);
    assert_good(fs_remove_tree(folder->path, &err), err);
    free(folder->path);
    free(folder);
    return 0;
}

/* The content of a file below the folder as a string. Caller frees. */
static inline char *folder_read(const struct folder *folder, const char *name)
{
    struct buf text = BUF_INIT(BUF_LARGE);
    struct err err = ERR_INIT;
    autofree char *path = path_join(folder->path, name);
    assert_good(fs_read(path, &text, &err), err);
    return buf_steal(&text);
}

static inline void folder_write(const struct folder *folder, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    autofree char *path = path_join(folder->path, name);
    assert_good(fs_write(path, text, strlen(text), 0644, &err), err);
}

static inline bool folder_has(const struct folder *folder, const char *name)
{
    struct stat st;
    return fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

#define folder_test(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, folder_set_up, folder_tear_down)

#endif
