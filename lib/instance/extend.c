#include "necoops/instance/extend.h"

#include "necoops/base/digest.h"
#include "necoops/instance/find.h"
#include "necoops/instance/spec.h"

#define TRIES 5 /* somebody else may change labels at the same time */

/* Bounded by the hard end. */
static struct extend_result ending_at(const cJSON *instance, int64_t soft_end)
{
    struct extend_result result = {.soft_end = soft_end, .hard_end = instance_hard_end(instance)};
    result.bounded = result.hard_end >= 0 && result.soft_end > result.hard_end;
    if (result.bounded)
        result.soft_end = result.hard_end;
    return result;
}

static struct extend_result extended(const struct run *run, const cJSON *instance, int64_t ms)
{
    int64_t now = run_wall_ms(run), soft = instance_soft_end(instance);
    return ending_at(instance, (soft > now ? soft : now) + ms);
}

static int write_label(struct gce *gce, const cJSON *instance, int64_t soft_end, struct err *err)
{
    autojson cJSON *operation = NULL;
    const cJSON *now = json_at(instance, "labels");
    autojson cJSON *labels = now ? json_copy(now) : json_object();
    autofree char *until = xasprintf("%lld", (long long)(soft_end / 1000));
    json_set_str(labels, LABEL_UNTIL, until);
    if (gce_instance_set_labels(gce, instance_zone(instance), instance_id(instance), labels,
                                json_str_or(instance, "labelFingerprint", ""), uuid_random().text,
                                &operation, err) < 0)
        return -1;
    return gce_operation_wait(gce, operation, "change of the soft end", err);
}

int instance_extend(const struct run *run, struct gce *gce, const char *name,
                    const struct strv *zones, int64_t ms, bool dry_run, struct extend_result *out,
                    struct err *err)
{
    for (int left = TRIES;; left--) {
        autoinstances struct instance_list list = {.items = NULL};
        if (instance_find(gce, name, zones, &list, err) < 0)
            return -1;
        if (list.len == 0)
            return err_set(err, ERR_NO_CLUSTER, "there is no instance '%s' to extend", name);
        struct extend_result result = extended(run, list.items[0], ms);
        if (dry_run || write_label(gce, list.items[0], result.soft_end, err) == 0) {
            *out = result;
            return 0;
        }
        if (err->code != ERR_CONFLICT || left == 1)
            return -1;
        err_clear(err);
    }
}

int instance_set_soft_end(const struct run *run, struct gce *gce, const cJSON *instance,
                          int64_t soft_end, struct extend_result *out, struct err *err)
{
    autojson cJSON *now = json_copy(instance);
    for (int left = TRIES;; left--) {
        struct extend_result result = ending_at(now, soft_end);
        if (write_label(gce, now, result.soft_end, err) == 0) {
            *out = result;
            return 0;
        }
        if (err->code != ERR_CONFLICT || left == 1 || run_check(run, "the soft end", err) < 0)
            return -1;
        cJSON *read = NULL;
        if (gce_instance_get(gce, instance_zone(instance), instance_id(instance), INSTANCE_FIELDS,
                             &read, err) < 0)
            return -1;
        cJSON_Delete(now);
        now = read;
        err_clear(err);
    }
}
