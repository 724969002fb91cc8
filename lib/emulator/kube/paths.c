/* What is no resource: version, health, the way to discovery and OpenAPI. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

static void text(struct call *call, int status, const char *body)
{
    call->answer->status = status;
    answer_header(call->answer, "Content-Type: text/plain; charset=utf-8");
    answer_header(call->answer, "X-Content-Type-Options: nosniff");
    buf_adds(&call->answer->body, body);
}

static void version(struct call *call)
{
    cJSON *info = json_object();
    CLEANUP(strv_clear) struct strv parts = STRV_INIT;
    const char *full = call->api->version;

    strv_split(&parts, full[0] == 'v' ? full + 1 : full, '.');
    json_set_str(info, "major", parts.len > 0 ? parts.items[0] : "1");
    json_set_str(info, "minor", parts.len > 1 ? parts.items[1] : "0");
    json_set_str(info, "gitVersion", full);
    json_set_str(info, "gitCommit", "");
    json_set_str(info, "gitTreeState", "clean");
    json_set_str(info, "buildDate", "1970-01-01T00:00:00Z");
    json_set_str(info, "goVersion", "");
    json_set_str(info, "compiler", "");
    json_set_str(info, "platform", "linux/amd64");
    answer_json(call->answer, 200, info);
}

/* As long as the control plane starts, its last post-start hook has not finished. */
static void health(struct call *call)
{
    const char *name = call->request->parts.items[0];
    bool ready = mono_ms() >= call->api->ready_at;
    bool verbose = request_query(call->request, "verbose") != NULL;
    autobuf struct buf body = BUF_INIT(BUF_SMALL);

    if (ready && !verbose) {
        text(call, 200, "ok");
        return;
    }
    buf_addf(&body,
             "[+]ping ok\n[+]log ok\n[+]etcd ok\n"
             "[%s]poststarthook/rbac/bootstrap-roles %s\n%s check %s\n",
             ready ? "+" : "-", ready ? "ok" : "failed: reason withheld", name,
             ready ? "passed" : "failed");
    text(call, ready ? 200 : 500, body.data);
}

static bool is(const struct call *call, size_t index, const char *part)
{
    return index < call->request->parts.len && strcmp(call->request->parts.items[index], part) == 0;
}

static bool only_get(struct call *call)
{
    if (request_is(call->request, "GET") || request_is(call->request, "HEAD"))
        return true;
    respond_fail(call, 405, "MethodNotAllowed",
                 "the server does not allow this method on the requested resource");
    return false;
}

static void (*find(const struct call *call))(struct call *)
{
    size_t len = call->request->parts.len;

    if (len == 1 && is(call, 0, "version"))
        return version;
    if (len >= 1 && (is(call, 0, "livez") || is(call, 0, "readyz") || is(call, 0, "healthz")))
        return health;
    if (is(call, 0, "api"))
        return len == 1 ? discovery_core : len == 2 ? discovery_resources : NULL;
    if (is(call, 0, "apis"))
        return len == 1   ? discovery_groups
               : len == 2 ? discovery_group
               : len == 3 ? discovery_resources
                          : NULL;
    if (is(call, 0, "openapi") && is(call, 1, "v2") && len == 2)
        return openapi_v2;
    if (is(call, 0, "openapi") && is(call, 1, "v3"))
        return openapi_v3;
    return NULL;
}

static void root(struct call *call)
{
    static const char *const paths[] = {"/api",        "/api/v1", "/apis",
                                        "/healthz",    "/livez",  "/openapi/v2",
                                        "/openapi/v3", "/readyz", "/version"};
    cJSON *list = json_object();
    cJSON *array = json_set_array(list, "paths");

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        json_push_str(array, paths[i]);
    answer_json(call->answer, 200, list);
}

bool paths_handle(struct call *call)
{
    void (*run)(struct call *) = call->request->parts.len == 0 ? root : find(call);

    if (run == NULL)
        return false;
    if (only_get(call))
        run(call);
    return true;
}
