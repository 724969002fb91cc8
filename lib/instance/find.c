#include "necoops/instance/find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/spec.h"

struct finding {
    const struct strv *zones;
    struct instance_list *list;
};

static int add_instance(void *arg, const cJSON *instance, struct err *err)
{
    struct finding *finding = arg;
    struct instance_list *list = finding->list;
    if (!json_str(instance, "id") || !json_str(instance, "zone") || !json_str(instance, "status"))
        return err_set(err, ERR_PROTOCOL, "Compute Engine lists an instance without id or zone");
    if (!strv_has(finding->zones, instance_zone(instance)))
        return 0; /* of that name, but in a zone that is none of ours */
    list->items = xrealloc(list->items, (list->len + 1) * sizeof *list->items);
    list->items[list->len++] = json_copy(instance);
    return 0;
}

static int64_t created(const cJSON *instance)
{
    autoerr struct err err = ERR_INIT;
    int64_t ms = INT64_MAX;
    const char *text = json_str_or(instance, "creationTimestamp", "");
    return time_parse_rfc3339(text, &ms, &err) == 0 ? ms : INT64_MAX;
}

/* Every run must come to the same order: by birth, then by id. */
static int compare(const void *a, const void *b)
{
    const cJSON *one = *(cJSON *const *)a, *other = *(cJSON *const *)b;
    int64_t born = created(one), other_born = created(other);
    if (born != other_born)
        return born < other_born ? -1 : 1;
    uint64_t id = 0, other_id = 0;
    json_u64(one, "id", &id);
    json_u64(other, "id", &other_id);
    return id < other_id ? -1 : id > other_id;
}

/* A zone as the API names what it could not ask: "zones/us-a" or a URL. */
static int check_unreachable(const struct strv *zones, const struct strv *unreachable,
                             struct err *err)
{
    for (size_t i = 0; i < unreachable->len; i++) {
        const char *zone = gce_basename(unreachable->items[i]);
        if (strv_has(zones, zone))
            return err_set(
                err, ERR_UNREACHABLE,
                "zone '%s' cannot be asked now, and the instance may be in it; try again "
                "later or take the zone out of 'zones'",
                zone);
    }
    return 0;
}

int instance_find(struct gce *gce, const char *name, const struct strv *zones,
                  struct instance_list *out, struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    struct finding finding = {.zones = zones, .list = &list};
    autostrv struct strv unreachable = STRV_INIT;
    autofree char *filter = xasprintf("name=\"%s\"", name);
    if (gce_instances_walk(gce, filter, INSTANCE_FIELDS, add_instance, &finding, &unreachable,
                           err) < 0 ||
        check_unreachable(zones, &unreachable, err) < 0)
        return -1;
    if (list.len > 1)
        qsort(list.items, list.len, sizeof *list.items, compare);
    *out = list;
    list = (struct instance_list){.items = NULL};
    return 0;
}

void instance_list_clear(struct instance_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        cJSON_Delete(list->items[i]);
    free(list->items);
    *list = (struct instance_list){.items = NULL};
}

/* "Invalid value for field 'zone': 'x'. Unknown zone." */
int find_zone_error(const char *zone, struct err *err)
{
    if (err->code != ERR_INVALID || !strstr(err_text(err), "'zone'"))
        return -1;
    return err_set(err, ERR_USAGE, "there is no zone '%s'; see zones in the configuration", zone);
}

const char *instance_id(const cJSON *instance)
{
    return json_str_or(instance, "id", "");
}

const char *instance_zone(const cJSON *instance)
{
    return gce_basename(json_str_or(instance, "zone", ""));
}

const char *instance_status(const cJSON *instance)
{
    return json_str_or(instance, "status", "");
}

bool instance_is_changing(const cJSON *instance)
{
    static const char *const passing[] = {"PROVISIONING", "STAGING",    "PENDING_STOP",
                                          "STOPPING",     "SUSPENDING", "DEPROVISIONING"};
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        if (strcmp(instance_status(instance), passing[i]) == 0)
            return true;
    }
    return false;
}

int64_t instance_soft_end(const cJSON *instance)
{
    int64_t seconds;
    return json_i64(instance, "labels." LABEL_UNTIL, &seconds) ? seconds * 1000 : -1;
}

int64_t instance_hard_end(const cJSON *instance)
{
    autoerr struct err err = ERR_INIT;
    int64_t ms;
    const char *text = json_str(instance, "scheduling.terminationTime");
    if (!text)
        text = json_str(instance, "resourceStatus.scheduling.terminationTimestamp");
    return text && time_parse_rfc3339(text, &ms, &err) == 0 ? ms : -1;
}
