#include "emulator/argocd/repository.h"

#include <errno.h>
#include <fcntl.h>
/* not <git2.h>: its index.h has a field of a name that banned.h bans */
#include <git2/blob.h>
#include <git2/commit.h>
#include <git2/common.h>
#include <git2/errors.h>
#include <git2/global.h>
#include <git2/object.h>
#include <git2/refs.h>
#include <git2/repository.h>
#include <git2/tree.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/mem.h"
#include "necoops/base/strv.h"
#include "necoops/base/text.h"

#define KEPT_CHECKOUTS 8
#define MAX_DEPTH      64

struct checkout {
    char *mirror;
    struct commit_sha sha;
    char *dir;
    unsigned long used; /* for the one to give up next */
};

struct opened {
    char *mirror;
    git_repository *git;
};

struct repositories {
    char *dir;
    struct checkout checkouts[KEPT_CHECKOUTS];
    unsigned long tick;
    unsigned long made;
    struct opened *opened;
    size_t opened_len;
};

struct repositories *repositories_new(const char *dir)
{
    struct repositories *repositories = xcalloc(1, sizeof(*repositories));

    git_libgit2_init();
    /* The user named the folder; whose it is says nothing about a remote. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    repositories->dir = xstrdup(dir);
    return repositories;
}

static void checkout_drop(struct checkout *checkout)
{
    autoerr struct err ignored = ERR_INIT;

    if (checkout->dir != NULL && fs_remove_tree(checkout->dir, &ignored) < 0)
        err_clear(&ignored);
    free(checkout->dir);
    free(checkout->mirror);
    *checkout = (struct checkout){.used = 0};
}

void repositories_free(struct repositories *repositories)
{
    autoerr struct err ignored = ERR_INIT;

    if (repositories == NULL)
        return;
    for (size_t i = 0; i < KEPT_CHECKOUTS; i++)
        checkout_drop(&repositories->checkouts[i]);
    if (fs_remove_tree(repositories->dir, &ignored) < 0)
        err_clear(&ignored);
    for (size_t i = 0; i < repositories->opened_len; i++) {
        git_repository_free(repositories->opened[i].git);
        free(repositories->opened[i].mirror);
    }
    free(repositories->opened);
    free(repositories->dir);
    free(repositories);
    git_libgit2_shutdown();
}

static int git_failed(struct err *err, const char *what)
{
    const git_error *error = git_error_last();

    return err_set(err, ERR_FAILED, "%s: %s", what,
                   error != NULL && error->message != NULL ? error->message : "unknown error");
}

static int open_mirror(struct repositories *repositories, const char *mirror, git_repository **git,
                       struct err *err)
{
    git_repository *fresh;

    for (size_t i = 0; i < repositories->opened_len; i++) {
        if (strcmp(repositories->opened[i].mirror, mirror) == 0) {
            *git = repositories->opened[i].git;
            return 0;
        }
    }
    if (git_repository_open(&fresh, mirror) < 0)
        return git_failed(err, "failed to list refs");
    repositories->opened = xrealloc(repositories->opened,
                                    (repositories->opened_len + 1) * sizeof(*repositories->opened));
    repositories->opened[repositories->opened_len++] =
        (struct opened){.mirror = xstrdup(mirror), .git = fresh};
    *git = fresh;
    return 0;
}

/* ---- revisions ---- */

bool revision_is_sha(const char *revision, bool full)
{
    size_t len = strspn(revision, "0123456789abcdefABCDEF");

    return revision[len] == '\0' && len <= 40 && len >= (full ? 40 : 7);
}

static struct commit_sha sha_of(const git_oid *oid)
{
    struct commit_sha sha;

    git_oid_tostr(sha.text, sizeof(sha.text), oid);
    return sha;
}

static bool peel_reference(git_repository *git, const char *name, struct commit_sha *out)
{
    git_reference *reference = NULL;
    git_object *commit = NULL;
    bool found = git_reference_lookup(&reference, git, name) == 0 &&
                 git_reference_peel(&commit, reference, GIT_OBJECT_COMMIT) == 0;

    if (found)
        *out = sha_of(git_object_id(commit));
    git_object_free(commit);
    git_reference_free(reference);
    return found;
}

/* What the remote's list of references has under this name. */
static bool find_reference(git_repository *git, const char *revision, struct commit_sha *out)
{
    static const char *const forms[] = {"%s", "refs/heads/%s", "refs/tags/%s"};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        autofree char *name = xasprintf(forms[i], revision);
        int valid = 0;

        if (git_reference_name_is_valid(&valid, name) == 0 && valid &&
            peel_reference(git, name, out))
            return true;
    }
    return false;
}

static bool find_short(git_repository *git, const char *revision, struct commit_sha *out)
{
    git_object *object = NULL;
    git_oid oid;
    bool found =
        git_oid_fromstrn(&oid, revision, strlen(revision)) == 0 &&
        git_object_lookup_prefix(&object, git, &oid, strlen(revision), GIT_OBJECT_COMMIT) == 0;

    if (found)
        *out = sha_of(git_object_id(object));
    git_object_free(object);
    return found;
}

int repository_resolve(struct repositories *repositories, const char *mirror, const char *revision,
                       struct commit_sha *out, struct err *err)
{
    const char *wanted = *revision != '\0' ? revision : "HEAD";
    git_repository *git;

    if (revision_is_sha(wanted, true)) {
        (void)text_copy(out->text, sizeof(out->text), wanted);
        return 0;
    }
    if (open_mirror(repositories, mirror, &git, err) < 0)
        return -1;
    if (find_reference(git, wanted, out))
        return 0;
    if (revision_is_sha(wanted, false) && find_short(git, wanted, out))
        return 0;
    return err_set(err, ERR_NOT_FOUND, "unable to resolve '%s' to a commit SHA", wanted);
}

/* ---- checkout ---- */

static int find_tree(git_repository *git, const struct commit_sha *sha, git_tree **tree)
{
    git_commit *commit = NULL;
    git_oid oid;
    int done = git_oid_fromstr(&oid, sha->text) == 0 &&
                       git_commit_lookup(&commit, git, &oid) == 0 &&
                       git_commit_tree(tree, commit) == 0
                   ? 0
                   : -1;

    git_commit_free(commit);
    return done;
}

/* A name that stays inside the folder it is made in. */
static bool is_plain_name(const char *name)
{
    return *name != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strcasecmp(name, ".git") != 0 && strchr(name, '/') == NULL;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, data, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        data += put;
        len -= (size_t)put;
    }
    return 0;
}

static int write_blob(int dir, const char *name, git_blob *blob, git_filemode_t mode)
{
    const char *data = git_blob_rawcontent(blob);
    size_t len = (size_t)git_blob_rawsize(blob);
    autoclose int fd = -1;

    if (mode == GIT_FILEMODE_LINK) {
        autofree char *target = xstrndup(data, len);

        return symlinkat(target, dir, name);
    }
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644);
    return fd < 0 ? -1 : write_all(fd, data, len);
}

static int write_tree(git_repository *git, const git_tree *tree, int dir, int depth,
                      struct err *err);

static int write_entry(git_repository *git, const git_tree_entry *entry, int dir, int depth,
                       struct err *err)
{
    const char *name = git_tree_entry_name(entry);
    git_object *object = NULL;
    int done = 0;

    if (git_tree_entry_type(entry) == GIT_OBJECT_COMMIT)
        return 0; /* a submodule: no mirror serves it */
    if (!is_plain_name(name))
        return err_set(err, ERR_FAILED, "the tree has an entry named '%s'", name);
    if (git_tree_entry_to_object(&object, git, entry) < 0)
        return git_failed(err, name);
    if (git_object_type(object) == GIT_OBJECT_TREE) {
        autoclose int sub = -1;

        if (mkdirat(dir, name, 0755) == 0)
            sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        done = sub < 0 ? err_set_errno(err, ERR_FAILED, errno, "cannot make folder '%s'", name)
                       : write_tree(git, (git_tree *)object, sub, depth + 1, err);
    } else if (write_blob(dir, name, (git_blob *)object, git_tree_entry_filemode(entry)) < 0) {
        done = err_set_errno(err, ERR_FAILED, errno, "cannot write '%s'", name);
    }
    git_object_free(object);
    return done;
}

static int write_tree(git_repository *git, const git_tree *tree, int dir, int depth,
                      struct err *err)
{
    if (depth > MAX_DEPTH)
        return err_set(err, ERR_FAILED, "the tree is deeper than %d folders", MAX_DEPTH);
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        if (write_entry(git, git_tree_entry_byindex(tree, i), dir, depth, err) < 0)
            return -1;
    }
    return 0;
}

static struct checkout *oldest_checkout(struct repositories *repositories)
{
    struct checkout *oldest = &repositories->checkouts[0];

    for (size_t i = 1; i < KEPT_CHECKOUTS; i++) {
        if (repositories->checkouts[i].used < oldest->used)
            oldest = &repositories->checkouts[i];
    }
    return oldest;
}

static int write_checkout(git_repository *git, const git_tree *tree, const char *dir,
                          struct err *err)
{
    autoclose int fd = -1;

    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open '%s'", dir);
    return write_tree(git, tree, fd, 0, err);
}

static int make_checkout(struct repositories *repositories, struct checkout *checkout,
                         const char *mirror, const struct commit_sha *sha, struct err *err)
{
    git_repository *git;
    git_tree *tree = NULL;
    int done;

    if (open_mirror(repositories, mirror, &git, err) < 0)
        return -1;
    if (find_tree(git, sha, &tree) < 0)
        return err_set(err, ERR_NOT_FOUND,
                       "Failed to checkout revision %s: `git checkout --force %s` failed exit "
                       "status 128: fatal: reference is not a tree: %s",
                       sha->text, sha->text, sha->text);
    checkout->mirror = xstrdup(mirror);
    checkout->sha = *sha;
    checkout->dir = xasprintf("%s/%lu", repositories->dir, ++repositories->made);
    done = write_checkout(git, tree, checkout->dir, err);
    git_tree_free(tree);
    if (done < 0)
        checkout_drop(checkout);
    return done;
}

int repository_checkout(struct repositories *repositories, const char *mirror,
                        const struct commit_sha *sha, const char **dir, struct err *err)
{
    struct checkout *checkout = NULL;

    for (size_t i = 0; i < KEPT_CHECKOUTS && checkout == NULL; i++) {
        struct checkout *at = &repositories->checkouts[i];

        if (at->dir != NULL && strcmp(at->sha.text, sha->text) == 0 &&
            strcmp(at->mirror, mirror) == 0)
            checkout = at;
    }
    if (checkout == NULL) {
        checkout = oldest_checkout(repositories);
        checkout_drop(checkout);
        if (make_checkout(repositories, checkout, mirror, sha, err) < 0)
            return -1;
    }
    checkout->used = ++repositories->tick;
    *dir = checkout->dir;
    return 0;
}

bool repository_content_id(struct repositories *repositories, const char *mirror,
                           const struct commit_sha *sha, const char *path, struct commit_sha *out)
{
    autoerr struct err ignored = ERR_INIT;
    git_repository *git;
    git_tree *tree = NULL;
    git_tree_entry *entry = NULL;
    bool found =
        open_mirror(repositories, mirror, &git, &ignored) == 0 && find_tree(git, sha, &tree) == 0;

    if (found && (*path == '\0' || strcmp(path, ".") == 0)) {
        *out = sha_of(git_tree_id(tree));
    } else if (found) {
        found = git_tree_entry_bypath(&entry, tree, path) == 0;
        if (found)
            *out = sha_of(git_tree_entry_id(entry));
    }
    git_tree_entry_free(entry);
    git_tree_free(tree);
    return found;
}
