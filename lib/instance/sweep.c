#include "necoops/instance/sweep.h"

#include <string.h>
#include "instance/sweep_internal.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/find.h"

#define FIELDS      "id,name,zone,status,labels"
#define DISK_FIELDS "name,zone,users"

static cJSON *describe(const cJSON *instance)
{
    cJSON *entry = json_object();
    int64_t soft = instance_soft_end(instance);
    json_set_str(entry, "id", instance_id(instance));
    json_set_str(entry, "name", json_str(instance, "name"));
    json_set_str(entry, "zone", instance_zone(instance));
    json_set_str(entry, "status", instance_status(instance));
    if (soft >= 0)
        json_set_str(entry, "softEnd", time_rfc3339(soft).text);
    return entry;
}

static bool has_label(const cJSON *instance, const char *wanted)
{
    const char *equals = strchr(wanted, '=');
    autofree char *key = equals ? xstrndup(wanted, (size_t)(equals - wanted)) : xstrdup(wanted);
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(json_at(instance, "labels"), key);
    return cJSON_IsString(label) && (!equals || strcmp(label->valuestring, equals + 1) == 0);
}

char *sweep_why_excluded(const struct sweep_options *options, const char *name,
                         const cJSON *resource)
{
    for (size_t i = 0; i < options->exclude_names->len; i++) {
        if (glob_match(options->exclude_names->items[i], name))
            return xasprintf("excluded by the name pattern '%s'", options->exclude_names->items[i]);
    }
    for (size_t i = 0; i < options->exclude_labels->len; i++) {
        if (has_label(resource, options->exclude_labels->items[i]))
            return xasprintf("excluded by the label '%s'", options->exclude_labels->items[i]);
    }
    return NULL;
}

/* Why it stays; NULL when it goes. Caller frees. */
static char *why_kept(const struct sweep *sweep, const cJSON *instance)
{
    int64_t soft = instance_soft_end(instance);
    if (soft < 0)
        return xstrdup("it has no soft end");
    if (soft > sweep->now)
        return xstrdup("its soft end has not come");
    return sweep_why_excluded(sweep->options, json_str_or(instance, "name", ""), instance);
}

static int take(void *arg, const cJSON *instance, struct err *err)
{
    struct sweep *sweep = arg;
    (void)err;
    autojson cJSON *entry = describe(instance);
    autofree char *why = why_kept(sweep, instance);
    if (!why) {
        batch_add(&sweep->expired, steal(entry));
        return 0;
    }
    json_set_str(entry, "why", why);
    sweep->options->kept(sweep->options->arg, entry);
    return 0;
}

static int ask(struct gce *gce, const cJSON *entry, cJSON **operation, struct err *err)
{
    return gce_instance_delete(gce, json_str(entry, "zone"), json_str(entry, "id"),
                               uuid_random().text, operation, err);
}

static int sweep_instances(struct sweep *sweep, struct err *err)
{
    struct sweep_result *result = sweep->result;
    progress_phase(sweep->run->progress, "list", "looking for expired instances");
    if (gce_instances_walk(sweep->gce, SWEEP_FILTER, FIELDS, take, sweep, &result->unreachable,
                           err) < 0)
        return -1;
    if (sweep->options->dry_run)
        batch_plan(&sweep->expired, result->deleted);
    else
        batch_delete(&sweep->expired, sweep->run, sweep->gce, result->deleted, result->failed);
    return run_check(sweep->run, "the sweep", err);
}

static int conclude(const struct sweep *sweep, struct err *err)
{
    const struct sweep_result *result = sweep->result;
    int failed = cJSON_GetArraySize(result->failed);
    int failed_disks = cJSON_GetArraySize(result->failed_disks);
    if (run_check(sweep->run, "the sweep", err) < 0)
        return -1;
    if (failed > 0)
        return err_set(err, ERR_FAILED, "%d of %zu expired instances could not be deleted: %s",
                       failed, sweep->expired.count, json_str_or(result->failed, "[0].why", ""));
    if (failed_disks > 0)
        return err_set(err, ERR_FAILED, "%d of %d leftover disks could not be deleted: %s",
                       failed_disks, failed_disks + cJSON_GetArraySize(result->disks),
                       json_str_or(result->failed_disks, "[0].why", ""));
    if (result->unreachable.len > 0) {
        autofree char *zones = strv_join(&result->unreachable, ", ");
        return err_set(err, ERR_FAILED, "zones that could not be asked: %s; sweep again later",
                       zones);
    }
    return 0;
}

int instance_sweep(const struct run *run, struct gce *gce, const struct sweep_options *options,
                   struct sweep_result *out, struct err *err)
{
    struct sweep sweep = {.run = run,
                          .gce = gce,
                          .options = options,
                          .result = out,
                          .expired = {.kind = "expired instance", .ask = ask},
                          .now = run_wall_ms(run)};
    *out = (struct sweep_result){.deleted = json_array(),
                                 .failed = json_array(),
                                 .disks = json_array(),
                                 .failed_disks = json_array()};
    int result = sweep_instances(&sweep, err);
    if (result == 0)
        result = sweep_disks(&sweep, err);
    if (result == 0)
        result = conclude(&sweep, err);
    batch_clear(&sweep.expired);
    return result;
}

void sweep_result_clear(struct sweep_result *result)
{
    cJSON_Delete(result->deleted);
    cJSON_Delete(result->failed);
    cJSON_Delete(result->disks);
    cJSON_Delete(result->failed_disks);
    strv_clear(&result->unreachable);
    *result = (struct sweep_result){.deleted = NULL};
}

/* ---- what is left ---- */

static int add_owned(void *arg, const cJSON *instance, struct err *err)
{
    (void)err;
    json_push(arg, describe(instance));
    return 0;
}

static int add_owned_disk(void *arg, const cJSON *disk, struct err *err)
{
    cJSON *entry = json_object();
    const char *user = json_str(disk, "users[0]");
    (void)err;
    json_set_str(entry, "name", json_str(disk, "name"));
    json_set_str(entry, "zone", gce_basename(json_str_or(disk, "zone", "")));
    json_set_str(entry, "user", user ? gce_basename(user) : NULL);
    json_push(arg, entry);
    return 0;
}

int instance_audit(struct gce *gce, cJSON **instances, cJSON **disks, struct err *err)
{
    autojson cJSON *owned = json_array();
    autojson cJSON *owned_disks = json_array();
    autostrv struct strv unreachable = STRV_INIT;
    if (gce_instances_walk(gce, SWEEP_FILTER, FIELDS, add_owned, owned, &unreachable, err) < 0 ||
        gce_disks_walk(gce, SWEEP_FILTER, DISK_FIELDS, add_owned_disk, owned_disks, &unreachable,
                       err) < 0)
        return -1;
    if (unreachable.len > 0)
        return err_set(err, ERR_UNREACHABLE, "zone '%s' could not be asked; audit again later",
                       unreachable.items[0]);
    *instances = steal(owned);
    *disks = steal(owned_disks);
    return 0;
}
