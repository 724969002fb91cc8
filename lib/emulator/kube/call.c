/* A request's way: path, who, whether they may, what. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

/* ---- the path ---- */

static const char *part(const struct call *call, size_t index)
{
    return index < call->request->parts.len ? call->request->parts.items[index] : "";
}

/* /api/V/… or /apis/G/V/…; the index of what follows, 0 when it is neither. */
static size_t parse_group(struct call *call)
{
    if (strcmp(part(call, 0), "api") == 0 && call->request->parts.len >= 3) {
        call->version = part(call, 1);
        return 2;
    }
    if (strcmp(part(call, 0), "apis") == 0 && call->request->parts.len >= 4) {
        call->group = part(call, 1);
        call->version = part(call, 2);
        return 3;
    }
    return 0;
}

/* [namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE[/…]]] */
static bool parse_path(struct call *call)
{
    size_t at = parse_group(call);
    size_t left;

    if (at == 0)
        return false;
    left = call->request->parts.len - at;
    /* /namespaces/NAME and its subresources are the Namespace itself. */
    if (strcmp(part(call, at), "namespaces") == 0 && left >= 3 &&
        strcmp(part(call, at + 2), "status") != 0 && strcmp(part(call, at + 2), "finalize") != 0) {
        call->space = part(call, at + 1);
        at += 2;
    }
    call->plural = part(call, at);
    call->name = part(call, at + 1);
    call->subresource = part(call, at + 2);
    call->rest = at + 3;
    return true;
}

static const char *verb_of(const struct call *call)
{
    const char *method = call->request->method;
    bool named = call->name[0] != '\0';

    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        if (named && strcmp(call->subresource, "proxy") != 0 &&
            !request_flag(call->request, "watch"))
            return "get";
        if (request_flag(call->request, "watch"))
            return "watch";
        return named ? "get" : "list";
    }
    if (strcmp(method, "POST") == 0)
        return "create";
    if (strcmp(method, "PUT") == 0)
        return "update";
    if (strcmp(method, "PATCH") == 0)
        return "patch";
    if (strcmp(method, "DELETE") == 0)
        return named ? "delete" : "deletecollection";
    return "";
}

/* ---- who, and whether they may ---- */

static void forbid(struct call *call, const struct access *access)
{
    const char *user = access->identity->user;
    autofree char *where = access->space[0] != '\0'
                               ? xasprintf("in the namespace \"%s\"", access->space)
                               : xstrdup("at the cluster scope");
    autofree char *what = xasprintf("%s%s%s", access->resource,
                                    access->subresource[0] != '\0' ? "/" : "", access->subresource);
    autofree char *subject = NULL;

    if (access->path != NULL) {
        respond_fail(call, 403, "Forbidden", "forbidden: User \"%s\" cannot %s path \"%s\"", user,
                     access->verb, access->path);
        return;
    }
    subject =
        xasprintf("%s%s%s", access->resource, access->group[0] != '\0' ? "." : "", access->group);
    respond_fail(call, 403, "Forbidden",
                 "%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\" "
                 "%s",
                 subject, access->name[0] != '\0' ? " \"" : "", access->name,
                 access->name[0] != '\0' ? "\"" : "", user, access->verb, what, access->group,
                 where);
}

bool call_allows(struct call *call, const struct access *access)
{
    if (rbac_allows(call->api->store, access))
        return true;
    forbid(call, access);
    return false;
}

/* Impersonate-User and Impersonate-Group: who may impersonate becomes the other. */
static bool impersonate(struct call *call)
{
    const char *user = request_header(call->request, "Impersonate-User");
    const char *group = request_header(call->request, "Impersonate-Group");
    struct access access = {
        .identity = &call->identity,
        .verb = "impersonate",
        .group = "",
        .resource = "users",
        .subresource = "",
        .space = "",
        .name = user != NULL ? user : "",
    };

    if (user == NULL)
        return true;
    if (!call_allows(call, &access))
        return false;
    if (group != NULL) {
        access.resource = "groups";
        access.name = group;
        if (!call_allows(call, &access))
            return false;
    }
    identity_clear(&call->identity);
    call->identity.user = xstrdup(user);
    strv_add(&call->identity.groups, "system:authenticated");
    if (group != NULL)
        strv_add(&call->identity.groups, group);
    return true;
}

static bool may(struct call *call, bool is_resource)
{
    struct access access = {
        .identity = &call->identity,
        .verb = call->verb,
        .group = call->group,
        .resource = call->plural,
        .subresource = call->subresource,
        .space = call->space,
        .name = call->name,
        .path = is_resource ? NULL : call->request->path,
    };
    autofree char *method = NULL;

    if (!is_resource) {
        method = xstrdup(call->request->method);
        for (char *c = method; *c != '\0'; c++)
            *c = (char)(*c | 0x20);
        access.verb = method;
    }
    return call_allows(call, &access);
}

/* ---- dispatch ---- */

static void not_found(struct call *call)
{
    call->answer->status = 404;
    answer_header(call->answer, "Content-Type: text/plain; charset=utf-8");
    buf_adds(&call->answer->body, "404 page not found\n");
}

static bool group_is_served(struct call *call)
{
    size_t len;
    const struct type **types = store_types(call->api->store, &len);
    bool served = false;

    for (size_t i = 0; i < len && !served; i++)
        served = strcmp(types[i]->resource.group, call->group) == 0 &&
                 strcmp(types[i]->resource.version, call->version) == 0 && types[i]->established;
    free(types);
    return served;
}

static bool find_type(struct call *call)
{
    call->type = store_type(call->api->store, call->group, call->version, call->plural);
    if (call->type != NULL && call->type->established) {
        bool namespaced = call->type->resource.namespaced;

        if (namespaced || call->space[0] == '\0')
            return true;
    }
    call->type = NULL;
    if (!group_is_served(call)) {
        not_found(call);
        return false;
    }
    respond_fail(call, 404, "NotFound", "the server could not find the requested resource");
    return false;
}

static void method_not_allowed(struct call *call)
{
    respond_fail(call, 405, "MethodNotAllowed",
                 "the server does not allow this method on the requested resource");
}

static bool has_subresource(const struct type *type, const char *name)
{
    CLEANUP(strv_clear) struct strv list = STRV_INIT;

    if (strcmp(name, "status") == 0)
        return (type->flags & TYPE_STATUS) != 0;
    if (strcmp(name, "scale") == 0)
        return (type->flags & TYPE_SCALE) != 0;
    strv_split(&list, type->subresources, ',');
    return strv_has(&list, name);
}

static const struct {
    const char *verb;
    void (*run)(struct call *call);
    bool named; /* with a name in the path */
} handlers[] = {
    {"get", read_get, true},
    {"list", read_list, false},
    {"watch", watch_start, false},
    {"watch", watch_start, true},
    {"create", write_create, false},
    {"update", write_update, true},
    {"patch", write_patch, true},
    {"delete", write_delete, true},
    {"deletecollection", write_delete_collection, false},
};

static void dispatch(struct call *call)
{
    bool named = call->name[0] != '\0';

    if (call->subresource[0] != '\0') {
        if (!has_subresource(call->type, call->subresource)) {
            respond_fail(call, 404, "NotFound", "the server could not find the requested resource");
            return;
        }
        if (subresource_handle(call))
            return;
    }
    if ((call->type->flags & TYPE_CREATE_ONLY) != 0) {
        if (strcmp(call->verb, "create") == 0)
            review_create(call);
        else
            method_not_allowed(call);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (strcmp(handlers[i].verb, call->verb) == 0 && handlers[i].named == named) {
            handlers[i].run(call);
            return;
        }
    }
    method_not_allowed(call);
}

static void handle(struct call *call)
{
    bool is_resource = parse_path(call);

    call->verb = verb_of(call);
    if (!authenticate(call->api->tokens, call->api->store, call->request, &call->identity)) {
        respond_fail(call, 401, "Unauthorized", "Unauthorized");
        return;
    }
    if (!impersonate(call) || !may(call, is_resource))
        return;
    if (!is_resource) {
        if (!paths_handle(call))
            not_found(call);
        return;
    }
    if (mono_ms() < call->api->ready_at) {
        respond_fail(call, 503, "ServiceUnavailable",
                     "the server is currently unable to handle the request");
        return;
    }
    if (find_type(call) && respond_negotiate(call))
        dispatch(call);
}

void api_handle(void *api, const struct request *request, struct answer *answer)
{
    struct call call = {
        .api = api,
        .request = request,
        .answer = answer,
        .group = "",
        .version = "",
        .plural = "",
        .space = "",
        .name = "",
        .subresource = "",
        .err = ERR_INIT,
    };

    handle(&call);
    identity_clear(&call.identity);
    err_clear(&call.err);
    cJSON_Delete(call.causes);
}
