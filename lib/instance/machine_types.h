/* What machine families can do, where the cloud would say no only after it was asked. Facts of
 * https://cloud.google.com/compute/docs/disks/local-ssd,
 * https://cloud.google.com/compute/docs/instances/nested-virtualization/overview and
 * https://cloud.google.com/compute/docs/cpu-platforms; a family that is not listed is left to the
 * cloud. */
#ifndef INSTANCE_MACHINE_TYPES_H
#define INSTANCE_MACHINE_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"

/* ERR_USAGE when a machine of this type cannot have so many local SSDs, or VMs inside. */
int machine_type_check(const char *machine_type, int64_t local_ssds, bool nested,
                       struct err *err) MUST_CHECK;

/* The minCpuPlatform with which a machine of this type runs what was saved on the platform `saved`:
 * *out, or NULL when each machine of its type does. Caller frees. ERR_USAGE: none does. */
int machine_type_platform(const char *machine_type, const char *saved, char **out,
                          struct err *err) MUST_CHECK;

#endif
