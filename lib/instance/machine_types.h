/* What machine families can do, where the cloud would say no only after it was asked. Facts of
 * https://cloud.google.com/compute/docs/disks/local-ssd and
 * https://cloud.google.com/compute/docs/instances/nested-virtualization/overview; a family that is
 * not listed is left to the cloud. */
#ifndef INSTANCE_MACHINE_TYPES_H
#define INSTANCE_MACHINE_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"

/* ERR_USAGE when a machine of this type cannot have so many local SSDs, or VMs inside. */
int machine_type_check(const char *machine_type, int64_t local_ssds, bool nested,
                       struct err *err) MUST_CHECK;

#endif
