/* A running Kubernetes cluster: its store, its API server (TLS, client certificates and tokens), its
 * simulated controllers, and its Argo CD. */
#ifndef EMULATOR_KUBE_CLUSTER_H
#define EMULATOR_KUBE_CLUSTER_H

#include "emulator/core/emulator.h"
#include "emulator/kube/store.h"

struct clusters;
struct cluster;
int clusters_new(struct emu *emu, struct clusters **out, struct err *err);
void clusters_free(struct clusters *clusters);
/* {"NAME": {"nodes": 3 | ["NAME", …], "version": "v1.27.16", "kubeconfig": FILE,
 * "argocd": true|false|"v2.8.0", "tokens": {"TOKEN": {"user": …, "groups": […]}},
 * "objects": [OBJECT, …]}} */
int clusters_seed(struct clusters *clusters, const cJSON *seed, struct err *err);

struct cluster_spec {
    const char *name;
    const char *version; /* "v1.27.16" */
    const struct strv *nodes;
    const char *ca_cert_pem, *ca_key_pem; /* NULL: made */
    const char *argocd_version;           /* "v2.14.21"; NULL: no Argo CD in it */
};
/* Listens at once; /readyz says ready after timing.cluster_boot. */
int cluster_start(struct clusters *clusters, const struct cluster_spec *spec, struct cluster **out,
                  struct err *err);
void cluster_stop(struct cluster *cluster);

const char *cluster_name(const struct cluster *cluster);
struct emu *cluster_emu(const struct cluster *cluster);
struct store *cluster_store(struct cluster *cluster);
uint16_t cluster_port(const struct cluster *cluster);
/* A kubeconfig with a fresh client certificate of an administrator; caller frees. */
char *cluster_kubeconfig(struct cluster *cluster);

#endif
