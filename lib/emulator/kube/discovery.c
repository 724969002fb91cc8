/* Discovery: groups, versions, resources; one by one, and aggregated. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

/* Kubernetes versions that have aggregated discovery. */
#define AGGREGATED_BETA 26
#define AGGREGATED_V2   30

static void add_words(cJSON *object, const char *key, const char *words)
{
    CLEANUP(strv_clear) struct strv list = STRV_INIT;
    cJSON *array;

    strv_split(&list, words, ',');
    if (list.len == 0)
        return;
    array = json_set_array(object, key);
    for (size_t i = 0; i < list.len; i++)
        json_push_str(array, list.items[i]);
}

#define ALL_VERBS "create,delete,deletecollection,get,list,patch,update,watch"

static const char *verbs_of(const struct type *type)
{
    if ((type->flags & TYPE_CREATE_ONLY) != 0)
        return "create";
    return (type->flags & TYPE_CUSTOM) != 0
               ? "delete,deletecollection,get,list,patch,create,update,watch"
               : ALL_VERBS;
}

/* Subresources that are of another kind than what they belong to. */
static const struct {
    const char *name, *group, *version, *kind, *verbs;
} subresources[] = {
    {"status", NULL, NULL, NULL, "get,patch,update"},
    {"scale", "autoscaling", "v1", "Scale", "get,patch,update"},
    {"log", NULL, NULL, NULL, "get"},
    {"eviction", "policy", "v1", "Eviction", "create"},
    {"binding", NULL, NULL, "Binding", "create"},
    {"token", "authentication.k8s.io", "v1", "TokenRequest", "create"},
    {"proxy", NULL, NULL, "ServiceProxyOptions", "create,delete,get,patch,update"},
    {"finalize", NULL, NULL, NULL, "update"},
};

static bool has(const struct type *type, const char *name)
{
    CLEANUP(strv_clear) struct strv list = STRV_INIT;

    if (strcmp(name, "status") == 0)
        return (type->flags & TYPE_STATUS) != 0;
    if (strcmp(name, "scale") == 0)
        return (type->flags & TYPE_SCALE) != 0;
    strv_split(&list, type->subresources, ',');
    return strv_has(&list, name);
}

/* ---- one by one ---- */

static cJSON *resource_entry(const struct type *type)
{
    cJSON *entry = json_object();

    json_set_str(entry, "name", type->resource.plural);
    json_set_str(entry, "singularName", type->resource.singular);
    json_set_bool(entry, "namespaced", type->resource.namespaced);
    json_set_str(entry, "kind", type->resource.kind);
    add_words(entry, "verbs", verbs_of(type));
    add_words(entry, "shortNames", type->resource.short_names);
    add_words(entry, "categories", type->categories);
    return entry;
}

static void add_subresources(cJSON *list, const struct type *type)
{
    for (size_t i = 0; i < ARRAY_LEN(subresources); i++) {
        autofree char *name = xasprintf("%s/%s", type->resource.plural, subresources[i].name);
        const char *kind = subresources[i].kind;
        cJSON *entry;

        if (!has(type, subresources[i].name))
            continue;
        entry = json_object();
        json_set_str(entry, "name", name);
        json_set_str(entry, "singularName", "");
        json_set_bool(entry, "namespaced", type->resource.namespaced);
        json_set_str(entry, "group", subresources[i].group);
        json_set_str(entry, "version", subresources[i].version);
        json_set_str(entry, "kind", kind != NULL ? kind : type->resource.kind);
        add_words(entry, "verbs", subresources[i].verbs);
        json_push(list, entry);
    }
}

static void not_served(struct call *call)
{
    call->answer->status = 404;
    answer_header(call->answer, "Content-Type: text/plain; charset=utf-8");
    buf_adds(&call->answer->body, "404 page not found\n");
}

void discovery_resources(struct call *call)
{
    const struct strv *parts = &call->request->parts;
    bool core = parts->len == 2;
    const char *group = core ? "" : parts->items[1];
    const char *version = parts->items[parts->len - 1];
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    cJSON *answer = json_object();
    cJSON *list;
    autofree char *full = core ? xstrdup(version) : xasprintf("%s/%s", group, version);

    json_set_str(answer, "kind", "APIResourceList");
    if (!core)
        json_set_str(answer, "apiVersion", "v1");
    json_set_str(answer, "groupVersion", full);
    list = json_set_array(answer, "resources");
    for (size_t i = 0; i < len; i++) {
        if (strcmp(types[i]->resource.group, group) != 0 ||
            strcmp(types[i]->resource.version, version) != 0 || !types[i]->established)
            continue;
        json_push(list, resource_entry(types[i]));
        add_subresources(list, types[i]);
    }
    free(types);
    if (list->child != NULL) {
        answer_json(call->answer, 200, answer);
        return;
    }
    cJSON_Delete(answer);
    not_served(call);
}

/* ---- groups ---- */

/* Groups in the order they came, each with its versions, the preferred one first. */
struct groups {
    struct strv names;
    struct strv *versions;
};

static size_t group_index(struct groups *groups, const char *name)
{
    size_t i = 0;

    while (i < groups->names.len && strcmp(groups->names.items[i], name) != 0)
        i++;
    if (i == groups->names.len) {
        strv_add(&groups->names, name);
        groups->versions = xrealloc(groups->versions, groups->names.len * sizeof(struct strv));
        groups->versions[i] = (struct strv)STRV_INIT;
    }
    return i;
}

static int by_preference(const void *a, const void *b)
{
    return version_compare(*(const char *const *)a, *(const char *const *)b);
}

static void groups_read(struct groups *groups, const struct type **types, size_t len)
{
    *groups = (struct groups){.names = STRV_INIT};
    for (size_t i = 0; i < len; i++) {
        struct strv *versions;
        size_t index;

        if (!types[i]->established)
            continue;
        index = group_index(groups, types[i]->resource.group);
        versions = &groups->versions[index];
        if (!strv_has(versions, types[i]->resource.version))
            strv_add(versions, types[i]->resource.version);
    }
    for (size_t i = 0; i < groups->names.len; i++)
        qsort(groups->versions[i].items, groups->versions[i].len, sizeof(char *), by_preference);
}

static void groups_clear(struct groups *groups)
{
    for (size_t i = 0; i < groups->names.len; i++)
        strv_clear(&groups->versions[i]);
    free(groups->versions);
    strv_clear(&groups->names);
}

static cJSON *version_entry(const char *group, const char *version)
{
    cJSON *entry = json_object();
    autofree char *full = xasprintf("%s/%s", group, version);

    json_set_str(entry, "groupVersion", full);
    json_set_str(entry, "version", version);
    return entry;
}

static cJSON *group_entry(const struct groups *groups, size_t index)
{
    const char *name = groups->names.items[index];
    const struct strv *versions = &groups->versions[index];
    cJSON *entry = json_object();
    cJSON *list;

    json_set_str(entry, "name", name);
    list = json_set_array(entry, "versions");
    for (size_t i = 0; i < versions->len; i++)
        json_push(list, version_entry(name, versions->items[i]));
    json_set(entry, "preferredVersion", version_entry(name, versions->items[0]));
    return entry;
}

void discovery_group(struct call *call)
{
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    const char *wanted = call->request->parts.items[1];
    struct groups groups;
    cJSON *answer = NULL;

    groups_read(&groups, types, len);
    for (size_t i = 0; i < groups.names.len && answer == NULL; i++) {
        if (strcmp(groups.names.items[i], wanted) == 0 && wanted[0] != '\0')
            answer = group_entry(&groups, i);
    }
    groups_clear(&groups);
    free(types);
    if (answer == NULL) {
        not_served(call);
        return;
    }
    json_set_str(answer, "kind", "APIGroup");
    json_set_str(answer, "apiVersion", "v1");
    answer_json(call->answer, 200, answer);
}

/* ---- aggregated ---- */

static cJSON *kind_entry(const char *group, const char *version, const char *kind)
{
    cJSON *entry = json_object();

    json_set_str(entry, "group", group);
    json_set_str(entry, "version", version);
    json_set_str(entry, "kind", kind);
    return entry;
}

static cJSON *aggregated_resource(const struct type *type)
{
    const struct resource *resource = &type->resource;
    cJSON *entry = json_object();
    cJSON *list = NULL;

    json_set_str(entry, "resource", resource->plural);
    json_set(entry, "responseKind", kind_entry(resource->group, resource->version, resource->kind));
    json_set_str(entry, "scope", resource->namespaced ? "Namespaced" : "Cluster");
    json_set_str(entry, "singularResource", resource->singular);
    add_words(entry, "verbs", verbs_of(type));
    add_words(entry, "shortNames", resource->short_names);
    add_words(entry, "categories", type->categories);
    for (size_t i = 0; i < ARRAY_LEN(subresources); i++) {
        const char *group = subresources[i].group;
        const char *kind = subresources[i].kind;
        cJSON *sub;

        if (!has(type, subresources[i].name))
            continue;
        list = list != NULL ? list : json_set_array(entry, "subresources");
        sub = json_object();
        json_set_str(sub, "subresource", subresources[i].name);
        json_set(sub, "responseKind",
                 kind_entry(group != NULL ? group : resource->group,
                            group != NULL ? subresources[i].version : resource->version,
                            kind != NULL ? kind : resource->kind));
        add_words(sub, "verbs", subresources[i].verbs);
        json_push(list, sub);
    }
    return entry;
}

static cJSON *aggregated_group(const struct groups *groups, size_t index, const struct type **types,
                               size_t len)
{
    cJSON *entry = json_object();
    cJSON *versions;

    json_set_str(json_set_object(entry, "metadata"), "name", groups->names.items[index]);
    versions = json_set_array(entry, "versions");
    for (size_t v = 0; v < groups->versions[index].len; v++) {
        cJSON *version = json_object();
        cJSON *resources;

        json_set_str(version, "version", groups->versions[index].items[v]);
        resources = json_set_array(version, "resources");
        for (size_t i = 0; i < len; i++) {
            if (types[i]->established &&
                strcmp(types[i]->resource.group, groups->names.items[index]) == 0 &&
                strcmp(types[i]->resource.version, groups->versions[index].items[v]) == 0)
                json_push(resources, aggregated_resource(types[i]));
        }
        json_set_str(version, "freshness", "Current");
        json_push(versions, version);
    }
    return entry;
}

/* The version of aggregated discovery that Accept asks for and this Kubernetes has, or NULL. */
static const char *aggregated_version(const struct call *call)
{
    const char *accept = request_header(call->request, "Accept");
    int minor = store_minor(call->api->store);

    if (accept == NULL || strstr(accept, "as=APIGroupDiscoveryList") == NULL)
        return NULL;
    if (minor >= AGGREGATED_V2 && strstr(accept, "v=v2;") != NULL)
        return "v2";
    return minor >= AGGREGATED_BETA && strstr(accept, "v=v2beta1;") != NULL ? "v2beta1" : NULL;
}

static void aggregated(struct call *call, const char *version, const struct groups *groups,
                       bool core, const struct type **types, size_t len)
{
    autojson cJSON *answer = json_object();
    autofree char *api_version = xasprintf("apidiscovery.k8s.io/%s", version);
    autofree char *text = NULL;
    cJSON *items;

    json_set_str(answer, "kind", "APIGroupDiscoveryList");
    json_set_str(answer, "apiVersion", api_version);
    json_set_object(answer, "metadata");
    items = json_set_array(answer, "items");
    for (size_t i = 0; i < groups->names.len; i++) {
        if ((groups->names.items[i][0] == '\0') == core)
            json_push(items, aggregated_group(groups, i, types, len));
    }
    text = json_print(answer);
    call->answer->status = 200;
    answer_header(call->answer,
                  "Content-Type: application/json;g=apidiscovery.k8s.io;v=%s;as="
                  "APIGroupDiscoveryList",
                  version);
    answer_header(call->answer, "Vary: Accept");
    buf_adds(&call->answer->body, text);
}

static void core_versions(struct call *call)
{
    cJSON *answer = json_object();

    json_set_str(answer, "kind", "APIVersions");
    json_push_str(json_set_array(answer, "versions"), "v1");
    json_set_array(answer, "serverAddressByClientCIDRs");
    answer_json(call->answer, 200, answer);
}

static void group_list(struct call *call, const struct groups *groups)
{
    cJSON *answer = json_object();
    cJSON *list;

    json_set_str(answer, "kind", "APIGroupList");
    json_set_str(answer, "apiVersion", "v1");
    list = json_set_array(answer, "groups");
    for (size_t i = 0; i < groups->names.len; i++) {
        if (groups->names.items[i][0] != '\0')
            json_push(list, group_entry(groups, i));
    }
    answer_json(call->answer, 200, answer);
}

static void discover(struct call *call, bool core)
{
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    const char *version = aggregated_version(call);
    struct groups groups;

    groups_read(&groups, types, len);
    if (version != NULL)
        aggregated(call, version, &groups, core, types, len);
    else if (core)
        core_versions(call);
    else
        group_list(call, &groups);
    groups_clear(&groups);
    free(types);
}

void discovery_core(struct call *call)
{
    discover(call, true);
}

void discovery_groups(struct call *call)
{
    discover(call, false);
}
