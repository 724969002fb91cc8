#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "snapshot/place.h"

#define NOTE_MAX BUF_MEDIUM

struct place {
    char *path;
    char *parent;
    char *name;
    char *work;
    char *note;
    int parent_fd;
    int work_fd; /* locked; -1: not */
    int tree_fd; /* -1: none */
};

void place_free(struct place *place)
{
    if (!place)
        return;
    if (place->tree_fd >= 0)
        close(place->tree_fd);
    if (place->work_fd >= 0)
        close(place->work_fd);
    if (place->parent_fd >= 0)
        close(place->parent_fd);
    free(place->path);
    free(place->parent);
    free(place->name);
    free(place->work);
    free(place->note);
    free(place);
}

void place_freep(struct place **place)
{
    place_free(*place);
}

const char *place_path(const struct place *place)
{
    return place->path;
}

const char *place_work(const struct place *place)
{
    return place->work;
}

bool place_exists(const struct place *place)
{
    struct stat st;
    return fstatat(place->parent_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Makes the path absolute and free of links; its last component need not exist. */
static int resolve(const char *to, char **parent, char **name, struct err *err)
{
    char real[PATH_MAX];
    autofree char *plain = xstrdup(to);
    for (size_t len = strlen(plain); len > 1 && plain[len - 1] == '/'; len--)
        plain[len - 1] = '\0';
    if (realpath(plain, real)) {
        free(plain);
        plain = xstrdup(real);
    }
    char *slash = strrchr(plain, '/');
    const char *last = slash ? slash + 1 : plain;
    if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return err_set(err, ERR_USAGE, "a folder of its own must be named");
    autofree char *dir = !slash           ? xstrdup(".")
                         : slash == plain ? xstrdup("/")
                                          : xstrndup(plain, (size_t)(slash - plain));
    if (fs_mkdirs(dir, 0755, err) != 0)
        return -1;
    if (!realpath(dir, real))
        return err_set_errno(err, ERR_FAILED, errno, "folder '%s'", dir);
    *parent = xstrdup(real);
    *name = xstrdup(last);
    return 0;
}

static int refuse_special(const struct run *run, const struct place *place, struct err *err)
{
    struct statx stx;
    if (statx(place->parent_fd, place->name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO, &stx) !=
        0) {
        if (errno == ENOENT)
            return 0;
        return err_set_errno(err, ERR_FAILED, errno, "destination '%s'", place->path);
    }
    struct stat parent, self;
    if (!S_ISDIR(stx.stx_mode))
        return err_set(err, ERR_USAGE, "destination '%s' is no folder", place->path);
    if (fstat(place->parent_fd, &parent) != 0 ||
        fstatat(place->parent_fd, place->name, &self, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "destination '%s'", place->path);
    if (parent.st_dev != self.st_dev || (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return err_set(err, ERR_USAGE,
                       "destination '%s' is a mount point and cannot be exchanged: name a folder "
                       "below it",
                       place->path);
    const char *home = run_env(run, "HOME");
    if (home && strcmp(home, place->path) == 0)
        return err_set(err, ERR_USAGE, "destination '%s' is the home folder", place->path);
    char here[PATH_MAX];
    size_t len = strlen(place->path);
    if (getcwd(here, sizeof here) && strncmp(here, place->path, len) == 0 &&
        (here[len] == '/' || here[len] == '\0'))
        return err_set(err, ERR_USAGE,
                       "destination '%s' holds the folder this runs in, and would be replaced as a "
                       "whole: name another one",
                       place->path);
    return 0;
}

int place_find(const struct run *run, const char *to, struct place **out, struct err *err)
{
    autoplace struct place *place = xcalloc(1, sizeof(*place));
    place->parent_fd = place->work_fd = place->tree_fd = -1;
    if (resolve(to, &place->parent, &place->name, err) != 0)
        return err_prefix(err, "destination '%s'", to);
    place->path = path_join(place->parent, place->name);
    place->work = xasprintf("%s/.%s.necoops", place->parent, place->name);
    place->note = xasprintf("%s/.%s.necoops.json", place->parent, place->name);
    place->parent_fd = open(place->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->parent_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "folder '%s'", place->parent);
    if (refuse_special(run, place, err) != 0)
        return -1;
    *out = steal(place);
    return 0;
}

/* A folder is known by its inode and the time it was made, where the file system keeps that. */
static bool identity(int fd, const char *name, uint64_t *inode, int64_t *born)
{
    struct statx stx;
    int flags = name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
    if (statx(fd, name ? name : "", flags, STATX_INO | STATX_BTIME, &stx) != 0)
        return false;
    *inode = stx.stx_ino;
    *born = 0;
    if (stx.stx_mask & STATX_BTIME)
        *born = stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec;
    return true;
}

static bool files_are_there(const struct place *place, const cJSON *note)
{
    autoclose int dir = openat(place->parent_fd, place->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const cJSON *file;
    cJSON_ArrayForEach(file, json_at(note, "files"))
    {
        struct stat st;
        if (!cJSON_IsString(file) || fstatat(dir, file->valuestring, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return false;
    }
    return dir >= 0;
}

/* A note that cannot be read says nothing. */
static cJSON *note_beside(const struct place *place)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(NOTE_MAX);
    autojson cJSON *note = NULL;
    if (fs_read(place->note, &text, &err) != 0 ||
        json_parse(text.data, text.len, place->note, &note, &err) != 0)
        return NULL;
    return steal(note);
}

/* Is the destination the folder that these `inode` and `born` tell? */
static bool is_identified(const struct place *place, const cJSON *json)
{
    uint64_t inode = 0, noted_inode = 0;
    int64_t born = 0, noted_born = 0;
    return identity(place->parent_fd, place->name, &inode, &born) &&
           json_u64(json, "inode", &noted_inode) && json_i64(json, "born", &noted_born) &&
           inode == noted_inode && born == noted_born;
}

cJSON *place_read_note(const struct place *place)
{
    autojson cJSON *note = note_beside(place);
    if (!note || !is_identified(place, note) || !files_are_there(place, note))
        return NULL;
    return steal(note);
}

/* One that cannot be read is not. */
static bool is_empty(const struct place *place)
{
    int fd = openat(place->parent_fd, place->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *item;
    size_t count = 0;
    if (!dir) {
        close_fdp(&fd);
        return false;
    }
    while ((item = readdir(dir)) != NULL)
        count += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0;
    closedir(dir);
    return count == 0;
}

int place_refuse_foreign(const struct place *place, struct err *err)
{
    if (!place_exists(place) || is_empty(place))
        return 0;
    autojson cJSON *note = note_beside(place);
    /* A run that was killed before the exchange left a note about the folder that was to come. */
    if (note && (is_identified(place, note) || is_identified(place, json_at(note, "replaces"))))
        return 0;
    return err_set(err, ERR_USAGE,
                   "destination '%s' is not empty, and no snapshot made it: empty it, name another "
                   "one, or let it be replaced as a whole with --replace",
                   place->path);
}

static int identify(int fd, const char *name, cJSON *json)
{
    uint64_t inode = 0;
    int64_t born = 0;
    if (!identity(fd, name, &inode, &born))
        return -1;
    json_set_i64_str(json, "inode", (int64_t)inode);
    json_set_i64_str(json, "born", born);
    return 0;
}

int place_identify(int dir_fd, cJSON *json, struct err *err)
{
    if (identify(dir_fd, NULL, json) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot look at a folder");
    return 0;
}

int place_note(const struct place *place, int dir_fd, cJSON *note, struct err *err)
{
    int known =
        dir_fd >= 0 ? identify(dir_fd, NULL, note) : identify(place->parent_fd, place->name, note);
    if (known == 0 && dir_fd >= 0 && place_exists(place))
        known = identify(place->parent_fd, place->name, json_set_object(note, "replaces"));
    if (known != 0)
        return err_set_errno(err, ERR_FAILED, errno, "destination '%s'", place->path);
    autofree char *text = json_print_pretty(note);
    return fs_write(place->note, text, strlen(text), 0644, err);
}

int place_work_fd(const struct place *place)
{
    return place->work_fd;
}

static int open_work(struct place *place, int *fd, struct err *err)
{
    if (mkdir(place->work, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_FAILED,
                             errno, "cannot make folder '%s'", place->work);
    *fd = open(place->work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open folder '%s'", place->work);
    return 0;
}

/* A run that was killed between the two renames of swap_by_renames left no destination. */
static void put_old_back(const struct place *place)
{
    if (!place_exists(place))
        (void)renameat(place->work_fd, "old", place->parent_fd, place->name);
}

int place_lock(struct place *place, struct err *err)
{
    /* A run that ends removes the folder: a lock on one that is no longer there is none. */
    for (;;) {
        autoclose int fd = -1;
        if (open_work(place, &fd, err) != 0)
            return -1;
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0)
            return errno == EWOULDBLOCK
                       ? err_set(err, ERR_BUSY, "another run is loading into '%s'", place->path)
                       : err_set_errno(err, ERR_FAILED, errno, "cannot lock '%s'", place->work);
        struct stat ours, named;
        if (fstat(fd, &ours) == 0 && stat(place->work, &named) == 0 &&
            ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
            place->work_fd = fd;
            fd = -1;
            put_old_back(place);
            return 0;
        }
    }
}

int place_old_tree(struct place *place)
{
    if (place->tree_fd < 0)
        place->tree_fd =
            openat(place->work_fd, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return place->tree_fd;
}

int place_remove_trees(struct place *place, struct err *err)
{
    autofree char *tree = path_join(place->work, "tree");
    autofree char *old = path_join(place->work, "old");
    close_fdp(&place->tree_fd);
    return fs_remove_tree(tree, err) != 0 ? -1 : fs_remove_tree(old, err);
}

int place_new_tree(struct place *place, int *tree_fd, struct err *err)
{
    autofree char *tree = path_join(place->work, "tree");
    if (place_remove_trees(place, err) != 0)
        return -1;
    if (mkdirat(place->work_fd, "tree", 0755) != 0 || place_old_tree(place) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make folder '%s'", tree);
    *tree_fd = place->tree_fd;
    return 0;
}

/* Where a file system knows no exchange, two renames do, and the first is taken back when the
 * second fails. */
static int swap_by_renames(const struct place *place, struct err *err)
{
    if (renameat(place->parent_fd, place->name, place->work_fd, "old") != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot move '%s' away", place->path);
    if (renameat(place->work_fd, "tree", place->parent_fd, place->name) == 0)
        return 0;
    int cause = errno;
    if (renameat(place->work_fd, "old", place->parent_fd, place->name) != 0)
        return err_set_errno(err, ERR_FAILED, cause,
                             "cannot put the new folder at '%s'; the old one is '%s/old' now",
                             place->path, place->work);
    return err_set_errno(err, ERR_FAILED, cause, "cannot put the new folder at '%s'", place->path);
}

int place_exchange(struct place *place, struct err *err)
{
    unsigned flags = place_exists(place) ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(place->work_fd, "tree", place->parent_fd, place->name, flags) == 0)
        return 0;
    if (flags == RENAME_EXCHANGE && errno == EINVAL)
        return swap_by_renames(place, err);
    return err_set_errno(err, ERR_FAILED, errno, "cannot put the new folder at '%s'", place->path);
}

int place_clean(struct place *place, struct err *err)
{
    close_fdp(&place->tree_fd);
    int result = fs_remove_tree(place->work, err);
    close_fdp(&place->work_fd);
    return result;
}

int place_room(const struct place *place, uint64_t *bytes, struct err *err)
{
    struct statvfs fs;
    if (fstatvfs(place->parent_fd, &fs) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot ask '%s' for its room", place->parent);
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}
