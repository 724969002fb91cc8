/* What a source stands for: one object, or the objects of the newest set that is whole. */
#ifndef SNAPSHOT_SET_H
#define SNAPSHOT_SET_H

#include "necoops/snapshot/manifest.h"
#include "necoops/snapshot/snapshot.h"

struct set {
    char *url;               /* of the object, or of the set's manifest */
    struct gcs_object named; /* what lies at that URL: its generation names the set */
    struct manifest manifest;
    uint64_t bytes; /* of all objects */
};
void set_clear(struct set *set);
#define autoset CLEANUP(set_clear)

/* Finds and checks it before a byte of it is fetched: every object of a manifest must be there as
 * the manifest says, and its platform, QEMU, tag and certificates must be of use here. Of a
 * pointer, a set that fails is passed over for the one after it, and that is said. ERR_FAILED when
 * none is left. */
int set_find(struct gcs *gcs, struct http *http, const struct snapshot_options *options,
             struct set *out, struct err *err) MUST_CHECK;

#endif
