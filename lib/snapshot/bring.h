/* Brings the files of a snapshot into the tree beside the destination, going on where a killed run
 * was. */
#ifndef SNAPSHOT_BRING_H
#define SNAPSHOT_BRING_H

#include "necoops/snapshot/snapshot.h"
#include "snapshot/download.h"
#include "snapshot/place.h"

struct bring {
    struct http *http;
    struct gcs *gcs;
    const struct snapshot_options *options;
    const struct gcs_object *object;
    struct place *place; /* locked */
};

/* All of it is in the tree when this returns 0, and its checksum was right. */
int bring_object(const struct bring *bring, struct download_stats *stats,
                 struct err *err) MUST_CHECK;

#endif
