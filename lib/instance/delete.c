#include "necoops/instance/delete.h"

#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/instance/spec.h"

#define ROUNDS 5 /* looks for what came up meanwhile; each deletes all it saw */

int instance_delete_one(const struct run *run, struct gce *gce, const cJSON *instance,
                        struct err *err)
{
    const char *zone = instance_zone(instance);
    const char *name = json_str_or(instance, "name", "");
    autofree char *what =
        xasprintf("deletion of instance '%s' (%s) in %s", name, instance_id(instance), zone);
    autojson cJSON *operation = NULL;
    progress_phase(run->progress, "delete", "deleting %s (%s) in %s", name, instance_id(instance),
                   zone);
    int result =
        gce_instance_delete(gce, zone, instance_id(instance), uuid_random().text, &operation, err);
    if (result == 0)
        result = gce_operation_wait(gce, operation, what, err);
    if (result < 0 && err->code == ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    return result;
}

static int delete_seen(const struct run *run, struct gce *gce, const struct instance_list *list,
                       struct delete_result *result, struct err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        if (instance_delete_one(run, gce, list->items[i], err) < 0)
            return -1;
        cJSON *entry = json_object();
        json_set_str(entry, "id", instance_id(list->items[i]));
        json_set_str(entry, "name", json_str(list->items[i], "name"));
        json_set_str(entry, "zone", instance_zone(list->items[i]));
        json_push(result->instances, entry);
    }
    return 0;
}

/* Waits for operations on that name that have not ended; how it went shows in the next look. */
static int settle(const struct run *run, struct gce *gce, const char *name,
                  const struct strv *zones, bool *moved, struct err *err)
{
    for (size_t i = 0; i < zones->len; i++) {
        autojson cJSON *running = NULL;
        if (gce_operations_running(gce, zones->items[i], name, &running, err) < 0)
            return find_zone_error(zones->items[i], err);
        const cJSON *operation;
        cJSON_ArrayForEach(operation, running)
        {
            *moved = true;
            log_debug(run->log, "waiting for a running operation on '%s' in %s", name,
                      zones->items[i]);
            if (gce_operation_wait(gce, operation, "a running operation", err) == 0)
                continue;
            if (run_check(run, "a running operation", err) < 0)
                return -1;
            err_clear(err);
        }
    }
    return 0;
}

static int delete_leftover_disks(const struct run *run, struct gce *gce, const char *name,
                                 const char *zone, struct delete_result *result, struct err *err)
{
    autojson cJSON *disks = NULL;
    autofree char *filter =
        xasprintf("labels." LABEL_OWNED "=managed AND labels." LABEL_INSTANCE "=%s", name);
    if (gce_disks_list(gce, zone, filter, &disks, err) < 0)
        return -1;
    const cJSON *disk;
    cJSON_ArrayForEach(disk, disks)
    {
        const char *disk_name = json_str_or(disk, "name", "");
        autojson cJSON *operation = NULL;
        if (cJSON_GetArraySize(json_at(disk, "users")) > 0)
            continue;
        progress_phase(run->progress, "disk", "deleting the leftover disk %s", disk_name);
        autofree char *what = xasprintf("deletion of disk '%s' in %s", disk_name, zone);
        int deleted = gce_disk_delete(gce, zone, disk_name, uuid_random().text, &operation, err);
        if (deleted == 0)
            deleted = gce_operation_wait(gce, operation, what, err);
        if (deleted < 0 && err->code != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
        cJSON *entry = json_object();
        json_set_str(entry, "name", disk_name);
        json_set_str(entry, "zone", zone);
        json_push(result->disks, entry);
    }
    return 0;
}

static int delete_all_disks(const struct run *run, struct gce *gce, const char *name,
                            const struct strv *zones, struct delete_result *result, struct err *err)
{
    for (size_t i = 0; i < zones->len; i++) {
        if (delete_leftover_disks(run, gce, name, zones->items[i], result, err) < 0)
            return -1;
    }
    return 0;
}

static bool is_settled(const struct instance_list *list)
{
    for (size_t i = 0; i < list->len; i++) {
        if (instance_is_changing(list->items[i]))
            return false;
    }
    return list->len > 0;
}

/* Looks, and deletes what it saw; `absent` when nothing is there and nothing comes. */
static int delete_round(const struct run *run, struct gce *gce, const char *name,
                        const struct strv *zones, struct delete_result *result, bool *absent,
                        struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    bool moved = false;
    if (instance_find(gce, name, zones, &list, err) < 0 ||
        (!is_settled(&list) && settle(run, gce, name, zones, &moved, err) < 0))
        return -1;
    *absent = list.len == 0 && !moved;
    return moved ? 0 : delete_seen(run, gce, &list, result, err);
}

static int delete_until_absent(const struct run *run, struct gce *gce, const char *name,
                               const struct strv *zones, struct delete_result *result,
                               struct err *err)
{
    for (int round = 0; round <= ROUNDS; round++) {
        bool absent = false;
        if (delete_round(run, gce, name, zones, result, &absent, err) < 0)
            return -1;
        if (absent)
            return delete_all_disks(run, gce, name, zones, result, err);
    }
    return err_set(err, ERR_FAILED, "instance '%s' comes up again and again: another run makes it",
                   name);
}

int instance_delete(const struct run *run, struct gce *gce, const char *name,
                    const struct strv *zones, struct delete_result *out, struct err *err)
{
    struct delete_result result = {.instances = json_array(), .disks = json_array()};
    if (delete_until_absent(run, gce, name, zones, &result, err) < 0) {
        delete_result_clear(&result);
        return -1;
    }
    *out = result;
    return 0;
}

void delete_result_clear(struct delete_result *result)
{
    cJSON_Delete(result->instances);
    cJSON_Delete(result->disks);
    *result = (struct delete_result){.instances = NULL};
}
