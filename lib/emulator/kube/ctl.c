/* What the simulated controllers share. */
#include "emulator/kube/ctl.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"

#define LETTERS "bcdfghjklmnpqrstvwxz2456789"

/* ---- reading ---- */

const struct resource *ctl_resource(struct ctl *ctl, const char *group, const char *plural)
{
    return store_resource(ctl->store, group, plural);
}

struct stored *ctl_get(struct ctl *ctl, const char *group, const char *plural, const char *space,
                       const char *name)
{
    const struct resource *resource = store_resource(ctl->store, group, plural);

    return resource != NULL && name != NULL ? store_get(ctl->store, resource, space, name) : NULL;
}

static bool is_owned_by(const cJSON *object, const char *uid)
{
    const cJSON *owner;

    cJSON_ArrayForEach(owner, json_at(object, "metadata.ownerReferences"))
    {
        if (json_bool(owner, "controller", false) && str_equal(json_str(owner, "uid"), uid))
            return true;
    }
    return false;
}

struct stored **ctl_owned(struct ctl *ctl, const char *group, const char *plural,
                          const cJSON *owner)
{
    struct stored **list = store_list(ctl->store, store_resource(ctl->store, group, plural),
                                      json_str_or(owner, "metadata.namespace", ""), NULL);
    const char *uid = json_str_or(owner, "metadata.uid", "");
    size_t kept = 0;

    for (size_t i = 0; list[i] != NULL; i++) {
        struct stored *item = list[i];

        list[i] = NULL;
        if (is_owned_by(item->object, uid))
            list[kept++] = item;
        else
            stored_unref(item);
    }
    return list;
}

cJSON *status_copy(const cJSON *object)
{
    return json_copy_object(json_get(object, "status"));
}

int64_t json_number(const cJSON *object, const char *path, int64_t fallback)
{
    int64_t value = fallback;

    json_i64(object, path, &value);
    return value;
}

bool is_deleting(const cJSON *object)
{
    return json_at(object, "metadata.deletionTimestamp") != NULL;
}

bool pod_is_ready(const cJSON *pod)
{
    return condition_is(json_at(pod, "status.conditions"), "Ready", "True");
}

bool pod_is_available(const cJSON *pod, int64_t min_ready_s, int64_t *wait_ms)
{
    const cJSON *ready = condition_find(json_at(pod, "status.conditions"), "Ready");
    autoerr struct err err = ERR_INIT;
    int64_t since;
    int64_t left;

    if (!pod_is_ready(pod))
        return false;
    if (min_ready_s <= 0 ||
        time_parse_rfc3339(json_str_or(ready, "lastTransitionTime", ""), &since, &err) < 0)
        return true;
    left = since + min_ready_s * 1000 - clock_system.wall_ms(clock_system.arg);
    if (left <= 0)
        return true;
    if (*wait_ms < 0 || left < *wait_ms)
        *wait_ms = left;
    return false;
}

bool pod_is_over(const cJSON *pod)
{
    const char *phase = json_str_or(pod, "status.phase", "");

    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

/* ---- writing ---- */

struct status_change {
    const char *uid;
    const cJSON *status;
};

static int status_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct status_change *change = arg;

    if (now == NULL || !str_equal(json_str(now, "metadata.uid"), change->uid))
        return kube_fail(err, 404, "NotFound", "it is gone");
    *next = json_copy(now);
    json_set(*next, "status", json_copy(change->status));
    return 0;
}

void ctl_set_status(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                    cJSON *status)
{
    autojson cJSON *owned = status;
    struct status_change change = {.uid = json_str(object, "metadata.uid"), .status = owned};
    autoerr struct err err = ERR_INIT;

    /* One that is gone meanwhile needs no status. */
    (void)store_write(ctl->store, resource, json_str(object, "metadata.namespace"),
                      json_str_or(object, "metadata.name", ""), status_change, &change, NULL, &err);
}

void ctl_merge(struct ctl *ctl, const struct resource *resource, const cJSON *object, cJSON *patch)
{
    autojson cJSON *owned = patch;
    autoerr struct err err = ERR_INIT;

    (void)store_merge(ctl->store, resource, json_str(object, "metadata.namespace"),
                      json_str_or(object, "metadata.name", ""), owned, &err);
}

void ctl_delete(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    autoerr struct err err = ERR_INIT;

    (void)store_delete(ctl->store, resource, json_str(object, "metadata.namespace"),
                       json_str_or(object, "metadata.name", ""), &err);
}

static int remove_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    (void)arg;
    (void)now;
    (void)err;
    *next = NULL;
    return 0;
}

void ctl_remove(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    autoerr struct err err = ERR_INIT;

    (void)store_write(ctl->store, resource, json_str(object, "metadata.namespace"),
                      json_str_or(object, "metadata.name", ""), remove_change, NULL, NULL, &err);
}

int ctl_try_create(struct ctl *ctl, cJSON *object, struct err *err)
{
    autojson cJSON *owned = object;
    const struct resource *resource = store_kind(ctl->store, json_str_or(object, "apiVersion", ""),
                                                 json_str_or(object, "kind", ""));
    struct stored *there;

    if (resource == NULL)
        return kube_fail(err, 404, "NotFound", "no such kind");
    there = store_get(ctl->store, resource, json_str(object, "metadata.namespace"),
                      json_str_or(object, "metadata.name", ""));
    if (there != NULL) {
        stored_unref(there);
        return 0;
    }
    return store_put(ctl->store, steal(owned), err);
}

bool ctl_create(struct ctl *ctl, cJSON *object)
{
    autoerr struct err err = ERR_INIT;

    return ctl_try_create(ctl, object, &err) == 0;
}

/* ---- conditions ---- */

const cJSON *condition_find(const cJSON *conditions, const char *type)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, conditions)
    {
        if (str_equal(json_str(condition, "type"), type))
            return condition;
    }
    return NULL;
}

bool condition_is(const cJSON *conditions, const char *type, const char *status)
{
    return str_equal(json_str_or(condition_find(conditions, type), "status", ""), status);
}

void condition_set(cJSON *conditions, const char *type, const char *status, const char *reason,
                   const char *message)
{
    cJSON *condition = (cJSON *)condition_find(conditions, type);

    if (condition == NULL) {
        condition = json_object();
        json_set_str(condition, "type", type);
        json_push(conditions, condition);
    }
    if (!str_equal(json_str(condition, "status"), status))
        json_set_str(condition, "lastTransitionTime", time_now().text);
    json_set_str(condition, "status", status);
    json_set_str(condition, "reason", reason);
    json_set_str(condition, "message", message);
}

/* ---- making ---- */

cJSON *new_object_of(const char *api_version, const char *kind, const char *space, const char *name)
{
    cJSON *object = json_object();
    cJSON *meta;

    json_set_str(object, "apiVersion", api_version);
    json_set_str(object, "kind", kind);
    meta = json_set_object(object, "metadata");
    json_set_str(meta, "name", name);
    json_set_str(meta, "namespace", space);
    return object;
}

void set_owner(cJSON *object, const cJSON *owner)
{
    cJSON *reference = json_object();
    cJSON *list = json_set_array(json_get(object, "metadata"), "ownerReferences");

    json_set_str(reference, "apiVersion", json_str(owner, "apiVersion"));
    json_set_str(reference, "kind", json_str(owner, "kind"));
    json_set_str(reference, "name", json_str(owner, "metadata.name"));
    json_set_str(reference, "uid", json_str(owner, "metadata.uid"));
    json_set_bool(reference, "controller", true);
    json_set_bool(reference, "blockOwnerDeletion", true);
    json_push(list, reference);
}

cJSON *pod_from_template(const cJSON *owner, const char *name)
{
    const cJSON *from = json_at(owner, "spec.template");
    cJSON *pod = new_object_of("v1", "Pod", json_str(owner, "metadata.namespace"), name);
    const cJSON *labels = json_at(from, "metadata.labels");
    const cJSON *annotations = json_at(from, "metadata.annotations");
    autofree char *prefix = xasprintf("%s-", json_str_or(owner, "metadata.name", ""));

    json_set_str(json_get(pod, "metadata"), "generateName", prefix);
    if (labels != NULL)
        json_set(json_get(pod, "metadata"), "labels", json_copy(labels));
    if (annotations != NULL)
        json_set(json_get(pod, "metadata"), "annotations", json_copy(annotations));
    set_owner(pod, owner);
    json_set(pod, "spec", json_copy_object(json_get(from, "spec")));
    return pod;
}

struct hash_text template_hash(const cJSON *pod_template)
{
    autofree char *text = json_print(pod_template);
    struct sha256_hex digest = sha256(text, strlen(text));
    struct hash_text out = {""};

    for (size_t i = 0; i < 10; i++) {
        unsigned number =
            16U * (unsigned char)digest.text[i * 2] + (unsigned char)digest.text[i * 2 + 1];

        out.text[i] = LETTERS[number % strlen(LETTERS)];
    }
    return out;
}

char *random_name(const char *prefix)
{
    char letters[6] = "";

    for (size_t i = 0; i < 5; i++)
        letters[i] = LETTERS[random_below(strlen(LETTERS))];
    return xasprintf("%.57s-%s", prefix, letters);
}

/* ---- events ---- */

struct event {
    cJSON *object; /* as it is when it is told the first time */
};

static int event_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct event *event = arg;

    (void)err;
    *next = json_copy(now != NULL ? now : event->object);
    if (now == NULL)
        return 0;
    json_set_i64(*next, "count", json_number(now, "count", 1) + 1);
    json_set_str(*next, "lastTimestamp", time_now().text);
    return 0;
}

static cJSON *involved_object(const cJSON *object)
{
    cJSON *involved = json_object();

    json_set_str(involved, "apiVersion", json_str(object, "apiVersion"));
    json_set_str(involved, "kind", json_str(object, "kind"));
    json_set_str(involved, "name", json_str(object, "metadata.name"));
    json_set_str(involved, "namespace", json_str(object, "metadata.namespace"));
    json_set_str(involved, "uid", json_str(object, "metadata.uid"));
    json_set_str(involved, "resourceVersion", json_str(object, "metadata.resourceVersion"));
    return involved;
}

void event_record(struct ctl *ctl, const cJSON *object, const char *type, const char *component,
                  const char *reason, const char *format, ...)
{
    autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    event_record_of(ctl, object, NULL, type, component, reason, message);
}

void event_record_of(struct ctl *ctl, const cJSON *object, const char *field, const char *type,
                     const char *component, const char *reason, const char *message)
{
    const char *space = json_str_or(object, "metadata.namespace", "default");
    autofree char *seed = NULL;
    autofree char *name = NULL;
    struct sha256_hex digest;
    struct event event;
    autoerr struct err err = ERR_INIT;

    seed = xasprintf("%s %s %s", json_str_or(object, "metadata.uid", ""), reason, message);
    digest = sha256(seed, strlen(seed));
    name = xasprintf("%.200s.%.16s", json_str_or(object, "metadata.name", ""), digest.text);
    event.object = new_object_of("v1", "Event", space, name);
    json_set_str(json_set(event.object, "involvedObject", involved_object(object)), "fieldPath",
                 field);
    json_set_str(event.object, "type", type);
    json_set_str(event.object, "reason", reason);
    json_set_str(event.object, "message", message);
    json_set_str(json_set_object(event.object, "source"), "component", component);
    json_set_str(event.object, "firstTimestamp", time_now().text);
    json_set_str(event.object, "lastTimestamp", time_now().text);
    json_set_i64(event.object, "count", 1);
    json_set(event.object, "eventTime", cJSON_CreateNull());
    json_set_str(event.object, "reportingComponent", component);
    json_set_str(event.object, "reportingInstance", "");
    /* In a namespace that is going away no event is kept. */
    (void)store_write(ctl->store, store_resource(ctl->store, "", "events"), space, name,
                      event_change, &event, NULL, &err);
    cJSON_Delete(event.object);
}
