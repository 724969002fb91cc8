/* The cells of tables, kind by kind. Internal. */
#ifndef EMULATOR_KUBE_CELLS_H
#define EMULATOR_KUBE_CELLS_H

#include "necoops/base/json.h"

struct column {
    const char *name; /* NULL ends the list */
    const char *type; /* "string", "integer" */
    const char *path; /* a dotted path, when there is no function */
    cJSON *(*cell)(const cJSON *object);
    int wide; /* 1: only with -o wide */
};

struct table_kind {
    const char *kind;
    const struct column *columns;
};
extern const struct table_kind table_kinds[];
extern const size_t table_kinds_len;
extern const struct column table_default_columns[];

/* The value at the path as a cell: "<none>" for a missing string. */
cJSON *cell_path(const cJSON *object, const char *path);
/* "5s", "3m20s", "2d": how long ago this RFC 3339 time was. */
cJSON *cell_age_of(const char *timestamp);
cJSON *cell_age(const cJSON *object);

/* cells_workload.c */
cJSON *cell_pod_ready(const cJSON *pod);
cJSON *cell_pod_status(const cJSON *pod);
cJSON *cell_pod_restarts(const cJSON *pod);
cJSON *cell_containers(const cJSON *object);
cJSON *cell_images(const cJSON *object);
cJSON *cell_selector(const cJSON *object);
cJSON *cell_ready_of_replicas(const cJSON *object);
cJSON *cell_job_completions(const cJSON *job);
cJSON *cell_job_duration(const cJSON *job);
cJSON *cell_suspend(const cJSON *job);
cJSON *cell_active(const cJSON *job);
cJSON *cell_last_schedule(const cJSON *job);
cJSON *cell_autoscaler_target(const cJSON *autoscaler);
/* cells_core.c */
cJSON *cell_external_ip(const cJSON *service);
cJSON *cell_service_ports(const cJSON *service);
cJSON *cell_endpoints(const cJSON *endpoints);
cJSON *cell_node_status(const cJSON *node);
cJSON *cell_node_roles(const cJSON *node);
cJSON *cell_node_address(const cJSON *node);
cJSON *cell_data_count(const cJSON *object);
cJSON *cell_secrets_count(const cJSON *account);
cJSON *cell_claim_modes(const cJSON *claim);
cJSON *cell_claim_of_volume(const cJSON *volume);
cJSON *cell_ingress_hosts(const cJSON *ingress);
cJSON *cell_ingress_address(const cJSON *ingress);
cJSON *cell_ingress_ports(const cJSON *ingress);
cJSON *cell_role_of_binding(const cJSON *binding);
cJSON *cell_service_of_api(const cJSON *api_service);
cJSON *cell_available(const cJSON *api_service);
cJSON *cell_event_age(const cJSON *event);
cJSON *cell_event_object(const cJSON *event);
cJSON *cell_event_message(const cJSON *event);
cJSON *cell_webhooks(const cJSON *configuration);

#endif
