/* What is simply there: projects, regions, zones, disk types. */
#include "emulator/google/compute/internal.h"

static const char *const default_zones[] = {
    "asia-northeast1-a", "asia-northeast1-b", "asia-northeast1-c", "us-central1-a",
    "us-central1-b",     "us-central1-c",     "us-central1-f",
};

static const struct {
    const char *name, *description, *size, *valid;
} disk_types[] = {
    {"hyperdisk-balanced", "Hyperdisk Balanced Persistent Disk", "100", "4GB-65536GB"},
    {"local-ssd", "Local SSD", "375", "375GB-375GB"},
    {"pd-balanced", "Balanced Persistent Disk", "100", "10GB-65536GB"},
    {"pd-extreme", "Extreme Persistent Disk", "1000", "500GB-65536GB"},
    {"pd-ssd", "SSD Persistent Disk", "100", "10GB-65536GB"},
    {"pd-standard", "Standard Persistent Disk", "500", "10GB-65536GB"},
};

void catalog_init(struct compute *compute)
{
    for (size_t i = 0; i < ARRAY_LEN(default_zones); i++)
        strv_add(&compute->zones, default_zones[i]);
    strv_add(&compute->known_projects, emu_project(compute->emu));
    compute->project_number = 123456789012;
    compute->machine_types = json_object();
    autojson cJSON *none = json_object();
    compute->project_metadata = metadata_json(none);
    images_init(compute);
}

/* The attributes {KEY: VALUE} of the project as Metadata. */
static void seed_attributes(struct compute *compute, const cJSON *attributes)
{
    autojson cJSON *metadata = json_object();
    cJSON *items = json_set_array(metadata, "items");
    for (const cJSON *one = attributes->child; one != NULL; one = one->next) {
        cJSON *item = json_object();
        json_set_str(item, "key", one->string);
        json_set_str(item, "value", cJSON_IsString(one) ? one->valuestring : "");
        json_push(items, item);
    }
    cJSON_Delete(compute->project_metadata);
    compute->project_metadata = metadata_json(metadata);
}

int catalog_seed(struct compute *compute, const cJSON *seed, struct err *err)
{
    const cJSON *zones = json_at(seed, "zones");
    const cJSON *types = json_at(seed, "machineTypes");
    const cJSON *zone = NULL;
    (void)json_i64(seed, "projectNumber", &compute->project_number);
    if (zones != NULL)
        strv_clear(&compute->zones);
    cJSON_ArrayForEach(zone, zones)
    {
        if (!cJSON_IsString(zone) || !valid_name(zone->valuestring))
            return err_set(err, ERR_USAGE, "seed: 'zones' is a list of names");
        strv_add(&compute->zones, zone->valuestring);
    }
    strv_sort(&compute->zones);
    if (cJSON_IsObject(types)) {
        cJSON_Delete(compute->machine_types);
        compute->machine_types = json_copy(types);
    }
    if (cJSON_IsObject(json_at(seed, "attributes")))
        seed_attributes(compute, json_at(seed, "attributes"));
    return images_seed(compute, json_at(seed, "images"), err);
}

/* ---- projects ---- */

void project_get(struct call *call)
{
    cJSON *project = json_object();
    json_set_str(project, "kind", "compute#project");
    set_id(project, "id", 1000000000000u + (uint64_t)call->compute->project_number);
    json_set_str(project, "creationTimestamp", "2019-01-07T10:00:00.000-08:00");
    json_set_str(project, "name", call->project);
    json_set(project, "commonInstanceMetadata", json_copy(call->compute->project_metadata));
    json_set_array(project, "quotas");
    json_set_str(project, "defaultServiceAccount",
                 oauth_default_account(emu_oauth(call->compute->emu)));
    json_set_str(project, "xpnProjectStatus", "UNSPECIFIED_XPN_PROJECT_STATUS");
    json_set_str(project, "defaultNetworkTier", "PREMIUM");
    json_set_str(project, "vmDnsSetting", "ZONAL_ONLY");
    set_link(project, "selfLink", "projects/%s", call->project);
    google_answer(call->request, call->answer, project);
}

/* ---- zones and regions ---- */

/* "asia-northeast1-c" → "asia-northeast1" */
static char *region_of(const char *zone)
{
    const char *dash = strrchr(zone, '-');
    return dash != NULL ? xstrndup(zone, (size_t)(dash - zone)) : xstrdup(zone);
}

static cJSON *zone_json(const char *project, const char *zone)
{
    static const char *const platforms[] = {
        "AMD Milan",     "AMD Rome",       "Intel Broadwell",       "Intel Cascade Lake",
        "Intel Haswell", "Intel Ice Lake", "Intel Sapphire Rapids", "Intel Skylake",
    };
    autofree char *region = region_of(zone);
    uint64_t id = 2000;
    for (const char *p = zone; *p != '\0'; p++)
        id = id * 31 + (unsigned char)*p;
    cJSON *json = json_object();
    json_set_str(json, "kind", "compute#zone");
    set_id(json, "id", id >> 1);
    json_set_str(json, "creationTimestamp", "1969-12-31T16:00:00.000-08:00");
    json_set_str(json, "name", zone);
    json_set_str(json, "description", zone);
    json_set_str(json, "status", "UP");
    set_link(json, "region", "projects/%s/regions/%s", project, region);
    set_link(json, "selfLink", "projects/%s/zones/%s", project, zone);
    cJSON *list = json_set_array(json, "availableCpuPlatforms");
    for (size_t i = 0; i < ARRAY_LEN(platforms); i++)
        json_push_str(list, platforms[i]);
    json_set_bool(json, "supportsPzs", true);
    return json;
}

void zones_get(struct call *call)
{
    google_answer(call->request, call->answer, zone_json(call->project, call->zone));
}

void zones_list(struct call *call)
{
    cJSON *array = json_array();
    for (size_t i = 0; i < call->compute->zones.len; i++)
        json_push(array, zone_json(call->project, call->compute->zones.items[i]));
    autofree char *link = xasprintf("projects/%s/zones", call->project);
    list_answer(call, "compute#zoneList", link,
                "id kind name description status region selfLink creationTimestamp "
                "availableCpuPlatforms supportsPzs deprecated",
                array);
}

void regions_get(struct call *call)
{
    const struct strv *zones = &call->compute->zones;
    cJSON *links = json_array();
    for (size_t i = 0; i < zones->len; i++) {
        autofree char *region = region_of(zones->items[i]);
        if (strcmp(region, call->name) != 0)
            continue;
        autofree char *link =
            xasprintf(SELF_LINK "projects/%s/zones/%s", call->project, zones->items[i]);
        json_push_str(links, link);
    }
    if (links->child == NULL) {
        cJSON_Delete(links);
        not_found(call->answer, "projects/%s/regions/%s", call->project, call->name);
        return;
    }
    cJSON *region = json_object();
    json_set_str(region, "kind", "compute#region");
    set_id(region, "id", 1220);
    json_set_str(region, "name", call->name);
    json_set_str(region, "description", call->name);
    json_set_str(region, "status", "UP");
    json_set(region, "zones", links);
    json_set_array(region, "quotas");
    set_link(region, "selfLink", "projects/%s/regions/%s", call->project, call->name);
    google_answer(call->request, call->answer, region);
}

/* ---- disk types ---- */

bool disk_type_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(disk_types); i++) {
        if (strcmp(disk_types[i].name, name) == 0)
            return true;
    }
    return false;
}

static cJSON *disk_type_json(const struct call *call, size_t index)
{
    cJSON *json = json_object();
    json_set_str(json, "kind", "compute#diskType");
    set_id(json, "id", 30000 + index);
    json_set_str(json, "creationTimestamp", "1969-12-31T16:00:00.000-08:00");
    json_set_str(json, "name", disk_types[index].name);
    json_set_str(json, "description", disk_types[index].description);
    json_set_str(json, "validDiskSize", disk_types[index].valid);
    json_set_str(json, "defaultDiskSizeGb", disk_types[index].size);
    set_link(json, "zone", "projects/%s/zones/%s", call->project, call->zone);
    set_link(json, "selfLink", "projects/%s/zones/%s/diskTypes/%s", call->project, call->zone,
             disk_types[index].name);
    return json;
}

void disk_types_get(struct call *call)
{
    for (size_t i = 0; i < ARRAY_LEN(disk_types); i++) {
        if (strcmp(disk_types[i].name, call->name) == 0) {
            google_answer(call->request, call->answer, disk_type_json(call, i));
            return;
        }
    }
    not_found(call->answer, "projects/%s/zones/%s/diskTypes/%s", call->project, call->zone,
              call->name);
}

void disk_types_list(struct call *call)
{
    cJSON *array = json_array();
    for (size_t i = 0; i < ARRAY_LEN(disk_types); i++)
        json_push(array, disk_type_json(call, i));
    autofree char *link = xasprintf("projects/%s/zones/%s/diskTypes", call->project, call->zone);
    list_answer(call, "compute#diskTypeList", link,
                "id kind name description validDiskSize zone selfLink", array);
}
