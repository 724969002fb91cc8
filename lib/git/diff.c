/* What changed between two commits. */
#include "internal.h"

static void diff_freep(git_diff **diff)
{
    git_diff_free(*diff);
}

static int diff_trees(struct git *git, const char *from, const char *to,
                      const git_diff_options *options, git_diff **out, struct err *err)
{
    autotree git_tree *old = NULL;
    autotree git_tree *new = NULL;
    int code;

    if (git_tree_of(git, from, &old, err) != 0 || git_tree_of(git, to, &new, err) != 0) {
        return -1;
    }
    code = git_diff_tree_to_tree(out, git->repo, old, new, options);
    if (code) {
        return git_fail(err, code, "cannot compare '%.12s' and '%.12s'", from, to);
    }
    return 0;
}

int git_changed(struct git *git, const char *from, const char *to, struct strv *paths,
                struct err *err)
{
    CLEANUP(diff_freep) git_diff *diff = NULL;

    if (diff_trees(git, from, to, NULL, &diff, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < git_diff_num_deltas(diff); i++) {
        const git_diff_delta *delta = git_diff_get_delta(diff, i);

        strv_add(paths, delta->new_file.path ? delta->new_file.path : delta->old_file.path);
    }
    strv_sort(paths);
    return 0;
}

struct line_search {
    int line;
    bool found;
};

static int match_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
                      const git_diff_line *line, void *arg)
{
    struct line_search *search = arg;

    (void)delta;
    (void)hunk;
    if (line->origin == GIT_DIFF_LINE_ADDITION && line->new_lineno == search->line) {
        search->found = true;
        return 1;
    }
    return 0;
}

bool git_line_changed(struct git *git, const char *from, const char *to, const char *path, int line)
{
    CLEANUP(diff_freep) git_diff *diff = NULL;
    autoerr struct err err = ERR_INIT;
    struct line_search search = {.line = line};
    git_diff_options options;
    char *only = (char *)path;

    git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.flags = GIT_DIFF_DISABLE_PATHSPEC_MATCH;
    options.pathspec.strings = &only;
    options.pathspec.count = 1;
    options.context_lines = 0;
    if (diff_trees(git, from, to, &options, &diff, &err) != 0) {
        return false;
    }
    (void)git_diff_foreach(diff, NULL, NULL, NULL, match_line, &search);
    return search.found;
}

static void revwalk_freep(git_revwalk **walk)
{
    git_revwalk_free(*walk);
}

int git_common_ancestor(struct git *git, const char *a, const char *b, struct git_id *out,
                        struct err *err)
{
    CLEANUP(revwalk_freep) git_revwalk *walk = NULL;
    autocommit git_commit *one = NULL;
    autocommit git_commit *two = NULL;
    git_oid id;

    if (git_commit_of(git, a, &one, err) != 0 || git_commit_of(git, b, &two, err) != 0) {
        return -1;
    }
    if (git_revwalk_new(&walk, git->repo) != 0 || git_revwalk_push(walk, git_commit_id(two)) != 0) {
        return git_fail(err, GIT_ERROR, "cannot walk the history of '%.12s'", b);
    }
    git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL);
    while (git_revwalk_next(&id, walk) == 0) {
        if (git_oid_equal(&id, git_commit_id(one)) ||
            git_graph_descendant_of(git->repo, git_commit_id(one), &id) == 1) {
            git_oid_tostr(out->hex, sizeof(out->hex), &id);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND,
                   "commits '%.12s' and '%.12s' have no common ancestor in this clone", a, b);
}
