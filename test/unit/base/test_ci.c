#include "unit.h"
#include "necoops/base/ci.h"
#include "necoops/base/mem.h"

static struct run run_with(const char *const *variables)
{
    return (struct run){.environ = variables};
}

static void circle_ci(void **state)
{
    static const char *const variables[] = {"CIRCLE_SHA1=abc", "CIRCLE_BRANCH=topic",
                                            "CIRCLE_BUILD_URL=https://ci.example/1", "USER=neco",
                                            NULL};
    struct run run = run_with(variables);
    const char *variable = NULL;

    (void)state;
    assert_string_equal(ci_commit(&run, &variable), "abc");
    assert_string_equal(variable, "CIRCLE_SHA1");
    assert_string_equal(ci_branch(&run), "topic");
    assert_text(ci_page(&run), "https://ci.example/1");
    assert_text(ci_who(&run), "https://ci.example/1");
}

static void github_actions(void **state)
{
    static const char *const variables[] = {"GITHUB_SHA=def",
                                            "GITHUB_REF_NAME=7/merge",
                                            "GITHUB_HEAD_REF=topic",
                                            "GITHUB_REPOSITORY=o/r",
                                            "GITHUB_RUN_ID=7",
                                            "GITHUB_SERVER_URL=https://github.example",
                                            NULL};
    struct run run = run_with(variables);
    const char *variable = NULL;

    (void)state;
    assert_string_equal(ci_commit(&run, &variable), "def");
    assert_string_equal(variable, "GITHUB_SHA");
    assert_string_equal(ci_branch(&run), "topic");
    assert_text(ci_page(&run), "https://github.example/o/r/actions/runs/7");
}

static void a_push_has_no_head_ref(void **state)
{
    static const char *const variables[] = {"GITHUB_HEAD_REF=", "GITHUB_REF_NAME=main",
                                            "GITHUB_SERVER_URL=https://github.example", NULL};
    struct run run = run_with(variables);

    (void)state;
    assert_string_equal(ci_branch(&run), "main");
    assert_null(ci_page(&run));
}

static void a_laptop(void **state)
{
    static const char *const variables[] = {"USER=neco", NULL};
    struct run run = run_with(variables);
    const char *variable = NULL;
    char host[256] = "";
    autofree char *wanted = NULL;

    (void)state;
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    wanted = xasprintf("neco@%s", host);
    assert_null(ci_commit(&run, &variable));
    assert_null(ci_branch(&run));
    assert_null(ci_page(&run));
    assert_text(ci_who(&run), wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(circle_ci),
        cmocka_unit_test(github_actions),
        cmocka_unit_test(a_push_has_no_head_ref),
        cmocka_unit_test(a_laptop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
