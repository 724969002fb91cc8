/* StatefulSets: pods with names and volumes of their own, one after the other. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/ctl.h"

#define HASH      "controller-revision-hash"
#define COMPONENT "statefulset-controller"
#define MOST_PODS 1000

struct stateful {
    struct ctl *ctl;
    const struct resource *resource;
    const cJSON *set;
    const char *name;
    struct stored **pods;
    char *revision; /* of the present template */
    int64_t wait_ms;
    int64_t replicas, ready, available, updated, current;
};

static const cJSON *pod_at(const struct stateful *stateful, int64_t ordinal)
{
    autofree char *name = xasprintf("%s-%lld", stateful->name, (long long)ordinal);

    for (size_t i = 0; stateful->pods[i] != NULL; i++) {
        if (str_equal(json_str(stateful->pods[i]->object, "metadata.name"), name))
            return stateful->pods[i]->object;
    }
    return NULL;
}

static int64_t ordinal_of(const struct stateful *stateful, const cJSON *pod)
{
    const char *name = json_str_or(pod, "metadata.name", "");
    size_t len = strlen(stateful->name);

    return strncmp(name, stateful->name, len) == 0 && name[len] == '-'
               ? strtoll(name + len + 1, NULL, 10)
               : -1;
}

static bool is_current(const struct stateful *stateful, const cJSON *pod)
{
    return str_equal(json_key_str(json_at(pod, "metadata.labels"), HASH), stateful->revision);
}

/* ---- making pods ---- */

static void add_volume(cJSON *pod, const char *volume, const char *claim)
{
    cJSON *item = json_object();
    cJSON *volumes = json_need_array(json_get(pod, "spec"), "volumes");

    json_set_str(item, "name", volume);
    json_set_str(json_set_object(item, "persistentVolumeClaim"), "claimName", claim);
    json_push(volumes, item);
}

static void add_claims(struct stateful *stateful, cJSON *pod)
{
    const cJSON *from;

    cJSON_ArrayForEach(from, json_at(stateful->set, "spec.volumeClaimTemplates"))
    {
        const char *volume = json_str_or(from, "metadata.name", "");
        autofree char *name = xasprintf("%s-%s", volume, json_str_or(pod, "metadata.name", ""));
        cJSON *claim = new_object_of("v1", "PersistentVolumeClaim",
                                     json_str(stateful->set, "metadata.namespace"), name);
        const cJSON *labels = json_at(stateful->set, "spec.selector.matchLabels");

        if (labels != NULL)
            json_set(json_get(claim, "metadata"), "labels", json_copy(labels));
        json_set(claim, "spec", json_copy_object(json_get(from, "spec")));
        (void)ctl_create(stateful->ctl, claim);
        add_volume(pod, volume, name);
    }
}

static void create(struct stateful *stateful, int64_t ordinal)
{
    autofree char *name = xasprintf("%s-%lld", stateful->name, (long long)ordinal);
    cJSON *pod = pod_from_template(stateful->set, name);
    cJSON *labels = json_need_object(json_get(pod, "metadata"), "labels");
    autoerr struct err err = ERR_INIT;

    json_set_str(labels, HASH, stateful->revision);
    json_set_str(labels, "statefulset.kubernetes.io/pod-name", name);
    json_set_str(json_get(pod, "spec"), "hostname", name);
    json_set_str(json_get(pod, "spec"), "subdomain", json_str(stateful->set, "spec.serviceName"));
    add_claims(stateful, pod);
    if (create_pod(stateful->ctl, stateful->set, pod, COMPONENT, &err) < 0)
        stateful->wait_ms = stateful->ctl->spec.reconcile_ms * 4;
}

/* ---- in order ---- */

static bool is_parallel(const struct stateful *stateful)
{
    return strcmp(json_str_or(stateful->set, "spec.podManagementPolicy", ""), "Parallel") == 0;
}

/* True when every wanted pod is there (and, in order, ready). */
static bool complete(struct stateful *stateful, int64_t wanted)
{
    bool all = true;

    for (int64_t i = 0; i < wanted && i < MOST_PODS; i++) {
        const cJSON *pod = pod_at(stateful, i);

        if (pod == NULL)
            create(stateful, i);
        else if (pod_is_over(pod) && !is_deleting(pod))
            ctl_delete(stateful->ctl, ctl_resource(stateful->ctl, "", "pods"), pod);
        if (pod != NULL && pod_is_ready(pod) && !is_deleting(pod))
            continue;
        all = false;
        if (!is_parallel(stateful))
            return false;
    }
    return all;
}

static bool remove_excess(struct stateful *stateful, int64_t wanted)
{
    const cJSON *last = NULL;

    for (size_t i = 0; stateful->pods[i] != NULL; i++) {
        const cJSON *pod = stateful->pods[i]->object;

        if (ordinal_of(stateful, pod) >= wanted &&
            (last == NULL || ordinal_of(stateful, pod) > ordinal_of(stateful, last)))
            last = pod;
    }
    if (last == NULL)
        return false;
    if (!is_deleting(last))
        ctl_delete(stateful->ctl, ctl_resource(stateful->ctl, "", "pods"), last);
    return true;
}

/* From the last to the first, the ones below the partition stay. */
static void update(struct stateful *stateful, int64_t wanted)
{
    int64_t partition =
        json_number(stateful->set, "spec.updateStrategy.rollingUpdate.partition", 0);

    if (strcmp(json_str_or(stateful->set, "spec.updateStrategy.type", ""), "OnDelete") == 0)
        return;
    for (int64_t i = wanted - 1; i >= partition; i--) {
        const cJSON *pod = pod_at(stateful, i);

        if (pod == NULL || is_current(stateful, pod))
            continue;
        if (!is_deleting(pod))
            ctl_delete(stateful->ctl, ctl_resource(stateful->ctl, "", "pods"), pod);
        return;
    }
}

/* A pod of an old template that does not get ready would hold up the rollout of the new one. */
static void replace_broken(struct stateful *stateful, int64_t wanted)
{
    for (int64_t i = 0; i < wanted; i++) {
        const cJSON *pod = pod_at(stateful, i);

        if (pod == NULL || pod_is_ready(pod) || is_deleting(pod))
            continue;
        if (!is_current(stateful, pod))
            ctl_delete(stateful->ctl, ctl_resource(stateful->ctl, "", "pods"), pod);
        return;
    }
}

/* ---- the status ---- */

static void count(struct stateful *stateful)
{
    int64_t min_ready = json_number(stateful->set, "spec.minReadySeconds", 0);

    for (size_t i = 0; stateful->pods[i] != NULL; i++) {
        const cJSON *pod = stateful->pods[i]->object;

        stateful->replicas++;
        if (is_deleting(pod))
            continue;
        stateful->ready += pod_is_ready(pod);
        stateful->available += pod_is_available(pod, min_ready, &stateful->wait_ms);
        stateful->updated += is_current(stateful, pod);
    }
}

static void write_status(struct stateful *stateful, int64_t wanted)
{
    cJSON *status = json_object();
    const char *before = json_str(stateful->set, "status.currentRevision");
    bool done =
        stateful->updated == wanted && stateful->ready == wanted && stateful->replicas == wanted;
    const char *current = before == NULL || done ? stateful->revision : before;
    bool same = strcmp(current, stateful->revision) == 0;

    json_set_i64(status, "observedGeneration",
                 json_number(stateful->set, "metadata.generation", 0));
    json_set_i64(status, "replicas", stateful->replicas);
    if (stateful->ready > 0)
        json_set_i64(status, "readyReplicas", stateful->ready);
    json_set_i64(status, "availableReplicas", stateful->available);
    if (stateful->updated > 0)
        json_set_i64(status, "updatedReplicas", stateful->updated);
    if (same ? stateful->updated > 0 : stateful->replicas > stateful->updated)
        json_set_i64(status, "currentReplicas",
                     same ? stateful->updated : stateful->replicas - stateful->updated);
    json_set_str(status, "currentRevision", current);
    json_set_str(status, "updateRevision", stateful->revision);
    json_set_i64(status, "collisionCount", 0);
    ctl_set_status(stateful->ctl, stateful->resource, stateful->set, status);
}

int64_t ctl_stateful_set(struct ctl *ctl, const struct resource *resource, const cJSON *set)
{
    struct stateful stateful = {.ctl = ctl,
                                .resource = resource,
                                .set = set,
                                .name = json_str_or(set, "metadata.name", ""),
                                .wait_ms = CTL_DONE};
    int64_t wanted = json_number(set, "spec.replicas", 1);
    struct hash_text hash = template_hash(json_at(set, "spec.template"));

    if (is_deleting(set))
        return CTL_DONE;
    stateful.revision = xasprintf("%s-%s", stateful.name, hash.text);
    stateful.pods = ctl_owned(ctl, "", "pods", set);
    count(&stateful);
    if (complete(&stateful, wanted)) {
        if (!remove_excess(&stateful, wanted))
            update(&stateful, wanted);
    } else {
        replace_broken(&stateful, wanted);
    }
    write_status(&stateful, wanted);
    store_list_free(stateful.pods);
    free(stateful.revision);
    return stateful.wait_ms;
}
