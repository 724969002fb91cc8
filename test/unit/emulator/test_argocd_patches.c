#include "argocd_fixture.h"
#include "emulator/argocd/patches.h"
#include "emulator/argocd/pointer.h"

static void check_json_patch(const char *document, const char *patch, const char *expected)
{
    autojson cJSON *root = fixture_yaml(document);
    autojson cJSON *operations = fixture_yaml(patch);
    autojson cJSON *wanted = fixture_yaml(expected);
    autoerr struct err err = ERR_INIT;

    if (json_patch_apply(&root, operations, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_true(json_equal(root, wanted));
}

static void json_patches(void **state)
{
    (void)state;
    check_json_patch("{a: 1}", "[{op: add, path: /b, value: {c: 2}}]", "{a: 1, b: {c: 2}}");
    check_json_patch("{a: [1, 3]}", "[{op: add, path: /a/1, value: 2}]", "{a: [1, 2, 3]}");
    check_json_patch("{a: [1]}", "[{op: add, path: /a/-, value: 2}]", "{a: [1, 2]}");
    check_json_patch("{a: {b~c/d: 1}}", "[{op: replace, path: /a/b~0c~1d, value: 2}]",
                     "{a: {b~c/d: 2}}");
    check_json_patch("{a: 1, b: 2}", "[{op: remove, path: /a}]", "{b: 2}");
    check_json_patch("{a: 1}", "[{op: move, from: /a, path: /b}]", "{b: 1}");
    check_json_patch("{a: [1]}",
                     "[{op: copy, from: /a, path: /b}, {op: test, path: /b/0, value: 1}]",
                     "{a: [1], b: [1]}");
    check_json_patch("{a: 1}", "[{op: replace, path: '', value: {z: 1}}]", "{z: 1}");
}

static void json_patch_refusals(void **state)
{
    static const struct {
        const char *patch, *text;
    } cases[] = {
        {"[{op: replace, path: /x/y, value: 1}]",
         "replace operation does not apply: doc is missing path: \"/x/y\""},
        {"[{op: remove, path: /x}]",
         "remove operation does not apply: doc is missing path: \"/x\""},
        {"[{op: add, path: /a/b, value: 1}]",
         "add operation does not apply: doc is missing path: \"/a/b\""},
        {"[{op: test, path: /a, value: 2}]", "testing value /a failed"},
        {"[{op: frobnicate, path: /a, value: 2}]", "unexpected JSON patch operation 'frobnicate'"},
        {"{op: add}", "a JSON patch is a list of operations"},
        {"[{op: add, path: a, value: 1}]", "invalid JSON pointer 'a'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autojson cJSON *root = fixture_yaml("{a: 1}");
        autojson cJSON *operations = fixture_yaml(cases[i].patch);
        autoerr struct err err = ERR_INIT;

        assert_int_equal(json_patch_apply(&root, operations, &err), -1);
        assert_string_equal(err_text(&err), cases[i].text);
    }
}

/* ---- patches of a kustomization source ---- */

static const char apps[] = "[{apiVersion: argoproj.io/v1alpha1, kind: Application,"
                           " metadata: {name: one, labels: {tier: a}},"
                           " spec: {source: {repoURL: r, targetRevision: release}}},"
                           "{apiVersion: argoproj.io/v1alpha1, kind: Application,"
                           " metadata: {name: two, labels: {tier: b}},"
                           " spec: {source: {repoURL: r, targetRevision: release}}},"
                           "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}]";

static const char *revision_at(const cJSON *objects, int index)
{
    return json_str_or(cJSON_GetArrayItem(objects, index), "spec.source.targetRevision", "");
}

static void check_target(const char *target, const char *first, const char *second)
{
    autofree char *text = xasprintf("[{target: %s, patch: '[{\"op\": \"replace\", \"path\": "
                                    "\"/spec/source/targetRevision\", \"value\": \"c0ffee\"}]'}]",
                                    target);
    autojson cJSON *objects = fixture_yaml(apps);
    autojson cJSON *patches = fixture_yaml(text);
    autoerr struct err err = ERR_INIT;

    if (patches_apply(objects, patches, "/", &err) < 0)
        fail_msg("%s: %s", target, err_text(&err));
    assert_string_equal(revision_at(objects, 0), first);
    assert_string_equal(revision_at(objects, 1), second);
    assert_int_equal(cJSON_GetArraySize(objects), 3);
}

static void targets(void **state)
{
    (void)state;
    check_target("{kind: Application}", "c0ffee", "c0ffee");
    check_target("{kind: Application, name: one}", "c0ffee", "release");
    check_target("{kind: Application, name: (one|three)}", "c0ffee", "release");
    check_target("{kind: Application, name: o}", "release", "release"); /* anchored */
    check_target("{kind: Application, name: 'o.*'}", "c0ffee", "release");
    check_target("{group: argoproj.io, version: v1alpha1, name: two}", "release", "c0ffee");
    check_target("{group: apps, kind: Application}", "release", "release");
    check_target("{kind: Application, labelSelector: tier=a}", "c0ffee", "release");
    check_target("{kind: Application, labelSelector: 'tier in (b, c)'}", "release", "c0ffee");
    check_target("{kind: Application, labelSelector: 'tier!=a'}", "release", "c0ffee");
    check_target("{kind: Application, labelSelector: 'tier notin (a),tier'}", "release", "c0ffee");
    check_target("{kind: Application, labelSelector: '!tier'}", "release", "release");
}

static void merge_patches(void **state)
{
    autojson cJSON *objects = fixture_yaml(
        "[{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, annotations: {a: b}}, spec:"
        " {template: {spec: {containers: [{name: a, image: x:1, env: [{name: E, value: '1'}]},"
        " {name: b, image: y:1}]}}}}]");
    autojson cJSON *patches =
        fixture_yaml("- patch: |\n"
                     "    apiVersion: apps/v1\n"
                     "    kind: Deployment\n"
                     "    metadata: {name: web, annotations: {a: null}}\n"
                     "    spec:\n"
                     "      template:\n"
                     "        spec:\n"
                     "          containers:\n"
                     "          - {name: a, image: 'x:2', env: [{name: F, value: '2'}]}\n"
                     "          - {name: b, $patch: delete}\n"
                     "          - {name: c, image: 'z:1'}\n");
    autojson cJSON *wanted = fixture_yaml(
        "[{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, annotations: {}}, spec:"
        " {template: {spec: {containers: [{name: a, image: x:2, env: [{name: E, value: '1'},"
        " {name: F, value: '2'}]}, {name: c, image: z:1}]}}}}]");
    autoerr struct err err = ERR_INIT;

    (void)state;
    if (patches_apply(objects, patches, "/", &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_true(json_equal(objects, wanted));
}

static void patch_refusals(void **state)
{
    static const struct {
        const char *patches, *text;
    } cases[] = {
        {"[{patch: '{apiVersion: v1, kind: Secret, metadata: {name: x}}'}]",
         "no resource matches strategic merge patch 'Secret/x'"},
        {"[{target: {kind: Application}}]", "must specify one of patch and path"},
        {"[{target: {kind: '('}, patch: '[]'}]", "error parsing regexp: '('"},
        {"[{target: {kind: A}, path: ../../etc/passwd}]",
         "the patch file '../../etc/passwd' is not below the application's path"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autojson cJSON *objects = fixture_yaml(apps);
        autojson cJSON *patches = fixture_yaml(cases[i].patches);
        autoerr struct err err = ERR_INIT;

        assert_int_equal(patches_apply(objects, patches, "/", &err), -1);
        assert_string_equal(err_text(&err), cases[i].text);
    }
}

static void deletion(void **state)
{
    autojson cJSON *objects = fixture_yaml(apps);
    autojson cJSON *patches = fixture_yaml(
        "[{patch: '{$patch: delete, apiVersion: v1, kind: ConfigMap, metadata: {name: one}}'}]");
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(patches_apply(objects, patches, "/", &err), 0);
    assert_int_equal(cJSON_GetArraySize(objects), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_patches),   cmocka_unit_test(json_patch_refusals),
        cmocka_unit_test(targets),        cmocka_unit_test(merge_patches),
        cmocka_unit_test(patch_refusals), cmocka_unit_test(deletion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
