#include "emulator/kube/crd.h"

#include <string.h>

/* Moves spec.KEY into every version that has none of its own. */
static void share_out(cJSON *spec, const char *key, const char *nested)
{
    cJSON *shared = cJSON_DetachItemFromObjectCaseSensitive(spec, key);
    cJSON *version;

    if (shared == NULL)
        return;
    cJSON_ArrayForEach(version, cJSON_GetObjectItemCaseSensitive(spec, "versions"))
    {
        if (json_at(version, nested) == NULL)
            json_set(version, nested, json_copy(shared));
    }
    cJSON_Delete(shared);
}

static void rename_json_path(cJSON *versions, const char *from, const char *to)
{
    cJSON *version;
    cJSON *column;

    cJSON_ArrayForEach(version, versions)
    {
        cJSON_ArrayForEach(column,
                           cJSON_GetObjectItemCaseSensitive(version, "additionalPrinterColumns"))
        {
            cJSON *path = cJSON_DetachItemFromObjectCaseSensitive(column, from);

            if (path != NULL)
                json_set(column, to, path);
        }
    }
}

/* spec.version of old definitions: one version, served and stored. */
static void spell_out_versions(cJSON *spec)
{
    const char *only = json_str(spec, "version");
    cJSON *version;

    if (cJSON_GetArraySize(json_at(spec, "versions")) == 0 && only != NULL) {
        version = json_object();
        json_set_str(version, "name", only);
        json_set_bool(version, "served", true);
        json_set_bool(version, "storage", true);
        json_push(json_set_array(spec, "versions"), version);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "version");
}

cJSON *crd_to_v1(const cJSON *crd)
{
    cJSON *copy = json_copy(crd);
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(copy, "spec");

    if (strcmp(json_str_or(crd, "apiVersion", ""), "apiextensions.k8s.io/v1") == 0 || spec == NULL)
        return copy;
    json_set_str(copy, "apiVersion", "apiextensions.k8s.io/v1");
    spell_out_versions(spec);
    share_out(spec, "validation", "schema");
    share_out(spec, "subresources", "subresources");
    share_out(spec, "additionalPrinterColumns", "additionalPrinterColumns");
    rename_json_path(cJSON_GetObjectItemCaseSensitive(spec, "versions"), "JSONPath", "jsonPath");
    if (json_at(spec, "preserveUnknownFields") == NULL)
        json_set_bool(spec, "preserveUnknownFields", true);
    if (json_at(spec, "scope") == NULL)
        json_set_str(spec, "scope", "Namespaced");
    return copy;
}

/* spec.KEY from the versions when all of them say the same. */
static void gather(cJSON *spec, const char *nested, const char *key)
{
    cJSON *versions = cJSON_GetObjectItemCaseSensitive(spec, "versions");
    const cJSON *first = json_at(versions, "[0]");
    const cJSON *shared = json_at(first, nested);
    cJSON *version;

    if (shared == NULL)
        return;
    cJSON_ArrayForEach(version, versions)
    {
        if (!json_equal(json_at(version, nested), shared))
            return;
    }
    json_set(spec, key, json_copy(shared));
    cJSON_ArrayForEach(version, versions)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(version, nested);
    }
}

cJSON *crd_to_v1beta1(const cJSON *crd)
{
    cJSON *copy = json_copy(crd);
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(copy, "spec");

    if (strcmp(json_str_or(crd, "apiVersion", ""), "apiextensions.k8s.io/v1") != 0 || spec == NULL)
        return copy;
    json_set_str(copy, "apiVersion", "apiextensions.k8s.io/v1beta1");
    rename_json_path(cJSON_GetObjectItemCaseSensitive(spec, "versions"), "jsonPath", "JSONPath");
    gather(spec, "schema", "validation");
    gather(spec, "subresources", "subresources");
    gather(spec, "additionalPrinterColumns", "additionalPrinterColumns");
    json_set_str(spec, "version", json_str(spec, "versions[0].name"));
    return copy;
}

bool crd_is_established(const cJSON *crd)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, json_at(crd, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "Established") == 0)
            return strcmp(json_str_or(condition, "status", ""), "True") == 0;
    }
    return false;
}
