#include "necoops/gce/cpu_platform.h"

#include <stddef.h>
#include <string.h>
#include "necoops/base/mem.h"

/* Older first, one row a maker (https://cloud.google.com/compute/docs/cpu-platforms). */
static const char *const intel[] = {
    "Intel Sandy Bridge",   "Intel Ivy Bridge",    "Intel Haswell",  "Intel Broadwell",
    "Intel Skylake",        "Intel Cascade Lake",  "Intel Ice Lake", "Intel Sapphire Rapids",
    "Intel Emerald Rapids", "Intel Granite Rapids"};
static const char *const amd[] = {"AMD Rome", "AMD Milan", "AMD Genoa", "AMD Turin"};

/* Its place in the row, or -1. */
static int place_in(const char *const *row, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(row[i], name) == 0)
            return (int)i;
    }
    return -1;
}

static bool follows(const char *const *row, size_t count, const char *saved, const char *have)
{
    int from = place_in(row, count, saved), to = place_in(row, count, have);
    return from >= 0 && to >= from;
}

bool cpu_platform_fits(const char *saved, const char *have)
{
    return strcmp(saved, have) == 0 || follows(intel, ARRAY_LEN(intel), saved, have) ||
           follows(amd, ARRAY_LEN(amd), saved, have);
}
