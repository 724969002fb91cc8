#include "emulator/argocd/health.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/argocd/object.h"

static const char *const names[] = {"Healthy", "Suspended", "Progressing",
                                    "Missing", "Degraded",  "Unknown"};

const char *health_name(enum health_status status)
{
    return names[status];
}

enum health_status health_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return (enum health_status)i;
    }
    return HEALTH_UNKNOWN;
}

void health_clear(struct health *health)
{
    free(health->message);
    health->message = NULL;
}

static void set(struct health *out, enum health_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void set(struct health *out, enum health_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    out->status = status;
    out->message = xvasprintf(format, args);
    va_end(args);
    if (*out->message == '\0')
        health_clear(out);
}

static int64_t number(const cJSON *object, const char *path, int64_t fallback)
{
    int64_t value;

    return json_i64(object, path, &value) ? value : fallback;
}

static bool observed(const cJSON *live)
{
    return number(live, "metadata.generation", 0) <= number(live, "status.observedGeneration", 0);
}

/* The condition of this type, or NULL. */
static const cJSON *condition(const cJSON *live, const char *type)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(live, "status.conditions"))
    {
        if (strcmp(json_str_or(item, "type", ""), type) == 0)
            return item;
    }
    return NULL;
}

static bool is_true(const cJSON *item)
{
    return strcmp(json_str_or(item, "status", ""), "True") == 0;
}

static bool is_false(const cJSON *item)
{
    return strcmp(json_str_or(item, "status", ""), "False") == 0;
}

/* ---- workloads ---- */

static void deployment(const cJSON *live, struct health *out)
{
    int64_t wanted = number(live, "spec.replicas", 1);
    int64_t updated = number(live, "status.updatedReplicas", 0);
    int64_t replicas = number(live, "status.replicas", 0);
    int64_t available = number(live, "status.availableReplicas", 0);

    if (json_bool(live, "spec.paused", false))
        set(out, HEALTH_SUSPENDED, "Deployment is paused");
    else if (!observed(live))
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: observed deployment generation less than desired "
            "generation");
    else if (strcmp(json_str_or(condition(live, "Progressing"), "reason", ""),
                    "ProgressDeadlineExceeded") == 0)
        set(out, HEALTH_DEGRADED, "Deployment \"%s\" exceeded its progress deadline",
            json_str_or(live, "metadata.name", ""));
    else if (updated < wanted)
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: %lld out of %lld new replicas have been updated...",
            (long long)updated, (long long)wanted);
    else if (replicas > updated)
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: %lld old replicas are pending termination...",
            (long long)(replicas - updated));
    else if (available < updated)
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: %lld of %lld updated replicas are available...",
            (long long)available, (long long)updated);
    else
        set(out, HEALTH_HEALTHY, "%s", "");
}

static void statefulset_rolling(const cJSON *live, int64_t wanted, struct health *out)
{
    int64_t updated = number(live, "status.updatedReplicas", 0);
    int64_t partition = number(live, "spec.updateStrategy.rollingUpdate.partition", 0);
    const char *update = json_str_or(live, "status.updateRevision", "");

    if (partition > 0 && updated < wanted - partition)
        set(out, HEALTH_PROGRESSING,
            "Waiting for partitioned roll out to finish: %lld out of %lld new pods have been "
            "updated...",
            (long long)updated, (long long)(wanted - partition));
    else if (partition > 0)
        set(out, HEALTH_HEALTHY,
            "partitioned roll out complete: %lld new pods have been updated...",
            (long long)updated);
    else if (strcmp(update, json_str_or(live, "status.currentRevision", "")) != 0)
        set(out, HEALTH_PROGRESSING,
            "waiting for statefulset rolling update to complete %lld pods at revision %s...",
            (long long)updated, update);
    else
        set(out, HEALTH_HEALTHY, "statefulset rolling update complete %lld pods at revision %s...",
            (long long)number(live, "status.currentReplicas", 0), update);
}

static void statefulset(const cJSON *live, struct health *out)
{
    int64_t wanted = number(live, "spec.replicas", 1);
    int64_t ready = number(live, "status.readyReplicas", 0);

    if (number(live, "status.observedGeneration", 0) == 0 || !observed(live))
        set(out, HEALTH_PROGRESSING, "Waiting for statefulset spec update to be observed...");
    else if (ready < wanted)
        set(out, HEALTH_PROGRESSING, "Waiting for %lld pods to be ready...",
            (long long)(wanted - ready));
    else if (strcmp(json_str_or(live, "spec.updateStrategy.type", ""), "OnDelete") == 0)
        set(out, HEALTH_HEALTHY, "statefulset has %lld ready pods", (long long)ready);
    else
        statefulset_rolling(live, wanted, out);
}

static void daemonset(const cJSON *live, struct health *out)
{
    const char *name = json_str_or(live, "metadata.name", "");
    int64_t updated = number(live, "status.updatedNumberScheduled", 0);
    int64_t desired = number(live, "status.desiredNumberScheduled", 0);
    int64_t available = number(live, "status.numberAvailable", 0);

    if (!observed(live))
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: observed daemon set generation less than desired "
            "generation");
    else if (strcmp(json_str_or(live, "spec.updateStrategy.type", ""), "OnDelete") == 0)
        set(out, HEALTH_HEALTHY, "daemon set %lld out of %lld new pods have been updated",
            (long long)updated, (long long)desired);
    else if (updated < desired)
        set(out, HEALTH_PROGRESSING,
            "Waiting for daemon set \"%s\" rollout to finish: %lld out of %lld new pods have been "
            "updated...",
            name, (long long)updated, (long long)desired);
    else if (available < desired)
        set(out, HEALTH_PROGRESSING,
            "Waiting for daemon set \"%s\" rollout to finish: %lld of %lld updated pods are "
            "available...",
            name, (long long)available, (long long)desired);
    else
        set(out, HEALTH_HEALTHY, "%s", "");
}

static void replicaset(const cJSON *live, struct health *out)
{
    int64_t wanted = number(live, "spec.replicas", 1);
    int64_t available = number(live, "status.availableReplicas", 0);
    const cJSON *failure = condition(live, "ReplicaFailure");

    if (!observed(live))
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: observed replica set generation less than desired "
            "generation");
    else if (is_true(failure))
        set(out, HEALTH_DEGRADED, "%s", json_str_or(failure, "message", ""));
    else if (available < wanted)
        set(out, HEALTH_PROGRESSING,
            "Waiting for rollout to finish: %lld out of %lld new replicas are available...",
            (long long)available, (long long)wanted);
    else
        set(out, HEALTH_HEALTHY, "%s", "");
}

/* ---- pods and jobs ---- */

static bool means_failure(const char *reason)
{
    return text_starts(reason, "Err") || text_ends(reason, "Error") || text_ends(reason, "BackOff");
}

/* The message of a container that waits for what will not come, or NULL. */
static char *waiting_failures(const cJSON *live)
{
    autostrv struct strv messages = STRV_INIT;
    const cJSON *item;

    if (strcmp(json_str_or(live, "spec.restartPolicy", "Always"), "Always") != 0)
        return NULL;
    cJSON_ArrayForEach(item, json_at(live, "status.containerStatuses"))
    {
        if (means_failure(json_str_or(item, "state.waiting.reason", "")))
            strv_add(&messages, json_str_or(item, "state.waiting.message",
                                            json_str_or(item, "state.waiting.reason", "")));
    }
    return messages.len > 0 ? strv_join(&messages, ", ") : NULL;
}

static void running_pod(const cJSON *live, struct health *out)
{
    const char *message = json_str_or(live, "status.message", "");
    const cJSON *item;

    if (strcmp(json_str_or(live, "spec.restartPolicy", "Always"), "Always") != 0) {
        set(out, HEALTH_PROGRESSING, "%s", message);
        return;
    }
    if (is_true(condition(live, "Ready"))) {
        set(out, HEALTH_HEALTHY, "%s", message);
        return;
    }
    cJSON_ArrayForEach(item, json_at(live, "status.containerStatuses"))
    {
        if (json_at(item, "lastState.terminated") != NULL) {
            set(out, HEALTH_DEGRADED, "%s", message);
            return;
        }
    }
    set(out, HEALTH_PROGRESSING, "%s", message);
}

/* Why a pod ended badly: its own message, or that of the first container with a status. */
static char *pod_failure(const cJSON *live)
{
    const char *message = json_str(live, "status.message");
    const cJSON *item;
    int64_t code;

    if (message != NULL && *message != '\0')
        return xstrdup(message);
    cJSON_ArrayForEach(item, json_at(live, "status.containerStatuses"))
    {
        const char *own = json_str(item, "state.terminated.message");

        if (own != NULL && *own != '\0')
            return xstrdup(own);
        if (strcmp(json_str_or(item, "state.terminated.reason", ""), "OOMKilled") == 0)
            return xstrdup("OOMKilled");
        if (json_i64(item, "state.terminated.exitCode", &code) && code != 0)
            return xasprintf("container \"%s\" failed with exit code %lld",
                             json_str_or(item, "name", ""), (long long)code);
    }
    return xstrdup("");
}

static void pod(const cJSON *live, struct health *out)
{
    const char *phase = json_str_or(live, "status.phase", "");
    autofree char *waiting = waiting_failures(live);

    if (waiting != NULL) {
        set(out, HEALTH_DEGRADED, "%s", waiting);
    } else if (strcmp(phase, "Succeeded") == 0) {
        set(out, HEALTH_HEALTHY, "%s", json_str_or(live, "status.message", ""));
    } else if (strcmp(phase, "Failed") == 0) {
        autofree char *why = pod_failure(live);

        set(out, HEALTH_DEGRADED, "%s", why);
    } else if (strcmp(phase, "Running") == 0) {
        running_pod(live, out);
    } else if (strcmp(phase, "Pending") == 0 || *phase == '\0') {
        set(out, HEALTH_PROGRESSING, "%s", json_str_or(live, "status.message", ""));
    } else {
        set(out, HEALTH_UNKNOWN, "%s", json_str_or(live, "status.message", ""));
    }
}

static void job(const cJSON *live, struct health *out)
{
    const cJSON *failed = condition(live, "Failed");
    const cJSON *complete = condition(live, "Complete");
    const cJSON *suspended = condition(live, "Suspended");

    if (is_true(failed))
        set(out, HEALTH_DEGRADED, "%s", json_str_or(failed, "message", ""));
    else if (is_true(complete))
        set(out, HEALTH_HEALTHY, "%s", json_str_or(complete, "message", ""));
    else if (is_true(suspended))
        set(out, HEALTH_SUSPENDED, "%s", json_str_or(suspended, "message", ""));
    else
        set(out, HEALTH_PROGRESSING, "%s", "");
}

/* ---- the rest ---- */

static void balanced(const cJSON *live, struct health *out)
{
    bool has_address = cJSON_GetArraySize(json_at(live, "status.loadBalancer.ingress")) > 0;

    set(out, has_address ? HEALTH_HEALTHY : HEALTH_PROGRESSING, "%s", "");
}

static void service(const cJSON *live, struct health *out)
{
    if (strcmp(json_str_or(live, "spec.type", ""), "LoadBalancer") == 0)
        balanced(live, out);
    else
        set(out, HEALTH_HEALTHY, "%s", "");
}

static void volume_claim(const cJSON *live, struct health *out)
{
    const char *phase = json_str_or(live, "status.phase", "");

    if (strcmp(phase, "Lost") == 0)
        set(out, HEALTH_DEGRADED, "%s", "");
    else if (strcmp(phase, "Pending") == 0)
        set(out, HEALTH_PROGRESSING, "%s", "");
    else
        set(out, strcmp(phase, "Bound") == 0 ? HEALTH_HEALTHY : HEALTH_UNKNOWN, "%s", "");
}

static void api_service(const cJSON *live, struct health *out)
{
    const cJSON *available = condition(live, "Available");

    if (is_true(available) || is_false(available))
        set(out, is_true(available) ? HEALTH_HEALTHY : HEALTH_PROGRESSING, "%s: %s",
            json_str_or(available, "reason", ""), json_str_or(available, "message", ""));
    else
        set(out, HEALTH_PROGRESSING, "Waiting to be processed");
}

static void autoscaler(const cJSON *live, struct health *out)
{
    const cJSON *able = condition(live, "AbleToScale");
    const cJSON *active = condition(live, "ScalingActive");
    const cJSON *bad = is_false(able) ? able : is_false(active) ? active : NULL;

    if (bad != NULL)
        set(out, HEALTH_DEGRADED, "%s", json_str_or(bad, "message", ""));
    else if (is_true(able))
        set(out, HEALTH_HEALTHY, "%s", json_str_or(able, "message", ""));
    else
        set(out, HEALTH_PROGRESSING, "Waiting to Autoscale");
}

static void definition(const cJSON *live, struct health *out)
{
    const cJSON *bad = condition(live, "NamesAccepted");

    if (json_at(live, "status.conditions[0]") == NULL)
        set(out, HEALTH_PROGRESSING, "Status conditions not found");
    else if (is_false(bad))
        set(out, HEALTH_DEGRADED, "CRD names have not been accepted: %s",
            json_str_or(bad, "message", ""));
    else if (is_true(condition(live, "Terminating")))
        set(out, HEALTH_PROGRESSING, "CRD is being terminated");
    else if (!is_true(condition(live, "Established")))
        set(out, HEALTH_DEGRADED, "CRD is not established");
    else
        set(out, HEALTH_HEALTHY, "CRD is healthy");
}

/* cert-manager's kinds: Ready says all. */
static void issued(const cJSON *live, struct health *out)
{
    const cJSON *ready = condition(live, "Ready");

    if (ready == NULL)
        set(out, HEALTH_PROGRESSING, "Waiting for certificate");
    else if (is_false(ready) && !is_true(condition(live, "Issuing")))
        set(out, HEALTH_DEGRADED, "%s", json_str_or(ready, "message", ""));
    else
        set(out, is_true(ready) ? HEALTH_HEALTHY : HEALTH_PROGRESSING, "%s",
            json_str_or(ready, "message", ""));
}

static void application(const cJSON *live, struct health *out)
{
    const char *status = json_str(live, "status.health.status");

    set(out, status != NULL ? health_from_name(status) : HEALTH_PROGRESSING, "%s",
        json_str_or(live, "status.health.message", ""));
}

static const struct check {
    const char *group, *kind;
    void (*assess)(const cJSON *live, struct health *out);
    bool built_in; /* its absence counts: a check compiled in, not a script */
} checks[] = {
    {"apps", "Deployment", deployment, true},
    {"apps", "StatefulSet", statefulset, true},
    {"apps", "DaemonSet", daemonset, true},
    {"apps", "ReplicaSet", replicaset, true},
    {"extensions", "Deployment", deployment, true},
    {"extensions", "DaemonSet", daemonset, true},
    {"extensions", "ReplicaSet", replicaset, true},
    {"extensions", "Ingress", balanced, true},
    {"networking.k8s.io", "Ingress", balanced, true},
    {"", "Service", service, true},
    {"", "PersistentVolumeClaim", volume_claim, true},
    {"", "Pod", pod, true},
    {"batch", "Job", job, true},
    {"autoscaling", "HorizontalPodAutoscaler", autoscaler, true},
    {"apiregistration.k8s.io", "APIService", api_service, true},
    {"apiextensions.k8s.io", "CustomResourceDefinition", definition, false},
    {"cert-manager.io", "Certificate", issued, false},
    {"cert-manager.io", "Issuer", issued, false},
    {"cert-manager.io", "ClusterIssuer", issued, false},
    {"certmanager.k8s.io", "Certificate", issued, false},
    {"certmanager.k8s.io", "Issuer", issued, false},
};

static const struct check *find_check(const char *group, const char *kind)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (strcmp(checks[i].group, group) == 0 && strcmp(checks[i].kind, kind) == 0)
            return &checks[i];
    }
    return NULL;
}

bool health_has_check(const char *group, const char *kind)
{
    const struct check *check = find_check(group, kind);

    return check != NULL && check->built_in;
}

struct health_settings health_settings(const cJSON *argocd_cm)
{
    const cJSON *data = object_member(argocd_cm, "data");
    const cJSON *own =
        object_member(data, "resource.customizations.health.argoproj.io_Application");
    const cJSON *all = object_member(data, "resource.customizations");

    return (struct health_settings){
        .assess_applications =
            cJSON_IsString(own) ||
            (cJSON_IsString(all) && strstr(all->valuestring, "argoproj.io/Application") != NULL)};
}

static bool is_application(const struct object_id *id)
{
    return strcmp(id->group, "argoproj.io") == 0 && strcmp(id->kind, "Application") == 0;
}

bool health_assess(const cJSON *live, const struct health_settings *settings, struct health *out)
{
    struct object_id id = object_id(live);
    const struct check *check = find_check(id.group, id.kind);

    *out = (struct health){.status = HEALTH_HEALTHY};
    if (json_str(live, "metadata.deletionTimestamp") != NULL)
        set(out, HEALTH_PROGRESSING, "Pending deletion");
    else if (is_application(&id) && settings->assess_applications)
        application(live, out);
    else if (check != NULL)
        check->assess(live, out);
    else
        return false;
    return true;
}
