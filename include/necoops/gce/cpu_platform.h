/* CPU platforms of Compute Engine (https://cloud.google.com/compute/docs/cpu-platforms). */
#ifndef NECOOPS_GCE_CPU_PLATFORM_H
#define NECOOPS_GCE_CPU_PLATFORM_H

#include <stdbool.h>

/* May a machine of platform `have` run what was saved on `saved`? Both as Compute Engine names
 * them; a newer one of the same maker may. */
bool cpu_platform_fits(const char *saved, const char *have);

#endif
