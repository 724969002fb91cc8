/* Which QEMU and placemat can run what another saved. */
#include <stdlib.h>
#include "necoops/snapshot/manifest.h"

static void read_version(const char *text, long number[2])
{
    char *end = NULL;
    number[0] = strtol(text, &end, 10);
    number[1] = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
}

bool version_fits(const char *wanted, const char *have)
{
    long want[2], got[2];
    read_version(wanted, want);
    read_version(have, got);
    return got[0] > want[0] || (got[0] == want[0] && got[1] >= want[1]);
}
