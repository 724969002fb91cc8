/* ReplicaSets and ReplicationControllers: as many pods as they say. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"

struct replicas {
    struct ctl *ctl;
    const struct resource *resource;
    const cJSON *set;
    struct stored **pods;
    int64_t active, ready, available;
    int64_t wait_ms;
    bool refused;
    struct err why;
};

static const char *component_of(const struct replicas *replicas)
{
    return strcmp(replicas->resource->kind, "ReplicaSet") == 0 ? "replicaset-controller"
                                                               : "replication-controller";
}

static int check_account(struct ctl *ctl, const cJSON *pod, const char *name, struct err *err)
{
    const char *space = json_str_or(pod, "metadata.namespace", "");
    const char *account = json_str_or(pod, "spec.serviceAccountName", "default");
    struct stored *found = ctl_get(ctl, "", "serviceaccounts", space, account);

    if (found == NULL)
        return kube_fail(err, 403, "Forbidden",
                         "pods \"%s\" is forbidden: error looking up service account %s/%s: "
                         "serviceaccount \"%s\" not found",
                         json_str_or(pod, "metadata.generateName", name), space, account, account);
    stored_unref(found);
    return 0;
}

int create_pod(struct ctl *ctl, const cJSON *owner, cJSON *pod, const char *component,
               struct err *err)
{
    autojson cJSON *owned = pod;
    autofree char *name = xstrdup(json_str_or(pod, "metadata.name", ""));

    if (check_account(ctl, pod, name, err) < 0 || ctl_try_create(ctl, steal(owned), err) < 0) {
        event_record(ctl, owner, "Warning", component, "FailedCreate", "Error creating: %s",
                     err_text(err));
        return -1;
    }
    event_record(ctl, owner, "Normal", component, "SuccessfulCreate", "Created pod: %s", name);
    return 0;
}

static bool is_active(const cJSON *pod)
{
    return !is_deleting(pod) && !pod_is_over(pod);
}

static void count(struct replicas *replicas)
{
    int64_t min_ready = json_number(replicas->set, "spec.minReadySeconds", 0);

    for (size_t i = 0; replicas->pods[i] != NULL; i++) {
        const cJSON *pod = replicas->pods[i]->object;

        if (!is_active(pod))
            continue;
        replicas->active++;
        replicas->ready += pod_is_ready(pod);
        replicas->available += pod_is_available(pod, min_ready, &replicas->wait_ms);
    }
}

static void add_pods(struct replicas *replicas, int64_t missing)
{
    const char *set_name = json_str_or(replicas->set, "metadata.name", "");

    for (int64_t i = 0; i < missing && !replicas->refused; i++) {
        autofree char *name = random_name(set_name);

        replicas->refused =
            create_pod(replicas->ctl, replicas->set, pod_from_template(replicas->set, name),
                       component_of(replicas), &replicas->why) < 0;
    }
    if (replicas->refused)
        replicas->wait_ms = replicas->ctl->spec.reconcile_ms * 4;
}

/* Those that are not ready go first. */
static void remove_pods(struct replicas *replicas, int64_t excess)
{
    const struct resource *pods = ctl_resource(replicas->ctl, "", "pods");

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; replicas->pods[i] != NULL && excess > 0; i++) {
            const cJSON *pod = replicas->pods[i]->object;

            if (!is_active(pod) || pod_is_ready(pod) != (pass == 1))
                continue;
            ctl_delete(replicas->ctl, pods, pod);
            event_record(replicas->ctl, replicas->set, "Normal", component_of(replicas),
                         "SuccessfulDelete", "Deleted pod: %s",
                         json_str_or(pod, "metadata.name", ""));
            excess--;
        }
    }
}

static void write_status(struct replicas *replicas)
{
    cJSON *status = json_object();
    const cJSON *conditions = json_at(replicas->set, "status.conditions");

    json_set_i64(status, "replicas", replicas->active);
    if (replicas->active > 0)
        json_set_i64(status, "fullyLabeledReplicas", replicas->active);
    if (replicas->ready > 0)
        json_set_i64(status, "readyReplicas", replicas->ready);
    if (replicas->available > 0)
        json_set_i64(status, "availableReplicas", replicas->available);
    json_set_i64(status, "observedGeneration",
                 json_number(replicas->set, "metadata.generation", 0));
    if (replicas->refused) {
        cJSON *list = json_set(status, "conditions",
                               conditions != NULL ? json_copy(conditions) : json_array());

        condition_set(list, "ReplicaFailure", "True", "FailedCreate", err_text(&replicas->why));
    }
    ctl_set_status(replicas->ctl, replicas->resource, replicas->set, status);
}

int64_t ctl_replica_set(struct ctl *ctl, const struct resource *resource, const cJSON *set)
{
    struct replicas replicas = {
        .ctl = ctl, .resource = resource, .set = set, .wait_ms = CTL_DONE, .why = ERR_INIT};
    int64_t wanted = json_number(set, "spec.replicas", 1);

    if (is_deleting(set))
        return CTL_DONE;
    replicas.pods = ctl_owned(ctl, "", "pods", set);
    count(&replicas);
    if (replicas.active < wanted)
        add_pods(&replicas, wanted - replicas.active);
    else if (replicas.active > wanted)
        remove_pods(&replicas, replicas.active - wanted);
    write_status(&replicas);
    store_list_free(replicas.pods);
    err_clear(&replicas.why);
    return replicas.wait_ms;
}
