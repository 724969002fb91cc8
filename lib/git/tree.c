/* Trees and blobs of a commit. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define LINKS_MAX 10

static enum git_kind kind_of(git_filemode_t mode)
{
    switch (mode) {
    case GIT_FILEMODE_TREE:
        return GIT_KIND_FOLDER;
    case GIT_FILEMODE_LINK:
        return GIT_KIND_LINK;
    case GIT_FILEMODE_COMMIT:
        return GIT_KIND_SUBMODULE;
    default:
        return GIT_KIND_FILE;
    }
}

/* The entry at the path, NULL when there is none. "" has no entry. */
static int entry_at(struct git *git, const char *commit, const char *path, git_tree_entry **out,
                    struct err *err)
{
    autotree git_tree *tree = NULL;
    int code;

    *out = NULL;
    if (git_tree_of(git, commit, &tree, err) != 0) {
        return -1;
    }
    code = git_tree_entry_bypath(out, tree, path);
    if (code && code != GIT_ENOTFOUND) {
        return git_fail(err, code, "cannot look up '%s' in commit '%.12s'", path, commit);
    }
    return 0;
}

int git_kind(struct git *git, const char *commit, const char *path, enum git_kind *kind,
             struct err *err)
{
    autoentry git_tree_entry *entry = NULL;

    if (!path[0]) {
        *kind = GIT_KIND_FOLDER;
        return 0;
    }
    if (entry_at(git, commit, path, &entry, err) != 0) {
        return -1;
    }
    *kind = entry ? kind_of(git_tree_entry_filemode(entry)) : GIT_KIND_NONE;
    return 0;
}

/* The tree of the folder `under`. */
static int folder_tree(struct git *git, const char *commit, const char *under, git_tree **out,
                       struct err *err)
{
    autoentry git_tree_entry *entry = NULL;
    int code;

    if (!under[0]) {
        return git_tree_of(git, commit, out, err);
    }
    if (entry_at(git, commit, under, &entry, err) != 0) {
        return -1;
    }
    if (!entry || git_tree_entry_type(entry) != GIT_OBJECT_TREE) {
        return err_set(err, ERR_NOT_FOUND, "there is no folder '%s' in commit '%.12s'", under,
                       commit);
    }
    code = git_tree_lookup(out, git->repo, git_tree_entry_id(entry));
    if (code) {
        return git_fail(err, code, "cannot read the folder '%s' of commit '%.12s'", under, commit);
    }
    return 0;
}

struct walk {
    const char *under;
    int (*each)(void *arg, const struct git_entry *entry, struct err *err);
    void *arg;
    struct err *err;
    bool stopped;
};

static int walk_entry(const char *root, const git_tree_entry *entry, void *arg)
{
    struct walk *walk = arg;
    enum git_kind kind = kind_of(git_tree_entry_filemode(entry));

    if (kind == GIT_KIND_FOLDER) {
        return 0;
    }
    autofree char *path = xasprintf("%s%s%s%s", walk->under, walk->under[0] ? "/" : "", root,
                                    git_tree_entry_name(entry));
    struct git_entry found = {
        .path = path,
        .kind = kind,
        .executable = git_tree_entry_filemode(entry) == GIT_FILEMODE_BLOB_EXECUTABLE,
    };
    if (walk->each(walk->arg, &found, walk->err) != 0) {
        walk->stopped = true;
        return -1;
    }
    return 0;
}

int git_walk(struct git *git, const char *commit, const char *under,
             int (*each)(void *arg, const struct git_entry *entry, struct err *err), void *arg,
             struct err *err)
{
    autotree git_tree *tree = NULL;
    struct walk walk = {.under = under, .each = each, .arg = arg, .err = err};
    int code;

    if (folder_tree(git, commit, under, &tree, err) != 0) {
        return -1;
    }
    code = git_tree_walk(tree, GIT_TREEWALK_PRE, walk_entry, &walk);
    if (walk.stopped) {
        return -1;
    }
    if (code) {
        return git_fail(err, code, "cannot walk '%s' of commit '%.12s'", under, commit);
    }
    return 0;
}

static int read_blob(struct git *git, const git_oid *id, const char *path, struct buf *out,
                     struct err *err)
{
    autoblob git_blob *blob = NULL;
    int code = git_blob_lookup(&blob, git->repo, id);

    if (code == GIT_ENOTFOUND) {
        return err_set(err, ERR_NOT_FOUND,
                       "the content of '%s' is not in this clone (blobless or shallow): run 'git "
                       "fetch --refetch --no-filter origin'",
                       path);
    }
    if (code) {
        return git_fail(err, code, "cannot read '%s'", path);
    }
    if (buf_add(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)) != 0) {
        return err_set(err, ERR_INVALID, "file '%s' is larger than %zu bytes", path, out->cap);
    }
    return 0;
}

/* Where a link at `path` leads, inside the repository; NULL when it leaves it. */
static char *link_target(const char *path, const char *target)
{
    const char *slash = strrchr(path, '/');
    autofree char *dir = xstrndup(path, slash ? (size_t)(slash - path) : 0);

    return path_within(dir, target);
}

int git_read(struct git *git, const char *commit, const char *path, struct buf *out,
             struct err *err)
{
    autofree char *at = xstrdup(path);

    for (int links = 0; links < LINKS_MAX; links++) {
        autoentry git_tree_entry *entry = NULL;
        autobuf struct buf target = BUF_INIT(4096);
        char *next;

        if (entry_at(git, commit, at, &entry, err) != 0) {
            return -1;
        }
        if (!entry || git_tree_entry_type(entry) != GIT_OBJECT_BLOB) {
            return err_set(err, ERR_NOT_FOUND, "there is no file '%s' in commit '%.12s'", path,
                           commit);
        }
        if (kind_of(git_tree_entry_filemode(entry)) != GIT_KIND_LINK) {
            return read_blob(git, git_tree_entry_id(entry), path, out, err);
        }
        if (read_blob(git, git_tree_entry_id(entry), path, &target, err) != 0) {
            return -1;
        }
        next = link_target(at, target.data);
        if (!next) {
            return err_set(err, ERR_INVALID, "the link '%s' leads out of the repository", path);
        }
        free(at);
        at = next;
    }
    return err_set(err, ERR_INVALID, "'%s' is a link that leads to itself", path);
}

/* ---- export ---- */

struct export
{
    struct git *git;
    const char *dir;
    struct err *err;
    bool stopped;
};

static bool safe_name(const char *name)
{
    return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/') &&
           strcasecmp(name, ".git") != 0;
}

static int export_link(const struct export *export, const char *inside, const char *path,
                       const git_oid *id, struct err *err)
{
    autobuf struct buf target = BUF_INIT(4096);

    if (read_blob(export->git, id, inside, &target, err) != 0) {
        return -1;
    }
    autofree char *leads = link_target(inside, target.data);
    if (!leads) {
        return err_set(err, ERR_INVALID, "the link '%s' leads out of the repository", inside);
    }
    if (symlink(target.data, path) != 0) {
        return err_set_errno(err, ERR_FAILED, errno, "cannot make the link '%s'", path);
    }
    return 0;
}

static int export_file(const struct export *export, const char *inside, const char *path,
                       const git_tree_entry *entry, struct err *err)
{
    autobuf struct buf content = BUF_INIT(BUF_LARGE);
    mode_t mode = git_tree_entry_filemode(entry) == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644;

    if (read_blob(export->git, git_tree_entry_id(entry), inside, &content, err) != 0) {
        return -1;
    }
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        return err_set_errno(err, ERR_FAILED, errno, "cannot make '%s'", path);
    }
    for (size_t done = 0; done < content.len;) {
        ssize_t n = write(fd, content.data + done, content.len - done);

        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_FAILED, errno, "cannot write '%s'", path);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int export_one(const struct export *export, const char *root, const git_tree_entry *entry,
                      struct err *err)
{
    const char *name = git_tree_entry_name(entry);
    autofree char *inside = xasprintf("%s%s", root, name);
    autofree char *path = path_join(export->dir, inside);

    if (!safe_name(name)) {
        return err_set(err, ERR_INVALID, "the repository holds a file of a forbidden name, '%s'",
                       inside);
    }
    switch (kind_of(git_tree_entry_filemode(entry))) {
    case GIT_KIND_LINK:
        return export_link(export, inside, path, git_tree_entry_id(entry), err);
    case GIT_KIND_FILE:
        return export_file(export, inside, path, entry, err);
    default:
        if (mkdir(path, 0755) != 0) {
            return err_set_errno(err, ERR_FAILED, errno, "cannot make the folder '%s'", path);
        }
        return 0;
    }
}

static int export_entry(const char *root, const git_tree_entry *entry, void *arg)
{
    struct export *export = arg;

    if (export_one(export, root, entry, export->err) != 0) {
        export->stopped = true;
        return -1;
    }
    return 0;
}

int git_export(struct git *git, const char *commit, const char *dir, struct err *err)
{
    autotree git_tree *tree = NULL;
    struct export export = {.git = git, .dir = dir, .err = err};
    int code;

    if (git_tree_of(git, commit, &tree, err) != 0) {
        return -1;
    }
    code = git_tree_walk(tree, GIT_TREEWALK_PRE, export_entry, &export);
    if (export.stopped) {
        return -1;
    }
    if (code) {
        return git_fail(err, code, "cannot walk the tree of commit '%.12s'", commit);
    }
    return 0;
}
