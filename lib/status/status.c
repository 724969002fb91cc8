#include "internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"

#define CONSOLE_CAP ((size_t)2 << 20) /* the service keeps about one */

int status_open(const struct run *run, const struct conf *conf, struct status **out,
                struct err *err)
{
    autostatus struct status *status = xcalloc(1, sizeof *status);
    buf_init(&status->console, CONSOLE_CAP);
    status->run = run;
    status->conf = conf;
    status->name = conf_str(conf, "instance.name");
    status->phases = json_array();
    if (conf_require(conf, "zones", err) < 0 || cloud_open(run, conf, &status->cloud, err) < 0)
        return -1;
    conf_strs(conf, "zones", &status->zones);
    *out = steal(status);
    return 0;
}

void status_close(struct status *status)
{
    if (!status)
        return;
    cluster_leave(&status->reached);
    cloud_close(&status->cloud);
    strv_clear(&status->zones);
    buf_clear(&status->console);
    cJSON_Delete(status->phases);
    free(status->id);
    free(status);
}

void status_closep(struct status **status)
{
    status_close(*status);
}

void status_problem(cJSON *value, struct err *err)
{
    cJSON *problems = cJSON_GetObjectItemCaseSensitive(value, "problems");
    json_push_str(problems, err_text(err));
    err_clear(err);
}

/* ---- the instance ---- */

static void set_time(cJSON *object, const char *key, int64_t wall_ms)
{
    if (wall_ms >= 0)
        json_set_str(object, key, time_rfc3339(wall_ms).text);
}

static cJSON *describe(const cJSON *instance)
{
    cJSON *entry = json_object();
    json_set_str(entry, "name", json_str(instance, "name"));
    json_set_str(entry, "id", instance_id(instance));
    json_set_str(entry, "zone", instance_zone(instance));
    json_set_str(entry, "status", instance_status(instance));
    json_set_str(entry, "machineType", gce_basename(json_str_or(instance, "machineType", "")));
    json_set_str(entry, "provisioningModel", json_str(instance, "scheduling.provisioningModel"));
    json_set_str(entry, "created", json_str(instance, "creationTimestamp"));
    json_set_str(entry, "started", json_str(instance, "lastStartTimestamp"));
    set_time(entry, "softEnd", instance_soft_end(instance));
    set_time(entry, "hardEnd", instance_hard_end(instance));
    if (json_at(instance, "labels"))
        json_set(entry, "labels", json_copy(json_at(instance, "labels")));
    return entry;
}

/* What was read of another instance is not of this one. */
static void keep_only(struct status *status, const char *id)
{
    if (status->id && strcmp(status->id, id) == 0)
        return;
    free(status->id);
    status->id = xstrdup(id);
    status->console_next = 0;
    status->attribute_due = 0;
    status->console_lost = false;
    buf_reset(&status->console);
    cJSON_Delete(status->phases);
    status->phases = json_array();
    cluster_leave(&status->reached);
}

static void look_inside(struct status *status, const cJSON *instance, cJSON *value)
{
    bool running = strcmp(instance_status(instance), "RUNNING") == 0;
    if (running)
        status_phases(status, instance, value);
    if (running && run_remaining_ms(status->run, 1) > 0)
        status_cluster(status, value);
}

int status_look(struct status *status, cJSON **out, struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    autojson cJSON *value = json_object();
    if (run_check(status->run, "the status", err) < 0 ||
        instance_find(status->cloud.gce, status->name, &status->zones, &list, err) < 0)
        return -1;
    json_set_str(value, "time", time_rfc3339_ms(run_wall_ms(status->run)).text);
    json_set_str(value, "name", status->name);
    json_set(value, "instance", list.len ? describe(list.items[0]) : cJSON_CreateNull());
    cJSON *others = json_set_array(value, "others");
    for (size_t i = 1; i < list.len; i++)
        json_push(others, describe(list.items[i]));
    json_set_array(value, "problems");
    if (list.len) {
        keep_only(status, instance_id(list.items[0]));
        look_inside(status, list.items[0], value);
    }
    status_timeline(status, value);
    if (run_check(status->run, "the status", err) < 0)
        return -1;
    *out = steal(value);
    return 0;
}
