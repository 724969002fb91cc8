/* Disks of ours whose instance is gone. Compute Engine itself refuses to delete one that is
 * attached; one that a creation has just made and not attached yet is told by its instance's name.
 */
#include "instance/sweep_internal.h"

#include <string.h>
#include "necoops/base/digest.h"

#define DISK_FIELDS "name,zone,users,labels"

static int ask(struct gce *gce, const cJSON *entry, cJSON **operation, struct err *err)
{
    return gce_disk_delete(gce, json_str(entry, "zone"), json_str(entry, "name"),
                           uuid_random().text, operation, err);
}

static int take(void *arg, const cJSON *disk, struct err *err)
{
    struct sweep *sweep = arg;
    const cJSON *labels = json_at(disk, "labels");
    const char *zone = json_str(disk, "zone"); /* NULL: a regional one, which we do not make */
    const cJSON *owner = cJSON_GetObjectItemCaseSensitive(labels, LABEL_INSTANCE);
    (void)err;
    if (!zone || !cJSON_IsString(owner) || cJSON_GetArraySize(json_at(disk, "users")) > 0)
        return 0;
    autofree char *why = sweep_why_excluded(sweep->options, owner->valuestring, disk);
    if (why)
        return 0;
    cJSON *entry = json_object();
    json_set_str(entry, "name", json_str(disk, "name"));
    json_set_str(entry, "zone", gce_basename(zone));
    json_set_str(entry, "instance", owner->valuestring);
    json_push(sweep->loose, entry);
    return 0;
}

static int count_one(void *arg, const cJSON *instance, struct err *err)
{
    (void)instance;
    (void)err;
    ++*(int *)arg;
    return 0;
}

/* Nobody is making that instance, and there is none of its name anywhere. In this order: an
 * insertion that ends in between shows as an instance, and one that begins then finds the disk in
 * its way. */
static int is_gone(const struct sweep *sweep, const cJSON *entry, bool *gone, struct err *err)
{
    const char *name = json_str(entry, "instance");
    autostrv struct strv unreachable = STRV_INIT;
    autojson cJSON *running = NULL;
    autofree char *filter = xasprintf("name=\"%s\"", name);
    int count = 0;
    if (gce_operations_running(sweep->gce, json_str(entry, "zone"), name, &running, err) < 0 ||
        gce_instances_walk(sweep->gce, filter, "name", count_one, &count, &unreachable, err) < 0)
        return -1;
    *gone = cJSON_GetArraySize(running) == 0 && count == 0 && unreachable.len == 0;
    return 0;
}

int sweep_disks(struct sweep *sweep, struct err *err)
{
    autobatch struct batch batch = {.kind = "leftover disk", .ask = ask};
    struct sweep_result *result = sweep->result;
    sweep->loose = json_array();
    int walked = gce_disks_walk(sweep->gce, SWEEP_FILTER, DISK_FIELDS, take, sweep,
                                &result->unreachable, err);
    autojson cJSON *loose = steal(sweep->loose);
    for (cJSON *entry; walked == 0 && (entry = cJSON_DetachItemFromArray(loose, 0)) != NULL;) {
        bool gone = false;
        walked = is_gone(sweep, entry, &gone, err);
        if (walked == 0 && gone)
            batch_add(&batch, steal(entry));
        cJSON_Delete(entry);
    }
    if (walked < 0)
        return -1;
    if (sweep->options->dry_run)
        batch_plan(&batch, result->disks);
    else
        batch_delete(&batch, sweep->run, sweep->gce, result->disks, result->failed_disks);
    return 0;
}
