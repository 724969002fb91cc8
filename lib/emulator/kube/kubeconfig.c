#include "emulator/kube/kubeconfig.h"

#include <string.h>
#include "necoops/base/buf.h"
#include "necoops/base/text.h"

char *kubeconfig_text(const struct kubeconfig *config)
{
    autobuf struct buf out = BUF_INIT(BUF_MEDIUM);
    autofree char *ca = base64_encode(config->ca_pem, strlen(config->ca_pem));
    autofree char *cert = base64_encode(config->cert_pem, strlen(config->cert_pem));
    autofree char *key = base64_encode(config->key_pem, strlen(config->key_pem));

    buf_addf(&out,
             "apiVersion: v1\n"
             "kind: Config\n"
             "clusters:\n"
             "- name: %s\n"
             "  cluster:\n"
             "    server: %s\n"
             "    certificate-authority-data: %s\n"
             "users:\n"
             "- name: %s-admin\n"
             "  user:\n"
             "    client-certificate-data: %s\n"
             "    client-key-data: %s\n"
             "contexts:\n"
             "- name: %s\n"
             "  context:\n"
             "    cluster: %s\n"
             "    user: %s-admin\n"
             "current-context: %s\n",
             config->name, config->server, ca, config->name, cert, key, config->name, config->name,
             config->name, config->name);
    return buf_steal(&out);
}
