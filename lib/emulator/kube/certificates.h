/* X.509 certificates of a cluster: its authority, its API server, its clients. PEM texts, the
 * caller's. Internal. */
#ifndef EMULATOR_KUBE_CERTIFICATES_H
#define EMULATOR_KUBE_CERTIFICATES_H

#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/strv.h"

struct certificate {
    char *cert_pem, *key_pem;
};
void certificate_clear(struct certificate *certificate);

int certificate_make_authority(const char *name, struct certificate *out, struct err *err);

struct certificate_spec {
    const char *common_name;
    const struct strv *organizations; /* or NULL */
    const char *names;                /* subjectAltName as OpenSSL reads it; NULL: a client's */
    int64_t lifetime_s;
};
int certificate_issue(const struct certificate *authority, const struct certificate_spec *spec,
                      struct certificate *out, struct err *err);

#endif
