#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include "../support/repository.h"
#include "necoops/git/git.h"

struct world {
    struct repository repository;
    char first[41], second[41];
    struct git *git;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    autoerr struct err err = ERR_INIT;

    repository_make(&w->repository);
    repository_write(&w->repository, "a.yaml", "one\ntwo\nthree\n");
    repository_write(&w->repository, "dir/b.yaml", "b\n");
    repository_write(&w->repository, "dir/sub/c.yaml", "c\n");
    repository_sh(&w->repository,
                  "ln -s dir/b.yaml link && ln -s ../../out out && chmod +x a.yaml");
    repository_commit(&w->repository, "the first", w->first);
    repository_write(&w->repository, "a.yaml", "one\n2\nthree\n");
    repository_sh(&w->repository, "git rm -q dir/sub/c.yaml");
    repository_commit(&w->repository, "the second", w->second);
    assert_int_equal(git_open(w->repository.dir, &w->git, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    git_close(w->git);
    repository_remove(&w->repository);
    free(w);
    return 0;
}

static void test_a_folder_without_a_repository_is_told(void **state)
{
    autoerr struct err err = ERR_INIT;
    struct git *git;

    (void)state;
    assert_int_equal(git_open("/proc", &git, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "'/proc' is in no Git repository");
}

static void test_a_repository_is_found_from_a_folder_inside(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autofree char *inside = path_join(w->repository.dir, "dir");
    autogit struct git *git = NULL;

    assert_int_equal(git_open(inside, &git, &err), 0);
    assert_string_equal(git_workdir(git), w->repository.dir);
}

static void test_revisions_resolve_to_whole_ids(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    struct git_id id;
    char shortened[9] = "";

    memcpy(shortened, w->second, 8);
    assert_int_equal(git_resolve(w->git, "HEAD", &id, &err), 0);
    assert_string_equal(id.hex, w->second);
    assert_int_equal(git_resolve(w->git, shortened, &id, &err), 0);
    assert_string_equal(id.hex, w->second);
    assert_int_equal(git_resolve(w->git, "master~1", &id, &err), 0);
    assert_string_equal(id.hex, w->first);
    assert_true(git_has_commit(w->git, w->first));
    autofree char *branch = git_branch(w->git);
    assert_string_equal(branch, "master");
    autofree char *subject = git_subject(w->git, w->first);
    assert_string_equal(subject, "the first");
}

static void test_an_unknown_revision_says_what_to_do(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    struct git_id id;

    assert_int_equal(git_resolve(w->git, "nowhere", &id, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "revision 'nowhere' is not in the repository"));
    assert_non_null(strstr(err_text(&err), "run 'git fetch' first"));
}

static void test_a_shallow_clone_says_how_to_deepen_it(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autogit struct git *git = NULL;
    struct git_id id;

    repository_sh(&w->repository, "git clone -q --depth 1 file://%s shallow", w->repository.dir);
    autofree char *shallow = path_join(w->repository.dir, "shallow");
    assert_int_equal(git_open(shallow, &git, &err), 0);
    assert_int_equal(git_resolve(git, "HEAD~1", &id, &err), -1);
    assert_non_null(strstr(err_text(&err), "git fetch --unshallow"));
    assert_false(git_has_commit(git, w->first));
    assert_true(git_has_commit(git, w->second));
}

static void test_a_blobless_clone_compares_trees_and_says_what_to_fetch(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autogit struct git *git = NULL;
    autostrv struct strv paths = STRV_INIT;
    autobuf struct buf text = BUF_INIT(100);

    repository_sh(&w->repository,
                  "git config uploadpack.allowFilter true && git clone -q --bare "
                  "--filter=blob:none file://%s blobless",
                  w->repository.dir);
    autofree char *blobless = path_join(w->repository.dir, "blobless");
    assert_int_equal(git_open(blobless, &git, &err), 0);
    assert_int_equal(git_changed(git, w->first, w->second, &paths, &err), 0);
    assert_int_equal(paths.len, 2);
    assert_int_equal(git_read(git, w->first, "a.yaml", &text, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "git fetch --refetch --no-filter origin"));
}

static void test_kinds_and_contents(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(100);
    enum git_kind kind;

    assert_int_equal(git_kind(w->git, w->first, "dir", &kind, &err), 0);
    assert_int_equal(kind, GIT_KIND_FOLDER);
    assert_int_equal(git_kind(w->git, w->first, "link", &kind, &err), 0);
    assert_int_equal(kind, GIT_KIND_LINK);
    assert_int_equal(git_kind(w->git, w->first, "dir/none", &kind, &err), 0);
    assert_int_equal(kind, GIT_KIND_NONE);
    assert_int_equal(git_read(w->git, w->first, "link", &text, &err), 0);
    assert_string_equal(text.data, "b\n");
    assert_int_equal(git_read(w->git, w->first, "out", &text, &err), -1);
    assert_string_equal(err_text(&err), "the link 'out' leads out of the repository");
    assert_int_equal(git_read(w->git, w->first, "dir", &text, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_a_file_beyond_the_cap_is_refused(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(5);

    assert_int_equal(git_read(w->git, w->first, "a.yaml", &text, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err_text(&err), "file 'a.yaml' is larger than 5 bytes");
}

static int collect(void *arg, const struct git_entry *entry, struct err *err)
{
    (void)err;
    strv_addf(arg, "%s%s", entry->path, entry->executable ? "*" : "");
    return 0;
}

static void test_walking_a_folder(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autostrv struct strv paths = STRV_INIT;

    assert_int_equal(git_walk(w->git, w->first, "dir", collect, &paths, &err), 0);
    autofree char *joined = strv_join(&paths, " ");
    assert_string_equal(joined, "dir/b.yaml dir/sub/c.yaml");
    assert_int_equal(git_walk(w->git, w->second, "dir/sub", collect, &paths, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_changes_and_changed_lines(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autostrv struct strv paths = STRV_INIT;
    struct git_id base;

    assert_int_equal(git_changed(w->git, w->first, w->second, &paths, &err), 0);
    autofree char *joined = strv_join(&paths, " ");
    assert_string_equal(joined, "a.yaml dir/sub/c.yaml");
    assert_true(git_line_changed(w->git, w->first, w->second, "a.yaml", 2));
    assert_false(git_line_changed(w->git, w->first, w->second, "a.yaml", 1));
    assert_false(git_line_changed(w->git, w->first, w->second, "none.yaml", 1));
    assert_int_equal(git_common_ancestor(w->git, w->first, w->second, &base, &err), 0);
    assert_string_equal(base.hex, w->first);
}

static void test_uncommitted_changes(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autostrv struct strv paths = STRV_INIT;

    assert_int_equal(git_uncommitted(w->git, 9, &paths, &err), 0);
    assert_int_equal(paths.len, 0);
    repository_write(&w->repository, "a.yaml", "changed\n");
    repository_write(&w->repository, "new.yaml", "new\n");
    assert_int_equal(git_uncommitted(w->git, 9, &paths, &err), 0);
    autofree char *joined = strv_join(&paths, " ");
    assert_string_equal(joined, "a.yaml new.yaml");
}

static void test_export_writes_the_tree_and_refuses_what_leaves_it(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autofree char *dir = path_join(w->repository.dir, ".git/exported");
    autofree char *file = path_join(dir, "dir/sub/c.yaml");
    char third[41];

    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(git_export(w->git, w->first, dir, &err), -1);
    assert_string_equal(err_text(&err), "the link 'out' leads out of the repository");
    repository_sh(&w->repository, "git checkout -q %s && rm out && git checkout -q -b third",
                  w->first);
    repository_commit(&w->repository, "without it", third);
    repository_sh(&w->repository, "rm -rf .git/exported && mkdir .git/exported");
    assert_int_equal(git_export(w->git, third, dir, &err), 0);
    assert_true(fs_exists(file));
}

/* ---- remotes ---- */

static void test_spellings_of_a_url(void **state)
{
    static const char *const same[] = {
        "https://github.com/example/rehearsal.git",
        "https://github.com/example/rehearsal",
        "https://GitHub.com:443/example/rehearsal/",
        "https://token@github.com/example/rehearsal.git",
        "git@github.com:example/rehearsal.git",
        "ssh://git@github.com:22/example/rehearsal.git",
        "http://github.com/example/rehearsal.git",
    };
    static const char *const others[] = {
        "https://github.com/example/rehearsals.git",
        "https://github.com/Example/rehearsal.git",
        "https://github.com:8443/example/rehearsal.git",
        "https://gitlab.com/example/rehearsal",
        "/srv/git/rehearsal.git",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_true(git_url_same(same[0], same[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(git_url_same(same[0], others[i]));
    }
    assert_true(git_url_same("file:///srv/git/x.git", "/srv/git/x"));
}

static struct run plain_run(void)
{
    static const char *const environ[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                          "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
                                          NULL};

    return (struct run){
        .clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE, .environ = environ};
}

static void test_what_a_remote_has(void **state)
{
    struct world *w = *state;
    struct run run = plain_run();
    autoerr struct err err = ERR_INIT;
    autogit struct git *git = NULL;
    autofree char *url = xasprintf("file://%s", w->repository.dir);
    autofree char *clone = path_join(w->repository.dir, ".git/clone");
    autofree char *why = NULL;
    struct repository cloned = {0};
    enum git_presence presence;
    char third[41], fourth[41];
    struct git_id head;

    repository_sh(&w->repository, "git clone -q %s .git/clone", url);
    snprintf(cloned.dir, sizeof(cloned.dir), "%s", clone);
    assert_int_equal(git_open(clone, &git, &err), 0);
    assert_int_equal(git_remote_has(&run, git, url, w->first, 9000, &presence, &why, &err), 0);
    assert_int_equal(presence, GIT_PRESENT);

    repository_commit(&cloned, "not pushed", third);
    assert_int_equal(git_remote_has(&run, git, url, third, 9000, &presence, &why, &err), 0);
    assert_int_equal(presence, GIT_ABSENT);

    repository_commit(&w->repository, "not fetched", fourth);
    assert_int_equal(git_remote_has(&run, git, url, fourth, 9000, &presence, &why, &err), 0);
    assert_int_equal(presence, GIT_PRESENT);

    assert_int_equal(git_remote_has(&run, git, "https://nowhere.invalid/x.git", third, 9000,
                                    &presence, &why, &err),
                     0);
    assert_int_equal(presence, GIT_UNKNOWN);
    assert_string_equal(why, "no remote of this repository is 'https://nowhere.invalid/x.git'");

    assert_int_equal(git_remote_branch(&run, git, url, "master", 9000, &head, &err), 0);
    assert_string_equal(head.hex, fourth);
    assert_int_equal(git_remote_branch(&run, git, url, "release", 9000, &head, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_remotes_are_found_by_url(void **state)
{
    struct world *w = *state;

    repository_sh(&w->repository, "git remote add fork https://github.com/me/apps.git && "
                                  "git remote add up gh:example/apps.git && "
                                  "git config url.https://github.com/.insteadOf gh:");
    autofree char *fork = git_remote_for(w->git, "git@github.com:me/apps");
    autofree char *up = git_remote_for(w->git, "https://github.com/example/apps");

    assert_string_equal(fork, "fork");
    assert_string_equal(up, "up");
    assert_null(git_remote_for(w->git, "https://github.com/other/apps"));
}

static void test_a_remote_that_does_not_answer(void **state)
{
    struct world *w = *state;
    struct run run = plain_run();
    autoerr struct err err = ERR_INIT;
    autofree char *why = NULL;
    enum git_presence presence;
    struct git_id head;

    repository_sh(&w->repository, "git remote add origin file:///nowhere/at/all.git");
    assert_int_equal(git_remote_has(&run, w->git, "file:///nowhere/at/all", w->first, 9000,
                                    &presence, &why, &err),
                     0);
    assert_int_equal(presence, GIT_UNKNOWN);
    assert_non_null(strstr(why, "remote 'origin' could not be asked"));
    assert_int_equal(
        git_remote_branch(&run, w->git, "file:///nowhere/at/all", "master", 9000, &head, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_without_a_repository_is_told),
        TEST(test_a_repository_is_found_from_a_folder_inside),
        TEST(test_revisions_resolve_to_whole_ids),
        TEST(test_an_unknown_revision_says_what_to_do),
        TEST(test_a_shallow_clone_says_how_to_deepen_it),
        TEST(test_a_blobless_clone_compares_trees_and_says_what_to_fetch),
        TEST(test_kinds_and_contents),
        TEST(test_a_file_beyond_the_cap_is_refused),
        TEST(test_walking_a_folder),
        TEST(test_changes_and_changed_lines),
        TEST(test_uncommitted_changes),
        TEST(test_export_writes_the_tree_and_refuses_what_leaves_it),
        cmocka_unit_test(test_spellings_of_a_url),
        TEST(test_what_a_remote_has),
        TEST(test_remotes_are_found_by_url),
        TEST(test_a_remote_that_does_not_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
