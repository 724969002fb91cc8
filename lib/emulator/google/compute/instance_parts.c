/* The parts of an instance as the service keeps and shows them: with what it adds. */
#include "emulator/google/compute/internal.h"

cJSON *metadata_json(const cJSON *given)
{
    cJSON *metadata = json_object();
    const cJSON *items = json_at(given, "items");
    autofree char *fingerprint = fingerprint_of(items);
    json_set_str(metadata, "kind", "compute#metadata");
    json_set_str(metadata, "fingerprint", fingerprint);
    if (cJSON_IsArray(items) && items->child != NULL)
        json_set(metadata, "items", json_copy(items));
    return metadata;
}

cJSON *tags_json(const cJSON *given)
{
    cJSON *tags = json_object();
    const cJSON *items = json_at(given, "items");
    autofree char *fingerprint = fingerprint_of(items);
    if (cJSON_IsArray(items) && items->child != NULL)
        json_set(tags, "items", json_copy(items));
    json_set_str(tags, "fingerprint", fingerprint);
    return tags;
}

cJSON *scheduling_json(const cJSON *given)
{
    cJSON *scheduling = given != NULL ? json_copy(given) : json_object();
    bool spot = json_bool(given, "preemptible", false) ||
                strcmp(json_str_or(given, "provisioningModel", ""), "SPOT") == 0;
    if (json_at(given, "onHostMaintenance") == NULL)
        json_set_str(scheduling, "onHostMaintenance", spot ? "TERMINATE" : "MIGRATE");
    if (json_at(given, "automaticRestart") == NULL)
        json_set_bool(scheduling, "automaticRestart", !spot);
    json_set_bool(scheduling, "preemptible", spot);
    if (json_at(given, "provisioningModel") == NULL)
        json_set_str(scheduling, "provisioningModel", spot ? "SPOT" : "STANDARD");
    int64_t seconds = 0;
    if (json_i64(given, "maxRunDuration.seconds", &seconds)) {
        cJSON *duration = json_set_object(scheduling, "maxRunDuration");
        json_set_i64_str(duration, "seconds", seconds);
    }
    return scheduling;
}

/* ---- network ---- */

static cJSON *access_config(uint64_t id)
{
    cJSON *config = json_object();
    autofree char *address = xasprintf("203.0.113.%u", (unsigned int)(id % 254 + 1));
    json_set_str(config, "kind", "compute#accessConfig");
    json_set_str(config, "type", "ONE_TO_ONE_NAT");
    json_set_str(config, "name", "external-nat");
    json_set_str(config, "natIP", address);
    json_set_str(config, "networkTier", "PREMIUM");
    return config;
}

static cJSON *interface_json(struct compute *compute, const char *project, const char *zone,
                             const cJSON *given, int index)
{
    cJSON *interface = json_object();
    const char *dash = strrchr(zone, '-');
    autofree char *region = xstrndup(zone, dash != NULL ? (size_t)(dash - zone) : strlen(zone));
    uint64_t id = next_id(compute);
    autofree char *name = xasprintf("nic%d", index);
    autofree char *address =
        xasprintf("10.146.%u.%u", (unsigned int)(id / 250 % 250), (unsigned int)(id % 250 + 2));
    const char *network = last_segment(json_str_or(given, "network", "global/networks/default"));
    const char *subnetwork = last_segment(json_str_or(given, "subnetwork", network));
    json_set_str(interface, "kind", "compute#networkInterface");
    set_link(interface, "network", "projects/%s/global/networks/%s", project, network);
    set_link(interface, "subnetwork", "projects/%s/regions/%s/subnetworks/%s", project, region,
             subnetwork);
    json_set_str(interface, "networkIP", json_str_or(given, "networkIP", address));
    json_set_str(interface, "name", name);
    json_set_str(interface, "stackType", "IPV4_ONLY");
    if (cJSON_GetArraySize(json_at(given, "accessConfigs")) > 0)
        json_push(json_set_array(interface, "accessConfigs"), access_config(id));
    autofree char *fingerprint = fingerprint_of(interface);
    json_set_str(interface, "fingerprint", fingerprint);
    return interface;
}

cJSON *interfaces_json(struct compute *compute, const char *project, const char *zone,
                       const cJSON *given)
{
    cJSON *list = json_array();
    const cJSON *one = NULL;
    int index = 0;
    cJSON_ArrayForEach(one, given)
    {
        json_push(list, interface_json(compute, project, zone, one, index++));
    }
    if (index == 0)
        json_push(list, interface_json(compute, project, zone, NULL, 0));
    return list;
}

/* ---- disks ---- */

static cJSON *local_ssd_json(const cJSON *given, int number)
{
    cJSON *disk = json_object();
    autofree char *name = xasprintf("local-ssd-%d", number);
    json_set_str(disk, "type", "SCRATCH");
    json_set_str(disk, "mode", "READ_WRITE");
    json_set_str(disk, "deviceName", json_str_or(given, "deviceName", name));
    json_set_bool(disk, "boot", false);
    json_set_bool(disk, "autoDelete", true);
    json_set_str(disk, "interface", json_str_or(given, "interface", "SCSI"));
    json_set_str(disk, "diskSizeGb", "375");
    return disk;
}

static cJSON *persistent_json(const struct call *call, const char *instance, const cJSON *given,
                              int index)
{
    cJSON *disk = json_object();
    const char *source = json_str(given, "source");
    const char *wanted = json_str(given, "initializeParams.diskName");
    autofree char *own = index == 0 ? xstrdup(instance) : xasprintf("%s-%d", instance, index);
    const char *name = source != NULL ? last_segment(source) : wanted != NULL ? wanted : own;
    autofree char *device = xasprintf("persistent-disk-%d", index);
    json_set_str(disk, "type", "PERSISTENT");
    json_set_str(disk, "mode", json_str_or(given, "mode", "READ_WRITE"));
    set_link(disk, "source", "projects/%s/zones/%s/disks/%s", call->project, call->zone, name);
    json_set_str(disk, "deviceName", json_str_or(given, "deviceName", device));
    json_set_bool(disk, "boot", index == 0);
    json_set_bool(disk, "autoDelete", json_bool(given, "autoDelete", false));
    json_set_str(disk, "interface", json_str_or(given, "interface", "SCSI"));
    json_set_str(disk, "architecture", "X86_64");
    if (json_at(given, "initializeParams") != NULL)
        json_set(disk, "initializeParams", json_copy(json_at(given, "initializeParams")));
    return disk;
}

cJSON *disks_json(const struct call *call, const cJSON *body)
{
    cJSON *list = json_array();
    const cJSON *given = NULL;
    const char *instance = json_str_or(body, "name", "");
    int index = 0, ssds = 0;
    cJSON_ArrayForEach(given, json_at(body, "disks"))
    {
        bool scratch = strcmp(json_str_or(given, "type", "PERSISTENT"), "SCRATCH") == 0;
        cJSON *disk =
            scratch ? local_ssd_json(given, ssds++) : persistent_json(call, instance, given, index);
        json_set_str(disk, "kind", "compute#attachedDisk");
        json_set_i64(disk, "index", index++);
        json_push(list, disk);
    }
    return list;
}
