/* Nodes: not ready until the cluster is up, and a Lease for each, renewed as a kubelet does. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/ctl.h"

#define RENEW_MS         10000
#define LEASE_DURATION_S 40

static void become_ready(struct ctl *ctl, const struct resource *resource, const cJSON *node)
{
    cJSON *status = status_copy(node);
    cJSON *conditions = json_need_array(status, "conditions");

    condition_set(conditions, "Ready", "True", "KubeletReady", "kubelet is posting ready status");
    json_set_str((cJSON *)condition_find(conditions, "Ready"), "lastHeartbeatTime",
                 time_now().text);
    ctl_set_status(ctl, resource, node, status);
    event_record(ctl, node, "Normal", "kubelet", "NodeReady", "Node %s status is now: NodeReady",
                 json_str_or(node, "metadata.name", ""));
}

static void renew_lease(struct ctl *ctl, const char *node)
{
    const struct resource *leases = ctl_resource(ctl, "coordination.k8s.io", "leases");
    autoerr struct err err = ERR_INIT;
    cJSON *lease;
    cJSON *spec;

    if (leases == NULL)
        return;
    lease = new_object_of("coordination.k8s.io/v1", "Lease", "kube-node-lease", node);
    if (strcmp(leases->version, "v1") != 0)
        json_set_str(lease, "apiVersion", "coordination.k8s.io/v1beta1");
    spec = json_set_object(lease, "spec");
    json_set_str(spec, "holderIdentity", node);
    json_set_i64(spec, "leaseDurationSeconds", LEASE_DURATION_S);
    json_set_str(spec, "renewTime",
                 time_rfc3339_micro(clock_system.wall_ms(clock_system.arg) * 1000).text);
    (void)store_put(ctl->store, lease, &err);
}

int64_t ctl_node(struct ctl *ctl, const struct resource *resource, const cJSON *node)
{
    const char *name = json_str_or(node, "metadata.name", "");
    int64_t left = ctl->spec.ready_at + ctl->spec.reconcile_ms - mono_ms();

    if (is_deleting(node))
        return CTL_DONE;
    if (left > 0)
        return left;
    /* Only the first time: afterwards tests may say otherwise. */
    if (strcmp(
            json_str_or(condition_find(json_at(node, "status.conditions"), "Ready"), "reason", ""),
            "KubeletNotReady") == 0)
        become_ready(ctl, resource, node);
    renew_lease(ctl, name);
    return RENEW_MS;
}
