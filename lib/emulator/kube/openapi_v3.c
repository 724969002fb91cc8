/* OpenAPI version 3, as much of it as clients need: kubectl looks there for what it may ask the
 * server to validate, and explains custom resources from it. Built-in kinds have no field of theirs
 * described, so that clients fall back on what they know themselves. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

#define V3_SINCE 24

static cJSON *info(const struct call *call)
{
    cJSON *value = json_object();

    json_set_str(value, "title", "Kubernetes");
    json_set_str(value, "version", call->api->version);
    return value;
}

static cJSON *kind_mark(const struct resource *resource)
{
    cJSON *mark = json_object();

    json_set_str(mark, "group", resource->group);
    json_set_str(mark, "kind", resource->kind);
    json_set_str(mark, "version", resource->version);
    return mark;
}

static void add_parameters(cJSON *operation)
{
    static const char *const names[] = {"dryRun", "fieldManager", "fieldValidation", "force"};
    cJSON *list = json_set_array(operation, "parameters");

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        cJSON *parameter = json_object();

        json_set_str(parameter, "name", names[i]);
        json_set_str(parameter, "in", "query");
        json_set_str(json_set_object(parameter, "schema"), "type",
                     strcmp(names[i], "force") == 0 ? "boolean" : "string");
        json_push(list, parameter);
    }
}

static void add_path(cJSON *paths, const struct type *type)
{
    const struct resource *resource = &type->resource;
    autofree char *group_version = api_version_of(resource);
    autofree char *path =
        xasprintf("/%s/%s/%s%s/{name}", resource->group[0] == '\0' ? "api" : "apis", group_version,
                  resource->namespaced ? "namespaces/{namespace}/" : "", resource->plural);
    static const char *const methods[] = {"get", "put", "patch"};
    cJSON *item = json_set_object(paths, path);

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        cJSON *operation = json_set_object(item, methods[i]);

        json_set(operation, "x-kubernetes-group-version-kind", kind_mark(resource));
        if (strcmp(methods[i], "get") != 0)
            add_parameters(operation);
        json_set_str(json_set_object(json_set_object(operation, "responses"), "200"), "description",
                     "OK");
    }
}

static void add_string(cJSON *properties, const char *name)
{
    json_set_str(json_set_object(properties, name), "type", "string");
}

static void add_schema(cJSON *schemas, const struct type *type)
{
    const struct resource *resource = &type->resource;
    autofree char *group = xstrdup(resource->group[0] != '\0' ? resource->group : "core");
    autofree char *name = NULL;
    cJSON *schema = type->schema != NULL ? json_copy(type->schema) : json_object();
    cJSON *properties = json_need_object(schema, "properties");

    for (char *c = group; *c != '\0'; c++)
        *c = *c == '/' ? '.' : *c;
    name = xasprintf("io.%s.%s.%s", group, resource->version, resource->kind);
    json_set_str(schema, "type", "object");
    add_string(properties, "apiVersion");
    add_string(properties, "kind");
    json_set_str(json_set_object(properties, "metadata"), "type", "object");
    json_push(json_set_array(schema, "x-kubernetes-group-version-kind"), kind_mark(resource));
    json_set(schemas, name, schema);
}

static void document(struct call *call, const char *group, const char *version)
{
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    cJSON *answer = json_object();
    cJSON *paths;
    cJSON *schemas;

    json_set_str(answer, "openapi", "3.0.0");
    json_set(answer, "info", info(call));
    paths = json_set_object(answer, "paths");
    schemas = json_set_object(json_set_object(answer, "components"), "schemas");
    for (size_t i = 0; i < len; i++) {
        if (!types[i]->established || strcmp(types[i]->resource.group, group) != 0 ||
            strcmp(types[i]->resource.version, version) != 0)
            continue;
        add_path(paths, types[i]);
        add_schema(schemas, types[i]);
    }
    free(types);
    answer_json(call->answer, 200, answer);
}

/* The hash in an address changes with what is behind it, because clients keep the answer for ever:
 * the types of a group are never changed in place, and the address of the store's is of this run.
 */
static void add_group(cJSON *paths, const struct call *call, const struct type *type)
{
    autofree char *group_version = api_version_of(&type->resource);
    autofree char *name =
        xasprintf("%s/%s", type->resource.group[0] == '\0' ? "api" : "apis", group_version);
    const cJSON *known = json_get(paths, name);
    autofree char *seed = xasprintf("%s %s %p %s", call->api->run, name, (const void *)type,
                                    json_str_or(known, "serverRelativeURL", ""));
    struct sha256_hex hash = sha256(seed, strlen(seed));
    autofree char *url = xasprintf("/openapi/v3/%s?hash=%s", name, hash.text);

    json_set_str(json_set_object(paths, name), "serverRelativeURL", url);
}

static void index_of_groups(struct call *call)
{
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    cJSON *answer = json_object();
    cJSON *paths = json_set_object(answer, "paths");

    for (size_t i = 0; i < len; i++) {
        if (types[i]->established)
            add_group(paths, call, types[i]);
    }
    free(types);
    answer_json(call->answer, 200, answer);
}

static void not_served(struct call *call)
{
    call->answer->status = 404;
    answer_header(call->answer, "Content-Type: text/plain; charset=utf-8");
    buf_adds(&call->answer->body, "404 page not found\n");
}

void openapi_v3(struct call *call)
{
    const struct strv *parts = &call->request->parts;

    if (store_minor(call->api->store) < V3_SINCE)
        not_served(call);
    else if (parts->len == 2)
        index_of_groups(call);
    else if (parts->len == 4 && strcmp(parts->items[2], "api") == 0)
        document(call, "", parts->items[3]);
    else if (parts->len == 5 && strcmp(parts->items[2], "apis") == 0)
        document(call, parts->items[3], parts->items[4]);
    else
        not_served(call);
}
