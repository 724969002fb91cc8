#include <time.h>
#include "argocd_fixture.h"
#include "emulator/argocd/controller.h"
#include "emulator/argocd/install.h"

#define URL     "https://example.com/apps.git"
#define REACT   5
#define WAIT_MS 10000

struct bench {
    char *repository;
    char *work_dir;
    char *head; /* SHA of the last commit */
    struct store *store;
    struct controller *controller;
};

static const char *find_mirror(void *arg, const char *url)
{
    struct bench *bench = arg;

    return strcmp(url, URL) == 0 ? bench->repository : NULL;
}

static void start_version(struct bench *bench, const char *version)
{
    autoerr struct err err = ERR_INIT;
    struct controller_config config = {.store = bench->store,
                                       .version = version,
                                       .work_dir = bench->work_dir,
                                       .environ = (const char *const *)environ,
                                       .mirror = find_mirror,
                                       .mirror_arg = bench,
                                       .reconcile_ms = REACT};

    if (install_argocd(bench->store, version, &err) < 0 ||
        controller_start(&config, &bench->controller, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static int set_up(void **state)
{
    struct bench *bench = xcalloc(1, sizeof(*bench));

    bench->repository = fixture_repository();
    bench->work_dir = fixture_temp_dir();
    bench->store = store_new();
    start_version(bench, "v2.14.21");
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    controller_stop(bench->controller);
    store_free(bench->store);
    free(bench->work_dir);
    free(bench->head);
    fixture_remove(bench->repository);
    free(bench);
    return 0;
}

/* ---- acting ---- */

static void commit_to(struct bench *bench, const char *branch, const struct fixture_file *files,
                      size_t len)
{
    free(bench->head);
    bench->head = fixture_commit(bench->repository, branch, files, len);
}

#define COMMIT(bench, ...)                                                                         \
    commit_to(bench, "master", (const struct fixture_file[]){__VA_ARGS__},                         \
              ARRAY_LEN(((const struct fixture_file[]){__VA_ARGS__})))

static void put(struct bench *bench, const char *yaml)
{
    autoerr struct err err = ERR_INIT;

    if (store_put(bench->store, fixture_yaml(yaml), &err) < 0)
        fail_msg("%s", err_text(&err));
}

/* An application of a path, with more members of its spec (flow style, after a comma) or "". */
static void put_app(struct bench *bench, const char *name, const char *path, const char *more)
{
    autofree char *yaml =
        xasprintf("{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: %s,"
                  " namespace: argocd}, spec: {project: default, source: {repoURL: '" URL "',"
                  " targetRevision: master, path: %s}, destination: {server:"
                  " 'https://kubernetes.default.svc', namespace: demo}%s}}",
                  name, path, more);

    put(bench, yaml);
}

static const struct resource *resource_of(struct bench *bench, const char *group,
                                          const char *plural)
{
    const struct resource *resource = store_resource(bench->store, group, plural);

    assert_non_null(resource);
    return resource;
}

static void patch_of(struct bench *bench, const char *group, const char *plural, const char *space,
                     const char *name, const char *yaml)
{
    autojson cJSON *patch = fixture_yaml(yaml);
    autoerr struct err err = ERR_INIT;

    if (store_merge(bench->store, resource_of(bench, group, plural), space, name, patch, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static void patch_app(struct bench *bench, const char *name, const char *yaml)
{
    patch_of(bench, "argoproj.io", "applications", "argocd", name, yaml);
}

/* ---- seeing ---- */

static void nap(void)
{
    struct timespec time = {.tv_nsec = 2000000};

    nanosleep(&time, NULL);
}

static int64_t now_ms(void)
{
    struct run run = fixture_run();

    return run_mono_ms(&run);
}

static cJSON *read_object(struct bench *bench, const char *group, const char *plural,
                          const char *space, const char *name)
{
    struct stored *stored = store_get(bench->store, resource_of(bench, group, plural), space, name);
    cJSON *copy = stored != NULL ? json_copy(stored->object) : NULL;

    stored_unref(stored);
    return copy;
}

static cJSON *app_of(struct bench *bench, const char *name)
{
    return read_object(bench, "argoproj.io", "applications", "argocd", name);
}

static bool has_config(struct bench *bench, const char *name)
{
    autojson cJSON *object = read_object(bench, "", "configmaps", "demo", name);

    return object != NULL;
}

/* Waits until the application has this text at the path (NULL: has nothing there). */
static void wait_for(struct bench *bench, const char *app, const char *path, const char *text)
{
    int64_t end = now_ms() + WAIT_MS;

    for (;;) {
        autojson cJSON *object = app_of(bench, app);
        const cJSON *value = json_at(object, path);

        if (object != NULL && (text == NULL ? value == NULL : cJSON_IsString(value)) &&
            (text == NULL || strcmp(value->valuestring, text) == 0))
            return;
        if (now_ms() > end) {
            autofree char *print = json_print_pretty(object);

            fprintf(stderr, "%s\n", print); /* longer than cmocka prints */
            fail_msg("'%s' of '%s' is not '%s'", path, app, text != NULL ? text : "");
        }
        nap();
    }
}

static void wait_phase(struct bench *bench, const char *app, const char *phase)
{
    wait_for(bench, app, "status.operationState.phase", phase);
}

static void check_text(struct bench *bench, const char *app, const char *path, const char *text)
{
    autojson cJSON *object = app_of(bench, app);

    assert_string_equal(json_str_or(object, path, ""), text);
}

/* The first resource of status.resources with this name. */
static cJSON *status_of(struct bench *bench, const char *app, const char *list, const char *name)
{
    autojson cJSON *object = app_of(bench, app);
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(object, list))
    {
        if (strcmp(json_str_or(item, "name", ""), name) == 0)
            return json_copy(item);
    }
    fail_msg("no '%s' in %s", name, list);
    return NULL;
}

#define MAP(name) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name "}\n"
#define SYNC      "{operation: {sync: {}}}"
#define WEB(more)                                                                                  \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web" more "}\n"                       \
    "spec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n"      \
    "    spec: {containers: [{name: c, image: 'nginx:1'}]}\n"

static void make_healthy(struct bench *bench)
{
    patch_of(bench, "apps", "deployments", "demo", "web",
             "{status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1,"
             " availableReplicas: 1}}");
}

static void put_space(struct bench *bench)
{
    put(bench, "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}");
}

/* ---- tests ---- */

static void sync_and_judge(void **state)
{
    struct bench *bench = *state;
    autojson cJSON *resource = NULL;
    autojson cJSON *app = NULL;

    COMMIT(bench, {"app/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n"},
           {"app/web.yaml", WEB("")}, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    wait_for(bench, "x", "status.sync.status", "OutOfSync");
    check_text(bench, "x", "status.health.status", "Missing");
    check_text(bench, "x", "status.sync.revision", bench->head);
    check_text(bench, "x", "status.sourceType", "Directory");

    patch_app(bench, "x", "{operation: {info: [{name: token, value: t1}], sync: {}}}");
    wait_phase(bench, "x", "Succeeded");
    app = app_of(bench, "x");
    assert_null(json_at(app, "operation"));
    assert_string_equal(json_str_or(app, "status.operationState.message", ""),
                        "successfully synced (all tasks run)");
    assert_string_equal(json_str_or(app, "status.operationState.syncResult.revision", ""),
                        bench->head);
    assert_string_equal(json_str_or(app, "status.operationState.operation.info[0].value", ""),
                        "t1");
    assert_string_equal(json_str_or(app, "status.history[0].revision", ""), bench->head);
    wait_for(bench, "x", "status.sync.status", "Synced");
    check_text(bench, "x", "status.health.status", "Progressing");
    make_healthy(bench);
    wait_for(bench, "x", "status.health.status", "Healthy");
    check_text(bench, "x", "status.summary.images[0]", "nginx:1");
    resource = status_of(bench, "x", "status.operationState.syncResult.resources", "web");
    assert_string_equal(json_str_or(resource, "message", ""), "deployment.apps/web created");
    assert_string_equal(json_str_or(resource, "status", ""), "Synced");
    assert_string_equal(json_str_or(resource, "syncPhase", ""), "Sync");
}

/* Right after a sync the comparison is still the old one. */
static void comparison_is_stale(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.sync.status", "Synced");
    COMMIT(bench, {"app/a.yaml", MAP("b")});
    autofree char *patch =
        xasprintf("{spec: {source: {targetRevision: %s}}, operation: {sync: {revision: %s}},"
                  " status: {operationState: null}}",
                  bench->head, bench->head);

    patch_app(bench, "x", patch);
    {
        autojson cJSON *app = app_of(bench, "x");

        assert_string_equal(json_str_or(app, "status.sync.status", ""), "Synced");
        assert_string_not_equal(json_str_or(app, "status.sync.revision", ""), bench->head);
    }
    wait_phase(bench, "x", "Succeeded");
    check_text(bench, "x", "status.operationState.syncResult.revision", bench->head);
    wait_for(bench, "x", "status.sync.revision", bench->head);
    wait_for(bench, "x", "status.sync.comparedTo.source.targetRevision", bench->head);
}

static void broken_manifest(void **state)
{
    struct bench *bench = *state;
    const char *text =
        "Failed to load target state: failed to generate manifest for source 1 of 1: "
        "rpc error: code = FailedPrecondition desc = Failed to unmarshal \"a.yaml\"";

    COMMIT(bench, {"app/a.yaml", "kind: a: b\n"});
    put_app(bench, "x", "app", "");
    wait_for(bench, "x", "status.sync.status", "Unknown");
    check_text(bench, "x", "status.conditions[0].type", "ComparisonError");
    {
        autojson cJSON *app = app_of(bench, "x");

        assert_true(text_starts(json_str_or(app, "status.conditions[0].message", ""), text));
    }
    patch_app(bench, "x", SYNC);
    wait_phase(bench, "x", "Error");
    {
        autojson cJSON *app = app_of(bench, "x");

        assert_true(text_starts(json_str_or(app, "status.operationState.message", ""),
                                "ComparisonError: Failed to load target state: "));
        assert_null(json_at(app, "operation"));
    }
    COMMIT(bench, {"app/a.yaml", MAP("a")});
    patch_app(bench, "x", "{metadata: {annotations: {argocd.argoproj.io/refresh: normal}}}");
    wait_for(bench, "x", "status.sync.status", "OutOfSync");
    wait_for(bench, "x", "status.conditions", NULL);
    {
        autojson cJSON *app = app_of(bench, "x");

        assert_null(json_at(json_at(app, "metadata.annotations"), "argocd"));
        assert_int_equal(cJSON_GetArraySize(json_at(app, "metadata.annotations")), 0);
    }
}

static void invalid_specs(void **state)
{
    struct bench *bench = *state;

    COMMIT(bench, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", "{spec: {project: nope}}");
    wait_for(bench, "x", "status.conditions[0].message",
             "Application referencing project nope which does not exist");
    check_text(bench, "x", "status.conditions[0].type", "InvalidSpecError");
    check_text(bench, "x", "status.health.status", "Unknown");
    put_app(bench, "z", "app", "");
    patch_app(bench, "z", "{spec: {source: {repoURL: 'https://example.com/other.git'}}}");
    wait_for(bench, "z", "status.sync.status", "Unknown");
    {
        autojson cJSON *app = app_of(bench, "z");

        assert_string_equal(json_str_or(app, "status.conditions[0].message", ""),
                            "Failed to load target state: failed to generate manifest for source 1 "
                            "of 1: rpc error: code = Unknown desc = failed to list refs: "
                            "repository 'https://example.com/other.git' not found");
    }
}

static void waves(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/web.yaml", WEB("")},
           {"app/late.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, annotations: "
                             "{argocd.argoproj.io/sync-wave: '1'}}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.message",
             "waiting for healthy state of apps/Deployment/web");
    check_text(bench, "x", "status.operationState.phase", "Running");
    assert_false(has_config(bench, "late"));
    make_healthy(bench);
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "late"));
}

static void hooks(void **state)
{
    struct bench *bench = *state;
    autojson cJSON *hook = NULL;

    put_space(bench);
    COMMIT(bench,
           {"app/job.yaml",
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: "
            "{argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/hook-delete-policy: "
            "HookSucceeded}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, "
            "image: x}]}}}\n"},
           {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.message",
             "waiting for completion of hook batch/Job/migrate");
    assert_false(has_config(bench, "a"));
    patch_of(bench, "batch", "jobs", "demo", "migrate",
             "{status: {conditions: [{type: Complete, status: 'True'}]}}");
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "a"));
    hook = status_of(bench, "x", "status.operationState.syncResult.resources", "migrate");
    assert_string_equal(json_str_or(hook, "hookPhase", ""), "Succeeded");
    assert_string_equal(json_str_or(hook, "hookType", ""), "PreSync");
    wait_for(bench, "x", "status.sync.status", "Synced");
    {
        autojson cJSON *job = read_object(bench, "batch", "jobs", "demo", "migrate");

        assert_null(job);
    }
}

static void failed_hook(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench,
           {"app/job.yaml",
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: "
            "{argocd.argoproj.io/hook: PreSync}\nspec: {template: {spec: {restartPolicy: Never, "
            "containers: [{name: c, image: x}]}}}\n"},
           {"app/a.yaml", MAP("a")},
           {"app/sorry.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sorry, "
                              "annotations: {argocd.argoproj.io/hook: SyncFail}}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.message",
             "waiting for completion of hook batch/Job/migrate");
    patch_of(
        bench, "batch", "jobs", "demo", "migrate",
        "{status: {conditions: [{type: Failed, status: 'True', message: BackoffLimitExceeded}]}}");
    wait_phase(bench, "x", "Failed");
    check_text(bench, "x", "status.operationState.message",
               "one or more synchronization tasks completed unsuccessfully");
    assert_false(has_config(bench, "a"));
    assert_true(has_config(bench, "sorry"));
}

static void pruning(void **state)
{
    struct bench *bench = *state;
    autojson cJSON *skipped = NULL;
    autojson cJSON *left = NULL;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a")}, {"app/b.yaml", MAP("b")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.sync.status", "Synced");
    COMMIT(bench, {"app/a.yaml", MAP("a")});
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.syncResult.revision", bench->head);
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "b"));
    skipped = status_of(bench, "x", "status.operationState.syncResult.resources", "b");
    assert_string_equal(json_str_or(skipped, "status", ""), "PruneSkipped");
    assert_string_equal(json_str_or(skipped, "message", ""), "ignored (requires pruning)");
    wait_for(bench, "x", "status.sync.status", "OutOfSync");
    left = status_of(bench, "x", "status.resources", "b");
    assert_true(json_bool(left, "requiresPruning", false));
    patch_app(bench, "x", "{operation: {sync: {prune: true}}}");
    wait_for(bench, "x", "status.sync.status", "Synced");
    assert_false(has_config(bench, "b"));
}

static void missing_kind(void **state)
{
    struct bench *bench = *state;
    autojson cJSON *failed = NULL;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"},
           {"app/b.yaml", MAP("b")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_phase(bench, "x", "Failed");
    check_text(bench, "x", "status.operationState.message",
               "one or more synchronization tasks are not valid");
    failed = status_of(bench, "x", "status.operationState.syncResult.resources", "w");
    assert_string_equal(json_str_or(failed, "message", ""),
                        "The Kubernetes API could not find example.com/Widget for requested "
                        "resource demo/w. Make sure the \"Widget\" CRD is installed on the "
                        "destination cluster.");
    assert_false(has_config(bench, "b"));
}

static void definition_in_the_same_sync(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"},
           {"app/crd.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
            "widgets.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: "
            "Widget, plural: widgets}, versions: [{name: v1, served: true, storage: true, schema: "
            "{openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_phase(bench, "x", "Succeeded");
    wait_for(bench, "x", "status.sync.status", "Synced");
    {
        autojson cJSON *widget = read_object(bench, "example.com", "widgets", "demo", "w");
        autojson cJSON *definition = read_object(
            bench, "apiextensions.k8s.io", "customresourcedefinitions", "", "widgets.example.com");

        assert_non_null(widget);
        assert_non_null(json_at(widget, "metadata.labels"));
        assert_null(json_at(definition, "metadata.labels"));
    }
}

/* What a failed apply says, and what a namespace that is not there does. */
static void failed_apply(void **state)
{
    struct bench *bench = *state;

    COMMIT(bench, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_phase(bench, "x", "Failed");
    check_text(bench, "x", "status.operationState.message",
               "one or more objects failed to apply, reason: namespaces \"demo\" not found");
    patch_app(bench, "x", "{operation: {sync: {syncOptions: [CreateNamespace=true]}}}");
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "a"));
}

static void retries(void **state)
{
    struct bench *bench = *state;

    COMMIT(bench, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x",
              "{operation: {sync: {}, retry: {limit: 2, backoff: {duration: 1s, factor: 1}}}}");
    wait_for(bench, "x", "status.operationState.phase", "Running");
    for (int64_t end = now_ms() + WAIT_MS;;) {
        autojson cJSON *app = app_of(bench, "x");

        if (json_at(app, "status.operationState.retryCount") != NULL) {
            assert_string_equal(json_str_or(app, "status.operationState.phase", ""), "Running");
            assert_non_null(json_str(app, "status.operationState.finishedAt"));
            assert_non_null(strstr(json_str_or(app, "status.operationState.message", ""),
                                   "Retrying attempt #1 at "));
            break;
        }
        assert_true(now_ms() < end);
        nap();
    }
    put_space(bench);
    wait_phase(bench, "x", "Succeeded");
}

static void second_operation_is_lost(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/web.yaml", WEB("")},
           {"app/late.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, annotations: "
                             "{argocd.argoproj.io/sync-wave: '1'}}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", "{operation: {info: [{name: token, value: first}], sync: {}}}");
    wait_for(bench, "x", "status.operationState.message",
             "waiting for healthy state of apps/Deployment/web");
    patch_app(bench, "x", "{operation: {info: [{name: token, value: second}], sync: {}}}");
    make_healthy(bench);
    wait_phase(bench, "x", "Succeeded");
    wait_for(bench, "x", "status.sync.status", "Synced");
    check_text(bench, "x", "status.operationState.operation.info[0].value", "first");
    wait_for(bench, "x", "operation", NULL);
}

static void termination(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/web.yaml", WEB("")},
           {"app/late.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, annotations: "
                             "{argocd.argoproj.io/sync-wave: '1'}}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.message",
             "waiting for healthy state of apps/Deployment/web");
    patch_app(bench, "x", "{status: {operationState: {phase: Terminating}}}");
    wait_phase(bench, "x", "Failed");
    check_text(bench, "x", "status.operationState.message", "Operation terminated");
    wait_for(bench, "x", "operation", NULL);
    assert_false(has_config(bench, "late"));
}

static void automated(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a") "data: {k: v}\n"});
    put_app(bench, "x", "app", ", syncPolicy: {automated: {prune: true, selfHeal: true}}");
    wait_for(bench, "x", "status.sync.status", "Synced");
    assert_true(has_config(bench, "a"));
    check_text(bench, "x", "status.operationState.operation.sync.revision", bench->head);
    COMMIT(bench, {"app/a.yaml", MAP("a") "data: {k: v}\n"}, {"app/b.yaml", MAP("b")});
    wait_for(bench, "x", "status.operationState.syncResult.revision", bench->head);
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "b"));
    wait_for(bench, "x", "status.sync.status", "Synced");
    patch_of(bench, "", "configmaps", "demo", "a", "{data: {k: drifted}}");
    for (int64_t end = now_ms() + WAIT_MS;; nap()) {
        autojson cJSON *map = read_object(bench, "", "configmaps", "demo", "a");

        if (strcmp(json_str_or(map, "data.k", ""), "v") == 0)
            break;
        assert_true(now_ms() < end);
    }
}

static void automated_tries_a_commit_once(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench,
           {"app/a.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"});
    put_app(bench, "x", "app", ", syncPolicy: {automated: {}, retry: {limit: 0}}");
    wait_phase(bench, "x", "Failed");
    wait_for(bench, "x", "status.conditions[0].type", "SyncError");
    autofree char *text = xasprintf(
        "Failed sync attempt to %s: one or more synchronization tasks are not valid", bench->head);

    check_text(bench, "x", "status.conditions[0].message", text);
    patch_app(bench, "x", "{metadata: {annotations: {argocd.argoproj.io/refresh: hard}}}");
    wait_for(bench, "x", "metadata.annotations.x", NULL);
    wait_phase(bench, "x", "Failed");
}

#define CHILD(name)                                                                                \
    "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: " name                  \
    ", namespace: argocd, finalizers: [resources-finalizer.argocd.argoproj.io]}\n"                 \
    "spec:\n  project: default\n  source: {repoURL: '" URL "', targetRevision: release, path: "    \
    "app}\n  destination: {server: 'https://kubernetes.default.svc', namespace: demo}\n"

/* The commit goes into the children through the root's own source: the root stays Synced. */
static void app_of_apps(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"root/kustomization.yaml", "resources: [child.yaml]\n"},
           {"root/child.yaml", CHILD("child")}, {"app/a.yaml", MAP("a")});
    put_app(bench, "root", "root", "");
    autofree char *patch =
        xasprintf("{spec: {source: {targetRevision: %s, kustomize: {patches: [{target: {kind: "
                  "Application}, patch: '[{op: replace, path: /spec/source/targetRevision, value: "
                  "%s}]'}]}}}, operation: {sync: {revision: %s}}}",
                  bench->head, bench->head, bench->head);

    patch_app(bench, "root", patch);
    wait_phase(bench, "root", "Succeeded");
    wait_for(bench, "root", "status.sync.status", "Synced");
    check_text(bench, "root", "status.health.status", "Healthy");
    check_text(bench, "child", "spec.source.targetRevision", bench->head);
    wait_for(bench, "child", "status.sync.status", "OutOfSync");
    patch_app(bench, "child", SYNC);
    wait_for(bench, "child", "status.sync.status", "Synced");
    /* patched by hand, the root sees the difference */
    patch_app(bench, "child", "{spec: {source: {targetRevision: master}}}");
    wait_for(bench, "root", "status.sync.status", "OutOfSync");
}

static void old_version_ignores_patches(void **state)
{
    struct bench *bench = *state;

    controller_stop(bench->controller);
    start_version(bench, "v2.8.4");
    COMMIT(bench, {"root/kustomization.yaml", "resources: [child.yaml]\n"},
           {"root/child.yaml", CHILD("child")});
    put_app(bench, "root", "root", "");
    patch_app(bench, "root",
              "{spec: {source: {kustomize: {patches: [{target: {kind: Application}, patch: '[{op: "
              "replace, path: /spec/source/targetRevision, value: x}]'}]}}}, operation: {sync: "
              "{}}}");
    wait_phase(bench, "root", "Succeeded");
    check_text(bench, "child", "spec.source.targetRevision", "release");
    wait_for(bench, "root", "status.sync.status", "Synced");
}

/* Its own workload is given an older image: from then on it is that version. */
static void becomes_an_older_version(void **state)
{
    struct bench *bench = *state;

    COMMIT(bench, {"root/kustomization.yaml", "resources: [child.yaml]\n"},
           {"root/child.yaml", CHILD("child")});
    put_app(bench, "root", "root", "");
    patch_app(bench, "root",
              "{spec: {source: {kustomize: {patches: [{target: {kind: Application}, patch: '[{op: "
              "replace, path: /spec/source/targetRevision, value: x}]'}]}}}, operation: {sync: "
              "{}}}");
    wait_phase(bench, "root", "Succeeded");
    check_text(bench, "child", "spec.source.targetRevision", "x");
    wait_for(bench, "root", "status.sync.status", "Synced");
    put(bench,
        "apiVersion: apps/v1\nkind: Deployment\n"
        "metadata: {name: argocd-application-controller, namespace: argocd}\n"
        "spec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n"
        "    spec: {containers: [{name: c, image: 'quay.io/cybozu/argocd:1.1.0-rc1.1'}]}\n");
    wait_for(bench, "root", "status.sync.status", "OutOfSync");
    check_text(bench, "child", "spec.source.targetRevision", "x");
}

static void cascade(void **state)
{
    struct bench *bench = *state;
    autoerr struct err err = ERR_INIT;
    const struct resource *applications = resource_of(bench, "argoproj.io", "applications");

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x",
              "{metadata: {finalizers: [resources-finalizer.argocd.argoproj.io]}, operation: {sync:"
              " {}}}");
    wait_for(bench, "x", "status.sync.status", "Synced");
    assert_int_equal(store_delete(bench->store, applications, "argocd", "x", &err), 0);
    for (int64_t end = now_ms() + WAIT_MS;; nap()) {
        autojson cJSON *app = app_of(bench, "x");

        if (app == NULL)
            break;
        assert_true(now_ms() < end);
    }
    assert_false(has_config(bench, "a"));
}

static void ignored_differences(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a") "data: {k: v, l: w}\n"});
    put_app(bench, "x", "app",
            ", ignoreDifferences: [{kind: ConfigMap, jsonPointers: [/data/k], jqPathExpressions: "
            "['.data[\"l\"]']}]");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.sync.status", "Synced");
    patch_of(bench, "", "configmaps", "demo", "a", "{data: {k: other, l: other}}");
    patch_app(bench, "x", "{metadata: {annotations: {argocd.argoproj.io/refresh: normal}}}");
    for (int64_t end = now_ms() + WAIT_MS;; nap()) {
        autojson cJSON *app = app_of(bench, "x");

        if (json_at(json_at(app, "metadata.annotations"), "[0]") == NULL &&
            cJSON_GetArraySize(json_at(app, "metadata.annotations")) == 0)
            break;
        assert_true(now_ms() < end);
    }
    check_text(bench, "x", "status.sync.status", "Synced");
    patch_app(bench, "x", "{spec: {ignoreDifferences: null}}");
    wait_for(bench, "x", "status.sync.status", "OutOfSync");
}

/* What Git no longer says goes away; what somebody else added stays. */
static void removed_fields(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a") "data: {k: v, l: w}\n"});
    put_app(bench, "x", "app", ", syncPolicy: {automated: {}}");
    wait_for(bench, "x", "status.sync.status", "Synced");
    patch_of(bench, "", "configmaps", "demo", "a", "{data: {m: other}}");
    COMMIT(bench, {"app/a.yaml", MAP("a") "data: {k: v}\n"});
    wait_for(bench, "x", "status.operationState.syncResult.revision", bench->head);
    wait_phase(bench, "x", "Succeeded");
    autojson cJSON *map = read_object(bench, "", "configmaps", "demo", "a");
    autojson cJSON *wanted = fixture_yaml("{k: v, m: other}");

    assert_true(json_equal(json_at(map, "data"), wanted));
}

/* A root that heals itself takes back what was patched on its child. */
static void parent_reverts_child(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"root/child.yaml", CHILD("child")}, {"app/a.yaml", MAP("a")});
    put_app(bench, "root", "root", ", syncPolicy: {automated: {selfHeal: true}}");
    wait_for(bench, "root", "status.sync.status", "Synced");
    patch_app(bench, "child", "{spec: {source: {targetRevision: master}}}");
    wait_for(bench, "child", "spec.source.targetRevision", "release");
}

/* Another controller takes an operation up where the one before left it. */
static void restart(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/web.yaml", WEB("")},
           {"app/late.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, annotations: "
                             "{argocd.argoproj.io/sync-wave: '1'}}\n"});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", SYNC);
    wait_for(bench, "x", "status.operationState.message",
             "waiting for healthy state of apps/Deployment/web");
    controller_stop(bench->controller);
    make_healthy(bench);
    start_version(bench, "v2.14.21");
    wait_phase(bench, "x", "Succeeded");
    assert_true(has_config(bench, "late"));
    wait_for(bench, "x", "status.health.status", "Healthy");
}

static void selective_and_dry(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"app/a.yaml", MAP("a")}, {"app/b.yaml", MAP("b")});
    put_app(bench, "x", "app", "");
    patch_app(bench, "x", "{operation: {sync: {dryRun: true}}}");
    wait_phase(bench, "x", "Succeeded");
    assert_false(has_config(bench, "a"));
    {
        autojson cJSON *result =
            status_of(bench, "x", "status.operationState.syncResult.resources", "a");

        assert_string_equal(json_str_or(result, "message", ""), "configmap/a created (dry run)");
    }
    patch_app(bench, "x", "{operation: {sync: {resources: [{kind: ConfigMap, name: b}]}}}");
    wait_for(bench, "x", "operation", NULL);
    wait_phase(bench, "x", "Succeeded");
    assert_false(has_config(bench, "a"));
    assert_true(has_config(bench, "b"));
    wait_for(bench, "x", "status.health.status", "Healthy");
    check_text(bench, "x", "status.sync.status", "OutOfSync");
    check_text(bench, "x", "status.history", "");
}

static void several_sources(void **state)
{
    struct bench *bench = *state;

    put_space(bench);
    COMMIT(bench, {"one/a.yaml", MAP("a")}, {"two/b.yaml", MAP("b")});
    autofree char *yaml =
        xasprintf("{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: x,"
                  " namespace: argocd}, spec: {project: default, sources: [{repoURL: '" URL "',"
                  " targetRevision: master, path: one}, {repoURL: '" URL "', targetRevision: %s,"
                  " path: two}, {repoURL: '" URL "', ref: values}],"
                  " destination: {name: in-cluster, namespace: demo}}, operation: {sync: {}}}",
                  bench->head);

    put(bench, yaml);
    wait_for(bench, "x", "status.sync.status", "Synced");
    assert_true(has_config(bench, "a"));
    assert_true(has_config(bench, "b"));
    check_text(bench, "x", "status.sync.revisions[2]", bench->head);
    check_text(bench, "x", "status.operationState.syncResult.revisions[1]", bench->head);
    check_text(bench, "x", "status.sync.comparedTo.sources[2].ref", "values");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sync_and_judge),
        TEST(comparison_is_stale),
        TEST(broken_manifest),
        TEST(invalid_specs),
        TEST(waves),
        TEST(hooks),
        TEST(failed_hook),
        TEST(pruning),
        TEST(missing_kind),
        TEST(definition_in_the_same_sync),
        TEST(failed_apply),
        TEST(retries),
        TEST(second_operation_is_lost),
        TEST(termination),
        TEST(automated),
        TEST(automated_tries_a_commit_once),
        TEST(app_of_apps),
        TEST(old_version_ignores_patches),
        TEST(becomes_an_older_version),
        TEST(cascade),
        TEST(ignored_differences),
        TEST(several_sources),
        TEST(removed_fields),
        TEST(parent_reverts_child),
        TEST(restart),
        TEST(selective_and_dry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
