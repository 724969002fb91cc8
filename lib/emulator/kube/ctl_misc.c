/* Small controllers: disruption budgets, autoscalers, and cert-manager where it runs. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/ctl.h"
#include "emulator/kube/selector.h"

/* ---- PodDisruptionBudgets ---- */

static int64_t amount(const cJSON *value, int64_t total)
{
    if (cJSON_IsNumber(value))
        return value->valueint;
    if (cJSON_IsString(value))
        return (strtol(value->valuestring, NULL, 10) * total + 99) / 100;
    return 0;
}

int64_t ctl_budget(struct ctl *ctl, const struct resource *resource, const cJSON *budget)
{
    struct stored **pods = store_list(ctl->store, ctl_resource(ctl, "", "pods"),
                                      json_str_or(budget, "metadata.namespace", ""), NULL);
    cJSON *status = status_copy(budget);
    const cJSON *unavailable = json_at(budget, "spec.maxUnavailable");
    int64_t expected = 0;
    int64_t healthy = 0;
    int64_t wanted;
    int64_t allowed;

    for (size_t i = 0; pods[i] != NULL; i++) {
        const cJSON *pod = pods[i]->object;

        if (is_deleting(pod) || pod_is_over(pod) ||
            !selector_matches_labels(json_at(budget, "spec.selector"),
                                     json_at(pod, "metadata.labels")))
            continue;
        expected++;
        healthy += pod_is_ready(pod);
    }
    store_list_free(pods);
    wanted = unavailable != NULL ? expected - amount(unavailable, expected)
                                 : amount(json_at(budget, "spec.minAvailable"), expected);
    allowed = healthy > wanted ? healthy - wanted : 0;
    json_set_i64(status, "observedGeneration", json_number(budget, "metadata.generation", 0));
    json_set_i64(status, "currentHealthy", healthy);
    json_set_i64(status, "desiredHealthy", wanted > 0 ? wanted : 0);
    json_set_i64(status, "disruptionsAllowed", allowed);
    json_set_i64(status, "expectedPods", expected);
    condition_set(json_need_array(status, "conditions"), "DisruptionAllowed",
                  allowed > 0 ? "True" : "False",
                  allowed > 0 ? "SufficientPods" : "InsufficientPods", "");
    ctl_set_status(ctl, resource, budget, status);
    return CTL_DONE;
}

/* ---- HorizontalPodAutoscalers ---- */

static const struct {
    const char *kind, *plural;
} scalable[] = {
    {"Deployment", "deployments"}, {"StatefulSet", "statefulsets"}, {"ReplicaSet", "replicasets"}};

static struct stored *scale_target(struct ctl *ctl, const cJSON *autoscaler)
{
    const char *kind = json_str_or(autoscaler, "spec.scaleTargetRef.kind", "");

    for (size_t i = 0; i < ARRAY_LEN(scalable); i++) {
        if (strcmp(scalable[i].kind, kind) == 0)
            return ctl_get(ctl, "apps", scalable[i].plural,
                           json_str_or(autoscaler, "metadata.namespace", ""),
                           json_str(autoscaler, "spec.scaleTargetRef.name"));
    }
    return NULL;
}

int64_t ctl_autoscaler(struct ctl *ctl, const struct resource *resource, const cJSON *autoscaler)
{
    struct stored *target = scale_target(ctl, autoscaler);
    cJSON *status = status_copy(autoscaler);
    cJSON *conditions = json_need_array(status, "conditions");
    int64_t replicas;

    if (target == NULL) {
        condition_set(conditions, "AbleToScale", "False", "FailedGetScale",
                      "the HPA controller was unable to get the target's current scale");
        ctl_set_status(ctl, resource, autoscaler, status);
        return ctl->spec.rollout_ms;
    }
    replicas = json_number(target->object, "spec.replicas", 1);
    stored_unref(target);
    condition_set(conditions, "AbleToScale", "True", "ReadyForNewScale",
                  "recommended size matches current size");
    condition_set(conditions, "ScalingActive", "True", "ValidMetricFound",
                  "the HPA was able to successfully calculate a replica count");
    condition_set(conditions, "ScalingLimited", "False", "DesiredWithinRange",
                  "the desired count is within the acceptable range");
    json_set_i64(status, "currentReplicas", replicas);
    json_set_i64(status, "desiredReplicas", replicas);
    ctl_set_status(ctl, resource, autoscaler, status);
    return CTL_DONE;
}

/* ---- cert-manager: what its controller would write, once a Deployment of it is available ---- */

static bool cert_manager_runs(struct ctl *ctl)
{
    struct stored **list =
        store_list(ctl->store, ctl_resource(ctl, "apps", "deployments"), NULL, NULL);
    bool runs = false;

    for (size_t i = 0; list[i] != NULL && !runs; i++)
        runs = strstr(json_str_or(list[i]->object, "metadata.name", ""), "cert-manager") != NULL &&
               condition_is(json_at(list[i]->object, "status.conditions"), "Available", "True");
    store_list_free(list);
    return runs;
}

static void issue_secret(struct ctl *ctl, const cJSON *certificate)
{
    const char *name = json_str(certificate, "spec.secretName");
    cJSON *secret;
    cJSON *data;

    if (name == NULL)
        return;
    secret = new_object_of("v1", "Secret", json_str(certificate, "metadata.namespace"), name);
    json_set_str(secret, "type", "kubernetes.io/tls");
    data = json_set_object(secret, "stringData");
    json_set_str(data, "ca.crt", ctl->spec.ca_pem);
    json_set_str(data, "tls.crt", ctl->spec.ca_pem);
    json_set_str(data, "tls.key", "");
    (void)ctl_create(ctl, secret);
}

#define CERTIFICATE_MS ((int64_t)90 * 24 * 3600 * 1000)

int64_t ctl_certificate(struct ctl *ctl, const struct resource *resource, const cJSON *object)
{
    bool certificate = strcmp(resource->kind, "Certificate") == 0;
    cJSON *status;
    cJSON *conditions;

    if (is_deleting(object) || condition_is(json_at(object, "status.conditions"), "Ready", "True"))
        return CTL_DONE;
    if (!cert_manager_runs(ctl))
        return ctl->spec.rollout_ms;
    if (certificate)
        issue_secret(ctl, object);
    status = status_copy(object);
    conditions = json_need_array(status, "conditions");
    condition_set(conditions, "Ready", "True", certificate ? "Ready" : "IsReady",
                  certificate ? "Certificate is up to date and has not expired"
                              : "Issuer is ready");
    if (certificate && json_get(status, "notAfter") == NULL)
        json_set_str(status, "notAfter",
                     time_rfc3339(clock_system.wall_ms(clock_system.arg) + CERTIFICATE_MS).text);
    ctl_set_status(ctl, resource, object, status);
    return CTL_DONE;
}
