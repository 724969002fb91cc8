#include "kube_fixture.h"

#include <pthread.h>
#include "emulator/kube/core.h"

static void keeps_one_line_of_versions(void **state)
{
    struct store *store = store_with_namespace();
    uint64_t before = store_version(store);
    struct stored *first;
    struct stored *second;

    (void)state;
    put(store,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: x}}");
    first = get(store, "", "configmaps", "demo", "c");
    assert_int_equal(first->version, before + 1);
    assert_non_null(json_str(first->object, "metadata.uid"));
    assert_non_null(json_str(first->object, "metadata.creationTimestamp"));
    put(store,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: x}}");
    assert_int_equal(store_version(store), before + 1);
    put(store,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: z}}");
    second = get(store, "", "configmaps", "demo", "c");
    assert_int_equal(second->version, before + 2);
    assert_string_equal(json_str(first->object, "metadata.uid"),
                        json_str(second->object, "metadata.uid"));
    /* What was handed out stays as it was. */
    assert_part(first, "data.a", "\"x\"");
    assert_part(second, "data.a", "\"z\"");
    stored_unref(first);
    stored_unref(second);
    store_free(store);
}

static void lists_in_order(void **state)
{
    struct store *store = store_with_namespace();
    uint64_t version;
    struct stored **list;

    (void)state;
    put(store, "{apiVersion: v1, kind: Namespace, metadata: {name: alpha}}");
    put(store, "{apiVersion: v1, kind: Secret, metadata: {name: b, namespace: demo}}");
    put(store, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: demo}}");
    put(store, "{apiVersion: v1, kind: Secret, metadata: {name: z, namespace: alpha}}");
    list = store_list(store, store_resource(store, "", "secrets"), NULL, &version);
    assert_part(list[0], "metadata.name", "\"z\"");
    assert_part(list[1], "metadata.name", "\"a\"");
    assert_part(list[2], "metadata.name", "\"b\"");
    assert_null(list[3]);
    assert_int_equal(version, store_version(store));
    store_list_free(list);
    list = store_list(store, store_resource(store, "", "secrets"), "alpha", NULL);
    assert_non_null(list[0]);
    assert_null(list[1]);
    store_list_free(list);
    store_free(store);
}

static void generation_counts_specifications(void **state)
{
    struct store *store = store_with_namespace();
    const struct resource *deployments = store_resource(store, "apps", "deployments");
    struct err err = ERR_INIT;
    cJSON *status = value_of("{status: {replicas: 1}}");
    cJSON *spec = value_of("{spec: {replicas: 2}}");
    struct stored *stored;

    (void)state;
    put(store,
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: demo}, spec: "
        "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
        "{containers: [{name: a, image: i}]}}}}");
    assert_int_equal(store_merge(store, deployments, "demo", "d", status, &err), 0);
    stored = get(store, "apps", "deployments", "demo", "d");
    assert_part(stored, "metadata.generation", "1");
    stored_unref(stored);
    assert_int_equal(store_merge(store, deployments, "demo", "d", spec, &err), 0);
    stored = get(store, "apps", "deployments", "demo", "d");
    assert_part(stored, "metadata.generation", "2");
    stored_unref(stored);
    assert_int_equal(store_merge(store, deployments, "demo", "e", spec, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "deployments.apps \"e\" not found");
    err_clear(&err);
    cJSON_Delete(status);
    cJSON_Delete(spec);
    store_free(store);
}

static void finalizers_hold_an_object(void **state)
{
    struct store *store = store_with_namespace();
    const struct resource *maps = store_resource(store, "", "configmaps");
    struct err err = ERR_INIT;
    cJSON *release = value_of("{metadata: {finalizers: []}}");
    struct stored *stored;

    (void)state;
    put(store, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo, finalizers: "
               "[a.b/c]}}");
    assert_int_equal(store_delete(store, maps, "demo", "c", &err), 0);
    stored = get(store, "", "configmaps", "demo", "c");
    assert_non_null(json_str(stored->object, "metadata.deletionTimestamp"));
    stored_unref(stored);
    assert_int_equal(store_merge(store, maps, "demo", "c", release, &err), 0);
    assert_null(get(store, "", "configmaps", "demo", "c"));
    /* One that is gone is no error. */
    assert_int_equal(store_delete(store, maps, "demo", "c", &err), 0);
    cJSON_Delete(release);
    store_free(store);
}

static void nothing_comes_into_a_namespace_that_goes(void **state)
{
    struct store *store = store_with_namespace();
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        store_delete(store, store_resource(store, "", "namespaces"), NULL, "demo", &err), 0);
    assert_int_equal(store_put(store,
                               value_of("{apiVersion: v1, kind: Secret, metadata: {name: s, "
                                        "namespace: demo}}"),
                               &err),
                     -1);
    assert_string_equal(
        err_text(&err),
        "secrets \"s\" is forbidden: unable to create new content in namespace demo "
        "because it is being terminated");
    assert_int_equal(err.http_status, 403);
    assert_int_equal(store_put(store,
                               value_of("{apiVersion: v1, kind: Secret, metadata: {name: s, "
                                        "namespace: none}}"),
                               &err),
                     -1);
    assert_string_equal(err_text(&err), "namespaces \"none\" not found");
    err_clear(&err);
    store_free(store);
}

/* ---- changes ---- */

static void assert_next(struct store *store, uint64_t *version, const struct resource *resource,
                        enum store_event_type type, const char *name)
{
    struct store_event event;

    assert_int_equal(store_next(store, *version, resource, "demo", 1000, &event), 1);
    assert_int_equal(event.type, type);
    assert_string_equal(json_str(event.stored->object, "metadata.name"), name);
    assert_true(event.stored->version > *version);
    *version = event.stored->version;
    stored_unref(event.stored);
}

static void changes_come_in_order(void **state)
{
    struct store *store = store_with_namespace();
    const struct resource *maps = store_resource(store, "", "configmaps");
    uint64_t version = store_version(store);
    struct store_event event;
    struct err err = ERR_INIT;

    (void)state;
    put(store, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}}");
    put(store, "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: demo}}");
    put(store,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: x}}");
    assert_int_equal(store_delete(store, maps, "demo", "c", &err), 0);
    assert_next(store, &version, maps, STORE_ADDED, "c");
    assert_next(store, &version, maps, STORE_MODIFIED, "c");
    assert_next(store, &version, maps, STORE_DELETED, "c");
    assert_int_equal(version, store_version(store));
    assert_int_equal(store_next(store, version, maps, "demo", 20, &event), 0);
    store_free(store);
}

static void an_old_version_is_gone(void **state)
{
    struct store *store = store_with_namespace();
    const struct resource *maps = store_resource(store, "", "configmaps");
    uint64_t version = store_version(store);
    struct store_event event;
    struct err err = ERR_INIT;

    (void)state;
    put(store, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}}");
    for (int i = 0; i < HISTORY_EVENTS + 1; i++) {
        cJSON *patch = json_object();

        json_set_i64_str(json_set_object(patch, "data"), "n", i);
        assert_int_equal(store_merge(store, maps, "demo", "c", patch, &err), 0);
        cJSON_Delete(patch);
    }
    assert_int_equal(store_next(store, version, maps, NULL, 0, &event), -1);
    assert_int_equal(store_next(store, store_version(store) - 1, maps, NULL, 0, &event), 1);
    stored_unref(event.stored);
    store_free(store);
}

static void *close_later(void *arg)
{
    struct timespec pause = {.tv_nsec = 20000000};

    nanosleep(&pause, NULL);
    store_close(arg);
    return NULL;
}

static void closing_wakes_who_waits(void **state)
{
    struct store *store = store_with_namespace();
    struct store_event event;
    pthread_t thread;
    int64_t before = mono_ms();

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, close_later, store), 0);
    assert_int_equal(store_next(store, store_version(store), NULL, NULL, 10000, &event), 0);
    assert_true(mono_ms() - before < 9500);
    assert_true(store_closed(store));
    pthread_join(thread, NULL);
    store_free(store);
}

/* ---- types ---- */

static void serves_what_the_version_has(void **state)
{
    struct store *old = store_new_for(14);
    struct store *now = store_new_for(27);

    (void)state;
    assert_non_null(store_kind(old, "extensions/v1beta1", "Deployment"));
    assert_non_null(store_kind(old, "apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"));
    assert_null(store_kind(old, "apiextensions.k8s.io/v1", "CustomResourceDefinition"));
    assert_null(store_kind(now, "extensions/v1beta1", "Deployment"));
    assert_null(store_kind(now, "policy/v1beta1", "PodSecurityPolicy"));
    assert_non_null(store_kind(now, "apps/v1", "Deployment"));
    assert_null(store_kind(now, "apps/v1", "Thing"));
    assert_string_equal(store_resource(now, "autoscaling", "horizontalpodautoscalers")->version,
                        "v2");
    store_free(old);
    store_free(now);
}

static void versions_show_the_same_object(void **state)
{
    struct store *store = store_new_for(20);
    const struct resource *old = store_kind(store, "extensions/v1beta1", "Ingress");
    struct stored *stored;

    (void)state;
    put(store, "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}");
    put(store, "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: i, namespace: "
               "demo}, spec: {rules: [{host: a.b, http: {paths: [{path: /, backend: {serviceName: "
               "web, servicePort: 80}}]}}]}}");
    stored = get(store, "networking.k8s.io", "ingresses", "demo", "i");
    assert_part(stored, "apiVersion", "\"networking.k8s.io/v1\"");
    assert_part(stored, "spec.rules[0].http.paths[0].backend",
                "{\"service\":{\"name\":\"web\",\"port\":{\"number\":80}}}");
    stored_unref(stored);
    stored = store_get(store, old, "demo", "i");
    assert_part(stored, "apiVersion", "\"extensions/v1beta1\"");
    assert_part(stored, "spec.rules[0].http.paths[0].backend",
                "{\"serviceName\":\"web\",\"servicePort\":80}");
    stored_unref(stored);
    store_free(store);
}

static void definitions_make_types(void **state)
{
    struct store *store = store_with_namespace();
    struct err err = ERR_INIT;
    struct stored *stored;

    (void)state;
    assert_null(store_kind(store, "demo.io/v1", "Thing"));
    put(store, "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: "
               "{name: things.demo.io}, spec: {group: demo.io, scope: Cluster, names: {plural: "
               "things, kind: Thing}, versions: [{name: v1, served: true, storage: true, schema: "
               "{openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}");
    assert_false(store_kind(store, "demo.io/v1", "Thing")->namespaced);
    put(store, "{apiVersion: demo.io/v1, kind: Thing, metadata: {name: t}, spec: {a: 1}}");
    stored = get(store, "demo.io", "things", NULL, "t");
    assert_part(stored, "metadata.generation", "1");
    assert_part(stored, "spec", "{\"a\":1}");
    stored_unref(stored);
    assert_int_equal(
        store_delete(store,
                     store_resource(store, "apiextensions.k8s.io", "customresourcedefinitions"),
                     NULL, "things.demo.io", &err),
        0);
    assert_null(store_kind(store, "demo.io/v1", "Thing"));
    store_free(store);
}

static void versions_have_an_order(void **state)
{
    (void)state;
    assert_true(version_compare("v1", "v1beta1") < 0);
    assert_true(version_compare("v2", "v1") < 0);
    assert_true(version_compare("v1beta2", "v1beta1") < 0);
    assert_true(version_compare("v1beta1", "v2alpha1") < 0);
    assert_true(version_compare("v1alpha1", "foo") < 0);
    assert_int_equal(version_compare("v1", "v1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_one_line_of_versions),
        cmocka_unit_test(lists_in_order),
        cmocka_unit_test(generation_counts_specifications),
        cmocka_unit_test(finalizers_hold_an_object),
        cmocka_unit_test(nothing_comes_into_a_namespace_that_goes),
        cmocka_unit_test(changes_come_in_order),
        cmocka_unit_test(an_old_version_is_gone),
        cmocka_unit_test(closing_wakes_who_waits),
        cmocka_unit_test(serves_what_the_version_has),
        cmocka_unit_test(versions_show_the_same_object),
        cmocka_unit_test(definitions_make_types),
        cmocka_unit_test(versions_have_an_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
