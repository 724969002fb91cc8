/* The gate at the end of a load: is this a cluster that work can be given to? A snapshot wakes up
 * in the past, so its clock, its certificates and what its API says of its nodes are all doubted.
 */
#ifndef SNAPSHOT_GATE_H
#define SNAPSHOT_GATE_H

#include "necoops/kube/client.h"
#include "necoops/snapshot/snapshot.h"

struct gate {
    struct http *http;
    const char *kubeconfig; /* the text */
    size_t kubeconfig_len;
    const char *name; /* for errors */
    int nodes;        /* that must be Ready; 0: all there are, and at least one */
    int64_t timeout_ms;
    int64_t max_skew_ms;
    int64_t loaded_at; /* wall_ms: what the cluster says of its nodes must be newer */
};

/* Waits until all is well; `ready` is the number of nodes. On a time-out the reason is that of the
 * check that failed last. */
int gate_wait(const struct gate *gate, int *ready, struct err *err) MUST_CHECK;

/* ---- its parts ---- */

/* A certificate (the first of a PEM text) that is not valid now, with its dates. */
int gate_check_certificate(const char *pem, const char *what, int64_t now_ms,
                           struct err *err) MUST_CHECK;
/* The server's Date header (RFC 9110, 5.6.7; whole seconds) against our clock at the time. */
int gate_check_clock(const char *date, int64_t sent_ms, int64_t received_ms, int64_t max_skew_ms,
                     struct err *err) MUST_CHECK;
/* Is the node Ready, by its conditions? When not, `reason` says why. Borrowed from the node. */
bool gate_node_is_ready(const cJSON *node, const char **reason);

#endif
