#include "kube_fixture.h"

#define DEPLOYMENT(more)                                                                           \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: demo}, spec: {"      \
    "selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: "       \
    "{containers: [{name: web, image: 'nginx:1'}]}}" more "}}"

static void creates_with_defaults_and_owners(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *made = apply(store, "ci", false, DEPLOYMENT(", replicas: 2"), NULL);

    (void)state;
    assert_part(made, "spec.replicas", "2");
    assert_part(made, "spec.strategy.type", "\"RollingUpdate\"");
    assert_part(made, "metadata.generation", "1");
    assert_part(made, "metadata.managedFields[0].manager", "\"ci\"");
    assert_part(made, "metadata.managedFields[0].operation", "\"Apply\"");
    assert_part(made, "metadata.managedFields[0].fieldsV1",
                "{\"f:spec\":{\"f:selector\":{},\"f:template\":{\"f:metadata\":{\"f:labels\":{\"f:"
                "app\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{"
                "},\"f:name\":{},\"f:image\":{}}}}},\"f:replicas\":{}}}");
    stored_unref(made);
    store_free(store);
}

static void the_same_again_writes_nothing(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *first = apply(store, "ci", false, DEPLOYMENT(""), NULL);
    struct stored *again = apply(store, "ci", false, DEPLOYMENT(""), NULL);

    (void)state;
    assert_int_equal(first->version, again->version);
    assert_int_equal(store_version(store), first->version);
    stored_unref(first);
    stored_unref(again);
    store_free(store);
}

static void what_another_owns_is_a_conflict(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *forced;

    (void)state;
    stored_unref(apply(store, "ci", false, DEPLOYMENT(", replicas: 2"), NULL));
    apply(store, "other", false, DEPLOYMENT(", replicas: 3"),
          "Apply failed with 1 conflict: conflict with \"ci\": .spec.replicas");
    /* The same value is owned together. */
    stored_unref(apply(store, "other", false, DEPLOYMENT(", replicas: 2"), NULL));
    apply(store, "third", false, DEPLOYMENT(", replicas: 4, paused: true"),
          "Apply failed with 2 conflicts: conflicts with \"ci\":\n- .spec.replicas\nconflicts with "
          "\"other\":\n- .spec.replicas");
    forced = apply(store, "third", true, DEPLOYMENT(", replicas: 4"), NULL);
    assert_part(forced, "spec.replicas", "4");
    stored_unref(forced);
    store_free(store);
}

static void what_is_applied_no_more_goes(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *after;

    (void)state;
    stored_unref(apply(store, "ci", false,
                       "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo, "
                       "labels: {a: x, b: z}}, data: {one: '1', two: '2'}}",
                       NULL));
    stored_unref(apply(store, "other", false,
                       "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, "
                       "data: {two: '2', three: '3'}}",
                       NULL));
    after = apply(store, "ci", false,
                  "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo, labels: "
                  "{a: x}}}",
                  NULL);
    /* `two` is the other's too, so it stays. */
    assert_part(after, "data", "{\"two\":\"2\",\"three\":\"3\"}");
    assert_part(after, "metadata.labels", "{\"a\":\"x\"}");
    stored_unref(after);
    store_free(store);
}

static void items_of_lists_merge_by_key(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *after;

    (void)state;
    stored_unref(apply(store, "ci", false, DEPLOYMENT(""), NULL));
    stored_unref(apply(
        store, "mesh", false,
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: demo}, spec: "
        "{template: {spec: {containers: [{name: proxy, image: 'envoy:1', ports: [{containerPort: "
        "80}]}]}}}}",
        NULL));
    after = apply(store, "ci", false, DEPLOYMENT(", minReadySeconds: 1"), NULL);
    assert_part(after, "spec.template.spec.containers[0].name", "\"web\"");
    assert_part(after, "spec.template.spec.containers[1].name", "\"proxy\"");
    assert_part(after, "spec.template.spec.containers[1].ports[0].protocol", "\"TCP\"");
    stored_unref(after);
    after = apply(store, "mesh", false,
                  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: demo}}",
                  NULL);
    assert_part(after, "spec.template.spec.containers[1]", "null");
    stored_unref(after);
    store_free(store);
}

static void fields_before_the_first_apply_have_an_owner(void **state)
{
    struct store *store = store_with_namespace();

    (void)state;
    put(store, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: "
               "x}}");
    apply(store, "ci", false,
          "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo}, data: {a: z}}",
          "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
    store_free(store);
}

static void wrong_values_are_refused(void **state)
{
    struct store *store = store_with_namespace();

    (void)state;
    apply(store, "ci", false,
          "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: demo}, spec: "
          "{selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: b}}, spec: "
          "{containers: [{name: web}]}}}}",
          "Deployment.apps \"web\" is invalid: [spec.template.metadata.labels: Invalid value: "
          "map[string]string{\"app\":\"b\"}: `selector` does not match template `labels`, "
          "spec.template.spec.containers[0].image: Required value]");
    apply(store, "ci", false,
          "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: demo, labels: {n: 1}}}",
          "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal "
          "number into Go struct field ConfigMap.metadata.labels of type string");
    apply(store, "ci", false,
          "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: demo}, spec: {containers: "
          "[{name: a, image: i, resources: {limits: {cpu: lots}}}]}}",
          "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular "
          "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    apply(store, "ci", false,
          "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: gone}}",
          "namespaces \"gone\" not found");
    apply(store, "ci", false, "{apiVersion: v1, kind: Thing, metadata: {name: c, namespace: demo}}",
          "no matches for kind \"Thing\" in version \"v1\"");
    apply(store, "ci", false,
          "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: demo}, spec: {containers: "
          "[{name: a, image: i}, {name: a, image: i}]}}",
          "failed to create typed patch object (demo/p; v1, Kind=Pod): .spec.containers: duplicate "
          "entries for key {\"name\":\"a\"}");
    store_free(store);
}

static void the_selector_stays(void **state)
{
    struct store *store = store_with_namespace();

    (void)state;
    stored_unref(apply(store, "ci", false, DEPLOYMENT(""), NULL));
    apply(store, "ci", false,
          "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: demo}, spec: "
          "{selector: {matchLabels: {app: b}}, template: {metadata: {labels: {app: b}}, spec: "
          "{containers: [{name: web, image: i}]}}}}",
          "Deployment.apps \"web\" is invalid: spec.selector: Invalid value: "
          "v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"b\"}, "
          "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable");
    store_free(store);
}

#define WIDGETS                                                                                    \
    "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "      \
    "widgets.demo.io}, spec: {group: demo.io, scope: Namespaced, names: {plural: widgets, kind: "  \
    "Widget}, versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, "     \
    "schema: {openAPIV3Schema: {type: object, required: [spec], properties: {spec: {type: "        \
    "object, properties: {size: {type: integer, default: 3}, parts: {type: array, "                \
    "x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [id], items: {type: object, "        \
    "properties: {id: {type: string}, count: {type: integer}}}}}}, status: {type: object, "        \
    "x-kubernetes-preserve-unknown-fields: true}}}}}]}}"

static void custom_resources_follow_their_schema(void **state)
{
    struct store *store = store_with_namespace();
    struct stored *widget;

    (void)state;
    put(store, WIDGETS);
    widget = apply(store, "a", false,
                   "{apiVersion: demo.io/v1, kind: Widget, metadata: {name: w, namespace: demo}, "
                   "spec: {parts: [{id: x, count: 1}]}}",
                   NULL);
    assert_part(widget, "spec.size", "3");
    stored_unref(widget);
    widget = apply(store, "b", false,
                   "{apiVersion: demo.io/v1, kind: Widget, metadata: {name: w, namespace: demo}, "
                   "spec: {parts: [{id: z, count: 2}]}}",
                   NULL);
    assert_part(widget, "spec.parts", "[{\"id\":\"x\",\"count\":1},{\"id\":\"z\",\"count\":2}]");
    stored_unref(widget);
    apply(store, "b", false,
          "{apiVersion: demo.io/v1, kind: Widget, metadata: {name: w, namespace: demo}, spec: "
          "{colour: red}}",
          "failed to create typed patch object (demo/w; demo.io/v1, Kind=Widget): .spec.colour: "
          "field not declared in schema");
    apply(store, "b", false,
          "{apiVersion: demo.io/v1, kind: Widget, metadata: {name: v, namespace: demo}}",
          "Widget.demo.io \"v\" is invalid: spec: Required value");
    apply(store, "b", true,
          "{apiVersion: demo.io/v1, kind: Widget, metadata: {name: v, namespace: demo}, spec: "
          "{size: big}}",
          "Widget.demo.io \"v\" is invalid: spec.size: Invalid value: \"string\": spec.size in "
          "body must be of type integer: \"string\"");
    store_free(store);
}

static void a_dry_run_changes_nothing(void **state)
{
    struct store *store = store_with_namespace();
    struct err err = ERR_INIT;
    struct stored *out = NULL;
    uint64_t before = store_version(store);
    cJSON *object = value_of(DEPLOYMENT(""));

    (void)state;
    assert_int_equal(store_apply(store, object, "ci", false, true, &out, &err), 0);
    assert_part(out, "spec.replicas", "1");
    stored_unref(out);
    assert_null(get(store, "apps", "deployments", "demo", "web"));
    assert_int_equal(store_version(store), before);
    cJSON_Delete(object);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_with_defaults_and_owners),
        cmocka_unit_test(the_same_again_writes_nothing),
        cmocka_unit_test(what_another_owns_is_a_conflict),
        cmocka_unit_test(what_is_applied_no_more_goes),
        cmocka_unit_test(items_of_lists_merge_by_key),
        cmocka_unit_test(fields_before_the_first_apply_have_an_owner),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(the_selector_stays),
        cmocka_unit_test(custom_resources_follow_their_schema),
        cmocka_unit_test(a_dry_run_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
