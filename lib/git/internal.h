/* What the files of this module share. */
#ifndef GIT_INTERNAL_H
#define GIT_INTERNAL_H

/* not <git2.h>: its index.h has a field of a name that banned.h bans */
#include <git2/blob.h>
#include <git2/branch.h>
#include <git2/commit.h>
#include <git2/config.h>
#include <git2/diff.h>
#include <git2/errors.h>
#include <git2/global.h>
#include <git2/graph.h>
#include <git2/object.h>
#include <git2/refs.h>
#include <git2/repository.h>
#include <git2/revparse.h>
#include <git2/revwalk.h>
#include <git2/status.h>
#include <git2/tree.h>
#include "necoops/git/git.h"

struct git {
    git_repository *repo;
    char *workdir; /* without a slash at its end; NULL when bare */
};

/* libgit2, once. */
void git_setup(void);
/* Sets ERR_FAILED (ERR_NOT_FOUND for GIT_ENOTFOUND) with libgit2's own words behind `format`. */
int git_fail(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The commit of 40 hex digits; ERR_NOT_FOUND says how to fetch it. */
int git_commit_of(struct git *git, const char *commit, git_commit **out,
                  struct err *err) MUST_CHECK;
int git_tree_of(struct git *git, const char *commit, git_tree **out, struct err *err) MUST_CHECK;

void git_commit_freep(git_commit **commit);
void git_tree_freep(git_tree **tree);
void git_object_freep(git_object **object);
void git_blob_freep(git_blob **blob);
void git_entry_freep(git_tree_entry **entry);
void git_reference_freep(git_reference **reference);

#define autocommit    CLEANUP(git_commit_freep)
#define autotree      CLEANUP(git_tree_freep)
#define autoobject    CLEANUP(git_object_freep)
#define autoblob      CLEANUP(git_blob_freep)
#define autoentry     CLEANUP(git_entry_freep)
#define autoreference CLEANUP(git_reference_freep)

#endif
