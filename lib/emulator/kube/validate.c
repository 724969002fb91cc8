/* Validation of built-in objects, with the API's own wording. */
#include <ctype.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/crd.h"
#include "emulator/kube/strategy.h"

/* ---- names ---- */

#define SUBDOMAIN_TEXT                                                                             \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                 \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define LABEL_1035_TEXT                                                                            \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "   \
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "           \
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define LABEL_VALUE_TEXT                                                                           \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "             \
    "'my_value',  or '12345', regex used for validation is "                                       \
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(const char *text, size_t len)
{
    if (len == 0 || len > 63 || !is_lower_alnum(text[0]) || !is_lower_alnum(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_lower_alnum(text[i]) && text[i] != '-')
            return false;
    }
    return true;
}

static bool is_subdomain(const char *text)
{
    if (strlen(text) > 253)
        return false;
    for (;;) {
        size_t len = strcspn(text, ".");
        size_t checked = len > 63 ? 0 : len;

        /* Within a subdomain a part may be longer than a label. */
        if (len > 63) {
            if (!is_lower_alnum(text[0]) || !is_lower_alnum(text[len - 1]))
                return false;
        } else if (!is_label(text, checked)) {
            return false;
        }
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

static bool is_label_value(const char *text)
{
    size_t len = strlen(text);

    if (len == 0)
        return true;
    if (len > 63 || !isalnum((unsigned char)text[0]) || !isalnum((unsigned char)text[len - 1]))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static void invalid_text(struct violations *found, const char *field, const char *value,
                         const char *detail)
{
    violation_add(found, "FieldValueInvalid", field, "Invalid value: \"%s\": %s", value, detail);
}

static void validate_name(const struct type *type, const char *name, struct violations *found)
{
    const char *group = type->resource.group;
    const char *kind = type->resource.kind;
    bool core = group[0] == '\0';

    if (strcmp(group, "rbac.authorization.k8s.io") == 0) {
        if (strpbrk(name, "/%") != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            invalid_text(found, "metadata.name", name, "may not contain '/' or '%'");
    } else if (core && strcmp(kind, "Namespace") == 0) {
        if (!is_label(name, strlen(name)))
            invalid_text(found, "metadata.name", name, LABEL_TEXT);
    } else if (core && strcmp(kind, "Service") == 0) {
        if (!is_label(name, strlen(name)) || isdigit((unsigned char)name[0]))
            invalid_text(found, "metadata.name", name, LABEL_1035_TEXT);
    } else if (!is_subdomain(name)) {
        invalid_text(found, "metadata.name", name, SUBDOMAIN_TEXT);
    }
}

static void validate_labels(const cJSON *meta, struct violations *found)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_get(meta, "labels"))
    {
        if (cJSON_IsString(item) && !is_label_value(item->valuestring))
            invalid_text(found, "metadata.labels", item->valuestring, LABEL_VALUE_TEXT);
    }
}

/* ---- what must not change ---- */

static bool changed(const cJSON *now, const cJSON *next, const char *path)
{
    return !json_equal(json_at(now, path), json_at(next, path));
}

static void validate_service(const cJSON *now, const cJSON *next, struct violations *found)
{
    const cJSON *spec = json_get(next, "spec");
    const char *type = json_str_or(spec, "type", "");
    bool headless = str_equal(json_str(spec, "clusterIP"), "None");
    int count = cJSON_GetArraySize(json_get(spec, "ports"));
    const cJSON *port;
    int index = 0;

    if (count == 0 && !headless && strcmp(type, "ExternalName") != 0)
        violation_required(found, "spec.ports", "");
    cJSON_ArrayForEach(port, json_get(spec, "ports"))
    {
        autofree char *field = xasprintf("spec.ports[%d].%s", index++, count > 1 ? "name" : "port");
        int64_t number = 0;

        if (count > 1 && json_str_or(port, "name", "")[0] == '\0')
            violation_required(found, field, "");
        if (!json_i64(port, "port", &number) || number < 1 || number > 65535) {
            autofree char *where = xasprintf("spec.ports[%d].port", index - 1);

            violation_invalid(found, where, json_get(port, "port"),
                              "must be between 1 and 65535, inclusive");
        }
    }
    if (now != NULL && strcmp(type, "ExternalName") != 0 &&
        !str_equal(json_str(now, "spec.type"), "ExternalName") &&
        json_at(now, "spec.clusterIP") != NULL && changed(now, next, "spec.clusterIP"))
        violation_add(found, "FieldValueInvalid", "spec.clusterIPs[0]",
                      "Invalid value: []string{\"%s\"}: may not change once set",
                      json_str_or(spec, "clusterIP", ""));
}

static void validate_immutable_data(const cJSON *now, const cJSON *next, struct violations *found)
{
    if (now == NULL)
        return;
    if (json_bool(now, "immutable", false)) {
        if (!json_bool(next, "immutable", false))
            violation_add(found, "FieldValueForbidden", "immutable",
                          "Forbidden: field is immutable when `immutable` is set");
        if (changed(now, next, "data") || changed(now, next, "binaryData"))
            violation_add(found, "FieldValueForbidden", "data",
                          "Forbidden: field is immutable when `immutable` is set");
    }
    if (str_equal(json_str(next, "kind"), "Secret") && changed(now, next, "type"))
        violation_invalid(found, "type", json_get(next, "type"), "field is immutable");
}

static void validate_claim(const cJSON *now, const cJSON *next, struct violations *found)
{
    autojson cJSON *before = NULL;
    autojson cJSON *after = NULL;

    if (cJSON_GetArraySize(json_at(next, "spec.accessModes")) == 0)
        violation_required(found, "spec.accessModes", "at least 1 access mode is required");
    if (json_at(next, "spec.resources.requests.storage") == NULL)
        violation_required(found, "spec.resources[storage]", "");
    if (now == NULL)
        return;
    before = json_copy_object(json_get(now, "spec"));
    after = json_copy_object(json_get(next, "spec"));
    cJSON_DeleteItemFromObjectCaseSensitive(before, "resources");
    cJSON_DeleteItemFromObjectCaseSensitive(after, "resources");
    if (json_get(before, "volumeName") == NULL)
        cJSON_DeleteItemFromObjectCaseSensitive(after, "volumeName");
    if (!json_equal(before, after))
        violation_add(found, "FieldValueForbidden", "spec",
                      "Forbidden: spec is immutable after creation except resources.requests for "
                      "bound claims");
}

static void validate_core(const char *kind, const cJSON *now, const cJSON *next,
                          struct violations *found)
{
    if (strcmp(kind, "Service") == 0)
        validate_service(now, next, found);
    else if (strcmp(kind, "ConfigMap") == 0 || strcmp(kind, "Secret") == 0)
        validate_immutable_data(now, next, found);
    else if (strcmp(kind, "PersistentVolumeClaim") == 0)
        validate_claim(now, next, found);
    else if (strcmp(kind, "Event") == 0 &&
             !str_equal(json_str_or(next, "involvedObject.namespace", "default"),
                        json_str_or(next, "metadata.namespace", "default")))
        violation_invalid(found, "involvedObject.namespace",
                          json_at(next, "involvedObject.namespace"),
                          "does not match event.namespace");
}

static void validate_binding(const cJSON *now, const cJSON *next, struct violations *found)
{
    const cJSON *role = json_get(next, "roleRef");

    if (json_str_or(role, "name", "")[0] == '\0')
        violation_required(found, "roleRef.name", "");
    if (now != NULL && changed(now, next, "roleRef"))
        violation_add(
            found, "FieldValueInvalid", "roleRef",
            "Invalid value: rbac.RoleRef{APIGroup:\"%s\", Kind:\"%s\", Name:\"%s\"}: cannot "
            "change roleRef",
            json_str_or(role, "apiGroup", ""), json_str_or(role, "kind", ""),
            json_str_or(role, "name", ""));
}

static void validate_lease(const cJSON *next, struct violations *found)
{
    int64_t seconds;
    int64_t transitions;

    if (json_i64(next, "spec.leaseDurationSeconds", &seconds) && seconds <= 0)
        violation_invalid(found, "spec.leaseDurationSeconds",
                          json_at(next, "spec.leaseDurationSeconds"), "must be greater than 0");
    if (json_i64(next, "spec.leaseTransitions", &transitions) && transitions < 0)
        violation_invalid(found, "spec.leaseTransitions", json_at(next, "spec.leaseTransitions"),
                          "must be greater than or equal to 0");
}

static void validate_ingress(const struct type *type, const cJSON *next, struct violations *found)
{
    const cJSON *rule;
    const cJSON *path;
    int r = 0;

    if (strcmp(type->resource.version, "v1") != 0)
        return;
    cJSON_ArrayForEach(rule, json_at(next, "spec.rules"))
    {
        int p = 0;

        cJSON_ArrayForEach(path, json_at(rule, "http.paths"))
        {
            autofree char *field = xasprintf("spec.rules[%d].http.paths[%d].pathType", r, p++);

            if (json_get(path, "pathType") == NULL)
                violation_required(found, field, "pathType must be specified");
        }
        r++;
    }
}

/* ---- CustomResourceDefinitions ---- */

static void validate_definition_versions(const struct type *type, const cJSON *spec,
                                         struct violations *found)
{
    const cJSON *version;
    int stored = 0;
    int index = 0;

    cJSON_ArrayForEach(version, json_get(spec, "versions"))
    {
        autofree char *field = xasprintf("spec.versions[%d].schema.openAPIV3Schema", index++);

        stored += json_bool(version, "storage", false);
        if (strcmp(type->resource.version, "v1") == 0 &&
            !cJSON_IsObject(json_at(version, "schema.openAPIV3Schema")))
            violation_required(found, field, "schemas are required");
    }
    if (stored != 1)
        violation_add(found, "FieldValueInvalid", "spec.versions",
                      "Invalid value: []apiextensions.CustomResourceDefinitionVersion: must have "
                      "exactly one version marked as storage version");
}

static void validate_definition(const struct type *type, const cJSON *next,
                                struct violations *found)
{
    autojson cJSON *v1 = crd_to_v1(next);
    const cJSON *spec = json_get(v1, "spec");
    const char *name = json_str_or(next, "metadata.name", "");
    autofree char *wanted =
        xasprintf("%s.%s", json_str_or(spec, "names.plural", ""), json_str_or(spec, "group", ""));

    if (strcmp(name, wanted) != 0)
        invalid_text(found, "metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
    if (json_str_or(spec, "group", "")[0] == '\0')
        violation_required(found, "spec.group", "");
    if (json_str_or(spec, "scope", "")[0] == '\0')
        violation_required(found, "spec.scope", "");
    if (json_str_or(spec, "names.plural", "")[0] == '\0')
        violation_required(found, "spec.names.plural", "");
    if (json_str_or(spec, "names.kind", "")[0] == '\0')
        violation_required(found, "spec.names.kind", "");
    validate_definition_versions(type, spec, found);
}

void validate_object(const struct type *type, const cJSON *now, const cJSON *next,
                     struct violations *found)
{
    const char *group = type->resource.group;
    const char *kind = type->resource.kind;

    if (now == NULL)
        validate_name(type, json_str_or(next, "metadata.name", ""), found);
    validate_labels(json_get(next, "metadata"), found);
    if ((type->flags & TYPE_CUSTOM) != 0)
        return;
    if (group[0] == '\0')
        validate_core(kind, now, next, found);
    else if (strcmp(group, "rbac.authorization.k8s.io") == 0 && text_ends(kind, "Binding"))
        validate_binding(now, next, found);
    else if (strcmp(kind, "Lease") == 0)
        validate_lease(next, found);
    else if (strcmp(kind, "Ingress") == 0)
        validate_ingress(type, next, found);
    else if (strcmp(kind, "CustomResourceDefinition") == 0)
        validate_definition(type, next, found);
    validate_workload(type, now, next, found);
}
