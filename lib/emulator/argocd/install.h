/* The objects that an installation of Argo CD consists of. */
#ifndef EMULATOR_ARGOCD_INSTALL_H
#define EMULATOR_ARGOCD_INSTALL_H

#include "emulator/kube/store.h"

/* Namespace, definitions, AppProject `default`, argocd-cm, and the workloads with the image of this
 * version. What is there already stays as it is. */
int install_argocd(struct store *store, const char *version, struct err *err);

#endif
