#include "snapshot/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/log.h"
#include "necoops/base/text.h"

#define ENTRIES_MAX ((size_t)1 << 20)

struct scanner {
    int folder_fd;
    const struct strv *exclude;
    struct scan *scan;
};

void scan_clear(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->entries[i].path);
        free(scan->entries[i].link);
    }
    free(scan->entries);
    strv_clear(&scan->left_out);
    *scan = (struct scan){0};
}

/* ---- one entry ---- */

static int failed(const char *path, struct err *err)
{
    autofree char *shown = text_visible(path, strlen(path), false);
    return err_prefix(err, "'%s'", *shown ? shown : ".");
}

/* QEMU locks single bytes of an image that it uses; a lock that would cover all of it collides. */
static int check_lock(int fd, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return err_set(err, ERR_FAILED,
                   "a running program has locked it: stop the VMs first (snapshot.save.before)");
}

static int check_file(struct scanner *s, const struct scan_entry *entry, struct err *err)
{
    autoclose int fd = scan_open(s->folder_fd, entry, err);
    return fd < 0 ? -1 : check_lock(fd, err);
}

static int read_link(struct scanner *s, struct scan_entry *entry, struct err *err)
{
    char target[TAR_PATH_MAX];
    ssize_t len = readlinkat(s->folder_fd, entry->path, target, sizeof(target));
    if (len < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot read the link");
    if ((size_t)len == sizeof(target))
        return err_set(err, ERR_FAILED, "link is longer than %d bytes", TAR_PATH_MAX);
    entry->link = xstrndup(target, (size_t)len);
    return tar_check_link(entry->path, entry->link, err);
}

static int check_type(struct scanner *s, struct scan_entry *entry, struct err *err)
{
    mode_t mode = entry->st.st_mode;
    if ((mode & 06000) && !S_ISLNK(mode))
        return err_set(err, ERR_FAILED,
                       "it has the setuid or setgid bit, which is not loaded: clear it");
    switch (mode & S_IFMT) {
    case S_IFDIR:
        entry->type = TAR_DIR;
        return 0;
    case S_IFLNK:
        entry->type = TAR_SYMLINK;
        return read_link(s, entry, err);
    case S_IFREG:
        entry->type = TAR_FILE;
        return check_file(s, entry, err);
    default:
        return err_set(err, ERR_FAILED,
                       "it is a device or a FIFO, which is not loaded: leave it out "
                       "(snapshot.save.exclude)");
    }
}

static int check_name(const char *path, struct err *err)
{
    autofree char *plain = NULL;
    return *path ? tar_clean_path(path, &plain, err) : 0;
}

static struct scan_entry *add_entry(struct scan *scan, const char *path, const struct stat *st)
{
    if (scan->count == scan->room) {
        scan->room = scan->room ? 2 * scan->room : 64;
        scan->entries = xrealloc(scan->entries, scan->room * sizeof(*scan->entries));
    }
    struct scan_entry *entry = &scan->entries[scan->count++];
    *entry = (struct scan_entry){.path = xstrdup(path), .st = *st};
    return entry;
}

static bool is_excluded(const struct scanner *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < s->exclude->len; i++) {
        const char *pattern = s->exclude->items[i];
        if (glob_match(pattern, path) || (slash && glob_match(pattern, slash + 1)))
            return true;
    }
    return false;
}

static int scan_dir(struct scanner *s, const char *path, struct err *err);

/* `path` is not the top's. */
static int scan_entry(struct scanner *s, const char *path, struct err *err)
{
    struct stat st;
    if (fstatat(s->folder_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        err_set_errno(err, ERR_FAILED, errno, "cannot look at it");
        return failed(path, err);
    }
    if (S_ISSOCK(st.st_mode) || is_excluded(s, path)) {
        strv_add(&s->scan->left_out, path);
        return 0;
    }
    if (s->scan->count == ENTRIES_MAX)
        return err_set(err, ERR_FAILED, "the folder has more than %zu entries", ENTRIES_MAX);
    struct scan_entry *entry = add_entry(s->scan, path, &st);
    if (check_name(path, err) != 0 || check_type(s, entry, err) != 0)
        return failed(path, err);
    return entry->type == TAR_DIR ? scan_dir(s, path, err) : 0;
}

static int read_names(int fd, struct strv *names, struct err *err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        close(fd);
        return err_set_errno(err, ERR_FAILED, errnum, "cannot read the folder");
    }
    const struct dirent *item;
    errno = 0;
    while ((item = readdir(dir))) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            strv_add(names, item->d_name);
        errno = 0;
    }
    int errnum = errno;
    closedir(dir);
    strv_sort(names);
    return errnum == 0 ? 0 : err_set_errno(err, ERR_FAILED, errnum, "cannot read the folder");
}

static int scan_dir(struct scanner *s, const char *path, struct err *err)
{
    autostrv struct strv names = STRV_INIT;
    int fd =
        openat(s->folder_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        err_set_errno(err, ERR_FAILED, errno, "cannot read the folder");
        return failed(path, err);
    }
    if (read_names(fd, &names, err) != 0)
        return failed(path, err);
    for (size_t i = 0; i < names.len; i++) {
        autofree char *below =
            *path ? xasprintf("%s/%s", path, names.items[i]) : xstrdup(names.items[i]);
        if (scan_entry(s, below, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- hard links ---- */

static int by_inode(const void *a, const void *b)
{
    const struct scan_entry *x = *(struct scan_entry *const *)a;
    const struct scan_entry *y = *(struct scan_entry *const *)b;
    if (x->st.st_dev != y->st.st_dev)
        return x->st.st_dev < y->st.st_dev ? -1 : 1;
    if (x->st.st_ino != y->st.st_ino)
        return x->st.st_ino < y->st.st_ino ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Of the entries that are one file, the first stays, the others become links to it. */
static void find_hard_links(struct scan *scan)
{
    autofree char *memory = xcalloc(scan->count + 1, sizeof(struct scan_entry *));
    struct scan_entry **linked = (struct scan_entry **)memory;
    size_t count = 0;
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->entries[i].type == TAR_FILE && scan->entries[i].st.st_nlink > 1)
            linked[count++] = &scan->entries[i];
    }
    qsort(linked, count, sizeof(*linked), by_inode);
    const struct scan_entry *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct scan_entry *entry = linked[i];
        if (first && first->st.st_dev == entry->st.st_dev && first->st.st_ino == entry->st.st_ino) {
            entry->type = TAR_HARDLINK;
            entry->link = xstrdup(first->path);
        } else {
            first = entry;
        }
    }
}

static void sum_up(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_entry *entry = &scan->entries[i];
        if (entry->type != TAR_FILE)
            continue;
        uint64_t size = (uint64_t)entry->st.st_size, disk = (uint64_t)entry->st.st_blocks * 512;
        scan->files++;
        scan->apparent_bytes += size;
        scan->disk_bytes += disk < size ? disk : size;
    }
}

int scan_folder(int folder_fd, const struct strv *exclude, struct scan *out, struct err *err)
{
    CLEANUP(scan_clear) struct scan scan = {0};
    struct scanner s = {.folder_fd = folder_fd, .exclude = exclude, .scan = &scan};
    struct stat st;
    if (fstat(folder_fd, &st) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot look at it");
    if (check_type(&s, add_entry(&scan, "", &st), err) != 0)
        return failed("", err);
    if (scan_dir(&s, "", err) != 0)
        return -1;
    find_hard_links(&scan);
    sum_up(&scan);
    *out = scan;
    scan = (struct scan){0};
    return 0;
}

/* ---- afterwards ---- */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool scan_changed(const struct scan_entry *entry, const struct stat *now)
{
    const struct stat *then = &entry->st;
    return then->st_dev != now->st_dev || then->st_ino != now->st_ino ||
           then->st_mode != now->st_mode || !same_time(then->st_mtim, now->st_mtim) ||
           !same_time(then->st_ctim, now->st_ctim) ||
           (!S_ISDIR(now->st_mode) && then->st_size != now->st_size);
}

static int tell_change(struct err *err)
{
    return err_set(err, ERR_FAILED,
                   "it was changed while it was packed: stop what writes to it "
                   "(snapshot.save.before)");
}

int scan_open(int folder_fd, const struct scan_entry *entry, struct err *err)
{
    struct stat st;
    autoclose int fd =
        openat(folder_fd, entry->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot read it");
    if (scan_changed(entry, &st))
        return tell_change(err);
    int opened = fd;
    fd = -1;
    return opened;
}

int scan_check(int folder_fd, const struct scan *scan, struct err *err)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_entry *entry = &scan->entries[i];
        struct stat now;
        if (fstatat(folder_fd, *entry->path ? entry->path : ".", &now, AT_SYMLINK_NOFOLLOW) != 0 ||
            scan_changed(entry, &now)) {
            tell_change(err);
            return failed(entry->path, err);
        }
    }
    return 0;
}
