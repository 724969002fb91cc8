/* Argo CD's application controller and repository server, simulated where it cannot be real and
 * real where it can: it clones the repository (from --git-mirror) at the revision asked for,
 * renders it, compares with the live objects, and writes status exactly as the controller does.
 */
#ifndef EMULATOR_ARGOCD_ARGOCD_H
#define EMULATOR_ARGOCD_ARGOCD_H

#include "emulator/kube/cluster.h"

struct argocd;
/* Puts the Application and AppProject CRDs, the namespace `argocd` and the controller's own
 * workloads (image quay.io/argoproj/argocd:VERSION) into the store, and starts its thread. */
int argocd_start(struct cluster *cluster, const char *version, struct argocd **out,
                 struct err *err);
void argocd_stop(struct argocd *argocd);

#endif
