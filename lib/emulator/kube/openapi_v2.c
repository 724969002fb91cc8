/* OpenAPI version 2, in the protobuf form that kubectl asks for (gnostic's openapi.v2) and as JSON.
 * It says of each kind that it can be patched, and with which parameters: that is how kubectl finds
 * out whether the server runs dry. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/api.h"

/* As clients ask for it with "@", and servers name it, because "@" may not stand in a media type.
 */
#define PROTOBUF "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

#define FIELD_VALIDATION_SINCE 25

static const char *const parameters[] = {"dryRun", "fieldManager", "force", "fieldValidation"};

static size_t parameters_len(const struct call *call)
{
    return store_minor(call->api->store) >= FIELD_VALIDATION_SINCE ? 4 : 3;
}

/* ---- protobuf: a tag, a length, the bytes ---- */

static void put_varint(struct buf *out, size_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_addc(out, (char)(value | 0x80));
    buf_addc(out, (char)value);
}

static void put_bytes(struct buf *out, unsigned field, const char *data, size_t len)
{
    put_varint(out, (size_t)field << 3 | 2);
    put_varint(out, len);
    buf_add(out, data, len);
}

static void put_text(struct buf *out, unsigned field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

static void put_message(struct buf *out, unsigned field, const struct buf *message)
{
    put_bytes(out, field, message->data, message->len);
}

/* ParametersItem.parameter (1) . non_body_parameter (2) . query_parameter_sub_schema (3) */
static void put_parameter(struct buf *operation, const char *name)
{
    autobuf struct buf query = BUF_INIT(BUF_SMALL);
    autobuf struct buf non_body = BUF_INIT(BUF_SMALL);
    autobuf struct buf parameter = BUF_INIT(BUF_SMALL);
    autobuf struct buf item = BUF_INIT(BUF_SMALL);

    put_text(&query, 2, "query"); /* in */
    put_text(&query, 4, name);
    put_message(&non_body, 3, &query);
    put_message(&parameter, 2, &non_body);
    put_message(&item, 1, &parameter);
    put_message(operation, 8, &item);
}

/* NamedAny: name (1), value (2) with its YAML (2) */
static void put_kind(struct buf *operation, const struct resource *resource)
{
    autobuf struct buf any = BUF_INIT(BUF_SMALL);
    autobuf struct buf named = BUF_INIT(BUF_SMALL);
    autofree char *yaml = xasprintf("group: \"%s\"\nkind: %s\nversion: %s\n", resource->group,
                                    resource->kind, resource->version);

    put_text(&any, 2, yaml);
    put_text(&named, 1, "x-kubernetes-group-version-kind");
    put_message(&named, 2, &any);
    put_message(operation, 13, &named);
}

static char *path_of(const struct resource *resource)
{
    autofree char *api_version = api_version_of(resource);

    return xasprintf("/%s/%s/%s%s/{name}", resource->group[0] == '\0' ? "api" : "apis", api_version,
                     resource->namespaced ? "namespaces/{namespace}/" : "", resource->plural);
}

/* NamedPathItem: name (1), value (2) with its patch (8) */
static void put_path(struct buf *paths, const struct call *call, const struct resource *resource)
{
    autobuf struct buf operation = BUF_INIT(BUF_SMALL);
    autobuf struct buf item = BUF_INIT(BUF_SMALL);
    autobuf struct buf named = BUF_INIT(BUF_SMALL);
    autofree char *path = path_of(resource);

    for (size_t i = 0; i < parameters_len(call); i++)
        put_parameter(&operation, parameters[i]);
    put_kind(&operation, resource);
    put_message(&item, 8, &operation);
    put_text(&named, 1, path);
    put_message(&named, 2, &item);
    put_message(paths, 2, &named);
}

static void protobuf(struct call *call, const struct type **types, size_t len)
{
    struct buf *body = &call->answer->body;
    autobuf struct buf info = BUF_INIT(BUF_SMALL);
    autobuf struct buf paths = BUF_INIT(BUF_MEDIUM);

    put_text(&info, 1, "Kubernetes");
    put_text(&info, 2, call->api->version);
    for (size_t i = 0; i < len; i++) {
        if (types[i]->established && (types[i]->flags & TYPE_CREATE_ONLY) == 0)
            put_path(&paths, call, &types[i]->resource);
    }
    put_text(body, 1, "2.0");
    put_message(body, 2, &info);
    put_message(body, 8, &paths);
    call->answer->status = 200;
    answer_header(call->answer, "Content-Type: %s", PROTOBUF);
}

/* ---- JSON ---- */

static void add_path(cJSON *paths, const struct call *call, const struct resource *resource)
{
    autofree char *path = path_of(resource);
    cJSON *operation = json_set_object(json_set_object(paths, path), "patch");
    cJSON *list = json_set_array(operation, "parameters");
    cJSON *kind = json_set_object(operation, "x-kubernetes-group-version-kind");

    json_set_str(kind, "group", resource->group);
    json_set_str(kind, "kind", resource->kind);
    json_set_str(kind, "version", resource->version);
    for (size_t i = 0; i < parameters_len(call); i++) {
        cJSON *parameter = json_object();

        json_set_str(parameter, "name", parameters[i]);
        json_set_str(parameter, "in", "query");
        json_set_str(parameter, "type", "string");
        json_push(list, parameter);
    }
}

static void json(struct call *call, const struct type **types, size_t len)
{
    cJSON *document = json_object();
    cJSON *info;
    cJSON *paths;

    json_set_str(document, "swagger", "2.0");
    info = json_set_object(document, "info");
    json_set_str(info, "title", "Kubernetes");
    json_set_str(info, "version", call->api->version);
    paths = json_set_object(document, "paths");
    for (size_t i = 0; i < len; i++) {
        if (types[i]->established && (types[i]->flags & TYPE_CREATE_ONLY) == 0)
            add_path(paths, call, &types[i]->resource);
    }
    json_set_object(document, "definitions");
    answer_json(call->answer, 200, document);
}

void openapi_v2(struct call *call)
{
    const char *accept = request_header(call->request, "Accept");
    size_t len;
    const struct type **types = store_types(call->api->store, &len);

    if (accept != NULL && strstr(accept, "spec.v2@v1.0+protobuf") != NULL)
        protobuf(call, types, len);
    else
        json(call, types, len);
    free(types);
}
