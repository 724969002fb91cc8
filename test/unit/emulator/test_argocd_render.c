#include "argocd_fixture.h"
#include "emulator/argocd/render.h"

struct bench {
    char *repository;
    char *work_dir;
    struct run run;
    struct renderer *renderer;
};

static int set_up(void **state)
{
    struct bench *bench = xcalloc(1, sizeof(*bench));

    bench->repository = fixture_repository();
    bench->work_dir = fixture_temp_dir();
    bench->run = fixture_run();
    bench->renderer = renderer_new(bench->work_dir, &bench->run);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    renderer_free(bench->renderer);
    assert_false(fs_exists(bench->work_dir));
    free(bench->work_dir);
    fixture_remove(bench->repository);
    free(bench);
    return 0;
}

static struct commit_sha commit(struct bench *bench, const struct fixture_file *files, size_t len)
{
    autofree char *text = fixture_commit(bench->repository, "master", files, len);
    struct commit_sha sha;

    assert_true(text_copy(sha.text, sizeof(sha.text), text));
    return sha;
}

#define COMMIT(bench, ...)                                                                         \
    commit(bench, (const struct fixture_file[]){__VA_ARGS__},                                      \
           ARRAY_LEN(((const struct fixture_file[]){__VA_ARGS__})))

static int try_render(struct bench *bench, struct commit_sha sha, const char *source,
                      struct rendered **out, struct err *err)
{
    autojson cJSON *value = fixture_yaml(source);
    struct render_request request = {
        .mirror = bench->repository, .sha = sha, .source = value, .patches_known = true};

    return render(bench->renderer, &request, out, err);
}

/* The names of all objects, in order. */
static void check_names(struct bench *bench, struct commit_sha sha, const char *source,
                        const char *type, const char *names)
{
    autoerr struct err err = ERR_INIT;
    autostrv struct strv list = STRV_INIT;
    autofree char *joined = NULL;
    struct rendered *rendered;
    const cJSON *object;

    if (try_render(bench, sha, source, &rendered, &err) < 0)
        fail_msg("%s: %s", source, err_text(&err));
    cJSON_ArrayForEach(object, rendered->objects)
    {
        strv_add(&list, json_str_or(object, "metadata.name", "?"));
    }
    joined = strv_join(&list, " ");
    assert_string_equal(joined, names);
    assert_string_equal(rendered->type, type);
    rendered_unref(rendered);
}

static void check_failure(struct bench *bench, struct commit_sha sha, const char *source,
                          const char *text)
{
    autoerr struct err err = ERR_INIT;
    struct rendered *rendered;

    assert_int_equal(try_render(bench, sha, source, &rendered, &err), -1);
    if (strstr(err_text(&err), text) == NULL)
        fail_msg("'%s' does not say '%s'", err_text(&err), text);
}

#define MAP(name) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name "}\n"

static void revisions(void **state)
{
    struct bench *bench = *state;
    struct repositories *repositories = renderer_repositories(bench->renderer);
    struct commit_sha first = COMMIT(bench, {"a.yaml", MAP("a")});
    const char *const tag[] = {"-c",  "user.name=t", "-c",   "user.email=t@example.com",
                               "tag", "-a",          "v1.0", "-m",
                               "x",   first.text,    NULL};
    struct commit_sha second = COMMIT(bench, {"a.yaml", MAP("b")});
    autofree char *prefix = xstrndup(first.text, 8);
    struct commit_sha sha;
    autoerr struct err err = ERR_INIT;

    free(fixture_git(bench->repository, NULL, tag));
    assert_int_equal(repository_resolve(repositories, bench->repository, "master", &sha, &err), 0);
    assert_string_equal(sha.text, second.text);
    assert_int_equal(repository_resolve(repositories, bench->repository, "HEAD", &sha, &err), 0);
    assert_string_equal(sha.text, second.text);
    assert_int_equal(repository_resolve(repositories, bench->repository, "v1.0", &sha, &err), 0);
    assert_string_equal(sha.text, first.text);
    assert_int_equal(repository_resolve(repositories, bench->repository, prefix, &sha, &err), 0);
    assert_string_equal(sha.text, first.text);
    assert_int_equal(repository_resolve(repositories, bench->repository, "nope", &sha, &err), -1);
    assert_string_equal(err_text(&err), "unable to resolve 'nope' to a commit SHA");
    assert_int_equal(repository_resolve(repositories, "/nonexistent", "master", &sha, &err), -1);
    assert_true(text_starts(err_text(&err), "failed to list refs: "));
}

static void plain_folders(void **state)
{
    struct bench *bench = *state;
    struct commit_sha sha =
        COMMIT(bench, {"app/b.yaml", MAP("b") "---\n" MAP("b2") "---\n"},
               {"app/a.json", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":"
                              "{\"name\":\"a\"}}"},
               {"app/c.yml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: "
                             "ConfigMap, metadata: {name: c1}}\n- {apiVersion: v1, kind: Secret, "
                             "metadata: {name: c2}}\n"},
               {"app/sub/d.yaml", MAP("d")}, {"app/README.md", "no: [manifest"},
               {"app/skip.yaml", "# +argocd:skip-file-rendering\nno: [manifest"});

    check_names(bench, sha, "{path: app}", "Directory", "a b b2 c1 c2");
    check_names(bench, sha, "{path: app, directory: {recurse: true}}", "Directory",
                "a b b2 c1 c2 d");
    check_names(bench, sha, "{path: app, directory: {exclude: '{a.json,c.*}'}}", "Directory",
                "b b2");
    check_names(bench, sha, "{path: app, directory: {include: '*.json'}}", "Directory", "a");
    check_names(bench, sha, "{path: app/sub}", "Directory", "d");
}

static void refusals(void **state)
{
    struct bench *bench = *state;
    struct commit_sha nowhere = {"0123456789012345678901234567890123456789"};
    struct commit_sha sha =
        COMMIT(bench, {"bad/a.yaml", "a: b\nkind: c: d\n"}, {"nokind/a.yaml", "a: b\n"},
               {"chart/Chart.yaml", "name: x\n"},
               {"k/kustomization.yaml", "resources: [gone.yaml]\n"}, {"plain/a.yaml", MAP("a")});

    check_failure(bench, sha, "{path: none}", "desc = none: app path does not exist");
    check_failure(bench, sha, "{path: /etc}", "desc = /etc: app path is absolute");
    check_failure(bench, sha, "{path: ../..}", "desc = ../..: app path outside root");
    check_failure(bench, sha, "{path: bad}",
                  "rpc error: code = FailedPrecondition desc = Failed to unmarshal \"a.yaml\": "
                  "failed to unmarshal manifest: error converting YAML to JSON: yaml: line 2: ");
    check_failure(bench, sha, "{path: nokind}", "Object 'Kind' is missing in '{\"a\":\"b\"}'");
    check_failure(bench, sha, "{path: chart}", "renders no Helm source");
    check_failure(bench, sha, "{path: k}",
                  "`kustomize build <path to cached source>/k` failed exit status 1: ");
    check_failure(bench, sha, "{path: k, kustomize: {namePrefix: a}, directory: {recurse: true}}",
                  "multiple application sources defined: Kustomize,Directory");
    check_failure(bench, nowhere, "{path: k}", "fatal: reference is not a tree");
}

static void kustomizations(void **state)
{
    struct bench *bench = *state;
    struct commit_sha sha =
        COMMIT(bench, {"base/kustomization.yaml", "resources: [a.yaml, d.yaml]\n"},
               {"base/a.yaml", MAP("a")},
               {"base/d.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n"
                "    spec:\n      containers: [{name: c, image: 'nginx:1'}]\n"},
               {"over/kustomization.yaml", "namePrefix: x-\nbases: [../base]\n"});
    autoerr struct err err = ERR_INIT;
    struct rendered *rendered;

    check_names(bench, sha, "{path: over}", "Kustomize", "x-a x-d");
    check_names(bench, sha, "{path: over, kustomize: {nameSuffix: -y}}", "Kustomize",
                "x-a-y x-d-y");
    assert_int_equal(
        try_render(
            bench, sha,
            "{path: base, kustomize: {images: ['nginx=example.com/n:2'], replicas: [{name: d,"
            " count: 3}], patches: [{target: {kind: ConfigMap}, patch: '[{op: add, path:"
            " /data, value: {k: v}}]'}]}}",
            &rendered, &err),
        0);
    assert_string_equal(json_str_or(rendered->objects, "[0].data.k", ""), "v");
    assert_string_equal(
        json_str_or(rendered->objects, "[1].spec.template.spec.containers[0].image", ""),
        "example.com/n:2");
    assert_int_equal(json_at(rendered->objects, "[1].spec.replicas")->valueint, 3);
    rendered_unref(rendered);
}

/* What did not change from one commit to the next is not rendered again. */
static void reuse(void **state)
{
    struct bench *bench = *state;
    struct commit_sha first = COMMIT(bench, {"a/a.yaml", MAP("a")}, {"b/b.yaml", MAP("b")});
    struct commit_sha second = COMMIT(bench, {"a/a.yaml", MAP("a")}, {"b/b.yaml", MAP("c")});
    struct rendered *x;
    struct rendered *y;
    autoerr struct err err = ERR_INIT;

    assert_int_equal(try_render(bench, first, "{path: a}", &x, &err), 0);
    assert_int_equal(try_render(bench, second, "{path: a}", &y, &err), 0);
    assert_ptr_equal(x, y);
    rendered_unref(x);
    rendered_unref(y);
    check_names(bench, first, "{path: b}", "Directory", "b");
    check_names(bench, second, "{path: b}", "Directory", "c");
}

static void dependencies(void **state)
{
    struct bench *bench = *state;
    struct commit_sha sha =
        COMMIT(bench, {"a/over/x/kustomization.yaml", "bases: [../../base]\n"},
               {"a/base/kustomization.yaml", "resources: [m.yaml]\n"}, {"a/base/m.yaml", MAP("m")},
               {"b/kustomization.yaml", "resources:\n- sub\n"},
               {"b/sub/kustomization.yaml", "resources:\n- '../../a/base'\n"},
               {"c/kustomization.yaml", "resources: [https://example.com/x.git]\n"},
               {"d/kustomization.yaml", "resources: [m.yaml]\n"}, {"d/m.yaml", MAP("m")},
               {"e/f/kustomization.yaml", "bases: [../../../outside]\n"});
    static const char *const cases[][2] = {{"a/over/x", "a"}, {"b", ""},   {"c", ""},
                                           {"d", "d"},        {"e/f", ""}, {"./a/base/", "a/base"}};
    autoerr struct err err = ERR_INIT;
    const char *root;

    assert_int_equal(repository_checkout(renderer_repositories(bench->renderer), bench->repository,
                                         &sha, &root, &err),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *folder = render_dependency(root, cases[i][0]);

        assert_string_equal(folder, cases[i][1]);
    }
}

/* A kustomization is built once, and again only when what it is made of changed. */
static void kustomization_reuse(void **state)
{
    struct bench *bench = *state;
    const struct fixture_file base = {"a/base/kustomization.yaml", "resources: [m.yaml]\n"};
    const struct fixture_file over = {"a/over/kustomization.yaml", "bases: [../base]\n"};
    struct commit_sha shas[3] = {
        COMMIT(bench, base, over, {"a/base/m.yaml", MAP("m")}),
        COMMIT(bench, base, over, {"a/base/m.yaml", MAP("m")}, {"other", "x"}),
        COMMIT(bench, base, over, {"a/base/m.yaml", MAP("k")})};
    struct rendered *results[3];
    autoerr struct err err = ERR_INIT;

    for (size_t i = 0; i < 3; i++)
        if (try_render(bench, shas[i], "{path: a/over}", &results[i], &err) < 0)
            fail_msg("%s", err_text(&err));
    assert_ptr_equal(results[0], results[1]);
    assert_ptr_not_equal(results[0], results[2]);
    assert_string_equal(json_str_or(results[2]->objects, "[0].metadata.name", ""), "k");
    for (size_t i = 0; i < 3; i++)
        rendered_unref(results[i]);
}

static void no_tool(void **state)
{
    static const char *const empty[] = {"PATH=/nonexistent", NULL};
    struct bench *bench = *state;
    struct commit_sha sha = COMMIT(bench, {"kustomization.yaml", "resources: []\n"});

    bench->run.environ = empty;
    check_failure(bench, sha, "{path: .}",
                  "neither 'kustomize' nor 'kubectl' is in PATH; install one of them");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revisions),           TEST(plain_folders), TEST(refusals),
        TEST(kustomizations),      TEST(reuse),         TEST(dependencies),
        TEST(kustomization_reuse), TEST(no_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
