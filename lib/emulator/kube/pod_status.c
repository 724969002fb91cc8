/* A pod's status, as its kubelet reports it. */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/kubelet.h"

static const cJSON *spec_of(const cJSON *pod, const char *key, const char *name)
{
    const cJSON *container;

    cJSON_ArrayForEach(container, json_get(json_get(pod, "spec"), key))
    {
        if (str_equal(json_str(container, "name"), name))
            return container;
    }
    return NULL;
}

static cJSON *waiting(cJSON *state, const char *reason, const char *message)
{
    cJSON *waits = json_set_object(state, "waiting");

    json_set_str(waits, "reason", reason);
    json_set_str(waits, "message", message);
    return waits;
}

static void terminated(cJSON *state, const struct container_times *run, int64_t code)
{
    cJSON *ended = json_set_object(state, "terminated");
    autofree char *id = xasprintf("containerd://%s", run->id);

    json_set_i64(ended, "exitCode", code);
    json_set_str(ended, "reason", code == 0 ? "Completed" : "Error");
    json_set_str(ended, "startedAt", run->started);
    json_set_str(ended, "finishedAt", run->finished);
    json_set_str(ended, "containerID", id);
}

static void set_state(cJSON *status, const struct container_state *container, const cJSON *pod,
                      const char *image, bool initializing)
{
    cJSON *state = json_set_object(status, "state");
    autofree char *pull = xasprintf("Back-off pulling image \"%s\"", image);
    autofree char *pull_error = xasprintf(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"%s\": not found",
        image);
    autofree char *back_off =
        xasprintf("back-off restarting failed container=%s pod=%s_%s(%s)", container->name,
                  json_str_or(pod, "metadata.name", ""), json_str_or(pod, "metadata.namespace", ""),
                  json_str_or(pod, "metadata.uid", ""));

    switch (container->step) {
    case CONTAINER_CREATING:
        waiting(state, initializing ? "PodInitializing" : "ContainerCreating", NULL);
        break;
    case CONTAINER_PULL_FAILED:
        waiting(state, "ErrImagePull", pull_error);
        break;
    case CONTAINER_PULL_BACKOFF:
        waiting(state, "ImagePullBackOff", pull);
        break;
    case CONTAINER_STARTED:
    case CONTAINER_READY:
        json_set_str(json_set_object(state, "running"), "startedAt", container->run.started);
        break;
    case CONTAINER_COMPLETED:
        terminated(state, &container->run, 0);
        break;
    case CONTAINER_FAILED:
        terminated(state, &container->run, 1);
        break;
    case CONTAINER_BACKOFF:
        waiting(state, "CrashLoopBackOff", back_off);
        break;
    }
}

static bool is_running(const struct container_state *container)
{
    return container->step == CONTAINER_STARTED || container->step == CONTAINER_READY;
}

static cJSON *container_status(const struct container_state *container, const cJSON *pod,
                               const char *key, bool initializing)
{
    const cJSON *spec = spec_of(pod, key, container->name);
    const char *image = json_str_or(spec, "image", "");
    bool init = strcmp(key, "initContainers") == 0;
    cJSON *status = json_object();
    /* who waits to be started again has not begun another run */
    const struct container_times *before =
        container->step == CONTAINER_BACKOFF ? &container->run : &container->last;
    cJSON *last;
    autofree char *id = xasprintf("containerd://%s", container->run.id);

    json_set_str(status, "name", container->name);
    set_state(status, container, pod, image, initializing);
    last = json_set_object(status, "lastState");
    if (before->finished[0] != '\0')
        terminated(last, before, 1);
    json_set_bool(status, "ready",
                  init ? container->step == CONTAINER_COMPLETED
                       : container->step == CONTAINER_READY);
    json_set_i64(status, "restartCount", container->restarts);
    json_set_str(status, "image", image);
    json_set_str(status, "imageID", "");
    if (container->run.id[0] != '\0')
        json_set_str(status, "containerID", id);
    if (!init)
        json_set_bool(status, "started", is_running(container));
    return status;
}

/* ---- the pod as a whole ---- */

static bool has_begun(const struct container_state *container)
{
    return container->run.id[0] != '\0';
}

static const char *phase_of(const struct pod_state *state, const cJSON *pod)
{
    bool never = strcmp(json_str_or(pod, "spec.restartPolicy", ""), "Never") == 0;
    bool always = strcmp(json_str_or(pod, "spec.restartPolicy", "Always"), "Always") == 0;
    size_t ended = 0;
    size_t failed = 0;

    for (size_t i = 0; i < state->init_len; i++) {
        if (state->init[i].step == CONTAINER_FAILED && never)
            return "Failed";
        if (state->init[i].step != CONTAINER_COMPLETED)
            return "Pending";
    }
    for (size_t i = 0; i < state->containers_len; i++) {
        const struct container_state *container = &state->containers[i];

        if (!has_begun(container))
            return "Pending";
        ended += container->step == CONTAINER_COMPLETED || container->step == CONTAINER_FAILED;
        failed += container->step == CONTAINER_FAILED;
    }
    if (ended < state->containers_len || always || (failed > 0 && !never))
        return "Running";
    return failed > 0 ? "Failed" : "Succeeded";
}

static bool is_initialized(const struct pod_state *state)
{
    for (size_t i = 0; i < state->init_len; i++) {
        if (state->init[i].step != CONTAINER_COMPLETED)
            return false;
    }
    return true;
}

/* "containers with unready status: [a b]", or NULL when all are ready. Caller frees. */
static char *unready_text(const struct pod_state *state)
{
    CLEANUP(strv_clear) struct strv names = STRV_INIT;
    autofree char *joined = NULL;

    for (size_t i = 0; i < state->containers_len; i++) {
        if (state->containers[i].step != CONTAINER_READY)
            strv_add(&names, state->containers[i].name);
    }
    if (names.len == 0)
        return NULL;
    joined = strv_join(&names, " ");
    return xasprintf("containers with unready status: [%s]", joined);
}

static void set_conditions(const struct pod_state *state, cJSON *conditions, const char *phase)
{
    autofree char *unready = unready_text(state);
    bool over = strcmp(phase, "Succeeded") == 0;
    static const char *const types[] = {"Ready", "ContainersReady"};

    condition_set(conditions, "PodScheduled", "True", NULL, NULL);
    if (is_initialized(state))
        condition_set(conditions, "Initialized", "True", over ? "PodCompleted" : NULL, NULL);
    else
        condition_set(conditions, "Initialized", "False", "ContainersNotInitialized",
                      "containers with incomplete status");
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (unready == NULL) {
            condition_set(conditions, types[i], "True", NULL, NULL);
            cJSON_DeleteItemFromObjectCaseSensitive((cJSON *)condition_find(conditions, types[i]),
                                                    "reason");
            cJSON_DeleteItemFromObjectCaseSensitive((cJSON *)condition_find(conditions, types[i]),
                                                    "message");
        } else {
            condition_set(conditions, types[i], "False",
                          over ? "PodCompleted" : "ContainersNotReady", unready);
        }
    }
}

static const char *quality_of(const cJSON *pod)
{
    const cJSON *container;
    const char *quality = "BestEffort";

    cJSON_ArrayForEach(container, json_at(pod, "spec.containers"))
    {
        if (cJSON_GetArraySize(json_at(container, "resources.limits")) > 0 ||
            cJSON_GetArraySize(json_at(container, "resources.requests")) > 0)
            quality = "Burstable";
    }
    return quality;
}

cJSON *pod_status(const struct pod_state *state, const cJSON *pod)
{
    cJSON *status = status_copy(pod);
    const char *phase = phase_of(state, pod);
    bool initialized = is_initialized(state);
    cJSON *list;
    cJSON *addresses;

    json_set_str(status, "phase", phase);
    json_set_str(status, "startTime", state->started);
    json_set_str(status, "qosClass", quality_of(pod));
    set_conditions(state, json_need_array(status, "conditions"), phase);
    if (state->address[0] != '\0') {
        json_set_str(status, "podIP", state->address);
        addresses = json_set_array(status, "podIPs");
        json_push(addresses, json_object());
        json_set_str(addresses->child, "ip", state->address);
    }
    if (state->init_len > 0) {
        list = json_set_array(status, "initContainerStatuses");
        for (size_t i = 0; i < state->init_len; i++)
            json_push(list, container_status(&state->init[i], pod, "initContainers", i > 0));
    }
    list = json_set_array(status, "containerStatuses");
    for (size_t i = 0; i < state->containers_len; i++)
        json_push(list, container_status(&state->containers[i], pod, "containers",
                                         !initialized && state->init_len > 0));
    return status;
}
