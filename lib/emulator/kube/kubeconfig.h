/* The kubeconfig of an administrator. Internal. */
#ifndef EMULATOR_KUBE_KUBECONFIG_H
#define EMULATOR_KUBE_KUBECONFIG_H

struct kubeconfig {
    const char *name, *server;
    const char *ca_pem, *cert_pem, *key_pem;
};
char *kubeconfig_text(const struct kubeconfig *config); /* the caller's */

#endif
