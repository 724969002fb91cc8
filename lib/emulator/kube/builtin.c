/* The built-in resource types, and which Kubernetes versions serve them: the API reference of each
 * version, and the deprecated API migration guide for what was removed. */
#include "emulator/kube/types.h"

#define N      TYPE_NAMESPACED
#define S      TYPE_STATUS
#define C      TYPE_SCALE
#define G      TYPE_GENERATION
#define REVIEW TYPE_CREATE_ONLY

#define CORE(plural, singular, kind, shorts, categories, flags, subs)                              \
    {                                                                                              \
        "", "v1", plural, singular, kind, shorts, categories, flags, subs, 0, 0, NULL              \
    }
#define ROW(group, version, plural, singular, kind, shorts, categories, flags, since, until)       \
    {                                                                                              \
        group, version, plural, singular, kind, shorts, categories, flags, "", since, until, NULL  \
    }
#define OLD(group, version, plural, singular, kind, shorts, flags, since, until, storage)          \
    {                                                                                              \
        group, version, plural, singular, kind, shorts, "", flags, "", since, until, storage       \
    }

#define RBAC    "rbac.authorization.k8s.io"
#define NET     "networking.k8s.io"
#define ADM     "admissionregistration.k8s.io"
#define APIEXT  "apiextensions.k8s.io"
#define APIREG  "apiregistration.k8s.io"
#define STORAGE "storage.k8s.io"
#define AUTHZ   "authorization.k8s.io"
#define SCHED   "scheduling.k8s.io"
#define COORD   "coordination.k8s.io"
#define CERT    "certificates.k8s.io"

/* Within a storage the first row that is served is its hub. */
const struct builtin_type builtin_types[] = {
    CORE("bindings", "binding", "Binding", "", "", N | REVIEW, ""),
    CORE("configmaps", "configmap", "ConfigMap", "cm", "", N, ""),
    CORE("endpoints", "endpoints", "Endpoints", "ep", "", N, ""),
    CORE("events", "event", "Event", "ev", "", N, ""),
    CORE("limitranges", "limitrange", "LimitRange", "limits", "", N, ""),
    CORE("namespaces", "namespace", "Namespace", "ns", "", S, "finalize"),
    CORE("nodes", "node", "Node", "no", "", S, ""),
    CORE("persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", "pvc", "",
         N | S, ""),
    CORE("persistentvolumes", "persistentvolume", "PersistentVolume", "pv", "", S, ""),
    CORE("pods", "pod", "Pod", "po", "all", N | S, "binding,eviction,log"),
    CORE("podtemplates", "podtemplate", "PodTemplate", "", "", N, ""),
    CORE("replicationcontrollers", "replicationcontroller", "ReplicationController", "rc", "all",
         N | S | C | G, ""),
    CORE("resourcequotas", "resourcequota", "ResourceQuota", "quota", "", N | S, ""),
    CORE("secrets", "secret", "Secret", "", "", N, ""),
    CORE("serviceaccounts", "serviceaccount", "ServiceAccount", "sa", "", N, "token"),
    CORE("services", "service", "Service", "svc", "all", N | S, "proxy"),

    ROW("apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", "", "", N,
        9, 0),
    ROW("apps", "v1", "daemonsets", "daemonset", "DaemonSet", "ds", "all", N | S | G, 9, 0),
    ROW("apps", "v1", "deployments", "deployment", "Deployment", "deploy", "all", N | S | C | G, 9,
        0),
    ROW("apps", "v1", "replicasets", "replicaset", "ReplicaSet", "rs", "all", N | S | C | G, 9, 0),
    ROW("apps", "v1", "statefulsets", "statefulset", "StatefulSet", "sts", "all", N | S | C | G, 9,
        0),
    OLD("apps", "v1beta1", "deployments", "deployment", "Deployment", "deploy", N | S | C | G, 6,
        16, "deployments.apps"),
    OLD("apps", "v1beta1", "statefulsets", "statefulset", "StatefulSet", "sts", N | S | C | G, 5,
        16, "statefulsets.apps"),
    OLD("apps", "v1beta2", "daemonsets", "daemonset", "DaemonSet", "ds", N | S | G, 8, 16,
        "daemonsets.apps"),
    OLD("apps", "v1beta2", "deployments", "deployment", "Deployment", "deploy", N | S | C | G, 8,
        16, "deployments.apps"),
    OLD("apps", "v1beta2", "replicasets", "replicaset", "ReplicaSet", "rs", N | S | C | G, 8, 16,
        "replicasets.apps"),
    OLD("apps", "v1beta2", "statefulsets", "statefulset", "StatefulSet", "sts", N | S | C | G, 8,
        16, "statefulsets.apps"),

    ROW("batch", "v1", "cronjobs", "cronjob", "CronJob", "cj", "all", N | S | G, 21, 0),
    ROW("batch", "v1", "jobs", "job", "Job", "", "all", N | S | G, 0, 0),
    {"batch", "v1beta1", "cronjobs", "cronjob", "CronJob", "cj", "all", N | S | G, "", 8, 25,
     "cronjobs.batch"},

    ROW("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler",
        "HorizontalPodAutoscaler", "hpa", "all", N | S, 23, 0),
    {"autoscaling", "v1", "horizontalpodautoscalers", "horizontalpodautoscaler",
     "HorizontalPodAutoscaler", "hpa", "all", N | S, "", 0, 0,
     "horizontalpodautoscalers.autoscaling"},

    ROW(NET, "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", "netpol", "", N | G, 0, 0),
    ROW(NET, "v1", "ingresses", "ingress", "Ingress", "ing", "", N | S | G, 19, 0),
    ROW(NET, "v1", "ingressclasses", "ingressclass", "IngressClass", "", "", G, 19, 0),
    OLD(NET, "v1beta1", "ingresses", "ingress", "Ingress", "ing", N | S | G, 14, 22,
        "ingresses." NET),
    OLD(NET, "v1beta1", "ingressclasses", "ingressclass", "IngressClass", "", G, 18, 22,
        "ingressclasses." NET),

    OLD("extensions", "v1beta1", "ingresses", "ingress", "Ingress", "ing", N | S | G, 0, 22,
        "ingresses." NET),
    OLD("extensions", "v1beta1", "daemonsets", "daemonset", "DaemonSet", "ds", N | S | G, 0, 16,
        "daemonsets.apps"),
    OLD("extensions", "v1beta1", "deployments", "deployment", "Deployment", "deploy", N | S | C | G,
        0, 16, "deployments.apps"),
    OLD("extensions", "v1beta1", "replicasets", "replicaset", "ReplicaSet", "rs", N | S | C | G, 0,
        16, "replicasets.apps"),
    OLD("extensions", "v1beta1", "networkpolicies", "networkpolicy", "NetworkPolicy", "netpol",
        N | G, 0, 16, "networkpolicies." NET),
    OLD("extensions", "v1beta1", "podsecuritypolicies", "podsecuritypolicy", "PodSecurityPolicy",
        "psp", 0, 0, 16, "podsecuritypolicies.policy"),

    ROW("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", "pdb",
        "", N | S | G, 21, 0),
    OLD("policy", "v1beta1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget",
        "pdb", N | S | G, 0, 25, "poddisruptionbudgets.policy"),
    ROW("policy", "v1beta1", "podsecuritypolicies", "podsecuritypolicy", "PodSecurityPolicy", "psp",
        "", 0, 0, 25),

    ROW(RBAC, "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", "", "", 0, 0,
        0),
    ROW(RBAC, "v1", "clusterroles", "clusterrole", "ClusterRole", "", "", 0, 0, 0),
    ROW(RBAC, "v1", "rolebindings", "rolebinding", "RoleBinding", "", "", N, 0, 0),
    ROW(RBAC, "v1", "roles", "role", "Role", "", "", N, 0, 0),
    OLD(RBAC, "v1beta1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", "", 0,
        0, 22, "clusterrolebindings." RBAC),
    OLD(RBAC, "v1beta1", "clusterroles", "clusterrole", "ClusterRole", "", 0, 0, 22,
        "clusterroles." RBAC),
    OLD(RBAC, "v1beta1", "rolebindings", "rolebinding", "RoleBinding", "", N, 0, 22,
        "rolebindings." RBAC),
    OLD(RBAC, "v1beta1", "roles", "role", "Role", "", N, 0, 22, "roles." RBAC),

    ROW(APIEXT, "v1", "customresourcedefinitions", "customresourcedefinition",
        "CustomResourceDefinition", "crd,crds", "api-extensions", S | G, 16, 0),
    {APIEXT, "v1beta1", "customresourcedefinitions", "customresourcedefinition",
     "CustomResourceDefinition", "crd,crds", "", S | G, "", 0, 22,
     "customresourcedefinitions." APIEXT},

    ROW(APIREG, "v1", "apiservices", "apiservice", "APIService", "", "api-extensions", S, 0, 0),
    OLD(APIREG, "v1beta1", "apiservices", "apiservice", "APIService", "", S, 0, 22,
        "apiservices." APIREG),

    ROW(ADM, "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration", "", "api-extensions", G, 16, 0),
    ROW(ADM, "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration", "", "api-extensions", G, 16, 0),
    OLD(ADM, "v1beta1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration", "", G, 0, 22, "mutatingwebhookconfigurations." ADM),
    OLD(ADM, "v1beta1", "validatingwebhookconfigurations", "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration", "", G, 0, 22, "validatingwebhookconfigurations." ADM),

    ROW(COORD, "v1", "leases", "lease", "Lease", "", "", N, 14, 0),
    OLD(COORD, "v1beta1", "leases", "lease", "Lease", "", N, 12, 22, "leases." COORD),

    ROW(STORAGE, "v1", "storageclasses", "storageclass", "StorageClass", "sc", "", 0, 0, 0),
    ROW(STORAGE, "v1", "volumeattachments", "volumeattachment", "VolumeAttachment", "", "", S, 13,
        0),
    ROW(STORAGE, "v1", "csidrivers", "csidriver", "CSIDriver", "", "", 0, 18, 0),
    ROW(STORAGE, "v1", "csinodes", "csinode", "CSINode", "", "", 0, 17, 0),
    OLD(STORAGE, "v1beta1", "storageclasses", "storageclass", "StorageClass", "sc", 0, 0, 22,
        "storageclasses." STORAGE),
    OLD(STORAGE, "v1beta1", "csidrivers", "csidriver", "CSIDriver", "", 0, 14, 22,
        "csidrivers." STORAGE),

    ROW(SCHED, "v1", "priorityclasses", "priorityclass", "PriorityClass", "pc", "", G, 14, 0),
    OLD(SCHED, "v1beta1", "priorityclasses", "priorityclass", "PriorityClass", "pc", G, 11, 22,
        "priorityclasses." SCHED),

    ROW(CERT, "v1", "certificatesigningrequests", "certificatesigningrequest",
        "CertificateSigningRequest", "csr", "", S, 19, 0),
    OLD(CERT, "v1beta1", "certificatesigningrequests", "certificatesigningrequest",
        "CertificateSigningRequest", "csr", S, 0, 22, "certificatesigningrequests." CERT),

    OLD("events.k8s.io", "v1", "events", "event", "Event", "ev", N, 19, 0, "events."),
    OLD("events.k8s.io", "v1beta1", "events", "event", "Event", "ev", N, 0, 25, "events."),

    ROW("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", "", "", N | G,
        21, 0),

    ROW("node.k8s.io", "v1", "runtimeclasses", "runtimeclass", "RuntimeClass", "", "", 0, 20, 0),

    ROW(AUTHZ, "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview",
        "SelfSubjectAccessReview", "", "", REVIEW, 0, 0),
    ROW(AUTHZ, "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview",
        "", "", REVIEW, 0, 0),
    ROW(AUTHZ, "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", "", "",
        REVIEW, 0, 0),
    ROW(AUTHZ, "v1", "localsubjectaccessreviews", "localsubjectaccessreview",
        "LocalSubjectAccessReview", "", "", N | REVIEW, 0, 0),
    ROW("authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", "", "", REVIEW,
        0, 0),
    ROW("authentication.k8s.io", "v1", "selfsubjectreviews", "selfsubjectreview",
        "SelfSubjectReview", "", "", REVIEW, 28, 0),
};
const size_t builtin_types_len = sizeof(builtin_types) / sizeof(builtin_types[0]);
