/* How a cluster is reached, read from kubeconfig files as kubectl reads them
 * (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/), or from
 * the service account of the pod that this process runs in.
 *
 * Understood: several files ($KUBECONFIG; the first value wins), contexts, certificates and keys as
 * data or file, token, tokenFile (read again when it may have changed), username and password, exec
 * plugins of client.authentication.k8s.io/v1 and v1beta1, impersonation, proxy-url,
 * tls-server-name, insecure-skip-tls-verify. `auth-provider` is refused with the way out.
 * No secret goes into an error.
 */
#ifndef NECOOPS_KUBE_KUBECONFIG_H
#define NECOOPS_KUBE_KUBECONFIG_H

#include <stdbool.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

struct kube_exec {
    char *command; /* NULL: no plugin */
    struct strv args;
    struct strv environ; /* NAME=VALUE, added to the run's */
    char *api_version;
    char *install_hint;
    cJSON *cluster_info; /* KUBERNETES_EXEC_INFO's spec.cluster, or NULL when not asked for */
};

struct kubeconfig {
    char *source; /* for messages: "/home/x/.kube/config, context 'stage'" */
    char *server; /* "https://host:port[/path]", no slash at its end */
    char *space;  /* the context's namespace, or NULL */
    char *proxy;  /* proxy-url, or NULL */
    char *server_name;
    bool insecure;
    char *ca_pem;
    char *cert_pem;
    char *key_pem;
    char *token;
    char *token_file;
    char *username, *password;
    char *impersonate;
    struct strv impersonate_groups;
    struct kube_exec exec;
};

/* `path`: one file, or NULL for $KUBECONFIG, else ~/.kube/config, else the pod's service account.
 * `context`: NULL for the current one. ERR_NOT_FOUND: there is no kubeconfig at all; ERR_USAGE:
 * one that cannot be used, with the reason. */
int kubeconfig_load(const struct run *run, const char *path, const char *context,
                    struct kubeconfig *out, struct err *err) MUST_CHECK;
/* The same from a text; relative paths in it are relative to `dir`. `name` stands in errors. */
int kubeconfig_parse(const char *text, size_t len, const char *name, const char *dir,
                     const char *context, struct kubeconfig *out, struct err *err) MUST_CHECK;
/* The pod's service account only. */
int kubeconfig_in_cluster(const struct run *run, struct kubeconfig *out,
                          struct err *err) MUST_CHECK;
void kubeconfig_clear(struct kubeconfig *config);
#define autokubeconfig CLEANUP(kubeconfig_clear)

#endif
