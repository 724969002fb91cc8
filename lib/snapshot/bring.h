/* Brings the files of a set into the tree beside the destination, going on where a killed run was.
 */
#ifndef SNAPSHOT_BRING_H
#define SNAPSHOT_BRING_H

#include "snapshot/download.h"
#include "snapshot/place.h"
#include "snapshot/set.h"

struct bring {
    struct http *http;
    struct gcs *gcs;
    const struct snapshot_options *options;
    const struct set *set;
    struct place *place; /* locked */
};

/* All of it is in the tree when this returns 0, and every checksum was right. */
int bring_set(const struct bring *bring, struct download_stats *stats, struct err *err) MUST_CHECK;

#endif
