/* DaemonSets: one pod on each node. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"
#include "emulator/kube/selector.h"

#define HASH      "controller-revision-hash"
#define COMPONENT "daemonset-controller"

struct daemon_set {
    struct ctl *ctl;
    const struct resource *resource;
    const cJSON *set;
    struct stored **pods, **nodes;
    struct hash_text revision;
    int64_t wanted, scheduled, ready, available, updated;
    int64_t wait_ms;
    bool refused;
};

static bool fits(const struct daemon_set *daemon, const cJSON *node)
{
    const cJSON *selector = json_at(daemon->set, "spec.template.spec.nodeSelector");

    return cJSON_GetArraySize(selector) == 0 ||
           selector_map_matches(selector, json_at(node, "metadata.labels"));
}

static const cJSON *pod_on(const struct daemon_set *daemon, const char *node)
{
    for (size_t i = 0; daemon->pods[i] != NULL; i++) {
        if (str_equal(json_str(daemon->pods[i]->object, "spec.nodeName"), node))
            return daemon->pods[i]->object;
    }
    return NULL;
}

static bool is_current(const struct daemon_set *daemon, const cJSON *pod)
{
    return str_equal(json_key_str(json_at(pod, "metadata.labels"), HASH), daemon->revision.text);
}

static void create(struct daemon_set *daemon, const char *node)
{
    autofree char *name = random_name(json_str_or(daemon->set, "metadata.name", ""));
    cJSON *pod = pod_from_template(daemon->set, name);
    autoerr struct err err = ERR_INIT;

    json_set_str(json_need_object(json_get(pod, "metadata"), "labels"), HASH,
                 daemon->revision.text);
    json_set_str(json_get(pod, "spec"), "nodeName", node);
    if (create_pod(daemon->ctl, daemon->set, pod, COMPONENT, &err) < 0)
        daemon->refused = true;
}

static void look_at_nodes(struct daemon_set *daemon)
{
    int64_t min_ready = json_number(daemon->set, "spec.minReadySeconds", 0);

    for (size_t i = 0; daemon->nodes[i] != NULL; i++) {
        const char *name = json_str_or(daemon->nodes[i]->object, "metadata.name", "");
        const cJSON *pod;

        if (!fits(daemon, daemon->nodes[i]->object))
            continue;
        daemon->wanted++;
        pod = pod_on(daemon, name);
        if (pod == NULL) {
            if (!daemon->refused)
                create(daemon, name);
            continue;
        }
        if (pod_is_over(pod) && !is_deleting(pod))
            ctl_delete(daemon->ctl, ctl_resource(daemon->ctl, "", "pods"), pod);
        if (is_deleting(pod))
            continue;
        daemon->scheduled++;
        daemon->ready += pod_is_ready(pod);
        daemon->available += pod_is_available(pod, min_ready, &daemon->wait_ms);
        daemon->updated += is_current(daemon, pod);
    }
}

static int64_t most_unavailable(const struct daemon_set *daemon)
{
    const cJSON *value = json_at(daemon->set, "spec.updateStrategy.rollingUpdate.maxUnavailable");
    int64_t most;

    if (cJSON_IsNumber(value))
        return value->valueint;
    if (!cJSON_IsString(value))
        return 1;
    most = (strtol(value->valuestring, NULL, 10) * daemon->wanted + 99) / 100;
    return most > 0 ? most : 1;
}

/* Old pods are replaced as long as enough stay available; those that do not work at once. */
static void update(struct daemon_set *daemon)
{
    int64_t room = most_unavailable(daemon) - (daemon->wanted - daemon->available);

    if (strcmp(json_str_or(daemon->set, "spec.updateStrategy.type", ""), "OnDelete") == 0)
        return;
    for (size_t i = 0; daemon->pods[i] != NULL; i++) {
        const cJSON *pod = daemon->pods[i]->object;

        if (is_deleting(pod) || is_current(daemon, pod))
            continue;
        if (pod_is_ready(pod) && room-- <= 0)
            continue;
        ctl_delete(daemon->ctl, ctl_resource(daemon->ctl, "", "pods"), pod);
    }
}

static void write_status(struct daemon_set *daemon)
{
    cJSON *status = json_object();

    json_set_i64(status, "currentNumberScheduled", daemon->scheduled);
    json_set_i64(status, "numberMisscheduled", 0);
    json_set_i64(status, "desiredNumberScheduled", daemon->wanted);
    json_set_i64(status, "numberReady", daemon->ready);
    json_set_i64(status, "observedGeneration", json_number(daemon->set, "metadata.generation", 0));
    if (daemon->updated > 0)
        json_set_i64(status, "updatedNumberScheduled", daemon->updated);
    if (daemon->available > 0)
        json_set_i64(status, "numberAvailable", daemon->available);
    if (daemon->wanted > daemon->available)
        json_set_i64(status, "numberUnavailable", daemon->wanted - daemon->available);
    ctl_set_status(daemon->ctl, daemon->resource, daemon->set, status);
}

int64_t ctl_daemon_set(struct ctl *ctl, const struct resource *resource, const cJSON *set)
{
    struct daemon_set daemon = {.ctl = ctl, .resource = resource, .set = set, .wait_ms = CTL_DONE};

    if (is_deleting(set))
        return CTL_DONE;
    daemon.revision = template_hash(json_at(set, "spec.template"));
    daemon.pods = ctl_owned(ctl, "", "pods", set);
    daemon.nodes = store_list(ctl->store, ctl_resource(ctl, "", "nodes"), NULL, NULL);
    look_at_nodes(&daemon);
    update(&daemon);
    write_status(&daemon);
    store_list_free(daemon.pods);
    store_list_free(daemon.nodes);
    if (daemon.refused)
        return ctl->spec.reconcile_ms * 4;
    return daemon.wait_ms;
}
