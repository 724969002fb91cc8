#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "snapshot/tree.h"

static int compare_names(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

static bool has_name(const struct strv *names, const char *path)
{
    return names->len > 0 &&
           bsearch(path, names->items, names->len, sizeof(*names->items), compare_names);
}

static int prune(int dir_fd, const char *path, const struct strv *names, struct err *err);

static int prune_entry(int dir_fd, const char *name, const char *path, const struct strv *names,
                       struct err *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot look at '%s'", path);
    if (S_ISDIR(st.st_mode)) {
        int below = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot open folder '%s'", path);
        return prune(below, path, names, err);
    }
    if (has_name(names, path) || unlinkat(dir_fd, name, 0) == 0)
        return 0;
    return err_set_errno(err, ERR_FAILED, errno, "cannot remove '%s'", path);
}

/* Takes the descriptor over. */
static int prune(int dir_fd, const char *path, const struct strv *names, struct err *err)
{
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        close(dir_fd);
        return err_set_errno(err, ERR_FAILED, errno, "cannot list folder '%s'", path);
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        autofree char *below =
            *path ? xasprintf("%s/%s", path, entry->d_name) : xstrdup(entry->d_name);
        result = prune_entry(dirfd(dir), entry->d_name, below, names, err);
    }
    closedir(dir);
    return result;
}

int tree_prune(int root_fd, const struct strv *names, struct err *err)
{
    int top = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open the folder to unpack into");
    return prune(top, "", names, err);
}
