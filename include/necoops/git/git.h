/* Reading Git repositories, through libgit2; nothing is ever written to one but git_mirror's own.
 *
 * Works in full, bare, shallow and blobless clones: what such a clone lacks is ERR_NOT_FOUND with
 * the command that fetches it. Commits are named by their 40 hex digits. Paths are relative to the
 * repository's top, '/'-separated, without a slash at either end; "" is the top.
 */
#ifndef NECOOPS_GIT_GIT_H
#define NECOOPS_GIT_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

struct git; /* an opened repository; opaque */

struct git_id {
    char hex[41];
};

/* The repository that `path` lies in (looked for in the parents too), or a bare one there.
 * ERR_NOT_FOUND when there is none. */
int git_open(const char *path, struct git **out, struct err *err) MUST_CHECK;
void git_close(struct git *git);
void git_freep(struct git **git);
#define autogit CLEANUP(git_freep)

/* The top of the working tree, without a slash at its end; NULL when bare. Borrowed. */
const char *git_workdir(const struct git *git);

/* The commit that a branch, tag, `HEAD`, `origin/x` or (abbreviated) id names. ERR_NOT_FOUND says
 * what to fetch when the clone is shallow. */
int git_resolve(struct git *git, const char *revision, struct git_id *commit,
                struct err *err) MUST_CHECK;
/* Exactly 40 hex digits. */
bool git_is_id(const char *text);
bool git_has_commit(struct git *git, const char *commit);
/* The branch that is checked out, or NULL (detached, unborn). Caller frees. */
char *git_branch(struct git *git);
/* The first line of the commit's message; caller frees. NULL when it is not there. */
char *git_subject(struct git *git, const char *commit);
/* The name of its author, likewise. */
char *git_author(struct git *git, const char *commit);

/* Paths with uncommitted changes, untracked files included, at most `most`; none for a bare one. */
int git_uncommitted(struct git *git, size_t most, struct strv *paths, struct err *err) MUST_CHECK;

enum git_kind { GIT_KIND_NONE, GIT_KIND_FILE, GIT_KIND_FOLDER, GIT_KIND_LINK, GIT_KIND_SUBMODULE };
/* What lies at the path in the commit; GIT_KIND_NONE when nothing. */
int git_kind(struct git *git, const char *commit, const char *path, enum git_kind *kind,
             struct err *err) MUST_CHECK;

struct git_entry {
    const char *path;
    enum git_kind kind; /* never a folder */
    bool executable;
};
/* Every entry below the folder `under`, sorted by path; `each` may stop with -1 (and err set).
 * Reads trees only, so it works without blobs. ERR_NOT_FOUND when the folder does not exist. */
int git_walk(struct git *git, const char *commit, const char *under,
             int (*each)(void *arg, const struct git_entry *entry, struct err *err), void *arg,
             struct err *err) MUST_CHECK;
/* The file's content appended to `out` (its cap bounds it); a link is followed within the
 * repository. ERR_NOT_FOUND. */
int git_read(struct git *git, const char *commit, const char *path, struct buf *out,
             struct err *err) MUST_CHECK;
/* Writes the whole tree of the commit into the existing folder `dir`. Entries that would leave it
 * are refused (ERR_INVALID); submodules become empty folders. */
int git_export(struct git *git, const char *commit, const char *dir, struct err *err) MUST_CHECK;

/* Paths that differ between the trees of two commits, sorted; compares trees, not blobs. */
int git_changed(struct git *git, const char *from, const char *to, struct strv *paths,
                struct err *err) MUST_CHECK;
/* True when the 1-based line of the file differs between the commits (or the file is new). False
 * when it cannot be told. */
bool git_line_changed(struct git *git, const char *from, const char *to, const char *path,
                      int line);
/* The best common ancestor. ERR_NOT_FOUND. */
int git_common_ancestor(struct git *git, const char *a, const char *b, struct git_id *out,
                        struct err *err) MUST_CHECK;

/* ---- remotes ---- */

/* One spelling for the same repository: scheme, user@, port of the scheme, case of the host, a
 * slash or ".git" at the end and the scp-like form (git@host:path) do not count. Caller frees. */
char *git_url_normal(const char *url);
bool git_url_same(const char *a, const char *b);

/* The name of the remote with this URL; NULL when there is none. Caller frees. */
char *git_remote_for(struct git *git, const char *url);

enum git_presence {
    GIT_PRESENT, /* a branch, tag or pull request of the remote has it */
    GIT_ABSENT,  /* the remote was asked, and nothing there has it */
    GIT_UNKNOWN, /* no such remote here, or it does not answer */
};
/* Whether the remote with this URL has the commit: by what was last fetched from it (or, when no
 * remote has that URL, from any: a mirror), else by asking (`git ls-remote`, at most `timeout_ms`).
 * `why` (caller frees) tells why it is unknown. */
int git_remote_has(const struct run *run, struct git *git, const char *url, const char *commit,
                   int64_t timeout_ms, enum git_presence *presence, char **why,
                   struct err *err) MUST_CHECK;
/* The commit at the head of a remote's branch now: asked, or ERR_UNREACHABLE. `git` may be NULL. */
int git_remote_branch(const struct run *run, struct git *git, const char *url, const char *branch,
                      int64_t timeout_ms, struct git_id *commit, struct err *err) MUST_CHECK;

/* ---- a copy of our own ---- */

struct git_credentials {
    const char *user;
    const char *token;   /* NULL: none; it goes to https URLs only */
    const char *ca_file; /* certificates to trust; NULL: the system's */
};

/* Makes sure that the bare repository in `dir` (made when it is missing) has the commit, fetching
 * the branches of `url` when it does not; NULL: fetches them. ERR_UNREACHABLE, ERR_DENIED,
 * ERR_NOT_FOUND. */
int git_mirror(const struct run *run, const char *dir, const char *url,
               const struct git_credentials *credentials, const char *commit,
               struct err *err) MUST_CHECK;

#endif
