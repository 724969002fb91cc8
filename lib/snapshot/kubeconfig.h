/* A new kubeconfig for the loaded cluster: the one in the snapshot has expired. */
#ifndef SNAPSHOT_KUBECONFIG_H
#define SNAPSHOT_KUBECONFIG_H

#include "necoops/snapshot/snapshot.h"

/* The issued kubeconfig (or, when none is to be issued, the file it would have gone to) into `out`;
 * `out` stays empty when neither is configured. */
int kubeconfig_issue(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                     struct buf *out, struct err *err) MUST_CHECK;

#define KUBECONFIG_MAX ((size_t)1 << 20)

#endif
