/* The fields of the messages that kubectl sends: their numbers are those of the API's
 * `generated.proto` files. */
#include "emulator/kube/protobuf.h"

#define S(number, name)                                                                            \
    {                                                                                              \
        number, name, PROTO_STRING, false, false, NULL                                             \
    }
#define SS(number, name)                                                                           \
    {                                                                                              \
        number, name, PROTO_STRING, true, false, NULL                                              \
    }
#define I(number, name)                                                                            \
    {                                                                                              \
        number, name, PROTO_INT, false, false, NULL                                                \
    }
#define IP(number, name)                                                                           \
    {                                                                                              \
        number, name, PROTO_INT, false, true, NULL                                                 \
    }
#define B(number, name)                                                                            \
    {                                                                                              \
        number, name, PROTO_BOOL, false, false, NULL                                               \
    }
#define BP(number, name)                                                                           \
    {                                                                                              \
        number, name, PROTO_BOOL, false, true, NULL                                                \
    }
#define M(number, name, of)                                                                        \
    {                                                                                              \
        number, name, PROTO_MESSAGE, false, false, of                                              \
    }
#define MM(number, name, of)                                                                       \
    {                                                                                              \
        number, name, PROTO_MESSAGE, true, false, of                                               \
    }
#define K(number, name, kind)                                                                      \
    {                                                                                              \
        number, name, kind, false, false, NULL                                                     \
    }
#define INLINE(number, of)                                                                         \
    {                                                                                              \
        number, "", PROTO_INLINE, false, false, of                                                 \
    }
#define END                                                                                        \
    {                                                                                              \
        0, NULL, PROTO_STRING, false, false, NULL                                                  \
    }

typedef const struct proto_field fields[];

/* ---- meta/v1 ---- */
static fields owner_reference = {S(1, "kind"),
                                 S(3, "name"),
                                 S(4, "uid"),
                                 S(5, "apiVersion"),
                                 BP(6, "controller"),
                                 BP(7, "blockOwnerDeletion"),
                                 END};
static fields object_meta = {S(1, "name"),
                             S(2, "generateName"),
                             S(3, "namespace"),
                             S(4, "selfLink"),
                             S(5, "uid"),
                             S(6, "resourceVersion"),
                             I(7, "generation"),
                             K(8, "creationTimestamp", PROTO_TIME),
                             K(9, "deletionTimestamp", PROTO_TIME),
                             IP(10, "deletionGracePeriodSeconds"),
                             K(11, "labels", PROTO_MAP_STRING),
                             K(12, "annotations", PROTO_MAP_STRING),
                             MM(13, "ownerReferences", owner_reference),
                             SS(14, "finalizers"),
                             END};
static fields requirement = {S(1, "key"), S(2, "operator"), SS(3, "values"), END};
static fields label_selector = {K(1, "matchLabels", PROTO_MAP_STRING),
                                MM(2, "matchExpressions", requirement), END};
static fields preconditions = {S(1, "uid"), S(2, "resourceVersion"), END};
static fields delete_options = {IP(1, "gracePeriodSeconds"),
                                M(2, "preconditions", preconditions),
                                BP(3, "orphanDependents"),
                                S(4, "propagationPolicy"),
                                SS(5, "dryRun"),
                                END};
static fields object_reference = {
    S(1, "kind"),       S(2, "namespace"),       S(3, "name"),      S(4, "uid"),
    S(5, "apiVersion"), S(6, "resourceVersion"), S(7, "fieldPath"), END};
static fields local_reference = {S(1, "name"), END};
static fields nothing = {END};

/* ---- core/v1 ---- */
static fields namespace_spec = {SS(1, "finalizers"), END};
static fields namespace_status = {S(1, "phase"), END};
static fields name_space = {M(1, "metadata", object_meta), M(2, "spec", namespace_spec),
                            M(3, "status", namespace_status), END};
static fields secret = {M(1, "metadata", object_meta),
                        K(2, "data", PROTO_MAP_BYTES),
                        S(3, "type"),
                        K(4, "stringData", PROTO_MAP_STRING),
                        BP(5, "immutable"),
                        END};
static fields config_map = {M(1, "metadata", object_meta), K(2, "data", PROTO_MAP_STRING),
                            K(3, "binaryData", PROTO_MAP_BYTES), BP(4, "immutable"), END};
static fields account = {M(1, "metadata", object_meta), MM(2, "secrets", object_reference),
                         MM(3, "imagePullSecrets", local_reference),
                         BP(4, "automountServiceAccountToken"), END};
static fields service_port = {
    S(1, "name"),     S(2, "protocol"),    I(3, "port"), K(4, "targetPort", PROTO_INT_OR_STRING),
    I(5, "nodePort"), S(6, "appProtocol"), END};
static fields service_spec = {MM(1, "ports", service_port),
                              K(2, "selector", PROTO_MAP_STRING),
                              S(3, "clusterIP"),
                              S(4, "type"),
                              SS(5, "externalIPs"),
                              S(7, "sessionAffinity"),
                              S(8, "loadBalancerIP"),
                              SS(9, "loadBalancerSourceRanges"),
                              S(10, "externalName"),
                              S(11, "externalTrafficPolicy"),
                              I(12, "healthCheckNodePort"),
                              B(13, "publishNotReadyAddresses"),
                              S(17, "ipFamilyPolicy"),
                              SS(18, "clusterIPs"),
                              SS(19, "ipFamilies"),
                              BP(20, "allocateLoadBalancerNodePorts"),
                              S(21, "loadBalancerClass"),
                              S(22, "internalTrafficPolicy"),
                              END};
static fields balancer_status = {M(1, "loadBalancer", nothing), END};
static fields service = {M(1, "metadata", object_meta), M(2, "spec", service_spec),
                         M(3, "status", balancer_status), END};
static fields quota_spec = {K(1, "hard", PROTO_MAP_QUANTITY), SS(2, "scopes"), END};
static fields quota = {M(1, "metadata", object_meta), M(2, "spec", quota_spec),
                       M(3, "status", nothing), END};
static fields container_port = {S(1, "name"),     I(2, "hostPort"), I(3, "containerPort"),
                                S(4, "protocol"), S(5, "hostIP"),   END};
static fields env_var = {S(1, "name"), S(2, "value"), END};
static fields requirements = {K(1, "limits", PROTO_MAP_QUANTITY),
                              K(2, "requests", PROTO_MAP_QUANTITY), END};
static fields container = {S(1, "name"),
                           S(2, "image"),
                           SS(3, "command"),
                           SS(4, "args"),
                           S(5, "workingDir"),
                           MM(6, "ports", container_port),
                           MM(7, "env", env_var),
                           M(8, "resources", requirements),
                           S(13, "terminationMessagePath"),
                           S(14, "imagePullPolicy"),
                           B(16, "stdin"),
                           B(17, "stdinOnce"),
                           B(18, "tty"),
                           S(20, "terminationMessagePolicy"),
                           END};
static fields pod_spec = {MM(2, "containers", container),
                          S(3, "restartPolicy"),
                          IP(4, "terminationGracePeriodSeconds"),
                          IP(5, "activeDeadlineSeconds"),
                          S(6, "dnsPolicy"),
                          K(7, "nodeSelector", PROTO_MAP_STRING),
                          S(8, "serviceAccountName"),
                          S(9, "serviceAccount"),
                          S(10, "nodeName"),
                          B(11, "hostNetwork"),
                          B(12, "hostPID"),
                          B(13, "hostIPC"),
                          M(14, "securityContext", nothing),
                          MM(15, "imagePullSecrets", local_reference),
                          S(16, "hostname"),
                          S(17, "subdomain"),
                          S(19, "schedulerName"),
                          MM(20, "initContainers", container),
                          BP(21, "automountServiceAccountToken"),
                          S(24, "priorityClassName"),
                          END};
static fields pod_template = {M(1, "metadata", object_meta), M(2, "spec", pod_spec), END};
static fields binding = {M(1, "metadata", object_meta), M(2, "target", object_reference), END};

/* ---- apps/v1, batch/v1 ---- */
static fields rolling_update = {K(1, "maxUnavailable", PROTO_INT_OR_STRING),
                                K(2, "maxSurge", PROTO_INT_OR_STRING), END};
static fields deployment_strategy = {S(1, "type"), M(2, "rollingUpdate", rolling_update), END};
static fields deployment_spec = {IP(1, "replicas"),
                                 M(2, "selector", label_selector),
                                 M(3, "template", pod_template),
                                 M(4, "strategy", deployment_strategy),
                                 I(5, "minReadySeconds"),
                                 IP(6, "revisionHistoryLimit"),
                                 B(7, "paused"),
                                 IP(9, "progressDeadlineSeconds"),
                                 END};
static fields deployment_status = {I(1, "observedGeneration"),
                                   I(2, "replicas"),
                                   I(3, "updatedReplicas"),
                                   I(4, "availableReplicas"),
                                   I(5, "unavailableReplicas"),
                                   I(7, "readyReplicas"),
                                   END};
static fields deployment = {M(1, "metadata", object_meta), M(2, "spec", deployment_spec),
                            M(3, "status", deployment_status), END};
static fields job_spec = {IP(1, "parallelism"),
                          IP(2, "completions"),
                          IP(3, "activeDeadlineSeconds"),
                          M(4, "selector", label_selector),
                          BP(5, "manualSelector"),
                          M(6, "template", pod_template),
                          IP(7, "backoffLimit"),
                          IP(8, "ttlSecondsAfterFinished"),
                          S(9, "completionMode"),
                          BP(10, "suspend"),
                          END};
static fields job_status = {I(4, "active"), I(5, "succeeded"), I(6, "failed"),
                            S(7, "completedIndexes"), END};
static fields job = {M(1, "metadata", object_meta), M(2, "spec", job_spec),
                     M(3, "status", job_status), END};
static fields job_template = {M(1, "metadata", object_meta), M(2, "spec", job_spec), END};
static fields cron_job_spec = {S(1, "schedule"),
                               IP(2, "startingDeadlineSeconds"),
                               S(3, "concurrencyPolicy"),
                               BP(4, "suspend"),
                               M(5, "jobTemplate", job_template),
                               IP(6, "successfulJobsHistoryLimit"),
                               IP(7, "failedJobsHistoryLimit"),
                               S(8, "timeZone"),
                               END};
static fields cron_job = {M(1, "metadata", object_meta), M(2, "spec", cron_job_spec),
                          M(3, "status", nothing), END};

/* ---- rbac/v1 ---- */
static fields policy_rule = {SS(1, "verbs"),         SS(2, "apiGroups"),       SS(3, "resources"),
                             SS(4, "resourceNames"), SS(5, "nonResourceURLs"), END};
static fields aggregation = {MM(1, "clusterRoleSelectors", label_selector), END};
static fields role = {M(1, "metadata", object_meta), MM(2, "rules", policy_rule),
                      M(3, "aggregationRule", aggregation), END};
static fields subject = {S(1, "kind"), S(2, "apiGroup"), S(3, "name"), S(4, "namespace"), END};
static fields role_ref = {S(1, "apiGroup"), S(2, "kind"), S(3, "name"), END};
static fields role_binding = {M(1, "metadata", object_meta), MM(2, "subjects", subject),
                              M(3, "roleRef", role_ref), END};

/* ---- networking/v1 ---- */
static fields backend_port = {S(1, "name"), I(2, "number"), END};
static fields service_backend = {S(1, "name"), M(2, "port", backend_port), END};
static fields typed_reference = {S(1, "apiGroup"), S(2, "kind"), S(3, "name"), END};
static fields backend = {M(3, "resource", typed_reference), M(4, "service", service_backend), END};
static fields ingress_path = {S(1, "path"), M(2, "backend", backend), S(3, "pathType"), END};
static fields ingress_http = {MM(1, "paths", ingress_path), END};
static fields ingress_value = {M(1, "http", ingress_http), END};
static fields ingress_rule = {S(1, "host"), INLINE(2, ingress_value), END};
static fields ingress_tls = {SS(1, "hosts"), S(2, "secretName"), END};
static fields ingress_spec = {M(1, "defaultBackend", backend), MM(2, "tls", ingress_tls),
                              MM(3, "rules", ingress_rule), S(4, "ingressClassName"), END};
static fields ingress = {M(1, "metadata", object_meta), M(2, "spec", ingress_spec),
                         M(3, "status", balancer_status), END};

/* ---- policy/v1, scheduling/v1, autoscaling/v1 ---- */
static fields budget_spec = {K(1, "minAvailable", PROTO_INT_OR_STRING),
                             M(2, "selector", label_selector),
                             K(3, "maxUnavailable", PROTO_INT_OR_STRING), END};
static fields budget_status = {I(1, "observedGeneration"), I(3, "disruptionsAllowed"),
                               I(4, "currentHealthy"),     I(5, "desiredHealthy"),
                               I(6, "expectedPods"),       END};
static fields budget = {M(1, "metadata", object_meta), M(2, "spec", budget_spec),
                        M(3, "status", budget_status), END};
static fields eviction = {M(1, "metadata", object_meta), M(2, "deleteOptions", delete_options),
                          END};
static fields priority_class = {M(1, "metadata", object_meta), I(2, "value"),
                                B(3, "globalDefault"),         S(4, "description"),
                                S(5, "preemptionPolicy"),      END};
static fields scale_spec = {I(1, "replicas"), END};
static fields scale_status = {I(1, "replicas"), S(2, "selector"), END};
static fields scale = {M(1, "metadata", object_meta), M(2, "spec", scale_spec),
                       M(3, "status", scale_status), END};
static fields scale_target = {S(1, "kind"), S(2, "name"), S(3, "apiVersion"), END};
static fields autoscaler_spec = {M(1, "scaleTargetRef", scale_target), IP(2, "minReplicas"),
                                 I(3, "maxReplicas"), IP(4, "targetCPUUtilizationPercentage"), END};
static fields autoscaler_status = {I(3, "currentReplicas"), I(4, "desiredReplicas"), END};
static fields autoscaler = {M(1, "metadata", object_meta), M(2, "spec", autoscaler_spec),
                            M(3, "status", autoscaler_status), END};

/* ---- reviews ---- */
static fields resource_attributes = {
    S(1, "namespace"), S(2, "verb"),        S(3, "group"), S(4, "version"),
    S(5, "resource"),  S(6, "subresource"), S(7, "name"),  END};
static fields path_attributes = {S(1, "path"), S(2, "verb"), END};
static fields self_access_spec = {M(1, "resourceAttributes", resource_attributes),
                                  M(2, "nonResourceAttributes", path_attributes), END};
static fields access_status = {B(1, "allowed"), S(2, "reason"), S(3, "evaluationError"),
                               B(4, "denied"), END};
static fields self_access = {M(1, "metadata", object_meta), M(2, "spec", self_access_spec),
                             M(3, "status", access_status), END};
static fields access_spec = {M(1, "resourceAttributes", resource_attributes),
                             M(2, "nonResourceAttributes", path_attributes),
                             S(3, "user"),
                             SS(4, "groups"),
                             S(6, "uid"),
                             END};
static fields access_review = {M(1, "metadata", object_meta), M(2, "spec", access_spec),
                               M(3, "status", access_status), END};
static fields rules_spec = {S(1, "namespace"), END};
static fields rules_status = {B(3, "incomplete"), S(4, "evaluationError"), END};
static fields rules_review = {M(1, "metadata", object_meta), M(2, "spec", rules_spec),
                              M(3, "status", rules_status), END};
static fields bound_object = {S(1, "kind"), S(2, "apiVersion"), S(3, "name"), S(4, "uid"), END};
static fields token_spec = {SS(1, "audiences"), M(3, "boundObjectRef", bound_object),
                            IP(4, "expirationSeconds"), END};
static fields token_status = {S(1, "token"), K(2, "expirationTimestamp", PROTO_TIME), END};
static fields token_request = {M(1, "metadata", object_meta), M(2, "spec", token_spec),
                               M(3, "status", token_status), END};
static fields user_info = {S(1, "username"), S(2, "uid"), SS(3, "groups"), END};
static fields self_status = {M(1, "userInfo", user_info), END};
static fields self_review = {M(1, "metadata", object_meta), M(2, "status", self_status), END};

const struct proto_root proto_roots[] = {
    {"", "Namespace", name_space},
    {"", "Secret", secret},
    {"", "ConfigMap", config_map},
    {"", "ServiceAccount", account},
    {"", "Service", service},
    {"", "ResourceQuota", quota},
    {"", "Binding", binding},
    {"apps", "Deployment", deployment},
    {"batch", "Job", job},
    {"batch", "CronJob", cron_job},
    {"rbac.authorization.k8s.io", "Role", role},
    {"rbac.authorization.k8s.io", "ClusterRole", role},
    {"rbac.authorization.k8s.io", "RoleBinding", role_binding},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", role_binding},
    {"networking.k8s.io", "Ingress", ingress},
    {"policy", "PodDisruptionBudget", budget},
    {"policy", "Eviction", eviction},
    {"scheduling.k8s.io", "PriorityClass", priority_class},
    {"autoscaling", "Scale", scale},
    {"autoscaling", "HorizontalPodAutoscaler", autoscaler},
    {"authorization.k8s.io", "SelfSubjectAccessReview", self_access},
    {"authorization.k8s.io", "SubjectAccessReview", access_review},
    {"authorization.k8s.io", "LocalSubjectAccessReview", access_review},
    {"authorization.k8s.io", "SelfSubjectRulesReview", rules_review},
    {"authentication.k8s.io", "TokenRequest", token_request},
    {"authentication.k8s.io", "SelfSubjectReview", self_review},
    /* said to be of the version of what is deleted */
    {NULL, "DeleteOptions", delete_options},
};
const size_t proto_roots_len = sizeof(proto_roots) / sizeof(proto_roots[0]);
