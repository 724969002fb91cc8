/* The part of kustomize that argocd.manifests may need: resources, a namespace, strategic merges
 * without lists. Facts: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/. */
#include "internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"

#define FILE_CAP  ((size_t)16 << 20)
#define DEPTH_MAX 16

static int build(const char *folder, int depth, cJSON *objects, struct err *err);

static const char *api_group(const cJSON *object, size_t *len)
{
    const char *version = json_str_or(object, "apiVersion", "");
    const char *slash = strchr(version, '/');

    *len = slash ? (size_t)(slash - version) : 0;
    return version;
}

static bool is_same(const cJSON *one, const cJSON *other)
{
    static const char *const members[] = {"kind", "metadata.name", "metadata.namespace"};
    size_t len, other_len;
    const char *group = api_group(one, &len), *other_group = api_group(other, &other_len);

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (strcmp(json_str_or(one, members[i], ""), json_str_or(other, members[i], "")) != 0) {
            return false;
        }
    }
    return len == other_len && strncmp(group, other_group, len) == 0;
}

static cJSON *find_same(cJSON *objects, const cJSON *object)
{
    cJSON *item;

    cJSON_ArrayForEach(item, objects)
    {
        if (is_same(item, object)) {
            return item;
        }
    }
    return NULL;
}

static int add_object(cJSON *objects, const char *file, const cJSON *object, struct err *err)
{
    const char *kind = json_str(object, "kind"), *name = json_str(object, "metadata.name");
    const cJSON *item;

    if (kind && text_ends(kind, "List") && cJSON_IsArray(json_at(object, "items"))) {
        cJSON_ArrayForEach(item, json_at(object, "items"))
        {
            if (add_object(objects, file, item, err) != 0) {
                return -1;
            }
        }
        return 0;
    }
    if (!kind || !name || !json_str(object, "apiVersion")) {
        return err_set(err, ERR_INVALID,
                       "%s: an object needs 'apiVersion', 'kind' and 'metadata.name'", file);
    }
    if (find_same(objects, object)) {
        return err_set(err, ERR_INVALID, "%s: %s '%s' is there twice", file, kind, name);
    }
    json_push(objects, json_copy(object));
    return 0;
}

static int read_stream(const char *path, struct yaml_stream **stream, struct err *err)
{
    autobuf struct buf text = BUF_INIT(FILE_CAP);

    if (fs_read(path, &text, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    return yaml_parse(text.data, text.len, path, stream, err);
}

/* ---- members ---- */

static int add_resource(const char *folder, const char *place, int depth, cJSON *objects,
                        struct err *err)
{
    autofree char *path = path_join(folder, place);
    autoyaml struct yaml_stream *stream = NULL;
    autojson cJSON *inner = json_array();

    if (strstr(place, "://") || (!fs_exists(path) && strchr(place, ':'))) {
        return err_set(err, ERR_USAGE, "%s: '%s' is not on this machine; fetch it first", folder,
                       place);
    }
    if (fs_is_dir(path)) {
        if (build(path, depth + 1, inner, err) != 0) {
            return -1;
        }
    } else {
        if (read_stream(path, &stream, err) != 0) {
            return -1;
        }
        for (size_t i = 0; i < yaml_count(stream); i++) {
            if (add_object(inner, path, yaml_document(stream, i), err) != 0) {
                return -1;
            }
        }
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, inner)
    {
        if (add_object(objects, path, item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Lists are merged by the keys of their schema, which is not known here. */
static bool is_beyond(const cJSON *value)
{
    const cJSON *member;

    if (cJSON_IsArray(value) || (value->string && value->string[0] == '$')) {
        return true;
    }
    cJSON_ArrayForEach(member, value)
    {
        if (is_beyond(member)) {
            return true;
        }
    }
    return false;
}

static int merge(const char *path, const cJSON *patch, cJSON *objects, struct err *err)
{
    cJSON *target = find_same(objects, patch);

    if (!cJSON_IsObject(patch) || is_beyond(patch)) {
        return err_set(err, ERR_USAGE,
                       "%s: has a list or '$' directive, which is more of kustomize than is built "
                       "here; render it first",
                       path);
    }
    if (!target) {
        return err_set(err, ERR_USAGE, "%s: patches %s '%s', which is not there", path,
                       json_str_or(patch, "kind", "an object"),
                       json_str_or(patch, "metadata.name", ""));
    }
    json_merge(target, patch);
    return 0;
}

static int add_merge_file(const char *folder, const char *place, cJSON *objects, struct err *err)
{
    autofree char *path = path_join(folder, place);
    autoyaml struct yaml_stream *stream = NULL;

    if (read_stream(path, &stream, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < yaml_count(stream); i++) {
        if (merge(path, yaml_document(stream, i), objects, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Of `patches`, {path: file}; of `patchesStrategicMerge`, the file or the patch itself. */
static int add_patch(const char *folder, const cJSON *patch, cJSON *objects, struct err *err)
{
    const char *place = cJSON_IsString(patch) ? patch->valuestring : json_str(patch, "path");

    if (!place || strchr(place, '\n') ||
        (cJSON_IsObject(patch) && cJSON_GetArraySize(patch) != 1)) {
        return err_set(err, ERR_USAGE,
                       "%s: a patch that is no file's name alone is more of kustomize than is "
                       "built here; render it first",
                       folder);
    }
    return add_merge_file(folder, place, objects, err);
}

static bool is_any(const char *const *names, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int set_namespace(const char *folder, const char *space, cJSON *objects, struct err *err)
{
    static const char *const none[] = {"Namespace",    "CustomResourceDefinition",
                                       "ClusterRole",  "PriorityClass",
                                       "StorageClass", "PersistentVolume",
                                       "IngressClass", "RuntimeClass",
                                       "Node",         "CSIDriver"};
    /* they name namespaces elsewhere, too */
    static const char *const beyond[] = {"RoleBinding", "ClusterRoleBinding", "APIService",
                                         "MutatingWebhookConfiguration",
                                         "ValidatingWebhookConfiguration"};
    cJSON *object;

    cJSON_ArrayForEach(object, objects)
    {
        const char *kind = json_str(object, "kind");

        if (is_any(beyond, ARRAY_LEN(beyond), kind)) {
            return err_set(err, ERR_USAGE,
                           "%s: 'namespace' of a %s is more of kustomize than is built here; "
                           "render it first",
                           folder, kind);
        }
        if (!is_any(none, ARRAY_LEN(none), kind)) {
            cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");

            cJSON_DeleteItemFromObjectCaseSensitive(metadata, "namespace");
            json_set_str(metadata, "namespace", space);
        }
    }
    return 0;
}

/* ---- a kustomization ---- */

static int check_members(const char *path, const cJSON *kustomization, struct err *err)
{
    static const char *const known[] = {"apiVersion", "kind",  "metadata", "namespace",
                                        "resources",  "bases", "patches",  "patchesStrategicMerge"};
    const cJSON *member;

    if (!cJSON_IsObject(kustomization) ||
        strcmp(json_str_or(kustomization, "kind", "Kustomization"), "Kustomization") != 0) {
        return err_set(err, ERR_USAGE, "%s: is no Kustomization", path);
    }
    cJSON_ArrayForEach(member, kustomization)
    {
        if (!is_any(known, ARRAY_LEN(known), member->string)) {
            return err_set(err, ERR_USAGE,
                           "%s: '%s' is more of kustomize than is built here; render it first, "
                           "as with 'kubectl kustomize', and name the file",
                           path, member->string);
        }
    }
    return 0;
}

static int load(const char *folder, cJSON **kustomization, struct err *err)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *path = path_join(folder, names[i]);
        autobuf struct buf text = BUF_INIT(FILE_CAP);

        if (!fs_exists(path)) {
            continue;
        }
        if (fs_read(path, &text, err) != 0 ||
            yaml_parse_one(text.data, text.len, path, kustomization, err) != 0) {
            return -1;
        }
        return check_members(path, *kustomization, err);
    }
    return err_set(err, ERR_USAGE, "folder '%s' has no kustomization.yaml; name its files", folder);
}

static int add_resources(const char *folder, const cJSON *places, int depth, cJSON *objects,
                         struct err *err)
{
    const cJSON *place;

    cJSON_ArrayForEach(place, places)
    {
        if (!cJSON_IsString(place)) {
            return err_set(err, ERR_USAGE, "%s: 'resources' is a list of names", folder);
        }
        if (add_resource(folder, place->valuestring, depth, objects, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_patches(const char *folder, const cJSON *patches, cJSON *objects, struct err *err)
{
    const cJSON *patch;

    cJSON_ArrayForEach(patch, patches)
    {
        if (add_patch(folder, patch, objects, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int build(const char *folder, int depth, cJSON *objects, struct err *err)
{
    autojson cJSON *made = NULL;

    if (depth > DEPTH_MAX) {
        return err_set(err, ERR_USAGE, "%s: kustomizations lead to one another in a circle",
                       folder);
    }
    if (load(folder, &made, err) != 0 ||
        add_resources(folder, json_at(made, "resources"), depth, objects, err) != 0 ||
        add_resources(folder, json_at(made, "bases"), depth, objects, err) != 0 ||
        add_patches(folder, json_at(made, "patchesStrategicMerge"), objects, err) != 0 ||
        add_patches(folder, json_at(made, "patches"), objects, err) != 0) {
        return -1;
    }
    return json_str(made, "namespace")
               ? set_namespace(folder, json_str(made, "namespace"), objects, err)
               : 0;
}

int kustomize_build(const char *folder, cJSON **objects, struct err *err)
{
    autojson cJSON *made = json_array();

    if (build(folder, 0, made, err) != 0) {
        return -1;
    }
    *objects = steal(made);
    return 0;
}
