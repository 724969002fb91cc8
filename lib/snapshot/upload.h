/* The storing stage: parts become objects, side by side, and then one object is composed of them.
 */
#ifndef SNAPSHOT_UPLOAD_H
#define SNAPSHOT_UPLOAD_H

#include "snapshot/landing.h"
#include "snapshot/parts.h"

struct upload_spec {
    struct run *run; /* of `http`; see crew.h */
    struct http *http;
    struct gcs *gcs;
    const struct landing *landing;
    const char *set;  /* its name */
    const char *name; /* the object, within the set */
    int connections;
    void (*show)(void *arg); /* progress, while parts are stored */
    void *arg;
};
struct upload_stats {
    uint64_t sent;   /* bytes over the network in this run */
    uint64_t reused; /* bytes that a killed run had stored */
};
struct upload; /* opaque */

struct upload *upload_new(const struct upload_spec *spec);
void upload_free(struct upload *upload);
/* Stores all that comes out of `parts`, which share `flow`; what the landing has of a killed run is
 * not sent again. */
int upload_parts(struct upload *upload, struct parts *parts, struct flow *flow,
                 struct upload_stats *stats, struct err *err) MUST_CHECK;
/* Makes one object of them, at most GCS_COMPOSE_MAX at a time. The CRC32C of the whole, combined
 * from those of the parts, is held against what the service says. */
int upload_compose(struct upload *upload, struct gcs_object *out, struct err *err) MUST_CHECK;

#endif
