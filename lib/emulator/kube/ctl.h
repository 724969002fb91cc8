/* What the simulated controllers share. Internal to controllers*.c and ctl_*.c; all of it runs on
 * one thread. A reconciler looks at an object as it is, writes what a real controller would, and is
 * called again after each change of the object and of what belongs to it. */
#ifndef EMULATOR_KUBE_CTL_H
#define EMULATOR_KUBE_CTL_H

#include "emulator/kube/controllers.h"
#include "emulator/kube/core.h"

struct pod_state; /* what a kubelet knows, see kubelet.h */

struct ctl {
    struct controllers_spec spec;
    struct store *store;
    struct pod_state *pods;
    unsigned next_pod_address;
    unsigned next_balancer_address;
};

/* Nothing more to do until something changes; otherwise: call again after that many ms. */
#define CTL_DONE (-1)
typedef int64_t (*ctl_reconcile)(struct ctl *ctl, const struct resource *resource,
                                 const cJSON *object);

int64_t ctl_deployment(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_replica_set(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_stateful_set(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_daemon_set(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_job(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_pod(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_service(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_claim(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_namespace(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_account(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_secret(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_definition(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_api_service(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_node(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_ingress(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_budget(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_autoscaler(struct ctl *ctl, const struct resource *resource, const cJSON *object);
int64_t ctl_certificate(struct ctl *ctl, const struct resource *resource, const cJSON *object);
/* An object that is being deleted in the foreground, or whose dependents are to be orphaned. */
int64_t ctl_finalize(struct ctl *ctl, const struct resource *resource, const cJSON *object);
/* What was owned by an object that is gone. */
void ctl_collect(struct ctl *ctl, const char *owner_uid);

/* ---- writing ---- */
/* Replaces the status unless it is the same; takes it. */
void ctl_set_status(struct ctl *ctl, const struct resource *resource, const cJSON *object,
                    cJSON *status);
/* A merge patch; that the object is gone is no matter. Takes it. */
void ctl_merge(struct ctl *ctl, const struct resource *resource, const cJSON *object, cJSON *patch);
void ctl_delete(struct ctl *ctl, const struct resource *resource, const cJSON *object);
/* Deletes for good, finalizers or not: what a kubelet does once the containers ended. */
void ctl_remove(struct ctl *ctl, const struct resource *resource, const cJSON *object);
/* Creates, unless it is there; takes it. False when that fails. */
bool ctl_create(struct ctl *ctl, cJSON *object);
int ctl_try_create(struct ctl *ctl, cJSON *object, struct err *err); /* with why not */

/* ---- reading ---- */
const struct resource *ctl_resource(struct ctl *ctl, const char *group, const char *plural);
struct stored *ctl_get(struct ctl *ctl, const char *group, const char *plural, const char *space,
                       const char *name);
/* The objects of this type in the namespace that `owner` controls, those being deleted too. A
 * NULL-terminated array, freed with store_list_free. */
struct stored **ctl_owned(struct ctl *ctl, const char *group, const char *plural,
                          const cJSON *owner);
/* The status to go on from, {} when there is none. */
cJSON *status_copy(const cJSON *object);
int64_t json_number(const cJSON *object, const char *path, int64_t fallback);
bool is_deleting(const cJSON *object);
bool pod_is_ready(const cJSON *pod);
/* Ready for minReadySeconds; otherwise, for a ready one, *wait_ms is until then. */
bool pod_is_available(const cJSON *pod, int64_t min_ready_s, int64_t *wait_ms);
bool pod_is_over(const cJSON *pod); /* Succeeded or Failed */

/* ---- conditions ---- */
/* Sets the condition of this type; lastTransitionTime changes with the status only. */
void condition_set(cJSON *conditions, const char *type, const char *status, const char *reason,
                   const char *message);
const cJSON *condition_find(const cJSON *conditions, const char *type);
bool condition_is(const cJSON *conditions, const char *type, const char *status);

/* ---- making ---- */
/* {apiVersion, kind, metadata: {name, namespace}} */
cJSON *new_object_of(const char *api_version, const char *kind, const char *space,
                     const char *name);
void set_owner(cJSON *object, const cJSON *owner);
/* A pod of this template (`spec` is the workload's); the caller gives it a name. */
cJSON *pod_from_template(const cJSON *owner, const char *name);
/* Creates the pod (taken) of a workload; without its ServiceAccount it is refused, and told so in
 * an event. */
int create_pod(struct ctl *ctl, const cJSON *owner, cJSON *pod, const char *component,
               struct err *err);
/* Letters for a template, the same for the same one. */
struct hash_text {
    char text[12];
};
struct hash_text template_hash(const cJSON *pod_template);
char *random_name(const char *prefix); /* PREFIX-xxxxx; caller frees */

/* An event of this object; one that was told before counts up. */
void event_record(struct ctl *ctl, const cJSON *object, const char *type, const char *component,
                  const char *reason, const char *format, ...) PRINTF_LIKE(6, 7);
/* The same of a part of it, such as "spec.containers{web}". */
void event_record_of(struct ctl *ctl, const cJSON *object, const char *field, const char *type,
                     const char *component, const char *reason, const char *message);

/* ---- kubelets ---- */
void pod_state_forget(struct ctl *ctl, const char *uid);
void pod_states_clear(struct ctl *ctl);

#endif
