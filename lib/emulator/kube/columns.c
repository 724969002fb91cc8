/* Which columns each built-in kind has. */
#include "emulator/kube/cells.h"

#define NAME                                                                                       \
    {                                                                                              \
        "Name", "string", "metadata.name", NULL, 0                                                 \
    }
#define AGE                                                                                        \
    {                                                                                              \
        "Age", "string", NULL, cell_age, 0                                                         \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, NULL, NULL, 0                                                                  \
    }
#define TEXT(title, path)                                                                          \
    {                                                                                              \
        title, "string", path, NULL, 0                                                             \
    }
#define WIDE_TEXT(title, path)                                                                     \
    {                                                                                              \
        title, "string", path, NULL, 1                                                             \
    }
#define NUMBER(title, path)                                                                        \
    {                                                                                              \
        title, "integer", path, NULL, 0                                                            \
    }
#define CELL(title, function)                                                                      \
    {                                                                                              \
        title, "string", NULL, function, 0                                                         \
    }
#define WIDE(title, function)                                                                      \
    {                                                                                              \
        title, "string", NULL, function, 1                                                         \
    }

const struct column table_default_columns[] = {NAME, AGE, END};

static const struct column pods[] = {NAME,
                                     CELL("Ready", cell_pod_ready),
                                     CELL("Status", cell_pod_status),
                                     CELL("Restarts", cell_pod_restarts),
                                     AGE,
                                     WIDE_TEXT("IP", "status.podIP"),
                                     WIDE_TEXT("Node", "spec.nodeName"),
                                     WIDE_TEXT("Nominated Node", "status.nominatedNodeName"),
                                     WIDE_TEXT("Readiness Gates", "spec.readinessGates[0].type"),
                                     END};
static const struct column deployments[] = {NAME,
                                            CELL("Ready", cell_ready_of_replicas),
                                            NUMBER("Up-to-date", "status.updatedReplicas"),
                                            NUMBER("Available", "status.availableReplicas"),
                                            AGE,
                                            WIDE("Containers", cell_containers),
                                            WIDE("Images", cell_images),
                                            WIDE("Selector", cell_selector),
                                            END};
static const struct column replica_sets[] = {NAME,
                                             NUMBER("Desired", "spec.replicas"),
                                             NUMBER("Current", "status.replicas"),
                                             NUMBER("Ready", "status.readyReplicas"),
                                             AGE,
                                             WIDE("Containers", cell_containers),
                                             WIDE("Images", cell_images),
                                             WIDE("Selector", cell_selector),
                                             END};
static const struct column stateful_sets[] = {NAME,
                                              CELL("Ready", cell_ready_of_replicas),
                                              AGE,
                                              WIDE("Containers", cell_containers),
                                              WIDE("Images", cell_images),
                                              END};
static const struct column daemon_sets[] = {NAME,
                                            NUMBER("Desired", "status.desiredNumberScheduled"),
                                            NUMBER("Current", "status.currentNumberScheduled"),
                                            NUMBER("Ready", "status.numberReady"),
                                            NUMBER("Up-to-date", "status.updatedNumberScheduled"),
                                            NUMBER("Available", "status.numberAvailable"),
                                            AGE,
                                            WIDE("Containers", cell_containers),
                                            WIDE("Images", cell_images),
                                            WIDE("Selector", cell_selector),
                                            END};
static const struct column jobs[] = {
    NAME, CELL("Completions", cell_job_completions), CELL("Duration", cell_job_duration),
    AGE,  WIDE("Containers", cell_containers),       WIDE("Images", cell_images),
    END};
static const struct column cron_jobs[] = {NAME,
                                          TEXT("Schedule", "spec.schedule"),
                                          CELL("Suspend", cell_suspend),
                                          CELL("Active", cell_active),
                                          CELL("Last Schedule", cell_last_schedule),
                                          AGE,
                                          END};
static const struct column services[] = {NAME,
                                         TEXT("Type", "spec.type"),
                                         TEXT("Cluster-IP", "spec.clusterIP"),
                                         CELL("External-IP", cell_external_ip),
                                         CELL("Port(s)", cell_service_ports),
                                         AGE,
                                         WIDE("Selector", cell_selector),
                                         END};
static const struct column endpoints[] = {NAME, CELL("Endpoints", cell_endpoints), AGE, END};
static const struct column nodes[] = {
    NAME,
    CELL("Status", cell_node_status),
    CELL("Roles", cell_node_roles),
    AGE,
    TEXT("Version", "status.nodeInfo.kubeletVersion"),
    WIDE("Internal-IP", cell_node_address),
    WIDE_TEXT("OS-Image", "status.nodeInfo.osImage"),
    WIDE_TEXT("Kernel-Version", "status.nodeInfo.kernelVersion"),
    WIDE_TEXT("Container-Runtime", "status.nodeInfo.containerRuntimeVersion"),
    END};
static const struct column namespaces[] = {NAME, TEXT("Status", "status.phase"), AGE, END};
static const struct column config_maps[] = {NAME, CELL("Data", cell_data_count), AGE, END};
static const struct column secrets[] = {NAME, TEXT("Type", "type"), CELL("Data", cell_data_count),
                                        AGE, END};
static const struct column accounts[] = {NAME, CELL("Secrets", cell_secrets_count), AGE, END};
static const struct column claims[] = {NAME,
                                       TEXT("Status", "status.phase"),
                                       TEXT("Volume", "spec.volumeName"),
                                       TEXT("Capacity", "status.capacity.storage"),
                                       CELL("Access Modes", cell_claim_modes),
                                       TEXT("StorageClass", "spec.storageClassName"),
                                       AGE,
                                       END};
static const struct column volumes[] = {
    NAME,
    TEXT("Capacity", "spec.capacity.storage"),
    CELL("Access Modes", cell_claim_modes),
    TEXT("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
    TEXT("Status", "status.phase"),
    CELL("Claim", cell_claim_of_volume),
    TEXT("StorageClass", "spec.storageClassName"),
    AGE,
    END};
static const struct column ingresses[] = {NAME,
                                          TEXT("Class", "spec.ingressClassName"),
                                          CELL("Hosts", cell_ingress_hosts),
                                          CELL("Address", cell_ingress_address),
                                          CELL("Ports", cell_ingress_ports),
                                          AGE,
                                          END};
static const struct column policies[] = {NAME, CELL("Pod-Selector", cell_selector), AGE, END};
static const struct column created[] = {NAME, TEXT("Created At", "metadata.creationTimestamp"),
                                        END};
static const struct column bindings[] = {NAME, CELL("Role", cell_role_of_binding), AGE, END};
static const struct column api_services[] = {NAME, CELL("Service", cell_service_of_api),
                                             CELL("Available", cell_available), AGE, END};
static const struct column events[] = {CELL("Last Seen", cell_event_age),
                                       TEXT("Type", "type"),
                                       TEXT("Reason", "reason"),
                                       CELL("Object", cell_event_object),
                                       CELL("Message", cell_event_message),
                                       WIDE_TEXT("Name", "metadata.name"),
                                       END};
static const struct column leases[] = {NAME, TEXT("Holder", "spec.holderIdentity"), AGE, END};
static const struct column budgets[] = {NAME,
                                        TEXT("Min Available", "spec.minAvailable"),
                                        TEXT("Max Unavailable", "spec.maxUnavailable"),
                                        NUMBER("Allowed Disruptions", "status.disruptionsAllowed"),
                                        AGE,
                                        END};
static const struct column autoscalers[] = {NAME,
                                            CELL("Reference", cell_autoscaler_target),
                                            NUMBER("MinPods", "spec.minReplicas"),
                                            NUMBER("MaxPods", "spec.maxReplicas"),
                                            NUMBER("Replicas", "status.currentReplicas"),
                                            AGE,
                                            END};
static const struct column classes[] = {NAME,
                                        TEXT("Provisioner", "provisioner"),
                                        TEXT("ReclaimPolicy", "reclaimPolicy"),
                                        TEXT("VolumeBindingMode", "volumeBindingMode"),
                                        AGE,
                                        END};
static const struct column webhooks[] = {NAME, CELL("Webhooks", cell_webhooks), AGE, END};
static const struct column slices[] = {NAME, TEXT("AddressType", "addressType"), AGE, END};
static const struct column priorities[] = {NAME, NUMBER("Value", "value"), AGE, END};

const struct table_kind table_kinds[] = {
    {"Pod", pods},
    {"Deployment", deployments},
    {"ReplicaSet", replica_sets},
    {"ReplicationController", replica_sets},
    {"StatefulSet", stateful_sets},
    {"DaemonSet", daemon_sets},
    {"Job", jobs},
    {"CronJob", cron_jobs},
    {"Service", services},
    {"Endpoints", endpoints},
    {"Node", nodes},
    {"Namespace", namespaces},
    {"ConfigMap", config_maps},
    {"Secret", secrets},
    {"ServiceAccount", accounts},
    {"PersistentVolumeClaim", claims},
    {"PersistentVolume", volumes},
    {"Ingress", ingresses},
    {"NetworkPolicy", policies},
    {"Role", created},
    {"ClusterRole", created},
    {"CustomResourceDefinition", created},
    {"RoleBinding", bindings},
    {"ClusterRoleBinding", bindings},
    {"APIService", api_services},
    {"Event", events},
    {"Lease", leases},
    {"PodDisruptionBudget", budgets},
    {"HorizontalPodAutoscaler", autoscalers},
    {"StorageClass", classes},
    {"MutatingWebhookConfiguration", webhooks},
    {"ValidatingWebhookConfiguration", webhooks},
    {"EndpointSlice", slices},
    {"PriorityClass", priorities},
};
const size_t table_kinds_len = sizeof(table_kinds) / sizeof(table_kinds[0]);
