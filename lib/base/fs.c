#include "necoops/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/strv.h"

static enum err_code code_of(int errnum)
{
    return errnum == ENOENT ? ERR_NOT_FOUND : ERR_FAILED;
}

/* ---- reading ---- */

static int read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    autofree char *chunk = xmalloc(BUF_SMALL);

    for (;;) {
        ssize_t got = read(fd, chunk, BUF_SMALL);

        if (got == 0)
            return 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot read '%s'", path);
        if (buf_add(out, chunk, (size_t)got) < 0)
            return err_set(err, ERR_FAILED, "'%s' is larger than %zu bytes", path, out->cap);
    }
}

int fs_read(const char *path, struct buf *out, struct err *err)
{
    autoclose int fd = -1;

    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, path, out, err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, code_of(errno), errno, "cannot open '%s'", path);
    return read_all(fd, path, out, err);
}

/* ---- writing ---- */

static int write_all(int fd, const char *path, const void *data, size_t len, struct err *err)
{
    const char *at = data;

    while (len > 0) {
        ssize_t put = write(fd, at, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot write '%s'", path);
        at += put;
        len -= (size_t)put;
    }
    return 0;
}

/* Devices and pipes (/dev/stdout, /dev/null) are written to; a rename would replace them. */
static int write_into(const char *path, const void *data, size_t len, struct err *err)
{
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_set_errno(err, code_of(errno), errno, "cannot open '%s'", path);
    return write_all(fd, path, data, len, err);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

/* The name of the file itself must last too; a file system that cannot sync folders is no error. */
static void sync_folder(const char *folder)
{
    autoclose int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)fsync(fd);
}

static int fill_and_rename(int fd, const char *temp, const char *target, const void *data,
                           size_t len, mode_t mode, struct err *err)
{
    if (write_all(fd, target, data, len, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot set the mode of '%s'", target);
    if (fsync(fd) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot sync '%s'", target);
    if (rename(temp, target) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot replace '%s'", target);
    return 0;
}

int fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    autofree char *target = NULL;
    autofree char *folder = NULL;
    autofree char *temp = NULL;
    autoclose int fd = -1;

    if (exists && S_ISDIR(info.st_mode))
        return err_set_errno(err, ERR_FAILED, EISDIR, "cannot write '%s'", path);
    if (exists && !S_ISREG(info.st_mode))
        return write_into(path, data, len, err);
    /* Through a link to the file it names: the link stays. */
    target = exists ? realpath(path, NULL) : NULL;
    if (target == NULL)
        target = xstrdup(path);
    folder = folder_of(target);
    temp = xasprintf("%s/.necoops.XXXXXX", folder);
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, code_of(errno), errno, "cannot write '%s'", path);
    if (fill_and_rename(fd, temp, target, data, len, mode, err) < 0) {
        unlink(temp);
        return -1;
    }
    sync_folder(folder);
    return 0;
}

/* ---- folders ---- */

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
    autofree char *part = xstrdup(path);
    char *at = part;

    if (*path == '\0')
        return err_set(err, ERR_FAILED, "cannot make a folder without a name");
    do {
        char rest;

        at += strspn(at, "/");
        at += strcspn(at, "/");
        rest = *at;
        *at = '\0';
        if (mkdir(part, mode) < 0 && !(errno == EEXIST && fs_is_dir(part)))
            return err_set_errno(err, ERR_FAILED, errno, "cannot make folder '%s'", part);
        *at = rest;
    } while (*at != '\0');
    return 0;
}

bool fs_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

bool fs_is_dir(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int fs_make_temp_dir(const char *dir, const char *prefix, char **path, struct err *err)
{
    autofree char *made = xasprintf("%s/%sXXXXXX", dir, prefix);

    if (mkdtemp(made) == NULL)
        return err_set_errno(err, code_of(errno), errno, "cannot make a folder in '%s'", dir);
    *path = steal(made);
    return 0;
}

/* ---- removing a tree ---- */

static int remove_entry(int parent, const char *name, const char *path, const struct statx *top,
                        struct err *err);

static int look_at(int parent, const char *name, struct statx *info)
{
    return statx(parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MODE,
                 info);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* All names first: what readdir gives while entries vanish is up to the file system. */
static int list_names(int fd, const char *path, struct strv *names, struct err *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    CLEANUP(close_dir) DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    if (dir == NULL) {
        err_set_errno(err, ERR_FAILED, errno, "cannot read folder '%s'", path);
        close_fdp(&copy);
        return -1;
    }
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(names, entry->d_name);
    }
    if (errno != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot read folder '%s'", path);
    return 0;
}

static int remove_contents(int fd, const char *path, const struct statx *top, struct err *err)
{
    autostrv struct strv names = STRV_INIT;

    if (list_names(fd, path, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.len; i++) {
        autofree char *below = path_join(path, names.items[i]);

        if (remove_entry(fd, names.items[i], below, top, err) < 0)
            return -1;
    }
    return 0;
}

static int remove_folder(int parent, const char *name, const char *path, const struct statx *info,
                         const struct statx *top, struct err *err)
{
    autoclose int fd = -1;

    /* Tools make read-only folders (Go's module cache); the mode may not stop their removal. */
    if ((info->stx_mode & S_IRWXU) != S_IRWXU)
        (void)fchmodat(parent, name, (info->stx_mode & 07777) | S_IRWXU, 0);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0
                               : err_set_errno(err, ERR_FAILED, errno, "cannot open '%s'", path);
    if (remove_contents(fd, path, top, err) < 0)
        return -1;
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_FAILED, errno, "cannot remove '%s'", path);
    return 0;
}

/* `top` is where it began: its device bounds the removal; NULL at the top itself. */
static int remove_entry(int parent, const char *name, const char *path, const struct statx *top,
                        struct err *err)
{
    struct statx info;

    if (look_at(parent, name, &info) < 0)
        return errno == ENOENT ? 0
                               : err_set_errno(err, ERR_FAILED, errno, "cannot remove '%s'", path);
    if (top != NULL &&
        (info.stx_dev_major != top->stx_dev_major || info.stx_dev_minor != top->stx_dev_minor ||
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0))
        return err_set(err, ERR_FAILED, "'%s' is a mount point and stays; unmount it first", path);
    if (S_ISDIR(info.stx_mode))
        return remove_folder(parent, name, path, &info, top != NULL ? top : &info, err);
    if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_FAILED, errno, "cannot remove '%s'", path);
    return 0;
}

int fs_remove_tree(const char *path, struct err *err)
{
    return remove_entry(AT_FDCWD, path, path, NULL, err);
}

/* ---- paths ---- */

char *path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);

    if (name[0] == '/' || len == 0)
        return xstrdup(name);
    return xasprintf("%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", name);
}

char *path_within(const char *folder, const char *relative)
{
    autostrv struct strv parts = STRV_INIT;
    autostrv struct strv more = STRV_INIT;

    if (relative[0] == '/')
        return NULL;
    strv_split(&parts, folder, '/');
    strv_split(&more, relative, '/');
    for (size_t i = 0; i < more.len; i++) {
        if (strcmp(more.items[i], "..") == 0) {
            if (parts.len == 0)
                return NULL;
            free(parts.items[--parts.len]);
            parts.items[parts.len] = NULL;
        } else if (strcmp(more.items[i], ".") != 0) {
            strv_add(&parts, more.items[i]);
        }
    }
    return strv_join(&parts, "/");
}

char *path_expand_home(const char *path, const char *home)
{
    if (home == NULL || path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
        return xstrdup(path);
    return xasprintf("%s%s", home, path + 1);
}
