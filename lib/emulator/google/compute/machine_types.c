/* Machine families and types, and what can be had with them (as documented in November 2026:
 * families with nested virtualization, numbers of local SSDs, CPU platforms). */
#include "emulator/google/compute/internal.h"

#include <inttypes.h>

struct ssd_rule {
    int cpus;            /* up to so many */
    const char *allowed; /* numbers besides 0, separated by blanks */
};

struct family {
    const char *name;
    const char *cpus;      /* of its predefined types */
    const char *variants;  /* "standard highmem highcpu" */
    const char *platforms; /* separated by '|'; the first is the default */
    bool nested, arm;
    struct ssd_rule ssds[5]; /* ends with cpus 0; none: no local SSD at all */
};

static const struct family families[] = {
    {"n1",
     "1 2 4 8 16 32 64 96",
     "standard highmem highcpu",
     "Intel Skylake|Intel Broadwell|Intel Haswell|Intel Ivy Bridge|Intel Sandy Bridge",
     true,
     false,
     {{96, "1 2 3 4 5 6 7 8 16 24"}}},
    {"n2",
     "2 4 8 16 32 48 64 80 96 128",
     "standard highmem highcpu",
     "Intel Cascade Lake|Intel Ice Lake",
     true,
     false,
     {{10, "1 2 4 8 16 24"},
      {20, "2 4 8 16 24"},
      {40, "4 8 16 24"},
      {80, "8 16 24"},
      {128, "16 24"}}},
    {"n2d",
     "2 4 8 16 32 48 64 80 96 128 224",
     "standard highmem highcpu",
     "AMD Rome|AMD Milan",
     false,
     false,
     {{16, "1 2 4 8 16 24"}, {48, "2 4 8 16 24"}, {80, "4 8 16 24"}, {224, "8 16 24"}}},
    {"n4",
     "2 4 8 16 32 48 64 80",
     "standard highmem highcpu",
     "Intel Emerald Rapids",
     true,
     false,
     {{0, NULL}}},
    {"e2", "2 4 8 16 32", "standard highmem highcpu", "Intel Broadwell", false, false, {{0, NULL}}},
    {"c2",
     "4 8 16 30 60",
     "standard",
     "Intel Cascade Lake",
     true,
     false,
     {{8, "1 2 4 8"}, {16, "2 4 8"}, {30, "4 8"}, {60, "8"}}},
    {"c2d",
     "2 4 8 16 32 56 112",
     "standard highmem highcpu",
     "AMD Milan",
     false,
     false,
     {{16, "1 2 4 8"}, {32, "2 4 8"}, {56, "4 8"}, {112, "8"}}},
    {"c3",
     "4 8 22 44 88 176",
     "standard highmem highcpu",
     "Intel Sapphire Rapids",
     true,
     false,
     {{0, NULL}}},
    {"t2d", "1 2 4 8 16 32 48 60", "standard", "AMD Milan", false, false, {{0, NULL}}},
    {"t2a", "1 2 4 8 16 32 48", "standard", "Ampere Altra", false, true, {{0, NULL}}},
    {"m1", "40 80 160", "ultramem", "Intel Broadwell", false, false, {{0, NULL}}},
};

/* Memory of one vCPU in MB. */
static int64_t memory_per_cpu(const char *family, const char *variant)
{
    bool first = strcmp(family, "n1") == 0;
    if (strcmp(variant, "highmem") == 0)
        return first ? 6656 : 8192;
    if (strcmp(variant, "highcpu") == 0)
        return first ? 922 : strcmp(family, "c3") == 0 ? 2048 : 1024;
    if (strcmp(variant, "ultramem") == 0)
        return 24608;
    return first ? 3840 : 4096;
}

static const struct family *family_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strlen(families[i].name) == len && memcmp(families[i].name, name, len) == 0)
            return &families[i];
    }
    return NULL;
}

static bool word_in(const char *list, const char *word)
{
    autostrv struct strv words = STRV_INIT;
    strv_split(&words, list, ' ');
    return strv_has(&words, word);
}

static void fill(struct machine_type *type, const struct family *family, const char *name, int cpus,
                 int64_t memory_mb)
{
    *type = (struct machine_type){.cpus = cpus,
                                  .memory_mb = memory_mb,
                                  .nested = family->nested,
                                  .arm = family->arm,
                                  .platform = family->platforms};
    text_copy(type->name, sizeof type->name, name);
    text_copy(type->family, sizeof type->family, family->name);
}

/* n1-highmem-8 */
static bool find_predefined(const char *name, struct machine_type *out)
{
    autostrv struct strv parts = STRV_INIT;
    strv_split(&parts, name, '-');
    if (parts.len != 3)
        return false;
    const struct family *family = family_find(parts.items[0], strlen(parts.items[0]));
    if (family == NULL || !word_in(family->variants, parts.items[1]) ||
        !word_in(family->cpus, parts.items[2]))
        return false;
    int cpus = (int)strtol(parts.items[2], NULL, 10);
    fill(out, family, name, cpus, cpus * memory_per_cpu(family->name, parts.items[1]));
    return true;
}

/* n2-custom-8-32768, and custom-8-32768 of n1 */
static bool find_custom(const char *name, struct machine_type *out)
{
    autostrv struct strv parts = STRV_INIT;
    strv_split(&parts, name, '-');
    size_t at = parts.len == 4 ? 1 : 0;
    if (parts.len < 3 || parts.len > 4 || strcmp(parts.items[at], "custom") != 0)
        return false;
    const char *family_name = at == 1 ? parts.items[0] : "n1";
    if (strcmp(family_name, "n1") != 0 && strcmp(family_name, "n2") != 0 &&
        strcmp(family_name, "n2d") != 0 && strcmp(family_name, "e2") != 0 &&
        strcmp(family_name, "n4") != 0)
        return false;
    uint64_t cpus = 0, memory = 0;
    if (!parse_id(parts.items[at + 1], &cpus) || !parse_id(parts.items[at + 2], &memory) ||
        cpus < 1 || cpus > 128 || (cpus > 1 && cpus % 2 != 0) || memory % 256 != 0 ||
        memory < cpus * 512 || memory > cpus * 8192)
        return false;
    fill(out, family_find(family_name, strlen(family_name)), name, (int)cpus, (int64_t)memory);
    return true;
}

static bool find_shared_core(const char *name, struct machine_type *out)
{
    static const struct {
        const char *name, *family;
        int cpus;
        int64_t memory_mb;
    } rows[] = {{"f1-micro", "n1", 1, 614},
                {"g1-small", "n1", 1, 1740},
                {"e2-micro", "e2", 2, 1024},
                {"e2-small", "e2", 2, 2048},
                {"e2-medium", "e2", 2, 4096}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        fill(out, family_find(rows[i].family, strlen(rows[i].family)), name, rows[i].cpus,
             rows[i].memory_mb);
        out->nested = false;
        return true;
    }
    return false;
}

/* {NAME: {"family": "n1", "guestCpus": 8, "memoryMb": 53248}} */
static bool find_seeded(const struct compute *compute, const char *name, struct machine_type *out)
{
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(compute->machine_types, name);
    const char *family_name = json_str_or(row, "family", "n1");
    const struct family *family = family_find(family_name, strlen(family_name));
    int64_t cpus = 2, memory = 8192;
    if (row == NULL || family == NULL)
        return false;
    (void)json_i64(row, "guestCpus", &cpus);
    (void)json_i64(row, "memoryMb", &memory);
    fill(out, family, name, (int)cpus, memory);
    return true;
}

bool machine_type_find(const struct compute *compute, const char *name, struct machine_type *out)
{
    return find_seeded(compute, name, out) || find_predefined(name, out) ||
           find_shared_core(name, out) || find_custom(name, out);
}

bool machine_type_has_platform(const struct machine_type *type, const char *platform)
{
    autostrv struct strv platforms = STRV_INIT;
    const struct family *family = family_find(type->family, strlen(type->family));
    strv_split(&platforms, family->platforms, '|');
    return strv_has(&platforms, platform);
}

bool machine_type_takes_ssds(const struct machine_type *type, int64_t count, struct buf *allowed)
{
    const struct family *family = family_find(type->family, strlen(type->family));
    autostrv struct strv numbers = STRV_INIT;
    for (size_t i = 0; i < ARRAY_LEN(family->ssds) && family->ssds[i].cpus > 0; i++) {
        if (type->cpus <= family->ssds[i].cpus) {
            strv_split(&numbers, family->ssds[i].allowed, ' ');
            break;
        }
    }
    bool takes = count == 0;
    buf_adds(allowed, "[0");
    for (size_t i = 0; i < numbers.len; i++) {
        buf_addf(allowed, ", %s", numbers.items[i]);
        takes = takes || strtoll(numbers.items[i], NULL, 10) == count;
    }
    buf_addc(allowed, ']');
    return takes;
}

/* ---- the resource ---- */

static uint64_t stable_id(const char *name)
{
    uint64_t hash = 1469598103934665603u;
    for (const char *p = name; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    return hash >> 2 | 1;
}

static cJSON *machine_type_json(const struct call *call, const struct machine_type *type)
{
    cJSON *json = json_object();
    set_id(json, "id", stable_id(type->name));
    json_set_str(json, "kind", "compute#machineType");
    json_set_str(json, "creationTimestamp", "1969-12-31T16:00:00.000-08:00");
    json_set_str(json, "name", type->name);
    autofree char *description =
        xasprintf("%d vCPUs, %" PRId64 " MB RAM", type->cpus, type->memory_mb);
    json_set_str(json, "description", description);
    json_set_i64(json, "guestCpus", type->cpus);
    json_set_i64(json, "memoryMb", type->memory_mb);
    json_set_i64(json, "imageSpaceGb", 0);
    json_set_i64(json, "maximumPersistentDisks", 128);
    json_set_i64_str(json, "maximumPersistentDisksSizeGb", 263168);
    json_set_bool(json, "isSharedCpu", false);
    json_set_str(json, "architecture", type->arm ? "ARM64" : "X86_64");
    json_set_str(json, "zone", call->zone);
    set_link(json, "selfLink", "projects/%s/zones/%s/machineTypes/%s", call->project, call->zone,
             type->name);
    return json;
}

void machine_types_get(struct call *call)
{
    struct machine_type type;
    if (!machine_type_find(call->compute, call->name, &type)) {
        not_found(call->answer, "projects/%s/zones/%s/machineTypes/%s", call->project, call->zone,
                  call->name);
        return;
    }
    google_answer(call->request, call->answer, machine_type_json(call, &type));
}

static void add_names(struct strv *names, const struct family *family)
{
    autostrv struct strv variants = STRV_INIT;
    autostrv struct strv cpus = STRV_INIT;
    strv_split(&variants, family->variants, ' ');
    strv_split(&cpus, family->cpus, ' ');
    for (size_t i = 0; i < variants.len; i++) {
        for (size_t k = 0; k < cpus.len; k++)
            strv_addf(names, "%s-%s-%s", family->name, variants.items[i], cpus.items[k]);
    }
}

void machine_types_list(struct call *call)
{
    autostrv struct strv names = STRV_INIT;
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        add_names(&names, &families[i]);
    for (const cJSON *row = call->compute->machine_types->child; row != NULL; row = row->next)
        strv_add(&names, row->string);
    strv_sort(&names);
    cJSON *array = json_array();
    for (size_t i = 0; i < names.len; i++) {
        struct machine_type type;
        if (machine_type_find(call->compute, names.items[i], &type))
            json_push(array, machine_type_json(call, &type));
    }
    autofree char *link = xasprintf("projects/%s/zones/%s/machineTypes", call->project, call->zone);
    list_answer(call, "compute#machineTypeList", link,
                "id kind name description guestCpus memoryMb zone selfLink isSharedCpu "
                "architecture creationTimestamp maximumPersistentDisks imageSpaceGb deprecated",
                array);
}
