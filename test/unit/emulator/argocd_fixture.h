/* A Git repository for tests, filled through `git fast-import`. */
#ifndef TEST_EMULATOR_ARGOCD_FIXTURE_H
#define TEST_EMULATOR_ARGOCD_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "necoops/base/fs.h"
#include "necoops/base/json.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"

struct fixture_file {
    const char *path, *text;
};

static inline struct run fixture_run(void)
{
    return (struct run){.clock = &clock_system,
                        .wake_fd = -1,
                        .deadline = RUN_NO_DEADLINE,
                        .environ = (const char *const *)environ};
}

/* Runs git in `dir`; what it printed without the newline, the caller's. */
static inline char *fixture_git(const char *dir, const char *input, const char *const *arguments)
{
    struct run run = fixture_run();
    struct proc_result result = {.out = BUF_INIT(BUF_MEDIUM), .error = BUF_INIT(BUF_MEDIUM)};
    autostrv struct strv argv = STRV_INIT;
    autoerr struct err err = ERR_INIT;
    struct proc_spec spec = {.dir = dir,
                             .input = input,
                             .input_len = input != NULL ? strlen(input) : 0,
                             .timeout_ms = 60000};

    strv_add(&argv, "git");
    for (; *arguments != NULL; arguments++)
        strv_add(&argv, *arguments);
    spec.argv = (const char *const *)argv.items;
    if (proc_check(&run, &spec, &result, &err) < 0)
        fail_msg("git %s: %s %s", argv.items[1], err_text(&err), result.error.data);
    buf_clear(&result.error);
    while (result.out.len > 0 && result.out.data[result.out.len - 1] == '\n')
        result.out.data[--result.out.len] = '\0';
    return buf_steal(&result.out);
}

static inline char *fixture_temp_dir(void)
{
    autoerr struct err err = ERR_INIT;
    const char *base = getenv("TMPDIR");
    char *path;

    assert_int_equal(fs_make_temp_dir(base != NULL ? base : "/tmp", "argocd-test-", &path, &err),
                     0);
    return path;
}

static inline void fixture_remove(char *dir)
{
    autoerr struct err err = ERR_INIT;

    assert_int_equal(fs_remove_tree(dir, &err), 0);
    free(dir);
}

/* A new bare repository. */
static inline char *fixture_repository(void)
{
    char *dir = fixture_temp_dir();
    const char *const init[] = {"init", "-q", "--bare", "-b", "master", NULL};

    free(fixture_git(dir, NULL, init));
    return dir;
}

/* One more commit on a branch, whose tree is exactly these files; its SHA, the caller's. */
static inline char *fixture_commit(const char *dir, const char *branch,
                                   const struct fixture_file *files, size_t len)
{
    autobuf struct buf stream = BUF_INIT(BUF_LARGE);
    autofree char *reference = xasprintf("refs/heads/%s", branch);
    const char *const import[] = {"fast-import", "--quiet", NULL};
    const char *const exists[] = {"for-each-ref", "--format=%(objectname)", reference, NULL};
    const char *const resolve[] = {"rev-parse", reference, NULL};
    autofree char *parent = fixture_git(dir, NULL, exists);

    buf_addf(&stream, "commit %s\ncommitter t <t@example.com> 1700000000 +0000\ndata 1\nx\n",
             reference);
    if (*parent != '\0')
        buf_addf(&stream, "from %s\n", parent);
    buf_adds(&stream, "deleteall\n");
    for (size_t i = 0; i < len; i++)
        buf_addf(&stream, "M 100644 inline %s\ndata %zu\n%s\n", files[i].path,
                 strlen(files[i].text), files[i].text);
    buf_adds(&stream, "done\n");
    free(fixture_git(dir, stream.data, import));
    return fixture_git(dir, NULL, resolve);
}

static inline cJSON *fixture_yaml(const char *text)
{
    autoerr struct err err = ERR_INIT;
    cJSON *value;

    if (yaml_parse_one(text, strlen(text), "test", &value, &err) < 0)
        fail_msg("%s", err_text(&err));
    return value;
}

#endif
