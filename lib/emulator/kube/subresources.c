/* Subresources: which request goes where, and the small ones. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/deletion.h"
#include "emulator/kube/write.h"

static void method_not_allowed(struct call *call)
{
    respond_fail(call, 405, "MethodNotAllowed",
                 "the server does not allow this method on the requested resource");
}

static void respond_status_success(struct call *call, int code)
{
    cJSON *status = json_object();

    json_set_str(status, "kind", "Status");
    json_set_str(status, "apiVersion", "v1");
    json_set_object(status, "metadata");
    json_set_str(status, "status", "Success");
    json_set_i64(status, "code", code);
    answer_json(call->answer, code, status);
}

/* ---- pods/eviction: a deletion that a disruption budget may refuse ---- */

static bool budget_refuses(struct call *call, const cJSON *pod)
{
    struct stored **list = store_list(
        call->api->store, store_resource(call->api->store, "policy", "poddisruptionbudgets"),
        call->space, NULL);
    bool refused = false;

    for (size_t i = 0; list[i] != NULL && !refused; i++) {
        int64_t allowed = 1;

        json_i64(list[i]->object, "status.disruptionsAllowed", &allowed);
        refused = allowed <= 0 && selector_matches_labels(json_at(list[i]->object, "spec.selector"),
                                                          json_at(pod, "metadata.labels"));
    }
    store_list_free(list);
    return refused;
}

static int evict_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct deletion deletion = {.grace_seconds = -1};
    const struct call *call = arg;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "pods \"%s\" not found", call->name);
    *next = deletion_next(call->type, now, &deletion);
    return 0;
}

static void evict(struct call *call)
{
    struct stored *pod =
        store_get(call->api->store, &call->type->resource, call->space, call->name);

    if (pod != NULL && budget_refuses(call, pod->object)) {
        respond_fail(call, 429, "TooManyRequests",
                     "Cannot evict pod as it would violate the pod's disruption budget.");
    } else if (store_write(call->api->store, &call->type->resource, call->space, call->name,
                           evict_change, call, NULL, &call->err) < 0) {
        respond_error(call);
    } else {
        respond_status_success(call, 201);
    }
    stored_unref(pod);
}

/* ---- pods/binding ---- */

static int bind_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct write_op *op = arg;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "pods \"%s\" not found", op->call->name);
    if (json_at(now, "spec.nodeName") != NULL)
        return kube_fail(err, 409, "Conflict",
                         "Operation cannot be fulfilled on pods/binding \"%s\": pod %s is already "
                         "assigned to node \"%s\"",
                         op->call->name, op->call->name, json_str_or(now, "spec.nodeName", ""));
    *next = json_copy(now);
    json_set_str(json_need_object(*next, "spec"), "nodeName", json_str(op->object, "target.name"));
    return 0;
}

static void bind(struct call *call)
{
    struct write_op op = {.call = call};

    if (body_parse(call, &op.object)) {
        if (store_write(call->api->store, &call->type->resource, call->space, call->name,
                        bind_change, &op, NULL, &call->err) < 0)
            respond_error(call);
        else
            respond_status_success(call, 201);
    }
    write_end(&op);
}

/* ---- namespaces/finalize: who holds a namespace lets it go ---- */

static int finalize_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct write_op *op = arg;
    const cJSON *finalizers = json_at(op->object, "spec.finalizers");

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "namespaces \"%s\" not found", op->call->name);
    *next = json_copy(now);
    json_set(json_need_object(*next, "spec"), "finalizers",
             finalizers != NULL ? json_copy(finalizers) : json_array());
    return 0;
}

static void finalize(struct call *call)
{
    struct write_op op = {.call = call};

    if (body_parse(call, &op.object))
        write_run(&op, finalize_change);
    write_end(&op);
}

/* ---- serviceaccounts/token ---- */

#define SHORTEST_TOKEN_S 600
#define DEFAULT_TOKEN_S  3600

void token_request(struct call *call)
{
    autojson cJSON *body = NULL;
    struct stored *account =
        store_get(call->api->store, &call->type->resource, call->space, call->name);
    struct identity identity;
    int64_t seconds = DEFAULT_TOKEN_S;
    autofree char *token = NULL;
    cJSON *status;

    if (account == NULL) {
        respond_fail(call, 404, "NotFound", "serviceaccounts \"%s\" not found", call->name);
        return;
    }
    if (!body_parse(call, &body)) {
        stored_unref(account);
        return;
    }
    json_i64(body, "spec.expirationSeconds", &seconds);
    identity_of_service_account(&identity, call->space, call->name,
                                json_str(account->object, "metadata.uid"));
    stored_unref(account);
    if (seconds < SHORTEST_TOKEN_S) {
        identity_clear(&identity);
        respond_fail(call, 422, "Invalid",
                     "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: "
                     "Invalid value: %lld: may not specify a duration less than 10 minutes",
                     (long long)seconds);
        return;
    }
    token = tokens_issue(call->api->tokens, &identity, seconds);
    identity_clear(&identity);
    json_set_i64(json_need_object(body, "spec"), "expirationSeconds", seconds);
    status = json_set_object(body, "status");
    json_set_str(status, "token", token);
    json_set_str(status, "expirationTimestamp",
                 time_rfc3339(clock_system.wall_ms(clock_system.arg) + seconds * 1000).text);
    call->form = FORM_OBJECT;
    respond_object(call, 201, body);
}

/* ---- which one ---- */

static const struct {
    const char *name;
    const char *verb; /* NULL: any */
    void (*run)(struct call *call);
} rows[] = {
    {"scale", "get", scale_get},        {"scale", "update", scale_put},
    {"scale", "patch", scale_patch},    {"log", "get", pod_log},
    {"eviction", "create", evict},      {"binding", "create", bind},
    {"token", "create", token_request}, {"finalize", "update", finalize},
    {"proxy", NULL, service_proxy},
};

bool subresource_handle(struct call *call)
{
    bool known = false;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, call->subresource) != 0)
            continue;
        known = true;
        if (rows[i].verb == NULL || strcmp(rows[i].verb, call->verb) == 0) {
            rows[i].run(call);
            return true;
        }
    }
    if (known || strcmp(call->verb, "create") == 0 || strcmp(call->verb, "delete") == 0) {
        method_not_allowed(call);
        return true;
    }
    return false;
}
