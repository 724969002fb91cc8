#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/repository.h"
#include "necoops/manifest/manifest.h"

struct world {
    struct repository repository;
    char commit[41];
    struct git *git;
    struct manifest_repo *repo;
    struct manifest_set set;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    repository_make(&w->repository);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    manifest_set_clear(&w->set);
    manifest_repo_free(w->repo);
    git_close(w->git);
    repository_remove(&w->repository);
    free(w);
    return 0;
}

static void put(struct world *w, const char *path, const char *text)
{
    repository_write(&w->repository, path, text);
}

static void load(struct world *w, const char *folder)
{
    autoerr struct err err = ERR_INIT;

    repository_commit(&w->repository, "x", w->commit);
    assert_int_equal(git_open(w->repository.dir, &w->git, &err), 0);
    w->repo = manifest_repo_new(w->git, w->commit);
    assert_int_equal(manifest_load(w->repo, folder, false, &w->set, &err), 0);
}

static void expect_fault(struct world *w, const char *text)
{
    if (w->set.faults_len != 1) {
        fail_msg("%zu faults", w->set.faults_len);
    }
    autofree char *got = manifest_fault_text(&w->set.faults[0]);
    assert_string_equal(got, text);
}

#define CONFIG(name) "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " name "\n"

static void test_a_plain_folder(void **state)
{
    struct world *w = *state;

    put(w, "app/a.yaml", CONFIG("a") "---\n" CONFIG("b"));
    put(w, "app/b.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}");
    put(w, "app/README.md", "no: manifest: this");
    put(w, "app/sub/c.yaml", "not: [read");
    load(w, "app");
    assert_false(w->set.kustomized);
    assert_int_equal(w->set.len, 3);
    assert_int_equal(w->set.faults_len, 0);
    assert_string_equal(w->set.docs[1].file, "app/a.yaml");
    assert_int_equal(w->set.docs[1].line, 6);
}

static void test_yaml_that_does_not_parse(void **state)
{
    struct world *w = *state;

    put(w, "app/a.yaml", CONFIG("a") "data: {a: [}\n");
    load(w, "app");
    assert_int_equal(w->set.faults_len, 1);
    assert_string_equal(w->set.faults[0].file, "app/a.yaml");
    assert_int_equal(w->set.faults[0].line, 5);
    assert_true(w->set.faults[0].column > 0);
}

static void test_what_is_no_resource(void **state)
{
    struct world *w = *state;

    put(w, "app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: {}\n");
    load(w, "app");
    expect_fault(w, "app/a.yaml:1:1: the resource has no 'metadata.name'");
}

static void test_a_name_that_is_a_number(void **state)
{
    struct world *w = *state;

    put(w, "app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 0644\n");
    load(w, "app");
    expect_fault(w, "app/a.yaml:4:3: 'metadata.name' is not a string");
}

static void test_the_same_twice(void **state)
{
    struct world *w = *state;

    put(w, "app/a.yaml", CONFIG("a"));
    put(w, "app/b.yaml", "\n" CONFIG("a"));
    load(w, "app");
    expect_fault(w, "app/b.yaml:2:1: ConfigMap 'a' is there twice; also in app/a.yaml:1");
}

static void test_a_folder_that_is_not_there(void **state)
{
    struct world *w = *state;

    put(w, "x", "");
    load(w, "app");
    expect_fault(w, "app: there is no such folder in this commit");
}

/* ---- kustomizations ---- */

static void test_a_kustomization_is_followed(void **state)
{
    struct world *w = *state;

    put(w, "base/kustomization.yaml",
        "resources: [a.yaml]\nconfigMapGenerator:\n- name: g\n  files: [key=file.txt]\n");
    put(w, "base/a.yaml", CONFIG("a"));
    put(w, "base/file.txt", "hello");
    put(w, "overlay/kustomization.yaml",
        "bases: [../base]\nresources:\n- https://example.com/x.yaml\n- github.com/x/y//z?ref=v1\n"
        "patchesStrategicMerge: [patch.yaml]\npatches:\n- path: other.yaml\n  target: {kind: X}\n");
    put(w, "overlay/patch.yaml", CONFIG("a") "data: {a: b}\n");
    put(w, "overlay/other.yaml", "- op: add\n  path: /a\n  value: 1\n");
    load(w, "overlay");
    assert_int_equal(w->set.faults_len, 0);
    assert_true(w->set.kustomized);
    autofree char *files = strv_join(&w->set.files, " ");
    assert_string_equal(files, "overlay/kustomization.yaml base/kustomization.yaml base/a.yaml "
                               "base/file.txt overlay/patch.yaml overlay/other.yaml");
    autofree char *folders = strv_join(&w->set.folders, " ");
    assert_string_equal(folders, "overlay base");
}

static void test_what_a_kustomization_names_and_is_missing(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml", "resources:\n- a.yaml\n- b.yaml\n");
    put(w, "app/a.yaml", CONFIG("a"));
    load(w, "app");
    expect_fault(w, "app/kustomization.yaml:3:3: there is no file 'app/b.yaml'");
}

static void test_the_version_of_a_kustomization(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml", "kind: Kustomization\napiVersion: v1beta1\n");
    load(w, "app");
    expect_fault(w, "app/kustomization.yaml:2:1: apiVersion of a Kustomization is "
                    "'kustomize.config.k8s.io/v1beta1', not 'v1beta1'");
}

static void test_a_component_has_a_version_of_its_own(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\ncomponents: [../part]\n");
    put(w, "part/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n");
    put(w, "part/a.yaml", CONFIG("a"));
    load(w, "app");
    assert_int_equal(w->set.faults_len, 0);
}

static void test_a_base_without_a_kustomization(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml", "bases: [../base]\n");
    put(w, "base/a.yaml", CONFIG("a"));
    load(w, "app");
    expect_fault(w, "app/kustomization.yaml:1:9: folder 'base' has no kustomization");
}

static void test_paths_out_of_the_repository(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml", "resources: [../../x.yaml]\n");
    load(w, "app");
    expect_fault(w, "app/kustomization.yaml:1:13: '../../x.yaml' lies outside the repository");
}

static void test_a_circle(void **state)
{
    struct world *w = *state;

    put(w, "a/kustomization.yaml", "bases: [../b]\n");
    put(w, "b/kustomization.yaml", "bases: [../a]\n");
    load(w, "a");
    assert_int_equal(w->set.faults_len, 1);
    assert_string_equal(w->set.faults[0].text, "kustomizations lead to one another in a circle");
}

static void test_a_list_that_is_none(void **state)
{
    struct world *w = *state;

    put(w, "app/kustomization.yaml", "resources: a.yaml\n");
    load(w, "app");
    expect_fault(w, "app/kustomization.yaml:1:1: 'resources' is not a list");
}

/* ---- questions ---- */

static void test_applications_with_their_patches(void **state)
{
    struct world *w = *state;

    put(w, "base/kustomization.yaml", "resources: [app.yaml]\n");
    put(w, "base/app.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n"
        "  name: web\nspec:\n  source: {path: web/base, targetRevision: release}\n");
    put(w, "gcp/kustomization.yaml", "bases: [../base]\npatchesStrategicMerge: [app.yaml]\n");
    put(w, "gcp/app.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n"
        "  name: web\nspec:\n  source: {path: web/gcp}\n");
    load(w, "gcp");
    autojson cJSON *applications = manifest_applications(&w->set);
    assert_int_equal(cJSON_GetArraySize(applications), 1);
    assert_string_equal(json_str(applications, "[0].spec.source.path"), "web/gcp");
    assert_string_equal(json_str(applications, "[0].spec.source.targetRevision"), "release");
}

static void test_where_a_value_is_from(void **state)
{
    struct world *w = *state;

    put(w, "base/kustomization.yaml", "resources: [d.yaml]\n");
    put(w, "base/d.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n"
        "  replicas: 1\n  selector: {}\n");
    put(w, "gcp/kustomization.yaml", "bases: [../base]\npatchesStrategicMerge: [d.yaml]\n");
    put(w, "gcp/d.yaml",
        "# three\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  replicas: "
        "3\n");
    load(w, "gcp");
    const struct manifest_doc *doc = manifest_find(&w->set, "Deployment", "d", "spec.replicas");
    assert_string_equal(doc->file, "gcp/d.yaml");
    assert_int_equal(manifest_line(w->repo, doc, "spec.replicas"), 7);
    doc = manifest_find(&w->set, "Deployment", "d", "spec.selector");
    assert_string_equal(doc->file, "base/d.yaml");
    assert_int_equal(manifest_line(w->repo, doc, "spec.selector.matchLabels"), 7);
    assert_int_equal(manifest_line(w->repo, doc, NULL), 1);
    assert_null(manifest_find(&w->set, "Deployment", "e", NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_plain_folder),
        TEST(test_yaml_that_does_not_parse),
        TEST(test_what_is_no_resource),
        TEST(test_a_name_that_is_a_number),
        TEST(test_the_same_twice),
        TEST(test_a_folder_that_is_not_there),
        TEST(test_a_kustomization_is_followed),
        TEST(test_what_a_kustomization_names_and_is_missing),
        TEST(test_the_version_of_a_kustomization),
        TEST(test_a_component_has_a_version_of_its_own),
        TEST(test_a_base_without_a_kustomization),
        TEST(test_paths_out_of_the_repository),
        TEST(test_a_circle),
        TEST(test_a_list_that_is_none),
        TEST(test_applications_with_their_patches),
        TEST(test_where_a_value_is_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
