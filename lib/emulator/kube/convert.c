#include "emulator/kube/convert.h"

#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/crd.h"
#include "emulator/kube/keyspace.h"

bool convert_needed(const struct type *type, const cJSON *object)
{
    autofree char *wanted = api_version_of(&type->resource);

    return !str_equal(json_str(object, "apiVersion"), wanted);
}

static void move(cJSON *from, const char *key, cJSON *to, const char *name)
{
    cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(from, key);

    if (value != NULL)
        json_set(to, name, value);
}

/* ---- Ingress: serviceName and servicePort became service.name and service.port ---- */

static void backend_to_v1(cJSON *backend)
{
    cJSON *port = cJSON_DetachItemFromObjectCaseSensitive(backend, "servicePort");
    cJSON *service;

    if (json_get(backend, "serviceName") == NULL) {
        cJSON_Delete(port);
        return;
    }
    service = json_set_object(backend, "service");
    move(backend, "serviceName", service, "name");
    if (port != NULL)
        json_set(json_set_object(service, "port"), cJSON_IsString(port) ? "name" : "number", port);
}

static void backend_to_beta(cJSON *backend)
{
    cJSON *service = cJSON_DetachItemFromObjectCaseSensitive(backend, "service");
    cJSON *port = json_get(service, "port");

    if (service == NULL)
        return;
    move(service, "name", backend, "serviceName");
    move(port, "name", backend, "servicePort");
    move(port, "number", backend, "servicePort");
    cJSON_Delete(service);
}

static void convert_ingress(cJSON *object, const char *from, const char *to)
{
    bool to_v1 = strcmp(to, "v1") == 0;
    cJSON *spec = json_get(object, "spec");
    cJSON *rule;
    cJSON *path;

    if (to_v1 == (strcmp(from, "v1") == 0) || spec == NULL)
        return;
    move(spec, to_v1 ? "backend" : "defaultBackend", spec, to_v1 ? "defaultBackend" : "backend");
    (to_v1 ? backend_to_v1 : backend_to_beta)(json_get(spec, to_v1 ? "defaultBackend" : "backend"));
    cJSON_ArrayForEach(rule, json_get(spec, "rules"))
    {
        cJSON_ArrayForEach(path, json_get(json_get(rule, "http"), "paths"))
        {
            (to_v1 ? backend_to_v1 : backend_to_beta)(json_get(path, "backend"));
            if (to_v1 && json_get(path, "pathType") == NULL)
                json_set_str(path, "pathType", "ImplementationSpecific");
        }
    }
}

/* ---- events: the core ones and those of events.k8s.io are the same objects ---- */

static const char *const event_keys[][2] = {
    /* core, events.k8s.io */
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
};

static void convert_event(cJSON *object, const char *from, const char *to)
{
    bool from_core = strcmp(from, "core") == 0;

    if (from_core == (strcmp(to, "core") == 0))
        return;
    for (size_t i = 0; i < ARRAY_LEN(event_keys); i++)
        move(object, event_keys[i][!from_core], object, event_keys[i][from_core]);
}

/* ---- HorizontalPodAutoscaler ---- */

static const cJSON *cpu_target(const cJSON *metrics)
{
    const cJSON *metric;

    cJSON_ArrayForEach(metric, metrics)
    {
        if (str_equal(json_str(metric, "resource.name"), "cpu") &&
            json_at(metric, "resource.target.averageUtilization") != NULL)
            return json_at(metric, "resource.target.averageUtilization");
    }
    return NULL;
}

static void convert_autoscaler(cJSON *object, const char *from, const char *to)
{
    cJSON *spec = json_get(object, "spec");
    cJSON *percent;

    if (spec == NULL || strcmp(from, to) == 0)
        return;
    if (strcmp(to, "v1") == 0) {
        const cJSON *target = cpu_target(json_get(spec, "metrics"));

        if (target != NULL)
            json_set(spec, "targetCPUUtilizationPercentage", json_copy(target));
        cJSON_DeleteItemFromObjectCaseSensitive(spec, "metrics");
        return;
    }
    percent = cJSON_DetachItemFromObjectCaseSensitive(spec, "targetCPUUtilizationPercentage");
    if (percent != NULL) {
        cJSON *metric = json_object();
        cJSON *resource = json_set_object(metric, "resource");
        cJSON *target = json_set_object(resource, "target");

        json_set_str(metric, "type", "Resource");
        json_set_str(resource, "name", "cpu");
        json_set_str(target, "type", "Utilization");
        json_set(target, "averageUtilization", percent);
        json_push(json_need_array(spec, "metrics"), metric);
    }
}

/* Before apps/v1 the selector of a workload was taken from its template's labels. */
static void default_selector(cJSON *object)
{
    cJSON *spec = json_get(object, "spec");
    const cJSON *labels = json_at(spec, "template.metadata.labels");

    if (spec != NULL && labels != NULL && json_get(spec, "selector") == NULL)
        json_set(json_set_object(spec, "selector"), "matchLabels", json_copy(labels));
}

cJSON *convert(const struct type *type, const cJSON *object)
{
    autofree char *wanted = api_version_of(&type->resource);
    autofree char *group = NULL;
    autofree char *from = NULL;
    const char *tag = type->storage->tag;
    const char *to = type->resource.version;
    cJSON *copy;

    api_version_split(json_str_or(object, "apiVersion", ""), &group, &from);
    if (strcmp(tag, "customresourcedefinitions.apiextensions.k8s.io") == 0)
        return strcmp(to, "v1") == 0 ? crd_to_v1(object) : crd_to_v1beta1(object);
    copy = json_copy(object);
    json_set_str(copy, "apiVersion", wanted);
    if (strcmp(tag, "ingresses.networking.k8s.io") == 0)
        convert_ingress(copy, from, to);
    else if (strcmp(tag, "events.") == 0)
        convert_event(copy, group[0] == '\0' ? "core" : from,
                      type->resource.group[0] == '\0' ? "core" : to);
    else if (strcmp(tag, "horizontalpodautoscalers.autoscaling") == 0)
        convert_autoscaler(copy, from, to);
    else if (text_ends(tag, ".apps"))
        default_selector(copy);
    return copy;
}
