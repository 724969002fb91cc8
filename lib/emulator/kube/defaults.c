/* The defaults that an API server fills in (the `defaults.go` of each group). */
#include <stdatomic.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/strategy.h"

void default_str(cJSON *object, const char *key, const char *value)
{
    if (cJSON_IsObject(object) && json_get(object, key) == NULL)
        json_set_str(object, key, value);
}

void default_i64(cJSON *object, const char *key, int64_t value)
{
    if (cJSON_IsObject(object) && json_get(object, key) == NULL)
        json_set_i64(object, key, value);
}

void default_bool(cJSON *object, const char *key, bool value)
{
    if (cJSON_IsObject(object) && json_get(object, key) == NULL)
        json_set_bool(object, key, value);
}

static void default_template(cJSON *spec)
{
    cJSON *pod_template = json_get(spec, "template");
    cJSON *pod = json_get(pod_template, "spec");

    if (pod == NULL)
        return;
    json_need_object(pod_template, "metadata");
    defaults_pod_spec(pod);
}

/* ---- workloads ---- */

static void default_rolling_update(cJSON *spec, const char *key, bool surge)
{
    cJSON *strategy = json_need_object(spec, key);
    cJSON *rolling;

    default_str(strategy, "type", "RollingUpdate");
    if (!str_equal(json_str(strategy, "type"), "RollingUpdate"))
        return;
    rolling = json_need_object(strategy, "rollingUpdate");
    if (surge) {
        default_str(rolling, "maxUnavailable", "25%");
        default_str(rolling, "maxSurge", "25%");
    }
}

static void default_deployment(cJSON *spec)
{
    default_i64(spec, "replicas", 1);
    default_rolling_update(spec, "strategy", true);
    default_i64(spec, "revisionHistoryLimit", 10);
    default_i64(spec, "progressDeadlineSeconds", 600);
}

static void default_stateful_set(cJSON *spec)
{
    cJSON *claim;

    default_i64(spec, "replicas", 1);
    default_str(spec, "podManagementPolicy", "OrderedReady");
    default_i64(spec, "revisionHistoryLimit", 10);
    default_rolling_update(spec, "updateStrategy", false);
    if (json_at(spec, "updateStrategy.rollingUpdate") != NULL)
        default_i64(json_get(json_get(spec, "updateStrategy"), "rollingUpdate"), "partition", 0);
    cJSON_ArrayForEach(claim, json_get(spec, "volumeClaimTemplates"))
    {
        default_str(claim, "apiVersion", "v1");
        default_str(claim, "kind", "PersistentVolumeClaim");
        default_str(json_need_object(claim, "spec"), "volumeMode", "Filesystem");
        default_str(json_need_object(claim, "status"), "phase", "Pending");
    }
}

static void default_daemon_set(cJSON *spec)
{
    cJSON *rolling;

    default_i64(spec, "revisionHistoryLimit", 10);
    default_rolling_update(spec, "updateStrategy", false);
    rolling = json_get(json_get(spec, "updateStrategy"), "rollingUpdate");
    if (rolling != NULL)
        default_i64(rolling, "maxUnavailable", 1);
}

/* A Job made for its template: the selector is the Job's own uid. */
static void default_job(cJSON *object, const cJSON *now)
{
    cJSON *spec = json_get(object, "spec");
    cJSON *meta = json_get(object, "metadata");
    cJSON *labels;
    const char *uid = json_str(meta, "uid");

    if (json_get(spec, "completions") == NULL && json_get(spec, "parallelism") == NULL)
        json_set_i64(spec, "completions", 1);
    default_i64(spec, "parallelism", 1);
    default_i64(spec, "backoffLimit", 6);
    default_bool(spec, "suspend", false);
    default_str(spec, "completionMode", "NonIndexed");
    if (now != NULL || json_bool(spec, "manualSelector", false) || uid == NULL ||
        json_get(spec, "selector") != NULL || json_at(spec, "template.spec") == NULL)
        return;
    labels = json_need_object(json_need_object(json_get(spec, "template"), "metadata"), "labels");
    json_set_str(labels, "controller-uid", uid);
    json_set_str(labels, "job-name", json_str(meta, "name"));
    json_set_str(json_set_object(json_set_object(spec, "selector"), "matchLabels"),
                 "controller-uid", uid);
}

static void default_cron_job(cJSON *spec)
{
    cJSON *job = json_get(json_get(spec, "jobTemplate"), "spec");

    default_str(spec, "concurrencyPolicy", "Allow");
    default_bool(spec, "suspend", false);
    default_i64(spec, "successfulJobsHistoryLimit", 3);
    default_i64(spec, "failedJobsHistoryLimit", 1);
    default_template(job);
}

static void default_workload(const char *kind, cJSON *object, const cJSON *now)
{
    cJSON *spec = json_get(object, "spec");

    if (strcmp(kind, "Deployment") == 0)
        default_deployment(spec);
    else if (strcmp(kind, "StatefulSet") == 0)
        default_stateful_set(spec);
    else if (strcmp(kind, "DaemonSet") == 0)
        default_daemon_set(spec);
    else if (strcmp(kind, "Job") == 0)
        default_job(object, now);
    else if (strcmp(kind, "CronJob") == 0)
        default_cron_job(spec);
    else
        default_i64(spec, "replicas", 1);
    default_template(spec);
}

/* ---- services ---- */

static _Atomic(unsigned) next_address = 10;
static _Atomic(unsigned) next_port = 0;

/* One after the other from 10.96.0.0/12, as unique as the run is long. */
static void assign_address(cJSON *spec)
{
    unsigned number = next_address++;
    autofree char *address =
        xasprintf("10.%u.%u.%u", 96 + (number >> 16) % 16, number >> 8 & 0xff, number & 0xff);

    json_set_str(spec, "clusterIP", address);
}

static void default_service_ports(cJSON *spec, bool node_ports)
{
    cJSON *port;

    cJSON_ArrayForEach(port, json_get(spec, "ports"))
    {
        default_str(port, "protocol", "TCP");
        if (json_get(port, "targetPort") == NULL && json_get(port, "port") != NULL)
            json_set(port, "targetPort", json_copy(json_get(port, "port")));
        if (node_ports)
            default_i64(port, "nodePort", 30000 + next_port++ % 2768);
    }
}

/* What the server gave at first stays when a manifest without it is written again. */
static void keep_assigned(cJSON *spec, const cJSON *now)
{
    static const char *const keys[] = {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"};
    const cJSON *before = json_get(now, "spec");

    if (str_equal(json_str(spec, "type"), "ExternalName") ||
        str_equal(json_str(before, "type"), "ExternalName"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const cJSON *value = json_get(spec, keys[i]);

        if (json_get(before, keys[i]) != NULL &&
            (value == NULL || (cJSON_IsString(value) && value->valuestring[0] == '\0')))
            json_set(spec, keys[i], json_copy(json_get(before, keys[i])));
    }
}

static void keep_node_ports(cJSON *spec, const cJSON *now)
{
    cJSON *port;
    const cJSON *before;

    cJSON_ArrayForEach(port, json_get(spec, "ports"))
    {
        cJSON_ArrayForEach(before, json_at(now, "spec.ports"))
        {
            if (json_get(port, "nodePort") == NULL && json_get(before, "nodePort") != NULL &&
                json_equal(json_get(port, "port"), json_get(before, "port")) &&
                str_equal(json_str_or(port, "protocol", "TCP"), json_str(before, "protocol")))
                json_set(port, "nodePort", json_copy(json_get(before, "nodePort")));
        }
    }
}

static void default_service(cJSON *object, const cJSON *now)
{
    cJSON *spec = json_get(object, "spec");
    const char *type;
    bool node_ports;

    default_str(spec, "type", "ClusterIP");
    default_str(spec, "sessionAffinity", "None");
    type = json_str_or(spec, "type", "");
    node_ports = strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0;
    keep_assigned(spec, now);
    if (node_ports)
        keep_node_ports(spec, now);
    default_service_ports(spec, node_ports);
    json_need_object(json_need_object(object, "status"), "loadBalancer");
    if (node_ports)
        default_str(spec, "externalTrafficPolicy", "Cluster");
    if (strcmp(type, "ExternalName") == 0)
        return;
    if (json_str_or(spec, "clusterIP", "")[0] == '\0')
        assign_address(spec);
    if (json_get(spec, "clusterIPs") == NULL)
        json_push_str(json_set_array(spec, "clusterIPs"), json_str(spec, "clusterIP"));
    default_str(spec, "internalTrafficPolicy", "Cluster");
    default_str(spec, "ipFamilyPolicy", "SingleStack");
    if (json_get(spec, "ipFamilies") == NULL)
        json_push_str(json_set_array(spec, "ipFamilies"), "IPv4");
}

/* ---- the rest of core ---- */

static void default_namespace(cJSON *object, const cJSON *now)
{
    cJSON *labels = json_need_object(json_get(object, "metadata"), "labels");

    json_set_str(labels, "kubernetes.io/metadata.name", json_str(object, "metadata.name"));
    if (now == NULL) {
        cJSON *spec = json_need_object(object, "spec");

        if (json_get(spec, "finalizers") == NULL)
            json_push_str(json_set_array(spec, "finalizers"), "kubernetes");
        default_str(json_need_object(object, "status"), "phase", "Active");
    } else if (json_get(object, "spec") == NULL && json_get(now, "spec") != NULL) {
        json_set(object, "spec", json_copy(json_get(now, "spec")));
    } else if (json_at(object, "spec.finalizers") == NULL &&
               json_at(now, "spec.finalizers") != NULL) {
        json_set(json_get(object, "spec"), "finalizers",
                 json_copy(json_at(now, "spec.finalizers")));
    }
}

static void default_secret(cJSON *object)
{
    cJSON *text = cJSON_DetachItemFromObjectCaseSensitive(object, "stringData");
    const cJSON *item;

    default_str(object, "type", "Opaque");
    cJSON_ArrayForEach(item, text)
    {
        autofree char *encoded = cJSON_IsString(item)
                                     ? base64_encode(item->valuestring, strlen(item->valuestring))
                                     : NULL;

        json_set_str(json_need_object(object, "data"), item->string, encoded);
    }
    cJSON_Delete(text);
}

static void default_pod(cJSON *object, const cJSON *now)
{
    cJSON *spec = json_get(object, "spec");

    if (spec == NULL)
        return;
    defaults_pod_spec(spec);
    default_bool(spec, "enableServiceLinks", true);
    default_str(spec, "serviceAccountName", json_str_or(spec, "serviceAccount", "default"));
    default_str(spec, "serviceAccount", json_str(spec, "serviceAccountName"));
    if (now == NULL && json_at(object, "status.phase") == NULL)
        json_set_str(json_need_object(object, "status"), "phase", "Pending");
}

static void default_core(const char *kind, cJSON *object, const cJSON *now)
{
    cJSON *spec = json_get(object, "spec");

    if (strcmp(kind, "Namespace") == 0) {
        default_namespace(object, now);
    } else if (strcmp(kind, "Secret") == 0) {
        default_secret(object);
    } else if (strcmp(kind, "Pod") == 0) {
        default_pod(object, now);
    } else if (strcmp(kind, "Service") == 0 && spec != NULL) {
        default_service(object, now);
    } else if (strcmp(kind, "ReplicationController") == 0 && spec != NULL) {
        default_workload(kind, object, now);
    } else if (strcmp(kind, "PersistentVolumeClaim") == 0 && spec != NULL) {
        default_str(spec, "volumeMode", "Filesystem");
        default_str(json_need_object(object, "status"), "phase", "Pending");
    } else if (strcmp(kind, "PersistentVolume") == 0 && spec != NULL) {
        default_str(spec, "volumeMode", "Filesystem");
        default_str(spec, "persistentVolumeReclaimPolicy", "Retain");
        default_str(json_need_object(object, "status"), "phase", "Pending");
    }
}

/* ---- other groups ---- */

static void default_rbac(const char *kind, cJSON *object)
{
    cJSON *role = json_get(object, "roleRef");
    cJSON *subject;

    if (!text_ends(kind, "Binding"))
        return;
    if (role != NULL)
        default_str(role, "apiGroup", "rbac.authorization.k8s.io");
    cJSON_ArrayForEach(subject, json_get(object, "subjects"))
    {
        if (!str_equal(json_str(subject, "kind"), "ServiceAccount"))
            default_str(subject, "apiGroup", "rbac.authorization.k8s.io");
    }
}

static void default_network_policy(cJSON *spec)
{
    cJSON *types;

    if (spec == NULL || json_get(spec, "policyTypes") != NULL)
        return;
    types = json_set_array(spec, "policyTypes");
    json_push_str(types, "Ingress");
    if (cJSON_GetArraySize(json_get(spec, "egress")) > 0)
        json_push_str(types, "Egress");
}

static void default_webhooks(const struct type *type, cJSON *object)
{
    bool v1 = strcmp(type->resource.version, "v1") == 0;
    cJSON *hook;
    cJSON *rule;

    cJSON_ArrayForEach(hook, json_get(object, "webhooks"))
    {
        cJSON *service = json_get(json_get(hook, "clientConfig"), "service");

        default_str(hook, "failurePolicy", v1 ? "Fail" : "Ignore");
        default_str(hook, "matchPolicy", v1 ? "Equivalent" : "Exact");
        default_i64(hook, "timeoutSeconds", v1 ? 10 : 30);
        if (!v1)
            default_str(hook, "sideEffects", "Unknown");
        json_need_object(hook, "namespaceSelector");
        json_need_object(hook, "objectSelector");
        if (type->resource.kind[0] == 'M')
            default_str(hook, "reinvocationPolicy", "Never");
        if (service != NULL)
            default_i64(service, "port", 443);
        cJSON_ArrayForEach(rule, json_get(hook, "rules"))
        {
            default_str(rule, "scope", "*");
        }
    }
}

static void default_definition(cJSON *spec)
{
    cJSON *names = json_get(spec, "names");
    const char *kind = json_str(names, "kind");

    if (kind == NULL)
        return;
    if (json_get(names, "listKind") == NULL) {
        autofree char *list_kind = xasprintf("%sList", kind);

        json_set_str(names, "listKind", list_kind);
    }
    if (json_get(names, "singular") == NULL) {
        autofree char *singular = xstrdup(kind);

        for (char *c = singular; *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        json_set_str(names, "singular", singular);
    }
    default_str(json_need_object(spec, "conversion"), "strategy", "None");
}

static void default_group(const struct type *type, cJSON *object, const cJSON *now)
{
    const char *group = type->resource.group;
    const char *kind = type->resource.kind;
    cJSON *spec = json_get(object, "spec");

    if (strcmp(group, "rbac.authorization.k8s.io") == 0) {
        default_rbac(kind, object);
    } else if (strcmp(group, "admissionregistration.k8s.io") == 0) {
        default_webhooks(type, object);
    } else if (strcmp(group, "apiextensions.k8s.io") == 0) {
        default_definition(spec);
    } else if (strcmp(kind, "NetworkPolicy") == 0) {
        default_network_policy(spec);
    } else if (strcmp(kind, "HorizontalPodAutoscaler") == 0 && spec != NULL) {
        default_i64(spec, "minReplicas", 1);
    } else if (strcmp(kind, "StorageClass") == 0) {
        default_str(object, "reclaimPolicy", "Delete");
        default_str(object, "volumeBindingMode", "Immediate");
    } else if (strcmp(kind, "APIService") == 0 && json_get(spec, "service") != NULL) {
        default_i64(json_get(spec, "service"), "port", 443);
    } else if ((strcmp(group, "apps") == 0 || strcmp(group, "batch") == 0 ||
                strcmp(group, "extensions") == 0) &&
               spec != NULL && strcmp(kind, "Ingress") != 0) {
        default_workload(kind, object, now);
    }
}

void defaults_set(const struct type *type, const cJSON *now, cJSON *object)
{
    if ((type->flags & TYPE_CUSTOM) != 0) {
        schema_default(type, object);
        return;
    }
    if (type->resource.group[0] == '\0')
        default_core(type->resource.kind, object, now);
    else
        default_group(type, object, now);
}
