#include "emulator/argocd/install.h"

#include <string.h>
#include "emulator/argocd/controller.h"
#include "emulator/argocd/object.h"

static cJSON *new_object(const char *api_version, const char *kind, const char *space,
                         const char *name)
{
    cJSON *object = json_object();
    cJSON *metadata;

    json_set_str(object, "apiVersion", api_version);
    json_set_str(object, "kind", kind);
    metadata = json_set_object(object, "metadata");
    json_set_str(metadata, "name", name);
    json_set_str(metadata, "namespace", space);
    return object;
}

static void set_labels(cJSON *object, const char *component)
{
    object_set_label(object, "app.kubernetes.io/part-of", "argocd");
    object_set_label(object, "app.kubernetes.io/name", json_str_or(object, "metadata.name", ""));
    if (component != NULL)
        object_set_label(object, "app.kubernetes.io/component", component);
}

/* ---- definitions ---- */

struct definition {
    const char *kind, *plural, *singular, *short_names;
    bool has_operation; /* the members beside spec and status that are kept */
};

static const struct definition definitions[] = {
    {"Application", "applications", "application", "app,apps", true},
    {"AppProject", "appprojects", "appproject", "appproj,appprojs", false},
    {"ApplicationSet", "applicationsets", "applicationset", "appset,appsets", false},
};

static void set_open(cJSON *properties, const char *name)
{
    cJSON *schema = json_set_object(properties, name);

    json_set_str(schema, "type", "object");
    json_set_bool(schema, "x-kubernetes-preserve-unknown-fields", true);
}

static cJSON *definition_schema(const struct definition *definition)
{
    cJSON *schema = json_object();
    cJSON *properties;
    cJSON *required;

    json_set_str(schema, "type", "object");
    required = json_set_array(schema, "required");
    json_push_str(required, "metadata");
    json_push_str(required, "spec");
    properties = json_set_object(schema, "properties");
    json_set_str(json_set_object(properties, "apiVersion"), "type", "string");
    json_set_str(json_set_object(properties, "kind"), "type", "string");
    json_set_str(json_set_object(properties, "metadata"), "type", "object");
    set_open(properties, "spec");
    set_open(properties, "status");
    if (definition->has_operation)
        set_open(properties, "operation");
    return schema;
}

static void add_column(cJSON *columns, const char *name, const char *path, bool wide)
{
    cJSON *column = json_object();

    json_set_str(column, "name", name);
    json_set_str(column, "type", "string");
    json_set_str(column, "jsonPath", path);
    if (wide)
        json_set_i64(column, "priority", 10);
    json_push(columns, column);
}

static void set_columns(cJSON *version)
{
    cJSON *columns = json_set_array(version, "additionalPrinterColumns");

    add_column(columns, "Sync Status", ".status.sync.status", false);
    add_column(columns, "Health Status", ".status.health.status", false);
    add_column(columns, "Revision", ".status.sync.revision", true);
    add_column(columns, "Project", ".spec.project", true);
}

/* Not one of them has a status subresource in use: the controller writes with plain patches. */
static cJSON *make_definition(const struct definition *definition)
{
    autofree char *name = xasprintf("%s.%s", definition->plural, ARGOCD_GROUP);
    cJSON *object = new_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", NULL, name);
    cJSON *spec = json_set_object(object, "spec");
    cJSON *names = json_set_object(spec, "names");
    cJSON *version = json_object();
    autostrv struct strv shorts = STRV_INIT;

    set_labels(object, NULL);
    json_set_str(spec, "group", ARGOCD_GROUP);
    json_set_str(spec, "scope", "Namespaced");
    json_set_str(names, "kind", definition->kind);
    json_set_str(names, "plural", definition->plural);
    json_set_str(names, "singular", definition->singular);
    autofree char *list_kind = xasprintf("%sList", definition->kind);
    json_set_str(names, "listKind", list_kind);
    strv_split(&shorts, definition->short_names, ',');
    json_set_array(names, "shortNames");
    for (size_t i = 0; i < shorts.len; i++)
        json_push_str(object_member_mutable(names, "shortNames"), shorts.items[i]);
    json_set_str(version, "name", "v1alpha1");
    json_set_bool(version, "served", true);
    json_set_bool(version, "storage", true);
    json_set(json_set_object(version, "schema"), "openAPIV3Schema", definition_schema(definition));
    if (definition->has_operation)
        set_columns(version);
    json_push(json_set_array(spec, "versions"), version);
    return object;
}

/* As clusters before 1.16 take it: one schema and one set of columns for all versions. */
static void make_older(cJSON *definition)
{
    cJSON *spec = object_member_mutable(definition, "spec");
    cJSON *version = cJSON_GetArrayItem(object_member_mutable(spec, "versions"), 0);
    cJSON *columns = cJSON_DetachItemFromObjectCaseSensitive(version, "additionalPrinterColumns");
    cJSON *column;

    json_set_str(definition, "apiVersion", "apiextensions.k8s.io/v1beta1");
    json_set_str(spec, "version", json_str(version, "name"));
    json_set(spec, "validation", cJSON_DetachItemFromObjectCaseSensitive(version, "schema"));
    if (columns == NULL)
        return;
    cJSON_ArrayForEach(column, columns)
    {
        json_set(column, "JSONPath", cJSON_DetachItemFromObjectCaseSensitive(column, "jsonPath"));
    }
    json_set(spec, "additionalPrinterColumns", columns);
}

/* ---- project ---- */

static void push_pair(cJSON *array, const char *key_a, const char *key_b)
{
    cJSON *pair = json_object();

    json_set_str(pair, key_a, "*");
    json_set_str(pair, key_b, "*");
    json_push(array, pair);
}

static cJSON *default_project(void)
{
    cJSON *object = new_object(ARGOCD_GROUP "/v1alpha1", "AppProject", ARGOCD_NAMESPACE, "default");
    cJSON *spec = json_set_object(object, "spec");

    json_push_str(json_set_array(spec, "sourceRepos"), "*");
    push_pair(json_set_array(spec, "destinations"), "namespace", "server");
    push_pair(json_set_array(spec, "clusterResourceWhitelist"), "group", "kind");
    return object;
}

/* ---- workloads ---- */

struct workload {
    const char *kind, *name, *component, *image; /* NULL: Argo CD's own */
};

static const struct workload workloads[] = {
    {"StatefulSet", "argocd-application-controller", "application-controller", NULL},
    {"Deployment", "argocd-server", "server", NULL},
    {"Deployment", "argocd-repo-server", "repo-server", NULL},
    {"Deployment", "argocd-applicationset-controller", "applicationset-controller", NULL},
    {"Deployment", "argocd-redis", "redis", "redis:7.0.15-alpine"},
};

static cJSON *make_workload(const struct workload *workload, const char *version)
{
    autofree char *image = workload->image != NULL
                               ? xstrdup(workload->image)
                               : xasprintf("quay.io/argoproj/argocd:%s", version);
    cJSON *object = new_object("apps/v1", workload->kind, ARGOCD_NAMESPACE, workload->name);
    cJSON *spec = json_set_object(object, "spec");
    cJSON *template = json_set_object(spec, "template");
    cJSON *container = json_object();
    cJSON *match = json_set_object(json_set_object(spec, "selector"), "matchLabels");

    set_labels(object, workload->component);
    json_set_i64(spec, "replicas", 1);
    json_set_str(match, "app.kubernetes.io/name", workload->name);
    if (strcmp(workload->kind, "StatefulSet") == 0)
        json_set_str(spec, "serviceName", workload->name);
    object_set_label(template, "app.kubernetes.io/name", workload->name);
    json_set_str(container, "name", workload->name);
    json_set_str(container, "image", image);
    json_push(json_set_array(json_set_object(template, "spec"), "containers"), container);
    return object;
}

/* ---- all ---- */

static cJSON *make_settings(void)
{
    cJSON *object = new_object("v1", "ConfigMap", ARGOCD_NAMESPACE, "argocd-cm");

    set_labels(object, NULL);
    return object;
}

/* Takes `object`. What is there already (its users may have changed it) stays. */
static int put_new(struct store *store, cJSON *object, struct err *err)
{
    autojson cJSON *owned = object;
    struct object_id id = object_id(object);
    const struct resource *resource =
        store_kind(store, json_str_or(object, "apiVersion", ""), id.kind);
    struct stored *there = resource != NULL ? store_get(store, resource, id.space, id.name) : NULL;

    if (there == NULL)
        return store_put(store, steal(owned), err);
    stored_unref(there);
    return 0;
}

int install_argocd(struct store *store, const char *version, struct err *err)
{
    if (put_new(store, new_object("v1", "Namespace", NULL, ARGOCD_NAMESPACE), err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(definitions); i++) {
        cJSON *definition = make_definition(&definitions[i]);

        if (store_kind(store, "apiextensions.k8s.io/v1", "CustomResourceDefinition") == NULL)
            make_older(definition);
        if (put_new(store, definition, err) < 0)
            return -1;
    }
    if (put_new(store, default_project(), err) < 0 || put_new(store, make_settings(), err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        if (put_new(store, make_workload(&workloads[i], version), err) < 0)
            return -1;
    }
    return 0;
}
