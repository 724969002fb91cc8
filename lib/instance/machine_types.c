#include "instance/machine_types.h"

#include <stdio.h>
#include <string.h>

struct family {
    const char *name;
    bool nested;
    const char *why_not;   /* nested: what it is */
    const char *ssd_counts; /* possible numbers, "" for none; NULL: not known here */
};

static const struct family families[] = {
    {"n1", true, NULL, "1 2 3 4 5 6 7 8 16 24"},
    {"n2", true, NULL, "1 2 4 8 16 24"},
    {"c2", true, NULL, "1 2 4 8"},
    {"c3", true, NULL, NULL},
    {"e2", false, "E2 machines", ""},
    {"n2d", false, "AMD machines", "1 2 4 8 16 24"},
    {"c2d", false, "AMD machines", "1 2 4 8"},
    {"c3d", false, "AMD machines", NULL},
    {"t2d", false, "AMD machines", ""},
    {"t2a", false, "Arm machines", ""},
    {"c4a", false, "Arm machines", NULL},
    {"m1", false, "memory-optimized machines", NULL},
    {"m2", false, "memory-optimized machines", ""},
    {"m3", false, "memory-optimized machines", NULL},
};

static const struct family *find_family(const char *machine_type)
{
    size_t len = strcspn(machine_type, "-");
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strlen(families[i].name) == len && strncmp(families[i].name, machine_type, len) == 0)
            return &families[i];
    }
    return NULL;
}

static bool count_possible(const char *counts, int64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)count);
    size_t len = strlen(text);
    for (const char *at = counts; *at; at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ')) {
        if (strcspn(at, " ") == len && strncmp(at, text, len) == 0)
            return true;
    }
    return false;
}

int machine_type_check(const char *machine_type, int64_t local_ssds, bool nested, struct err *err)
{
    const struct family *family = find_family(machine_type);
    if (!family)
        return 0;
    if (nested && !family->nested)
        return err_set(err, ERR_USAGE,
                       "instance.machineTypes: '%s' cannot have VMs inside: %s have no nested "
                       "virtualization; N1, N2, C2 and C3 have it",
                       machine_type, family->why_not);
    if (local_ssds == 0 || !family->ssd_counts || count_possible(family->ssd_counts, local_ssds))
        return 0;
    if (*family->ssd_counts == '\0')
        return err_set(err, ERR_USAGE, "instance.localSsds: '%s' takes no local SSDs",
                       machine_type);
    return err_set(err, ERR_USAGE,
                   "instance.localSsds: '%s' does not take %lld local SSDs; it takes one of: %s",
                   machine_type, (long long)local_ssds, family->ssd_counts);
}
