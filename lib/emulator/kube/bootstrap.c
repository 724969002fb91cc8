#include "emulator/kube/bootstrap.h"

#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/auth.h"
#include "emulator/kube/core.h"

static cJSON *new_object(const char *api_version, const char *kind, const char *space,
                         const char *name)
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

static int put_namespaces(struct store *store, struct err *err)
{
    static const char *const names[] = {"default", "kube-system", "kube-public", "kube-node-lease"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (store_put(store, new_object("v1", "Namespace", NULL, names[i]), err) < 0)
            return -1;
    }
    return 0;
}

/* The API server's own Service. */
static int put_service(struct store *store, struct err *err)
{
    cJSON *service = new_object("v1", "Service", "default", "kubernetes");
    cJSON *labels = json_set_object(json_get(service, "metadata"), "labels");
    cJSON *spec = json_set_object(service, "spec");
    cJSON *port = json_object();

    json_set_str(labels, "component", "apiserver");
    json_set_str(labels, "provider", "kubernetes");
    json_set_str(spec, "clusterIP", "10.96.0.1");
    json_set_str(port, "name", "https");
    json_set_i64(port, "port", 443);
    json_set_i64(port, "targetPort", 6443);
    json_push(json_set_array(spec, "ports"), port);
    return store_put(store, service, err);
}

static void add_condition(cJSON *conditions, const char *type, const char *status,
                          const char *reason, const char *message)
{
    cJSON *condition = json_object();
    struct time_text now = time_now();

    json_set_str(condition, "type", type);
    json_set_str(condition, "status", status);
    json_set_str(condition, "lastHeartbeatTime", now.text);
    json_set_str(condition, "lastTransitionTime", now.text);
    json_set_str(condition, "reason", reason);
    json_set_str(condition, "message", message);
    json_push(conditions, condition);
}

static void add_resources(cJSON *status, const char *key)
{
    cJSON *resources = json_set_object(status, key);

    json_set_str(resources, "cpu", "4");
    json_set_str(resources, "ephemeral-storage", "100Gi");
    json_set_str(resources, "memory", "16Gi");
    json_set_str(resources, "pods", "110");
}

static void add_node_info(cJSON *status, const char *version, const char *name)
{
    cJSON *info = json_set_object(status, "nodeInfo");
    struct sha256_hex id = sha256(name, strlen(name));
    autofree char *machine = xstrndup(id.text, 32);

    json_set_str(info, "machineID", machine);
    json_set_str(info, "systemUUID", machine);
    json_set_str(info, "bootID", uuid_random().text);
    json_set_str(info, "kernelVersion", "5.15.0");
    json_set_str(info, "osImage", "Flatcar Container Linux");
    json_set_str(info, "containerRuntimeVersion", "containerd://1.6.0");
    json_set_str(info, "kubeletVersion", version);
    json_set_str(info, "kubeProxyVersion", version);
    json_set_str(info, "operatingSystem", "linux");
    json_set_str(info, "architecture", "amd64");
}

static void add_address(cJSON *addresses, const char *type, const char *address)
{
    cJSON *item = json_object();

    json_set_str(item, "type", type);
    json_set_str(item, "address", address);
    json_push(addresses, item);
}

/* A node joins before it is ready; its controller says when it is. */
static int put_node(struct store *store, const char *version, const char *name, size_t index,
                    struct err *err)
{
    cJSON *node = new_object("v1", "Node", NULL, name);
    cJSON *labels = json_set_object(json_get(node, "metadata"), "labels");
    cJSON *status = json_set_object(node, "status");
    autofree char *address = xasprintf("10.69.%zu.%zu", index / 250, 4 + index % 250);
    cJSON *conditions;
    cJSON *addresses;

    json_set_object(node, "spec");
    json_set_str(labels, "kubernetes.io/hostname", name);
    json_set_str(labels, "kubernetes.io/os", "linux");
    json_set_str(labels, "kubernetes.io/arch", "amd64");
    /* The names of before 1.14; kubelets still set them. */
    json_set_str(labels, "beta.kubernetes.io/os", "linux");
    json_set_str(labels, "beta.kubernetes.io/arch", "amd64");
    addresses = json_set_array(status, "addresses");
    add_address(addresses, "InternalIP", address);
    add_address(addresses, "Hostname", name);
    add_resources(status, "capacity");
    add_resources(status, "allocatable");
    conditions = json_set_array(status, "conditions");
    add_condition(conditions, "MemoryPressure", "False", "KubeletHasSufficientMemory",
                  "kubelet has sufficient memory available");
    add_condition(conditions, "DiskPressure", "False", "KubeletHasNoDiskPressure",
                  "kubelet has no disk pressure");
    add_condition(conditions, "PIDPressure", "False", "KubeletHasSufficientPID",
                  "kubelet has sufficient PID available");
    add_condition(conditions, "Ready", "False", "KubeletNotReady",
                  "container runtime network not ready: NetworkReady=false");
    add_node_info(status, version, name);
    return store_put(store, node, err);
}

int bootstrap(struct store *store, const char *version, const struct strv *nodes, struct err *err)
{
    if (put_namespaces(store, err) < 0 || put_service(store, err) < 0 ||
        rbac_bootstrap(store, err) < 0)
        return -1;
    for (size_t i = 0; i < nodes->len; i++) {
        if (put_node(store, version, nodes->items[i], i, err) < 0)
            return -1;
    }
    return 0;
}
