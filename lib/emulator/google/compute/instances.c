/* The table of instances and how they are shown. */
#include "emulator/google/compute/internal.h"

#define SCAN_LIMIT                                                                                 \
    10000 /* instances looked at for one page, as the real service bounds its work                 \
           */
#define KNOWN                                                                                      \
    "id kind name zone status statusMessage labels labelFingerprint machineType metadata tags "    \
    "disks networkInterfaces scheduling serviceAccounts creationTimestamp lastStartTimestamp "     \
    "lastStopTimestamp cpuPlatform minCpuPlatform canIpForward deletionProtection description "    \
    "hostname fingerprint selfLink resourceStatus advancedMachineFeatures startRestricted "        \
    "shieldedInstanceConfig guestAccelerators reservationAffinity"

/* ---- specs ---- */

struct spec *spec_new(cJSON *json)
{
    struct spec *spec = xcalloc(1, sizeof *spec);
    spec->refs = 1;
    spec->json = json;
    return spec;
}

void spec_unref(struct spec *spec)
{
    if (spec == NULL || --spec->refs > 0)
        return;
    cJSON_Delete(spec->json);
    free(spec);
}

void instance_set(struct instance *instance, const char *key, cJSON *value)
{
    if (instance->spec->refs > 1) {
        struct spec *own = spec_new(json_copy(instance->spec->json));
        spec_unref(instance->spec);
        instance->spec = own;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(instance->spec->json, key);
    if (value != NULL)
        json_set(instance->spec->json, key, value);
}

/* ---- the table ---- */

static int compare_to(const struct instance *instance, const char *project, const char *zone,
                      const char *name)
{
    int projects = strcmp(instance->project, project);
    int zones = projects != 0 ? projects : strcmp(instance->zone, zone);
    return zones != 0 ? zones : strcmp(instance->name, name);
}

static int by_name(const void *a, const void *b)
{
    const struct instance *const *x = a, *const *y = b;
    return compare_to(*x, (*y)->project, (*y)->zone, (*y)->name);
}

/* The first that is not before this key. */
static size_t lower_bound(const struct compute *compute, const char *project, const char *zone,
                          const char *name)
{
    size_t low = 0, high = compute->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_to(compute->by_name[middle], project, zone, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t id_bound(const struct compute *compute, uint64_t id)
{
    size_t low = 0, high = compute->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compute->by_id[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct instance *instance_by_id(const struct compute *compute, uint64_t id)
{
    size_t at = id_bound(compute, id);
    return at < compute->count && compute->by_id[at]->id == id ? compute->by_id[at] : NULL;
}

struct instance *instance_find(const struct compute *compute, const char *project, const char *zone,
                               const char *name_or_id)
{
    uint64_t id = 0;
    if (parse_id(name_or_id, &id)) {
        struct instance *instance = instance_by_id(compute, id);
        bool here = instance != NULL && strcmp(instance->project, project) == 0 &&
                    strcmp(instance->zone, zone) == 0;
        return here ? instance : NULL;
    }
    size_t at = lower_bound(compute, project, zone, name_or_id);
    if (at < compute->count && compare_to(compute->by_name[at], project, zone, name_or_id) == 0)
        return compute->by_name[at];
    return NULL;
}

struct instance *call_instance(struct call *call)
{
    struct instance *instance = instance_find(call->compute, call->project, call->zone, call->name);
    if (instance != NULL && !instance->hidden)
        return instance;
    not_found(call->answer, "projects/%s/zones/%s/instances/%s", call->project, call->zone,
              call->name);
    return NULL;
}

static void grow(struct compute *compute)
{
    if (compute->count < compute->size)
        return;
    compute->size = compute->size ? compute->size * 2 : 64;
    compute->by_name = xrealloc(compute->by_name, compute->size * sizeof *compute->by_name);
    compute->by_id = xrealloc(compute->by_id, compute->size * sizeof *compute->by_id);
}

void instances_append(struct compute *compute, struct instance *instance)
{
    grow(compute);
    compute->by_name[compute->count] = instance;
    compute->by_id[compute->count] = instance;
    compute->count++;
}

void instances_sort(struct compute *compute)
{
    if (compute->count > 0)
        qsort(compute->by_name, compute->count, sizeof *compute->by_name, by_name);
}

void instances_add(struct compute *compute, struct instance *instance)
{
    grow(compute);
    size_t at = lower_bound(compute, instance->project, instance->zone, instance->name);
    memmove(&compute->by_name[at + 1], &compute->by_name[at],
            (compute->count - at) * sizeof *compute->by_name);
    compute->by_name[at] = instance;
    compute->by_id[compute->count] = instance;
    compute->count++;
}

void instance_remove(struct compute *compute, struct instance *instance)
{
    size_t at = lower_bound(compute, instance->project, instance->zone, instance->name);
    size_t id_at = id_bound(compute, instance->id);
    memmove(&compute->by_name[at], &compute->by_name[at + 1],
            (compute->count - at - 1) * sizeof *compute->by_name);
    memmove(&compute->by_id[id_at], &compute->by_id[id_at + 1],
            (compute->count - id_at - 1) * sizeof *compute->by_id);
    compute->count--;
    instance_free(instance);
}

void instance_free(struct instance *instance)
{
    if (instance->inside != NULL) {
        for (int i = 0; i < SERIAL_PORTS; i++)
            free(instance->inside->serial[i].data);
        guest_attributes_free(instance->inside);
        free(instance->inside->token);
        free(instance->inside->token_scopes);
        free(instance->inside);
    }
    spec_unref(instance->spec);
    free(instance->name);
    free(instance);
}

struct inside *instance_inside(struct instance *instance)
{
    if (instance->inside == NULL)
        instance->inside = xcalloc(1, sizeof *instance->inside);
    return instance->inside;
}

/* ---- how they are shown ---- */

char *instance_path(const struct instance *instance)
{
    return xasprintf("projects/%s/zones/%s/instances/%s", instance->project, instance->zone,
                     instance->name);
}

const char *instance_status_text(enum instance_status status)
{
    static const char *const texts[] = {"PROVISIONING", "STAGING", "RUNNING", "STOPPING",
                                        "TERMINATED"};
    return texts[status];
}

const char *instance_metadata(const struct instance *instance, const char *key)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json_at(instance->spec->json, "metadata.items"))
    {
        if (strcmp(json_str_or(item, "key", ""), key) == 0)
            return json_str(item, "value");
    }
    return NULL;
}

static void add_own(cJSON *json, const struct instance *instance, const struct fields *fields)
{
    if (fields_has(fields, "kind"))
        json_set_str(json, "kind", "compute#instance");
    if (fields_has(fields, "id"))
        set_id(json, "id", instance->id);
    if (fields_has(fields, "name"))
        json_set_str(json, "name", instance->name);
    if (fields_has(fields, "status"))
        json_set_str(json, "status", instance_status_text(instance->status));
    if (fields_has(fields, "zone"))
        set_link(json, "zone", "projects/%s/zones/%s", instance->project, instance->zone);
    if (fields_has(fields, "selfLink"))
        set_link(json, "selfLink", "projects/%s/zones/%s/instances/%s", instance->project,
                 instance->zone, instance->name);
    if (fields_has(fields, "creationTimestamp"))
        set_time(json, "creationTimestamp", instance->created);
    if (instance->started != 0 && fields_has(fields, "lastStartTimestamp"))
        set_time(json, "lastStartTimestamp", instance->started);
    if (instance->stopped != 0 && fields_has(fields, "lastStopTimestamp"))
        set_time(json, "lastStopTimestamp", instance->stopped);
    if (instance->ends != 0 && fields_has(fields, "resourceStatus"))
        set_time(json_set_object(json_set_object(json, "resourceStatus"), "scheduling"),
                 "terminationTimestamp", instance->ends);
}

/* The resource; what lies below shares the spec's memory unless `deep`. */
static cJSON *instance_json(const struct instance *instance, const struct fields *fields, bool deep)
{
    cJSON *json = json_object();
    add_own(json, instance, fields);
    for (cJSON *item = instance->spec->json->child; item != NULL; item = item->next) {
        if (!fields_has(fields, item->string))
            continue;
        if (deep)
            json_set(json, item->string, fields_copy(fields_below(fields, item->string), item));
        else
            cJSON_AddItemReferenceToObject(json, item->string, item);
    }
    return json;
}

void instances_get(struct call *call)
{
    autoerr struct err err = ERR_INIT;
    autofields struct fields *fields = NULL;
    const char *text = request_query(call->request, "fields");
    struct instance *instance = call_instance(call);
    if (instance == NULL)
        return;
    if (text != NULL && text[0] != '\0' && fields_parse(text, &fields, &err) < 0) {
        google_error(call->answer, 400, "invalidParameter", "%s", err_text(&err));
        return;
    }
    answer_json(call->answer, 200, instance_json(instance, fields, true));
}

static bool shown(const struct page *page, const struct instance *instance)
{
    if (instance->hidden)
        return false;
    if (page->filter == NULL)
        return true;
    autojson cJSON *json = instance_json(instance, NULL, false);
    return filter_matches(page->filter, json);
}

void instances_list(struct call *call)
{
    struct page page;
    if (page_init(call, KNOWN, &page) < 0)
        return;
    const struct compute *compute = call->compute;
    const struct fields *of_item = fields_below(page.fields, "items");
    size_t first =
        lower_bound(compute, call->project, call->zone, page.after != NULL ? page.after : "");
    cJSON *items = json_array();
    const struct instance *last = NULL;
    bool more = false;
    int64_t count = 0;
    for (size_t i = first; i < compute->count; i++) {
        const struct instance *instance = compute->by_name[i];
        if (strcmp(instance->project, call->project) != 0 ||
            strcmp(instance->zone, call->zone) != 0)
            break;
        if (page.after != NULL && strcmp(instance->name, page.after) == 0)
            continue;
        more = count == page.max || i - first >= SCAN_LIMIT;
        if (more)
            break;
        last = instance;
        if (!shown(&page, instance))
            continue;
        if (fields_has(page.fields, "items"))
            json_push(items, instance_json(instance, of_item, true));
        count++;
    }
    cJSON *result = json_object();
    autofree char *link = xasprintf("projects/%s/zones/%s/instances", call->project, call->zone);
    json_set_str(result, "kind", "compute#instanceList");
    json_set_str(result, "id", link);
    if (count > 0)
        json_set(result, "items", items);
    else
        cJSON_Delete(items);
    autofree char *token = more ? page_token(last->name) : NULL;
    json_set_str(result, "nextPageToken", token);
    set_link(result, "selfLink", "%s", link);
    page_clear(&page);
    google_answer(call->request, call->answer, result);
}

/* What is selected of an instance in a list by scopes. */
static const struct fields *aggregated_fields(const struct page *page, const char *zone)
{
    autofree char *scope = xasprintf("zones/%s", zone);
    return fields_below(fields_below(fields_below(page->fields, "items"), scope), "instances");
}

/* The key of a page's end is "ZONE/NAME". */
static size_t aggregated_first(const struct call *call, const struct page *page)
{
    if (page->after == NULL)
        return lower_bound(call->compute, call->project, "", "");
    autofree char *zone = xstrndup(page->after, strcspn(page->after, "/"));
    size_t at = lower_bound(call->compute, call->project, zone, last_segment(page->after));
    const struct compute *compute = call->compute;
    if (at < compute->count &&
        compare_to(compute->by_name[at], call->project, zone, last_segment(page->after)) == 0)
        at++;
    return at;
}

void instances_aggregated(struct call *call)
{
    struct page page;
    if (page_init(call, KNOWN, &page) < 0)
        return;
    const struct compute *compute = call->compute;
    cJSON *result = aggregated_new(call, "compute#instanceAggregatedList", "instances");
    size_t first = aggregated_first(call, &page);
    const struct instance *last = NULL;
    int64_t count = 0;
    for (size_t i = first; i < compute->count; i++) {
        const struct instance *instance = compute->by_name[i];
        if (strcmp(instance->project, call->project) != 0)
            break;
        if (count == page.max || i - first >= SCAN_LIMIT) {
            autofree char *key = xasprintf("%s/%s", last->zone, last->name);
            autofree char *token = page_token(key);
            json_set_str(result, "nextPageToken", token);
            break;
        }
        last = instance;
        if (!shown(&page, instance))
            continue;
        aggregated_add(result, instance->zone, "instances",
                       instance_json(instance, aggregated_fields(&page, instance->zone), true));
        count++;
    }
    page_clear(&page);
    aggregated_finish(call, result);
}
