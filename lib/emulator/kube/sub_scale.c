/* The scale subresource: one view of how many, whatever the kind. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/patch.h"
#include "emulator/kube/strategy.h"
#include "emulator/kube/write.h"

/* ".spec.replicas" of a custom resource's definition, or the built-in path. */
static const char *path_of(const struct type *type, const char *key, const char *fallback)
{
    const char *path = type->scale != NULL ? json_key_str(type->scale, key) : NULL;

    if (type->scale != NULL && path == NULL)
        return NULL;
    return path != NULL ? path + (path[0] == '.') : fallback;
}

/* "a=b,c in (d)" */
static void selector_text(const cJSON *selector, struct buf *out)
{
    const cJSON *labels = json_get(selector, "matchLabels");
    const cJSON *map = labels != NULL ? labels : selector;
    const cJSON *item;

    if (cJSON_IsString(selector)) {
        buf_adds(out, selector->valuestring);
        return;
    }
    cJSON_ArrayForEach(item, map)
    {
        if (cJSON_IsString(item))
            buf_addf(out, "%s%s=%s", out->len > 0 ? "," : "", item->string, item->valuestring);
    }
}

static cJSON *scale_of(const struct type *type, const cJSON *object)
{
    static const char *const kept[] = {"name", "namespace", "uid", "resourceVersion",
                                       "creationTimestamp"};
    cJSON *scale = json_object();
    cJSON *meta;
    autobuf struct buf selector = BUF_INIT(BUF_SMALL);
    const char *status_path = path_of(type, "statusReplicasPath", "status.replicas");
    const char *selector_path = path_of(type, "labelSelectorPath", "spec.selector");
    int64_t number = 0;

    json_set_str(scale, "kind", "Scale");
    json_set_str(scale, "apiVersion", "autoscaling/v1");
    meta = json_set_object(scale, "metadata");
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_set_str(meta, kept[i], json_str(json_get(object, "metadata"), kept[i]));
    json_i64(object, path_of(type, "specReplicasPath", "spec.replicas"), &number);
    json_set_i64(json_set_object(scale, "spec"), "replicas", number);
    number = 0;
    if (status_path != NULL)
        json_i64(object, status_path, &number);
    json_set_i64(json_set_object(scale, "status"), "replicas", number);
    if (selector_path != NULL)
        selector_text(json_at(object, selector_path), &selector);
    if (selector.len > 0)
        json_set_str(json_get(scale, "status"), "selector", selector.data);
    return scale;
}

static void respond_scale(struct call *call, const cJSON *object)
{
    autojson cJSON *scale = scale_of(call->type, object);

    call->form = FORM_OBJECT;
    respond_object(call, 200, scale);
}

void scale_get(struct call *call)
{
    struct stored *stored =
        store_get(call->api->store, &call->type->resource, call->space, call->name);

    if (stored == NULL) {
        respond_fail(call, 404, "NotFound", "%s \"%s\" not found",
                     group_resource(&call->type->resource).text, call->name);
        return;
    }
    respond_scale(call, stored->object);
    stored_unref(stored);
}

/* Sets the number where the type keeps it. */
static void set_replicas(cJSON *object, const char *path, int64_t replicas)
{
    cJSON *parent = object;

    for (;;) {
        size_t len = strcspn(path, ".");
        autofree char *key = xstrndup(path, len);

        if (path[len] == '\0') {
            json_set_i64(parent, key, replicas);
            return;
        }
        parent = json_need_object(parent, key);
        path += len + 1;
    }
}

struct scale_op {
    struct write_op op; /* first */
    int (*wanted)(struct scale_op *scale, const cJSON *now, cJSON **out, struct err *err);
    const char *content_type;
};

static int wanted_by_put(struct scale_op *scale, const cJSON *now, cJSON **out, struct err *err)
{
    (void)now;
    (void)err;
    *out = json_copy(scale->op.object);
    return 0;
}

static int wanted_by_patch(struct scale_op *scale, const cJSON *now, cJSON **out, struct err *err)
{
    *out = json_copy(now);
    if (scale->content_type != NULL && strstr(scale->content_type, "json-patch") != NULL)
        return patch_json(out, scale->op.object, err);
    json_merge(*out, scale->op.object);
    return 0;
}

static int scale_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    struct scale_op *scale = arg;
    struct write_op *op = &scale->op;
    const struct type *type = op->call->type;
    autojson cJSON *before = NULL;
    autojson cJSON *wanted = NULL;
    autojson cJSON *object = NULL;
    const char *version;
    int64_t replicas = 0;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "%s \"%s\" not found",
                         group_resource(&type->resource).text, op->call->name);
    before = scale_of(type, now);
    if (scale->wanted(scale, before, &wanted, err) < 0)
        return -1;
    version = json_str_or(wanted, "metadata.resourceVersion", "");
    if (version[0] != '\0' && write_check_version(op, now, version, err) < 0)
        return -1;
    if (json_at(wanted, "spec.replicas") != NULL && !json_i64(wanted, "spec.replicas", &replicas))
        return kube_fail(err, 400, "BadRequest", "Scale: spec.replicas is no number");
    if (replicas < 0)
        return kube_fail(err, 422, "Invalid",
                         "Scale.autoscaling \"%s\" is invalid: spec.replicas: Invalid value: %lld: "
                         "must be greater than or equal to 0",
                         op->call->name, (long long)replicas);
    object = json_copy(now);
    set_replicas(object, path_of(type, "specReplicasPath", "spec.replicas"), replicas);
    if (write_settle(op, now, object, err) < 0)
        return -1;
    *next = steal(object);
    return 0;
}

static void run(struct scale_op *scale)
{
    struct call *call = scale->op.call;
    struct stored *result = NULL;

    if ((scale->op.dry_run ? store_try : store_write)(call->api->store, &call->type->resource,
                                                      call->space, call->name, scale_change, scale,
                                                      &result, &call->err) < 0) {
        respond_error(call);
        return;
    }
    respond_scale(call, result->object);
    stored_unref(result);
}

void scale_put(struct call *call)
{
    struct scale_op scale = {.wanted = wanted_by_put};

    if (write_begin(&scale.op, call) && body_parse(call, &scale.op.object))
        run(&scale);
    write_end(&scale.op);
}

void scale_patch(struct call *call)
{
    struct scale_op scale = {.wanted = wanted_by_patch,
                             .content_type = request_header(call->request, "Content-Type")};
    autoerr struct err err = ERR_INIT;

    if (write_begin(&scale.op, call)) {
        if (json_parse(call->request->body, call->request->body_len, "body", &scale.op.object,
                       &err) < 0)
            respond_fail(call, 400, "BadRequest", "error decoding patch: %s", err_text(&err));
        else
            run(&scale);
    }
    write_end(&scale.op);
}
