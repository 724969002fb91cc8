/* Which instances of our name there are, over all zones. */
#ifndef NECOOPS_INSTANCE_FIND_H
#define NECOOPS_INSTANCE_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/json.h"
#include "necoops/gce/gce.h"

/* The fields of an instance that the tools need; never its metadata, which is large. */
#define INSTANCE_FIELDS                                                                            \
    "id,name,zone,status,machineType,creationTimestamp,lastStartTimestamp,labels,"                 \
    "labelFingerprint,scheduling(terminationTime,provisioningModel),"                              \
    "resourceStatus/scheduling,disks(source,boot,autoDelete)"

struct instance_list {
    cJSON **items; /* instances as the API has them, oldest first */
    size_t len;
};

/* With INSTANCE_FIELDS. A zone of ours that cannot be asked is an
 * error (ERR_UNREACHABLE): an instance may be in it. */
int instance_find(struct gce *gce, const char *name, const struct strv *zones,
                  struct instance_list *out, struct err *err) MUST_CHECK;
void instance_list_clear(struct instance_list *list);
#define autoinstances CLEANUP(instance_list_clear)

/* Of the error of a request that names a zone: when it is the zone that is wrong, says so. -1. */
int find_zone_error(const char *zone, struct err *err);

/* Of an instance; borrowed. */
const char *instance_id(const cJSON *instance);
const char *instance_zone(const cJSON *instance);
const char *instance_status(const cJSON *instance); /* RUNNING, TERMINATED, … */
/* It is being started, stopped or deleted: another operation would be refused now. */
bool instance_is_changing(const cJSON *instance);
/* The soft end (label, epoch seconds) and the hard end (scheduling) as wall_ms; -1: none. */
int64_t instance_soft_end(const cJSON *instance);
int64_t instance_hard_end(const cJSON *instance);

#endif
