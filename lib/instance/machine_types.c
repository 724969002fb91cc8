#include "instance/machine_types.h"

#include <stdio.h>
#include <string.h>
#include "necoops/base/strv.h"
#include "necoops/gce/cpu_platform.h"

struct family {
    const char *name;
    bool nested;
    const char *why_not;    /* nested: what it is */
    const char *ssd_counts; /* possible numbers, "" for none; NULL: not known here */
    const char *platforms; /* those its machines may have, oldest first; "": any; NULL: not known */
};

static const struct family families[] = {
    {"n1", true, NULL, "1 2 3 4 5 6 7 8 16 24",
     "Intel Sandy Bridge|Intel Ivy Bridge|Intel Haswell|Intel Broadwell|Intel Skylake"},
    {"n2", true, NULL, "1 2 4 8 16 24", "Intel Cascade Lake|Intel Ice Lake"},
    {"c2", true, NULL, "1 2 4 8", "Intel Cascade Lake"},
    {"c3", true, NULL, NULL, "Intel Sapphire Rapids"},
    {"e2", false, "E2 machines", "", ""},
    {"n2d", false, "AMD machines", "1 2 4 8 16 24", "AMD Rome|AMD Milan"},
    {"c2d", false, "AMD machines", "1 2 4 8", "AMD Milan"},
    {"c3d", false, "AMD machines", NULL, "AMD Genoa"},
    {"t2d", false, "AMD machines", "", "AMD Milan"},
    {"t2a", false, "Arm machines", "", "Ampere Altra"},
    {"c4a", false, "Arm machines", NULL, "Google Axion"},
    {"m1", false, "memory-optimized machines", NULL, "Intel Broadwell|Intel Skylake"},
    {"m2", false, "memory-optimized machines", "", "Intel Cascade Lake"},
    {"m3", false, "memory-optimized machines", NULL, "Intel Ice Lake"},
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

int machine_type_platform(const char *machine_type, const char *saved, char **out, struct err *err)
{
    const struct family *family = find_family(machine_type);
    autostrv struct strv platforms = STRV_INIT;
    size_t oldest = 0;
    if (!family || !family->platforms) { /* the cloud knows */
        *out = xstrdup(saved);
        return 0;
    }
    strv_split(&platforms, family->platforms, '|');
    while (oldest < platforms.len && !cpu_platform_fits(saved, platforms.items[oldest]))
        oldest++;
    if (oldest == platforms.len)
        return err_set(
            err, ERR_USAGE,
            "'%s' machines cannot be held to the CPU platform '%s' or a newer one, which "
            "the snapshot needs",
            machine_type, saved);
    *out = oldest == 0 ? NULL : xstrdup(platforms.items[oldest]);
    return 0;
}
