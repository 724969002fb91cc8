/* The scheduler and the kubelets. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/kubelet.h"
#include "emulator/kube/selector.h"

/* ---- what is known of a pod ---- */

static struct container_state *states_of(const cJSON *list, size_t *len)
{
    struct container_state *states = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*states));
    const cJSON *item;

    *len = 0;
    cJSON_ArrayForEach(item, list)
    {
        states[*len].name = json_str_or(item, "name", "");
        states[(*len)++].since_ms = mono_ms();
    }
    return states;
}

static struct pod_state *state_of(struct ctl *ctl, const cJSON *pod)
{
    const char *uid = json_str_or(pod, "metadata.uid", "");
    struct pod_state *state;

    for (state = ctl->pods; state != NULL; state = state->next) {
        if (strcmp(state->uid, uid) == 0)
            return state;
    }
    state = xcalloc(1, sizeof(*state));
    state->uid = xstrdup(uid);
    state->names = json_copy_object(json_get(pod, "spec"));
    state->init = states_of(json_get(state->names, "initContainers"), &state->init_len);
    state->containers = states_of(json_get(state->names, "containers"), &state->containers_len);
    state->since_ms = mono_ms();
    text_copy(state->started, sizeof(state->started), time_now().text);
    state->next = ctl->pods;
    ctl->pods = state;
    return state;
}

static void free_state(struct pod_state *state)
{
    cJSON_Delete(state->names);
    free(state->init);
    free(state->containers);
    free(state->uid);
    free(state);
}

void pod_state_forget(struct ctl *ctl, const char *uid)
{
    struct pod_state **link = &ctl->pods;

    while (*link != NULL && strcmp((*link)->uid, uid) != 0)
        link = &(*link)->next;
    if (*link != NULL) {
        struct pod_state *state = *link;

        *link = state->next;
        free_state(state);
    }
    pod_logs_forget(ctl->spec.logs, uid);
}

void pod_states_clear(struct ctl *ctl)
{
    while (ctl->pods != NULL) {
        struct pod_state *state = ctl->pods;

        ctl->pods = state->next;
        free_state(state);
    }
}

/* ---- scheduling ---- */

/* "1500m", "2", "0.5" of processors in thousandths; anything else is 0. */
static int64_t milli_cpu(const char *text)
{
    char *end = NULL;
    double value = text != NULL ? strtod(text, &end) : 0;

    if (text == NULL || end == text)
        return 0;
    return (int64_t)(strcmp(end, "m") == 0 ? value : value * 1000);
}

static int64_t wanted_cpu(const cJSON *pod)
{
    const cJSON *container;
    int64_t sum = 0;

    cJSON_ArrayForEach(container, json_at(pod, "spec.containers"))
    {
        const char *limit = json_str(container, "resources.limits.cpu");
        const char *request = json_str(container, "resources.requests.cpu");

        sum += milli_cpu(request != NULL ? request : limit);
    }
    return sum;
}

/* A pod alone is compared with an empty node: enough for one that fits nowhere. */
static bool has_room(const cJSON *node, const cJSON *pod)
{
    return wanted_cpu(pod) <= milli_cpu(json_str(node, "status.allocatable.cpu"));
}

static bool node_fits(const cJSON *node, const cJSON *pod)
{
    const cJSON *selector = json_at(pod, "spec.nodeSelector");

    return condition_is(json_at(node, "status.conditions"), "Ready", "True") &&
           !json_bool(node, "spec.unschedulable", false) &&
           (cJSON_GetArraySize(selector) == 0 ||
            selector_map_matches(selector, json_at(node, "metadata.labels")));
}

/* Why its claims keep it from being scheduled, or NULL. Caller frees. */
static char *claim_problem(struct ctl *ctl, const cJSON *pod)
{
    const cJSON *volume;

    cJSON_ArrayForEach(volume, json_at(pod, "spec.volumes"))
    {
        const char *name = json_str(volume, "persistentVolumeClaim.claimName");
        struct stored *claim;
        bool bound;

        if (name == NULL)
            continue;
        claim = ctl_get(ctl, "", "persistentvolumeclaims",
                        json_str_or(pod, "metadata.namespace", ""), name);
        if (claim == NULL)
            return xasprintf("persistentvolumeclaim \"%s\" not found", name);
        bound = strcmp(json_str_or(claim->object, "status.phase", ""), "Bound") == 0;
        stored_unref(claim);
        if (!bound)
            return xstrdup("pod has unbound immediate PersistentVolumeClaims");
    }
    return NULL;
}

static int64_t leave_pending(struct ctl *ctl, const struct resource *resource, const cJSON *pod,
                             const char *message)
{
    cJSON *status = status_copy(pod);

    condition_set(json_need_array(status, "conditions"), "PodScheduled", "False", "Unschedulable",
                  message);
    event_record(ctl, pod, "Warning", "default-scheduler", "FailedScheduling", "%s", message);
    ctl_set_status(ctl, resource, pod, status);
    return ctl->spec.reconcile_ms * 4;
}

struct binding {
    const char *node, *address;
};

static int bind_change(void *arg, const cJSON *now, cJSON **next, struct err *err)
{
    const struct binding *binding = arg;
    cJSON *status;

    if (now == NULL)
        return kube_fail(err, 404, "NotFound", "it is gone");
    *next = json_copy(now);
    json_set_str(json_get(*next, "spec"), "nodeName", binding->node);
    status = json_need_object(*next, "status");
    condition_set(json_need_array(status, "conditions"), "PodScheduled", "True", NULL, NULL);
    json_set_str(status, "hostIP", binding->address);
    return 0;
}

static void bind_to(struct ctl *ctl, const struct resource *resource, const cJSON *pod,
                    const cJSON *node)
{
    struct binding binding = {
        .node = json_str_or(node, "metadata.name", ""),
        .address = json_str_or(node, "status.addresses[0].address", ""),
    };
    autoerr struct err err = ERR_INIT;

    if (store_write(ctl->store, resource, json_str(pod, "metadata.namespace"),
                    json_str_or(pod, "metadata.name", ""), bind_change, &binding, NULL, &err) == 0)
        event_record(ctl, pod, "Normal", "default-scheduler", "Scheduled",
                     "Successfully assigned %s/%s to %s",
                     json_str_or(pod, "metadata.namespace", ""),
                     json_str_or(pod, "metadata.name", ""), binding.node);
}

static int64_t schedule(struct ctl *ctl, const struct resource *resource, const cJSON *pod)
{
    struct stored **nodes = store_list(ctl->store, ctl_resource(ctl, "", "nodes"), NULL, NULL);
    autofree char *problem = claim_problem(ctl, pod);
    autofree char *message = NULL;
    size_t count = 0;
    size_t fitting = 0;
    size_t small = 0;
    int64_t again = CTL_DONE;

    for (; nodes[count] != NULL; count++) {
        bool fits = node_fits(nodes[count]->object, pod);
        bool room = has_room(nodes[count]->object, pod);

        fitting += fits && room;
        small += fits && !room;
    }
    if (fitting == 0 || problem != NULL) {
        autofree char *insufficient = xasprintf("%zu Insufficient cpu", small);

        message = xasprintf("0/%zu nodes are available: %s.", count,
                            problem != NULL ? problem
                            : small > 0     ? insufficient
                                            : "none is ready and matches the pod's node selector");
        again = leave_pending(ctl, resource, pod, message);
    } else {
        size_t chosen = random_below(fitting);

        for (size_t i = 0; i < count; i++) {
            if (node_fits(nodes[i]->object, pod) && has_room(nodes[i]->object, pod) &&
                chosen-- == 0) {
                bind_to(ctl, resource, pod, nodes[i]->object);
                break;
            }
        }
    }
    store_list_free(nodes);
    return again;
}

/* ---- volumes ---- */

/* The first volume whose ConfigMap or Secret is not there; *text is the event's, the caller's.
 * Secrets are seldom in Git, so that a rehearsal has to do without them: only one that is named so
 * does not exist. */
static bool volume_missing(struct ctl *ctl, const cJSON *pod, char **text)
{
    const char *space = json_str_or(pod, "metadata.namespace", "");
    const cJSON *volume;

    cJSON_ArrayForEach(volume, json_at(pod, "spec.volumes"))
    {
        const char *secret = json_str(volume, "secret.secretName");
        const char *map = json_str(volume, "configMap.name");
        const char *name = secret != NULL ? secret : map;
        struct stored *found;

        if (name == NULL || json_bool(volume, "secret.optional", false) ||
            json_bool(volume, "configMap.optional", false) ||
            (secret != NULL && strstr(secret, "does-not-exist") == NULL))
            continue;
        found = ctl_get(ctl, "", secret != NULL ? "secrets" : "configmaps", space, name);
        stored_unref(found);
        if (found != NULL)
            continue;
        *text = xasprintf("MountVolume.SetUp failed for volume \"%s\" : %s \"%s\" not found",
                          json_str_or(volume, "name", ""), secret != NULL ? "secret" : "configmap",
                          name);
        return true;
    }
    return false;
}

/* ---- running ---- */

static void give_address(struct ctl *ctl, struct pod_state *state)
{
    unsigned number;

    if (state->address[0] != '\0')
        return;
    number = ++ctl->next_pod_address;
    snprintf(state->address, sizeof(state->address), "10.64.%u.%u", number >> 8 & 0xff,
             number & 0xff);
}

/* Init containers one after the other; true when they are through. */
static bool advance_init(struct container_run *run, int64_t *wait_ms)
{
    const cJSON *spec = json_at(run->pod, "spec.initContainers[0]");

    run->init = true;
    for (size_t i = 0; i < run->state->init_len && spec != NULL; i++, spec = spec->next) {
        struct container_state *container = &run->state->init[i];

        if (container->step == CONTAINER_COMPLETED)
            continue;
        run->spec = spec;
        container_advance(run, container, wait_ms);
        if (container->step != CONTAINER_COMPLETED)
            return false;
        if (i + 1 < run->state->init_len)
            run->state->init[i + 1].since_ms = mono_ms();
        for (size_t c = 0; c < run->state->containers_len; c++)
            run->state->containers[c].since_ms = mono_ms();
    }
    run->init = false;
    return true;
}

static void advance(struct ctl *ctl, const cJSON *pod, struct pod_state *state, int64_t *wait_ms)
{
    struct container_run run = {.ctl = ctl, .pod = pod, .state = state};
    const cJSON *spec = json_at(pod, "spec.containers[0]");

    if (!advance_init(&run, wait_ms))
        return;
    for (size_t i = 0; i < state->containers_len && spec != NULL; i++, spec = spec->next) {
        run.spec = spec;
        container_advance(&run, &state->containers[i], wait_ms);
    }
}

static bool is_before_start(const struct pod_state *state)
{
    for (size_t i = 0; i < state->init_len; i++) {
        if (state->init[i].run.id[0] != '\0')
            return false;
    }
    for (size_t i = 0; i < state->containers_len; i++) {
        if (state->containers[i].run.id[0] != '\0')
            return false;
    }
    return true;
}

static int64_t run_pod(struct ctl *ctl, const struct resource *resource, const cJSON *pod)
{
    struct pod_state *state = state_of(ctl, pod);
    autofree char *missing = NULL;
    int64_t wait_ms = CTL_DONE;

    if (is_before_start(state) && mono_ms() - state->since_ms >= half_rollout(ctl) &&
        volume_missing(ctl, pod, &missing)) {
        event_record(ctl, pod, "Warning", "kubelet", "FailedMount", "%s", missing);
        wait_ms = ctl->spec.rollout_ms;
    } else {
        advance(ctl, pod, state, &wait_ms);
    }
    if (!is_before_start(state))
        give_address(ctl, state);
    ctl_set_status(ctl, resource, pod, pod_status(state, pod));
    return wait_ms;
}

/* ---- ending ---- */

static int64_t end_pod(struct ctl *ctl, const struct resource *resource, const cJSON *pod)
{
    struct pod_state *state = state_of(ctl, pod);
    int64_t left;
    cJSON *patch;

    if (state->killed_at_ms == 0) {
        state->killed_at_ms = mono_ms();
        for (size_t i = 0; i < state->containers_len; i++) {
            if (state->containers[i].run.id[0] != '\0')
                event_record(ctl, pod, "Normal", "kubelet", "Killing", "Stopping container %s",
                             state->containers[i].name);
        }
    }
    left = state->killed_at_ms + ctl->spec.reconcile_ms - mono_ms();
    if (left > 0)
        return left;
    /* The last word of a kubelet: no grace is needed any more. Finalizers still hold it. */
    patch = json_object();
    json_set_i64(json_set_object(patch, "metadata"), "deletionGracePeriodSeconds", 0);
    ctl_merge(ctl, resource, pod, patch);
    return CTL_DONE;
}

int64_t ctl_pod(struct ctl *ctl, const struct resource *resource, const cJSON *pod)
{
    const char *scheduler = json_str_or(pod, "spec.schedulerName", "default-scheduler");

    if (is_deleting(pod))
        return end_pod(ctl, resource, pod);
    if (pod_is_over(pod))
        return CTL_DONE;
    if (json_at(pod, "spec.nodeName") != NULL)
        return run_pod(ctl, resource, pod);
    return strcmp(scheduler, "default-scheduler") == 0 ? schedule(ctl, resource, pod) : CTL_DONE;
}
