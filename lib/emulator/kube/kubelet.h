/* What kubelets know of their pods. Internal to ctl_pod.c, ctl_container.c and pod_status.c. */
#ifndef EMULATOR_KUBE_KUBELET_H
#define EMULATOR_KUBE_KUBELET_H

#include "emulator/kube/ctl.h"

enum container_step {
    CONTAINER_CREATING,     /* waiting: ContainerCreating or PodInitializing */
    CONTAINER_PULL_FAILED,  /* waiting: ErrImagePull */
    CONTAINER_PULL_BACKOFF, /* waiting: ImagePullBackOff */
    CONTAINER_STARTED,      /* running */
    CONTAINER_READY,        /* running, and its readiness probe succeeds */
    CONTAINER_COMPLETED,    /* terminated: 0 */
    CONTAINER_FAILED,       /* terminated: 1 */
    CONTAINER_BACKOFF,      /* waiting: CrashLoopBackOff */
};

struct container_times {
    char started[40], finished[40]; /* RFC 3339, "" before */
    char id[65];
};

struct container_state {
    const char *name; /* inside the pod's state */
    enum container_step step;
    int64_t since_ms; /* mono: when the step began */
    int restarts, pulls;
    struct container_times run, last; /* this run, and the one before it */
};

struct pod_state {
    struct pod_state *next;
    char *uid;
    cJSON *names; /* what the names point into */
    struct container_state *init, *containers;
    size_t init_len, containers_len;
    char address[32];
    char started[40];
    int64_t since_ms; /* mono: when it came to the node */
    bool volumes_missing;
    int64_t killed_at_ms; /* mono; 0: it is not deleted */
};

/* Time in which a container is made, and then gets ready. */
static inline int64_t half_rollout(const struct ctl *ctl)
{
    return ctl->spec.rollout_ms / 2;
}

/* One container on its way; `spec` is its own. *wait_ms: until the next step, when there is one. */
struct container_run {
    struct ctl *ctl;
    const cJSON *pod, *spec;
    struct pod_state *state;
    bool init;
};
void container_advance(const struct container_run *run, struct container_state *container,
                       int64_t *wait_ms);

/* The pod's status from what is known; the caller's. */
cJSON *pod_status(const struct pod_state *state, const cJSON *pod);

#endif
