#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "necoops/argocd/install.h"
#include "necoops/argocd/root.h"

#define A    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define REPO "https://github.com/example/apps.git"

static cJSON *parse(const char *text)
{
    autofree char *copy = xstrdup(text);
    autoerr struct err err = ERR_INIT;
    cJSON *json = NULL;

    for (char *c = copy; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    if (json_parse(copy, strlen(copy), "case", &json, &err) != 0) {
        fail_msg("%s: %s", err_text(&err), copy);
    }
    return json;
}

static void parse_app(const char *text, struct argocd_app *app)
{
    autojson cJSON *json = parse(text);
    autoerr struct err err = ERR_INIT;

    assert_int_equal(argocd_app_parse(json, app, &err), 0);
}

static void assert_json(const cJSON *got, const char *wanted)
{
    autojson cJSON *json = parse(wanted);

    if (!json_equal(got, json)) {
        autofree char *text = json_print(got);

        fail_msg("got %s, not %s", text, wanted);
    }
}

#define OPERATION                                                                                  \
    "'operation':{'info':[{'name':'necoops','value':'T'},{'name':'necoops-commit','value':'" A     \
    "'}],'initiatedBy':{'username':'necoops'},'sync':{'revision':'" A "'%s},'retry':{'limit':3,"   \
    "'backoff':{'duration':'2s','factor':2,'maxDuration':'30s'}}}"

static const struct argocd_sync sync_to_a = {.repo_url = REPO,
                                             .revision = A,
                                             .target = A,
                                             .token = "T",
                                             .suspend_automated = true,
                                             .retries = 3};

static void test_one_guarded_patch(void **state)
{
    autoapp struct argocd_app app = {0};

    (void)state;
    parse_app("{'metadata':{'name':'web','resourceVersion':'42'},'spec':{'source':{'repoURL':'" REPO
              "','path':'web','targetRevision':'master'},'syncPolicy':{'automated':{'prune':true},"
              "'syncOptions':['CreateNamespace=true']}},'status':{'operationState':{'phase':"
              "'Succeeded'}}}",
              &app);
    autojson cJSON *patch = argocd_sync_patch(&app, &sync_to_a);
    autofree char *operation = xasprintf(OPERATION, ",'syncOptions':['CreateNamespace=true']");
    autofree char *wanted =
        xasprintf("{'metadata':{'resourceVersion':'42'},'spec':{'source':{'targetRevision':'" A
                  "'},'syncPolicy':{'automated':null}},%s,'status':{'operationState':null}}",
                  operation);
    assert_json(patch, wanted);
}

static void test_spec_is_left_alone_when_it_fits(void **state)
{
    autoapp struct argocd_app app = {0};

    (void)state;
    parse_app("{'metadata':{'name':'web','resourceVersion':'42'},'spec':{'source':{'repoURL':'" REPO
              "','path':'web','targetRevision':'" A "'}}}",
              &app);
    autojson cJSON *patch = argocd_sync_patch(&app, &sync_to_a);
    autofree char *operation = xasprintf(OPERATION, "");
    autofree char *wanted = xasprintf("{'metadata':{'resourceVersion':'42'},%s}", operation);
    assert_json(patch, wanted);
}

static void test_several_sources_are_written_whole(void **state)
{
    autoapp struct argocd_app app = {0};

    (void)state;
    parse_app("{'metadata':{'name':'web','resourceVersion':'1'},'spec':{'sources':[{'repoURL':"
              "'git@github.com:example/apps','path':'web','targetRevision':'master','ref':'v'},{"
              "'repoURL':'https://charts.example.com','chart':'c','targetRevision':'1.2.3','helm':{"
              "'valueFiles':['$v/x']}}]}}",
              &app);
    autojson cJSON *patch = argocd_sync_patch(&app, &sync_to_a);
    assert_json(json_at(patch, "spec"),
                "{'sources':[{'repoURL':'git@github.com:example/apps','path':'web',"
                "'targetRevision':'" A
                "','ref':'v'},{'repoURL':'https://charts.example.com','chart':"
                "'c','targetRevision':'1.2.3','helm':{'valueFiles':['$v/x']}}]}");
    assert_null(json_at(patch, "operation.sync.revision"));
}

static void test_prune_and_foreign_revision(void **state)
{
    autoapp struct argocd_app app = {0};
    struct argocd_sync sync = {.repo_url = REPO, .token = "T", .prune = true};

    (void)state;
    parse_app("{'metadata':{'name':'x','resourceVersion':'1'},'spec':{'source':{'repoURL':"
              "'https://other','path':'p','targetRevision':'v1'}}}",
              &app);
    autojson cJSON *patch = argocd_sync_patch(&app, &sync);
    assert_json(patch,
                "{'metadata':{'resourceVersion':'1'},'operation':{'info':[{'name':'necoops',"
                "'value':'T'}],'initiatedBy':{'username':'necoops'},'sync':{'prune':true}}}");
}

static void test_selected_resources(void **state)
{
    autoapp struct argocd_app app = {0};
    autojson cJSON *resources = parse("[{'group':'g','kind':'K','name':'n'}]");
    struct argocd_sync sync = {.repo_url = REPO, .token = "T", .resources = resources};

    (void)state;
    parse_app("{'metadata':{'name':'x','resourceVersion':'1'},'spec':{'source':{'repoURL':"
              "'https://other','path':'p','targetRevision':'v1'}}}",
              &app);
    autojson cJSON *patch = argocd_sync_patch(&app, &sync);
    assert_json(json_at(patch, "operation.sync.resources"),
                "[{'group':'g','kind':'K','name':'n'}]");
}

static void test_holding_touches_the_spec_alone(void **state)
{
    autoapp struct argocd_app app = {0}, held = {0};

    (void)state;
    parse_app("{'metadata':{'name':'x','resourceVersion':'5'},'spec':{'source':{'repoURL':'" REPO
              "','path':'p','targetRevision':'release'},'syncPolicy':{'automated':{}}},"
              "'status':{'operationState':{'phase':'Running'}}}",
              &app);
    autojson cJSON *patch = argocd_hold_patch(&app, &sync_to_a);
    assert_json(patch, "{'metadata':{'resourceVersion':'5'},'spec':{'source':{'targetRevision':'" A
                       "'},'syncPolicy':{'automated':null}}}");
    parse_app("{'metadata':{'name':'x','resourceVersion':'6'},'spec':{'source':{'repoURL':'" REPO
              "','path':'p','targetRevision':'" A "'}}}",
              &held);
    assert_null(argocd_hold_patch(&held, &sync_to_a));
}

static void test_patches_that_argo_cd_does_not_know(void **state)
{
    autoapp struct argocd_app known = {0}, ignored = {0}, fresh = {0};

    (void)state;
#define SOURCE "'source':{'repoURL':'r','path':'p','kustomize':{'patches':[{'patch':'x'}]}}"
    parse_app("{'metadata':{'name':'x'},'spec':{" SOURCE "},'status':{'sync':{'comparedTo':{" SOURCE
              "}}}}",
              &known);
    parse_app("{'metadata':{'name':'x'},'spec':{" SOURCE "},'status':{'sync':{'comparedTo':"
              "{'source':{'repoURL':'r','path':'p','kustomize':{}}}}}}",
              &ignored);
    parse_app("{'metadata':{'name':'x'},'spec':{" SOURCE "}}", &fresh);
    assert_false(known.patches_ignored);
    assert_true(ignored.patches_ignored);
    assert_false(fresh.patches_ignored);
}

static void test_termination_is_guarded(void **state)
{
    autoapp struct argocd_app app = {0};

    (void)state;
    parse_app("{'metadata':{'name':'x','resourceVersion':'9'},'spec':{}}", &app);
    autojson cJSON *patch = argocd_terminate_patch(&app);
    assert_json(patch, "{'metadata':{'resourceVersion':'9'},'status':{'operationState':{'phase':"
                       "'Terminating'}}}");
}

/* ---- the root ---- */

static void test_patches_for_the_children(void **state)
{
    autoapp struct argocd_app one = {0};
    autoapp struct argocd_app two = {0};
    autoapp struct argocd_app foreign = {0};
    const struct argocd_app *children[] = {&one, &two, &foreign};

    (void)state;
    parse_app("{'metadata':{'name':'one'},'spec':{'source':{'repoURL':'" REPO
              "','path':'one','targetRevision':'master'},'syncPolicy':{'automated':{}}}}",
              &one);
    parse_app("{'metadata':{'name':'two'},'spec':{'sources':[{'repoURL':'https://c','chart':'c',"
              "'targetRevision':'1'},{'repoURL':'" REPO "','path':'two'}]}}",
              &two);
    parse_app("{'metadata':{'name':'foreign'},'spec':{'source':{'repoURL':'https://c','chart':'c',"
              "'targetRevision':'1'},'syncPolicy':{'automated':{}}}}",
              &foreign);
    autojson cJSON *patches = argocd_child_patches(children, 3, REPO, A);
    assert_int_equal(cJSON_GetArraySize(patches), 2);
    assert_string_equal(json_str(patches, "[0].target.name"), "one");
    assert_string_equal(json_str(patches, "[0].target.kind"), "Application");
    assert_string_equal(json_str(patches, "[0].patch"),
                        "[{\"op\":\"add\",\"path\":\"/spec/source/targetRevision\",\"value\":\"" A
                        "\"},{\"op\":\"remove\",\"path\":\"/spec/syncPolicy/automated\"}]");
    assert_string_equal(
        json_str(patches, "[1].patch"),
        "[{\"op\":\"add\",\"path\":\"/spec/sources/1/targetRevision\",\"value\":\"" A "\"}]");
}

static void test_the_root_is_made(void **state)
{
    struct argocd_root root = {.name = "root",
                               .space = "argocd",
                               .project = "default",
                               .repo_url = REPO,
                               .path = "overlays/gcp",
                               .target = A};

    (void)state;
    autojson cJSON *object = argocd_root_object(&root, NULL);
    assert_json(
        object,
        "{'apiVersion':'argoproj.io/v1alpha1','kind':'Application','metadata':{'name':'root',"
        "'namespace':'argocd'},'spec':{'project':'default','source':{'repoURL':'" REPO
        "','path':'overlays/gcp','targetRevision':'" A
        "'},'destination':{'server':'https://kubernetes.default.svc','namespace':'argocd'}}}");
}

static void test_the_root_is_changed_only_where_it_differs(void **state)
{
    autoapp struct argocd_app live = {0};
    autojson cJSON *patches = parse("[{'target':{'name':'x'},'patch':'[]'}]");
    struct argocd_root root = {.repo_url = REPO, .path = "p", .target = A, .patches = patches};

    (void)state;
    parse_app("{'metadata':{'name':'root'},'spec':{'source':{'repoURL':'" REPO
              "','path':'p','targetRevision':'" A
              "','kustomize':{'patches':[{'target':{'name':'x'},"
              "'patch':'[]'}]}}}}",
              &live);
    assert_null(argocd_root_spec_patch(&live, &root));

    root.patches = NULL;
    autojson cJSON *without = argocd_root_spec_patch(&live, &root);
    assert_json(without, "{'source':{'repoURL':'" REPO "','path':'p','targetRevision':'" A
                         "','kustomize':{'patches':null}}}");

    root.patches = patches;
    root.target = "master";
    root.automated = true;
    autojson cJSON *branch = argocd_root_spec_patch(&live, &root);
    assert_json(branch, "{'source':{'repoURL':'" REPO
                        "','path':'p','targetRevision':'master','kustomize':{'patches':[{'target':{"
                        "'name':'x'},'patch':'[]'}]}},'syncPolicy':{'automated':{'prune':true,"
                        "'selfHeal':true}}}");
}

/* ---- versions ---- */

static void test_versions_of_images(void **state)
{
    static const struct {
        const char *image;
        bool known;
        int major, minor;
    } images[] = {
        {"quay.io/argoproj/argocd:v2.14.21", true, 2, 14},
        {"registry.example.com:5000/mirror/argocd:v2.8.0-rc1", true, 2, 8},
        {"argoproj/argocd:v1.8.3", true, 1, 8},
        {"ghcr.io/cybozu/argocd:2.9.3.1", true, 2, 9},
        {"quay.io/argoproj/argocd:v3.1.0@sha256:abc", true, 3, 1},
        {"quay.io/argoproj/argocd:latest", false, 0, 0},
        {"registry.example.com:5000/argocd", false, 0, 0},
        {"quay.io/argoproj/argocd@sha256:0123", false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        int major = 0, minor = 0;

        if (argocd_image_version(images[i].image, &major, &minor) != images[i].known ||
            major != images[i].major || minor != images[i].minor) {
            fail_msg("%s: %d.%d", images[i].image, major, minor);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_guarded_patch),
        cmocka_unit_test(test_spec_is_left_alone_when_it_fits),
        cmocka_unit_test(test_several_sources_are_written_whole),
        cmocka_unit_test(test_prune_and_foreign_revision),
        cmocka_unit_test(test_selected_resources),
        cmocka_unit_test(test_holding_touches_the_spec_alone),
        cmocka_unit_test(test_patches_that_argo_cd_does_not_know),
        cmocka_unit_test(test_termination_is_guarded),
        cmocka_unit_test(test_patches_for_the_children),
        cmocka_unit_test(test_the_root_is_made),
        cmocka_unit_test(test_the_root_is_changed_only_where_it_differs),
        cmocka_unit_test(test_versions_of_images),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
