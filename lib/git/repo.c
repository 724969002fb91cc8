#include "internal.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TREE_CACHED ((size_t)1 << 20)

#ifdef __SANITIZE_ADDRESS__
/* libgit2 1.5 loses the match data of each regular expression, such as those that it looks for
 * extensions of a blobless clone with; nothing here can help that. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2";
}
#endif

static void library_init(void)
{
    git_libgit2_init();
    /* A CI container often runs as another user than the one that cloned. Nothing of a repository
     * is run here, so that is no danger. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    /* a folder of many files is read for each of them: its tree must stay at hand (4 KiB by
     * default) */
    git_libgit2_opts(GIT_OPT_SET_CACHE_OBJECT_LIMIT, GIT_OBJECT_TREE, TREE_CACHED);
}

int git_fail(struct err *err, int code, const char *format, ...)
{
    const git_error *last = git_error_last();
    va_list args;

    va_start(args, format);
    autofree char *what = xvasprintf(format, args);
    va_end(args);
    return err_set(err, code == GIT_ENOTFOUND ? ERR_NOT_FOUND : ERR_FAILED, "%s: %s", what,
                   last && last->message ? last->message : "unknown reason");
}

/* A configuration of the user or the machine that cannot be read stops Git, too. */
static int blame_configuration(struct err *err)
{
    git_config *config = NULL;
    git_config_iterator *iterator = NULL;
    int code = git_config_open_default(&config);

    if (code == 0) {
        code = git_config_iterator_new(&iterator, config);
    }
    git_config_iterator_free(iterator);
    git_config_free(config);
    if (code != 0) {
        const char *home = getenv("HOME");
        autofree char *before = xstrdup(err_text(err));

        err_set(err, ERR_USAGE,
                "%s; mend or remove Git's configuration (HOME is '%s'), or set HOME to a folder "
                "without one",
                before, home ? home : "");
    }
    return -1;
}

void git_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, library_init);
}

int git_open(const char *path, struct git **out, struct err *err)
{
    git_repository *repo = NULL;
    struct git *git;
    const char *workdir;
    int code;

    git_setup();
    code = git_repository_open_ext(&repo, path, 0, NULL);
    if (code == GIT_ENOTFOUND) {
        return err_set(err, ERR_NOT_FOUND, "'%s' is in no Git repository", path);
    }
    if (code) {
        (void)!git_fail(err, code, "cannot open the Git repository at '%s'", path);
        return blame_configuration(err);
    }
    git = xcalloc(1, sizeof(*git));
    git->repo = repo;
    workdir = git_repository_workdir(repo);
    if (workdir) {
        size_t len = strlen(workdir);

        git->workdir = xstrndup(workdir, len > 1 && workdir[len - 1] == '/' ? len - 1 : len);
    }
    *out = git;
    return 0;
}

void git_close(struct git *git)
{
    if (!git) {
        return;
    }
    git_repository_free(git->repo);
    free(git->workdir);
    free(git);
}

void git_freep(struct git **git)
{
    git_close(*git);
}

const char *git_workdir(const struct git *git)
{
    return git->workdir;
}

bool git_is_id(const char *text)
{
    size_t len = 0;

    for (; text && text[len]; len++) {
        if (len >= 40 || !isxdigit((unsigned char)text[len])) {
            return false;
        }
    }
    return len == 40;
}

static const char *how_to_fetch(struct git *git)
{
    return git_repository_is_shallow(git->repo)
               ? "this clone is shallow: run 'git fetch --unshallow' or fetch that commit"
               : "run 'git fetch' first";
}

int git_resolve(struct git *git, const char *revision, struct git_id *commit, struct err *err)
{
    autoobject git_object *object = NULL;
    autoobject git_object *peeled = NULL;
    int code;

    if (!revision[0]) {
        return err_set(err, ERR_USAGE, "a revision is wanted, and it is empty");
    }
    code = git_revparse_single(&object, git->repo, revision);
    if (code == GIT_EAMBIGUOUS) {
        return err_set(err, ERR_USAGE, "revision '%s' is ambiguous; give more digits", revision);
    }
    if (code == 0) {
        code = git_object_peel(&peeled, object, GIT_OBJECT_COMMIT);
    }
    if (code && strcmp(revision, "HEAD") == 0 && git_repository_head_unborn(git->repo) == 1) {
        return err_set(err, ERR_NOT_FOUND,
                       "the repository '%s' has no commit yet; make one, or name another revision",
                       git->workdir ? git->workdir : git_repository_path(git->repo));
    }
    if (code) {
        return err_set(err, ERR_NOT_FOUND, "revision '%s' is not in the repository '%s' (%s)",
                       revision, git->workdir ? git->workdir : git_repository_path(git->repo),
                       how_to_fetch(git));
    }
    git_oid_tostr(commit->hex, sizeof(commit->hex), git_object_id(peeled));
    return 0;
}

int git_commit_of(struct git *git, const char *commit, git_commit **out, struct err *err)
{
    git_oid id;

    if (!git_is_id(commit) || git_oid_fromstr(&id, commit) != 0) {
        return err_set(err, ERR_USAGE, "'%s' is no commit id of 40 hex digits", commit);
    }
    if (git_commit_lookup(out, git->repo, &id) != 0) {
        return err_set(err, ERR_NOT_FOUND, "commit '%s' is not in this clone (%s)", commit,
                       how_to_fetch(git));
    }
    return 0;
}

int git_tree_of(struct git *git, const char *commit, git_tree **out, struct err *err)
{
    autocommit git_commit *found = NULL;
    int code;

    if (git_commit_of(git, commit, &found, err) != 0) {
        return -1;
    }
    code = git_commit_tree(out, found);
    if (code) {
        return git_fail(err, code, "cannot read the tree of commit '%s'", commit);
    }
    return 0;
}

bool git_has_commit(struct git *git, const char *commit)
{
    autoerr struct err err = ERR_INIT;
    autocommit git_commit *found = NULL;

    return git_commit_of(git, commit, &found, &err) == 0;
}

char *git_branch(struct git *git)
{
    autoreference git_reference *head = NULL;
    const char *name = NULL;

    if (git_repository_head(&head, git->repo) != 0 || !git_reference_is_branch(head) ||
        git_branch_name(&name, head) != 0) {
        return NULL;
    }
    return xstrdup(name);
}

char *git_subject(struct git *git, const char *commit)
{
    autoerr struct err err = ERR_INIT;
    autocommit git_commit *found = NULL;
    const char *summary;

    if (git_commit_of(git, commit, &found, &err) != 0) {
        return NULL;
    }
    summary = git_commit_summary(found);
    return xstrdup(summary ? summary : "");
}

char *git_author(struct git *git, const char *commit)
{
    autoerr struct err err = ERR_INIT;
    autocommit git_commit *found = NULL;

    if (git_commit_of(git, commit, &found, &err) != 0) {
        return NULL;
    }
    return xstrdup(git_commit_author(found)->name);
}

struct uncommitted {
    struct strv *paths;
    size_t most;
};

static int add_uncommitted(const char *path, unsigned int flags, void *arg)
{
    struct uncommitted *seen = arg;

    if (flags & GIT_STATUS_IGNORED) {
        return 0;
    }
    if (seen->paths->len < seen->most) {
        strv_add(seen->paths, path);
    }
    return seen->paths->len >= seen->most ? 1 : 0;
}

int git_uncommitted(struct git *git, size_t most, struct strv *paths, struct err *err)
{
    struct uncommitted seen = {.paths = paths, .most = most};
    git_status_options options;
    int code;

    if (!git->workdir) {
        return 0;
    }
    git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION);
    options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
                    GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
    code = git_status_foreach_ext(git->repo, &options, add_uncommitted, &seen);
    if (code < 0) {
        return git_fail(err, code, "cannot tell what is not committed in '%s'", git->workdir);
    }
    return 0;
}

void git_commit_freep(git_commit **commit)
{
    git_commit_free(*commit);
}

void git_tree_freep(git_tree **tree)
{
    git_tree_free(*tree);
}

void git_object_freep(git_object **object)
{
    git_object_free(*object);
}

void git_blob_freep(git_blob **blob)
{
    git_blob_free(*blob);
}

void git_entry_freep(git_tree_entry **entry)
{
    git_tree_entry_free(*entry);
}

void git_reference_freep(git_reference **reference)
{
    git_reference_free(*reference);
}
