#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "snapshot/tree.h"

#define DIRS_MAX 100000 /* their attributes are kept in memory to the end */

struct dir {
    char *path;
    mode_t mode;
    uint64_t uid, gid;
    int64_t mtime;
    long mtime_nsec;
};

struct tree {
    int root;
    int parent_fd; /* of the last entry, kept for its siblings; -1: none */
    char *parent;
    struct dir *dirs; /* those the archive names */
    size_t dir_count, dir_room;
};

struct tree *tree_new(int root_fd)
{
    struct tree *tree = xcalloc(1, sizeof(*tree));
    tree->root = root_fd;
    tree->parent_fd = -1;
    return tree;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    if (tree->parent_fd >= 0)
        close(tree->parent_fd);
    free(tree->parent);
    for (size_t i = 0; i < tree->dir_count; i++)
        free(tree->dirs[i].path);
    free(tree->dirs);
    free(tree);
}

void tree_freep(struct tree **tree)
{
    tree_free(*tree);
}

/* One step down, to a folder that is no link; it is made when `make` and missing. */
static int step(int dir, const char *name, bool make, struct err *err)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir, name, flags);
    if (fd < 0 && errno == ENOENT && make) {
        if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
            return err_set_errno(err, ERR_FAILED, errno, "cannot make folder '%s'", name);
        fd = openat(dir, name, flags);
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(err, ERR_FAILED, "path leads through '%s', which is no folder", name);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open folder '%s'", name);
    return fd;
}

/* Opens the folder at `path` ("": the top), walking down from the top. */
static int walk(const struct tree *tree, const char *path, bool make, struct err *err)
{
    int fd = openat(tree->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open the folder to unpack into");
    while (*path) {
        size_t len = strcspn(path, "/");
        autofree char *name = xstrndup(path, len);
        int next = step(fd, name, make, err);
        close(fd);
        if (next < 0)
            return -1;
        fd = next;
        path += len + (path[len] == '/');
    }
    return fd;
}

/* The folder that `path` lies in and the last component; the descriptor is the tree's. */
static int parent_of(struct tree *tree, const char *path, const char **name, struct err *err)
{
    const char *slash = strrchr(path, '/');
    autofree char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
    *name = slash ? slash + 1 : path;
    if (**name == '\0')
        return err_set(err, ERR_FAILED, "the top folder cannot be replaced");
    if (tree->parent_fd >= 0 && strcmp(parent, tree->parent) == 0)
        return 0;
    int fd = walk(tree, parent, true, err);
    if (fd < 0)
        return -1;
    if (tree->parent_fd >= 0)
        close(tree->parent_fd);
    free(tree->parent);
    tree->parent_fd = fd;
    tree->parent = steal(parent);
    return 0;
}

static int made(int result, const char *what, struct err *err)
{
    if (result >= 0)
        return 0;
    if (errno == EEXIST)
        return err_set(err, ERR_FAILED, "it replaces an entry that came before");
    return err_set_errno(err, ERR_FAILED, errno, "cannot make the %s", what);
}

static int remember(struct tree *tree, const struct tar_entry *entry, struct err *err)
{
    if (tree->dir_count == DIRS_MAX)
        return err_set(err, ERR_FAILED, "archive has more than %d folders", DIRS_MAX);
    if (tree->dir_count == tree->dir_room) {
        tree->dir_room = tree->dir_room ? 2 * tree->dir_room : 16;
        tree->dirs = xrealloc(tree->dirs, tree->dir_room * sizeof(*tree->dirs));
    }
    tree->dirs[tree->dir_count++] = (struct dir){
        .path = xstrdup(entry->path),
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime = entry->mtime,
        .mtime_nsec = entry->mtime_nsec,
    };
    return 0;
}

int tree_dir(struct tree *tree, const struct tar_entry *entry, struct err *err)
{
    int fd = walk(tree, entry->path, true, err);
    if (fd < 0)
        return -1;
    close(fd);
    return remember(tree, entry, err);
}

/* Root keeps owners, where there is such an owner: in a user namespace an id may have no meaning
 * (EINVAL), or root may not have that right (EPERM). Then what is made is ours. */
static int own(int dir, const char *name, uint64_t uid, uint64_t gid, struct err *err)
{
    int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if (geteuid() != 0 || fchownat(dir, name, (uid_t)uid, (gid_t)gid, flags) == 0 ||
        errno == EINVAL || errno == EPERM)
        return 0;
    return err_set_errno(err, ERR_FAILED, errno, "cannot set the owner");
}

static int set_time(int fd, int64_t sec, long nsec, struct err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = sec, .tv_nsec = nsec}};
    if (futimens(fd, times) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot set the time");
    return 0;
}

int tree_set_attributes(int fd, const struct tar_entry *entry, struct err *err)
{
    if (own(fd, "", entry->uid, entry->gid, err) != 0)
        return -1;
    if (fchmod(fd, entry->mode & 0777) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot set the mode");
    return set_time(fd, entry->mtime, entry->mtime_nsec, err);
}

int tree_symlink(struct tree *tree, const struct tar_entry *entry, struct err *err)
{
    const char *name;
    if (parent_of(tree, entry->path, &name, err) != 0 ||
        made(symlinkat(entry->link, tree->parent_fd, name), "link", err) != 0)
        return -1;
    if (own(tree->parent_fd, name, entry->uid, entry->gid, err) != 0)
        return -1;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = entry->mtime, .tv_nsec = entry->mtime_nsec}};
    if (utimensat(tree->parent_fd, name, times, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot set the time");
    return 0;
}

/* The folder of the link's target, and the target itself a file. */
static int open_target_dir(struct tree *tree, const char *link, const char **name, struct err *err)
{
    const char *slash = strrchr(link, '/');
    autofree char *parent = slash ? xstrndup(link, (size_t)(slash - link)) : xstrdup("");
    *name = slash ? slash + 1 : link;
    int fd = walk(tree, parent, false, err);
    if (fd < 0)
        return err_prefix(err, "hard link to '%s'", link);
    struct stat st;
    bool file = fstatat(fd, *name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
    if (file)
        return fd;
    close(fd);
    return err_set(err, ERR_FAILED, "hard link to '%s', which is no file that came before", link);
}

int tree_hardlink(struct tree *tree, const struct tar_entry *entry, struct err *err)
{
    const char *name, *target;
    if (parent_of(tree, entry->path, &name, err) != 0)
        return -1;
    autoclose int dir = open_target_dir(tree, entry->link, &target, err);
    if (dir < 0)
        return -1;
    return made(linkat(dir, target, tree->parent_fd, name, 0), "hard link", err);
}

int tree_file(struct tree *tree, const struct tar_entry *entry, int *fd, struct err *err)
{
    const char *name;
    if (parent_of(tree, entry->path, &name, err) != 0)
        return -1;
    int file =
        openat(tree->parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made(file, "file", err) != 0)
        return -1;
    *fd = file;
    return 0;
}

int tree_reopen(struct tree *tree, const struct tar_entry *entry, int *fd, struct err *err)
{
    const char *name;
    if (parent_of(tree, entry->path, &name, err) != 0)
        return -1;
    int file = openat(tree->parent_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open the file");
    *fd = file;
    return 0;
}

int tree_finish(struct tree *tree, struct err *err)
{
    /* The last one first: the time of a folder changes when those below it are touched last. */
    for (size_t i = tree->dir_count; i-- > 0;) {
        const struct dir *dir = &tree->dirs[i];
        autoclose int fd = walk(tree, dir->path, false, err);
        if (fd < 0)
            return -1;
        if (own(fd, "", dir->uid, dir->gid, err) != 0 ||
            set_time(fd, dir->mtime, dir->mtime_nsec, err))
            return err_prefix(err, "folder '%s'", dir->path);
        if (fchmod(fd, dir->mode) != 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot set the mode of folder '%s'",
                                 dir->path);
    }
    return 0;
}
