/* The Argo CD of a cluster: whether it is there, and its version. */
#ifndef NECOOPS_ARGOCD_INSTALL_H
#define NECOOPS_ARGOCD_INSTALL_H

#include "necoops/kube/client.h"

struct argocd_install {
    bool present;     /* the API of Applications is served */
    int major, minor; /* 0.0: the image does not tell */
    char *image;      /* of its repo server, or NULL */
    bool patches;     /* spec.source.kustomize.patches is understood */
};

/* Two or three requests: the served API, the workloads of the namespace, and where their images do
 * not tell the version, the schema of the CRD. */
int argocd_install_find(struct kube *kube, const char *space, struct argocd_install *out,
                        struct err *err) MUST_CHECK;
void argocd_install_clear(struct argocd_install *install);
/* The version in an image's tag ("quay.io/argoproj/argocd:v2.14.21@sha256:…"); false when there is
 * none. */
bool argocd_image_version(const char *image, int *major, int *minor);

#endif
