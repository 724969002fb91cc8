/* The simulated control plane and kubelets: one thread that follows the store's changes and writes
 * what controllers write, later. Internal.
 *
 * Rules for workloads that fail, so that tests can have them:
 * - an image whose registry host ends in `.invalid`, or whose tag or digest holds `does-not-exist`,
 *   is never pulled: ErrImagePull, ImagePullBackOff;
 * - a container whose command or arguments hold `exit 1`, or whose image holds `crash-loop`, ends
 *   with 1 each time it starts: CrashLoopBackOff, or a failed Job;
 * - a volume of a ConfigMap that is not there, or of a Secret named `…does-not-exist…`, is never
 *   mounted: FailedMount, ContainerCreating (other Secrets are taken to be there: they are seldom
 * in Git);
 * - a claim whose storage class holds `does-not-exist` stays Pending;
 * - a pod that asks for more processors than a node has is never scheduled: Insufficient cpu;
 * - webhooks and quotas: see admission.h;
 * - a readiness probe whose command is or holds `false` or `exit 1` never succeeds.
 */
#ifndef EMULATOR_KUBE_CONTROLLERS_H
#define EMULATOR_KUBE_CONTROLLERS_H

#include "emulator/kube/auth.h"
#include "emulator/kube/logs.h"
#include "emulator/kube/store.h"

struct controllers_spec {
    struct store *store;
    struct pod_logs *logs;
    struct tokens *tokens;
    int64_t reconcile_ms; /* a change to the reaction */
    int64_t rollout_ms;   /* a container's start to ready */
    int64_t ready_at;     /* mono_ms: nodes are not ready before */
    const char *ca_pem;   /* goes into every namespace; borrowed */
};

struct controllers;
int controllers_start(const struct controllers_spec *spec, struct controllers **out,
                      struct err *err);
/* After store_close. NULL is fine. */
void controllers_stop(struct controllers *controllers);

#endif
