/* The way to a cluster of the configuration: kubeconfig (file, gs:// object, in-cluster), tunnel,
 * and why there is none now. */
#ifndef NECOOPS_DEPLOY_REACH_H
#define NECOOPS_DEPLOY_REACH_H

#include <sys/types.h>
#include "necoops/conf/conf.h"
#include "necoops/kube/client.h"

/* The Lease, in Argo CD's namespace, that a deployment holds (kube/lock.h). */
#define DEPLOY_LEASE "necoops-deploy"

struct reached {
    struct kube *kube;
    pid_t tunnel; /* 0: none was needed */
    int tunnels;  /* how often it was started */
    int64_t tunnel_since; /* mono */
};

/* `cluster`: a key of `clusters`. The API server has answered when this returns 0. ERR_NO_CLUSTER
 * says whether it is coming up or when it comes back. */
int cluster_reach(const struct run *run, const struct conf *conf, const char *cluster,
                  struct http *http, struct reached *out, struct err *err) MUST_CHECK;
void cluster_leave(struct reached *reached);
#define autoreached CLEANUP(cluster_leave)

#endif
