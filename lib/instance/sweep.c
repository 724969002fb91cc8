#include "necoops/instance/sweep.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/find.h"
#include "necoops/instance/spec.h"

#define FILTER "labels." LABEL_OWNED "=managed"
#define FIELDS "id,name,zone,status,labels"
#define DISK_FIELDS "name,zone,users"
#define PACE_MS 50 /* between two requests that change something: the API allows about 25 a second */

/* One deletion under way. */
struct deletion {
    cJSON *entry;     /* of the result's list it will go to */
    cJSON *operation; /* NULL: it is gone already */
};

struct sweep {
    const struct run *run;
    struct gce *gce;
    const struct sweep_options *options;
    struct sweep_result *result;
    struct deletion *deletions;
    size_t count;
    int64_t now;
};

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
    const cJSON *label =
        cJSON_GetObjectItemCaseSensitive(json_at(instance, "labels"), key);
    return cJSON_IsString(label) && (!equals || strcmp(label->valuestring, equals + 1) == 0);
}

/* Why it stays; NULL when it goes. Caller frees. */
static char *why_kept(const struct sweep *sweep, const cJSON *instance)
{
    const struct sweep_options *options = sweep->options;
    int64_t soft = instance_soft_end(instance);
    if (soft < 0)
        return xstrdup("it has no soft end");
    if (soft > sweep->now)
        return xstrdup("its soft end has not come");
    for (size_t i = 0; i < options->exclude_names->len; i++) {
        if (glob_match(options->exclude_names->items[i], json_str_or(instance, "name", "")))
            return xasprintf("excluded by the name pattern '%s'", options->exclude_names->items[i]);
    }
    for (size_t i = 0; i < options->exclude_labels->len; i++) {
        if (has_label(instance, options->exclude_labels->items[i]))
            return xasprintf("excluded by the label '%s'", options->exclude_labels->items[i]);
    }
    return NULL;
}

static int take(void *arg, const cJSON *instance, struct err *err)
{
    struct sweep *sweep = arg;
    (void)err;
    autojson cJSON *entry = describe(instance);
    autofree char *why = why_kept(sweep, instance);
    if (why) {
        json_set_str(entry, "why", why);
        sweep->options->kept(sweep->options->arg, entry);
        return 0;
    }
    sweep->deletions =
        xrealloc(sweep->deletions, (sweep->count + 1) * sizeof *sweep->deletions);
    sweep->deletions[sweep->count++] = (struct deletion){.entry = steal(entry)};
    return 0;
}

/* Files a deletion's entry under how it ended. */
static void settle(struct sweep *sweep, struct deletion *deletion, struct err *err)
{
    bool gone = err->code == ERR_NONE || err->code == ERR_NOT_FOUND;
    if (!gone)
        json_set_str(deletion->entry, "why", err_text(err));
    json_push(gone ? sweep->result->deleted : sweep->result->failed, steal(deletion->entry));
    err_clear(err);
}

static void ask_all(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        struct deletion *deletion = &sweep->deletions[i];
        autoerr struct err err = ERR_INIT;
        int64_t begin = run_mono_ms(sweep->run);
        progress_phase(sweep->run->progress, "delete", "deleting %zu of %zu expired instances",
                       i + 1, sweep->count);
        if (gce_instance_delete(sweep->gce, json_str(deletion->entry, "zone"),
                                json_str(deletion->entry, "id"), uuid_random().text,
                                &deletion->operation, &err) < 0)
            settle(sweep, deletion, &err);
        int64_t left = begin + PACE_MS - run_mono_ms(sweep->run);
        if (left > 0 && i + 1 < sweep->count &&
            run_sleep(sweep->run, left, "the sweep", &err) < 0)
            return; /* what was not asked for fails in its turn */
    }
}

static void await_all(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        struct deletion *deletion = &sweep->deletions[i];
        autoerr struct err err = ERR_INIT;
        if (!deletion->entry)
            continue;
        autofree char *what =
            xasprintf("deletion of instance '%s'", json_str_or(deletion->entry, "name", ""));
        if (deletion->operation)
            (void)!gce_operation_wait(sweep->gce, deletion->operation, what, &err);
        else
            (void)!run_check(sweep->run, what, &err); /* the run has ended: it was not asked for */
        settle(sweep, deletion, &err);
    }
}

static void plan_all(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++)
        json_push(sweep->result->deleted, steal(sweep->deletions[i].entry));
}

static int conclude(const struct sweep *sweep, struct err *err)
{
    const struct sweep_result *result = sweep->result;
    int failed = cJSON_GetArraySize(result->failed);
    if (run_check(sweep->run, "the sweep", err) < 0)
        return -1;
    if (failed > 0)
        return err_set(err, ERR_FAILED, "%d of %zu expired instances could not be deleted: %s",
                       failed, sweep->count, json_str_or(result->failed, "[0].why", ""));
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
    struct sweep sweep = {.run = run, .gce = gce, .options = options, .result = out,
                          .now = run_wall_ms(run)};
    *out = (struct sweep_result){.deleted = json_array(), .failed = json_array()};
    progress_phase(run->progress, "list", "looking for expired instances");
    int result = gce_instances_walk(gce, FILTER, FIELDS, take, &sweep, &out->unreachable, err);
    if (result == 0 && options->dry_run)
        plan_all(&sweep);
    else if (result == 0) {
        ask_all(&sweep);
        await_all(&sweep);
    }
    for (size_t i = 0; i < sweep.count; i++) {
        cJSON_Delete(sweep.deletions[i].entry);
        cJSON_Delete(sweep.deletions[i].operation);
    }
    free(sweep.deletions);
    return result < 0 ? -1 : conclude(&sweep, err);
}

void sweep_result_clear(struct sweep_result *result)
{
    cJSON_Delete(result->deleted);
    cJSON_Delete(result->failed);
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
    if (gce_instances_walk(gce, FILTER, FIELDS, add_owned, owned, &unreachable, err) < 0 ||
        gce_disks_walk(gce, FILTER, DISK_FIELDS, add_owned_disk, owned_disks, &unreachable, err) <
            0)
        return -1;
    if (unreachable.len > 0)
        return err_set(err, ERR_UNREACHABLE, "zone '%s' could not be asked; audit again later",
                       unreachable.items[0]);
    *instances = steal(owned);
    *disks = steal(owned_disks);
    return 0;
}
