/* Persistent disks. */
#include "emulator/google/compute/internal.h"

#define KNOWN                                                                                      \
    "id kind name zone status sizeGb type users labels selfLink creationTimestamp sourceImage "    \
    "labelFingerprint physicalBlockSizeBytes lastAttachTimestamp lastDetachTimestamp description"

struct disk *disk_find(const struct compute *compute, const char *project, const char *zone,
                       const char *name_or_id)
{
    uint64_t id = 0;
    bool numeric = parse_id(name_or_id, &id);
    for (struct disk *disk = compute->disks; disk != NULL; disk = disk->next) {
        if (strcmp(disk->project, project) == 0 && strcmp(disk->zone, zone) == 0 &&
            (strcmp(disk->name, name_or_id) == 0 || (numeric && disk->id == id)))
            return disk;
    }
    return NULL;
}

static struct disk *disk_add(struct compute *compute, const char *project, const char *zone,
                             const char *name, uint64_t user)
{
    struct disk *disk = xcalloc(1, sizeof *disk);
    disk->id = next_id(compute);
    disk->name = xstrdup(name);
    disk->project = intern(compute, project);
    disk->zone = intern(compute, zone);
    disk->type = xstrdup("pd-standard");
    disk->status = xstrdup("READY");
    disk->size_gb = 10;
    disk->created = wall_now();
    disk->user = user;
    disk->next = compute->disks;
    compute->disks = disk;
    return disk;
}

void disk_free(struct disk *disk)
{
    free(disk->name);
    free(disk->type);
    free(disk->image);
    free(disk->status);
    cJSON_Delete(disk->labels);
    free(disk);
}

static void disk_remove(struct compute *compute, struct disk *disk)
{
    for (struct disk **at = &compute->disks; *at != NULL; at = &(*at)->next) {
        if (*at == disk) {
            *at = disk->next;
            disk_free(disk);
            return;
        }
    }
}

void disks_release(struct compute *compute, const struct instance *instance)
{
    for (struct disk **at = &compute->disks; *at != NULL;) {
        struct disk *disk = *at;
        if (disk->user != instance->id) {
            at = &disk->next;
        } else if (disk->auto_delete) {
            *at = disk->next;
            disk_free(disk);
        } else {
            disk->user = 0;
            at = &disk->next;
        }
    }
}

static struct disk *make_disk(struct compute *compute, const struct instance *instance,
                              const char *name, const cJSON *params)
{
    struct disk *disk = disk_add(compute, instance->project, instance->zone, name, 0);
    const char *type = json_str(params, "diskType");
    const char *image = json_str(params, "sourceImage");
    const cJSON *found = image != NULL ? image_resolve(compute, image) : NULL;
    if (type != NULL) {
        free(disk->type);
        disk->type = xstrdup(last_segment(type));
    }
    if (found != NULL) {
        disk->image = xstrdup(json_str_or(found, "selfLink", ""));
        (void)json_i64(found, "diskSizeGb", &disk->size_gb);
    }
    (void)json_i64(params, "diskSizeGb", &disk->size_gb);
    if (cJSON_IsObject(json_at(params, "labels")))
        disk->labels = json_copy(json_at(params, "labels"));
    return disk;
}

void disks_attach(struct compute *compute, struct instance *instance, cJSON *disks)
{
    cJSON *attached = NULL;
    cJSON_ArrayForEach(attached, disks)
    {
        const char *source = json_str(attached, "source");
        if (source == NULL)
            continue; /* a local SSD */
        const char *name = last_segment(source);
        struct disk *disk = disk_find(compute, instance->project, instance->zone, name);
        if (disk == NULL)
            disk = make_disk(compute, instance, name, json_at(attached, "initializeParams"));
        cJSON_DeleteItemFromObjectCaseSensitive(attached, "initializeParams");
        disk->user = instance->id;
        disk->auto_delete = json_bool(attached, "autoDelete", false);
        json_set_i64_str(attached, "diskSizeGb", disk->size_gb);
    }
}

static cJSON *disk_json(const struct compute *compute, const struct disk *disk)
{
    cJSON *json = json_object();
    json_set_str(json, "kind", "compute#disk");
    set_id(json, "id", disk->id);
    set_time(json, "creationTimestamp", disk->created);
    json_set_str(json, "name", disk->name);
    json_set_i64_str(json, "sizeGb", disk->size_gb);
    json_set_str(json, "status", disk->status);
    json_set_str(json, "sourceImage", disk->image);
    json_set_str(json, "physicalBlockSizeBytes", "4096");
    set_link(json, "zone", "projects/%s/zones/%s", disk->project, disk->zone);
    set_link(json, "type", "projects/%s/zones/%s/diskTypes/%s", disk->project, disk->zone,
             disk->type);
    set_link(json, "selfLink", "projects/%s/zones/%s/disks/%s", disk->project, disk->zone,
             disk->name);
    autofree char *fingerprint = fingerprint_of(disk->labels);
    json_set_str(json, "labelFingerprint", fingerprint);
    if (disk->labels != NULL)
        json_set(json, "labels", json_copy(disk->labels));
    const struct instance *user = disk->user != 0 ? instance_by_id(compute, disk->user) : NULL;
    if (user != NULL) {
        autofree char *path = instance_path(user);
        autofree char *link = xasprintf(SELF_LINK "%s", path);
        json_push_str(json_set_array(json, "users"), link);
    }
    return json;
}

static struct disk *call_disk(struct call *call)
{
    struct disk *disk = disk_find(call->compute, call->project, call->zone, call->name);
    if (disk == NULL)
        not_found(call->answer, "projects/%s/zones/%s/disks/%s", call->project, call->zone,
                  call->name);
    return disk;
}

void disks_get(struct call *call)
{
    struct disk *disk = call_disk(call);
    if (disk != NULL)
        google_answer(call->request, call->answer, disk_json(call->compute, disk));
}

static int by_name(const void *a, const void *b)
{
    const struct disk *const *x = a, *const *y = b;
    int zones = strcmp((*x)->zone, (*y)->zone);
    return zones != 0 ? zones : strcmp((*x)->name, (*y)->name);
}

/* All of a project's (zone NULL) or a zone's, sorted; caller frees. */
static struct disk **sorted_disks(const struct call *call, const char *zone, size_t *count)
{
    size_t total = 0;
    for (struct disk *disk = call->compute->disks; disk != NULL; disk = disk->next)
        total++;
    struct disk **found = xcalloc(total + 1, sizeof(struct disk *));
    *count = 0;
    for (struct disk *disk = call->compute->disks; disk != NULL; disk = disk->next) {
        if (strcmp(disk->project, call->project) == 0 &&
            (zone == NULL || strcmp(disk->zone, zone) == 0))
            found[(*count)++] = disk;
    }
    qsort(found, *count, sizeof *found, by_name);
    return found;
}

void disks_list(struct call *call)
{
    size_t count = 0;
    struct disk **found = sorted_disks(call, call->zone, &count);
    cJSON *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_push(array, disk_json(call->compute, found[i]));
    free(found);
    autofree char *link = xasprintf("projects/%s/zones/%s/disks", call->project, call->zone);
    list_answer(call, "compute#diskList", link, KNOWN, array);
}

void disks_aggregated(struct call *call)
{
    struct page page;
    size_t count = 0;
    if (page_init(call, KNOWN, &page) < 0)
        return;
    cJSON *result = aggregated_new(call, "compute#diskAggregatedList", "disks");
    struct disk **found = sorted_disks(call, NULL, &count);
    int64_t taken = 0;
    autofree char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        autofree char *key = xasprintf("%s/%s", found[i]->zone, found[i]->name);
        autojson cJSON *json = disk_json(call->compute, found[i]);
        if ((page.after != NULL && strcmp(key, page.after) <= 0) ||
            (page.filter != NULL && !filter_matches(page.filter, json)))
            continue;
        if (taken++ == page.max) {
            autofree char *token = page_token(last);
            json_set_str(result, "nextPageToken", token);
            break;
        }
        aggregated_add(result, found[i]->zone, "disks", steal(json));
        free(last);
        last = steal(key);
    }
    free(found);
    page_clear(&page);
    aggregated_finish(call, result);
}

/* ---- changes ---- */

static void finish_delete(struct compute *compute, struct operation *operation)
{
    struct disk *disk =
        disk_find(compute, operation->project, operation->zone, last_segment(operation->target));
    if (disk != NULL && disk->id == operation->target_id)
        disk_remove(compute, disk);
}

static char *disk_path(const struct disk *disk)
{
    return xasprintf("projects/%s/zones/%s/disks/%s", disk->project, disk->zone, disk->name);
}

void disks_delete(struct call *call)
{
    if (operation_repeated(call, "delete"))
        return;
    struct disk *disk = call_disk(call);
    if (disk == NULL)
        return;
    const struct instance *user =
        disk->user != 0 ? instance_by_id(call->compute, disk->user) : NULL;
    if (user != NULL) {
        autofree char *path = disk_path(disk);
        autofree char *user_path = instance_path(user);
        google_error(call->answer, 400, "resourceInUseByAnotherResource",
                     "The disk resource '%s' is already being used by '%s'", path, user_path);
        return;
    }
    free(disk->status);
    disk->status = xstrdup("DELETING");
    operation_start(call, &(struct operation_spec){.type = "delete",
                                                   .target = disk_path(disk),
                                                   .target_id = disk->id,
                                                   .finish = finish_delete});
}

static void finish_insert(struct compute *compute, struct operation *operation)
{
    struct disk *disk =
        disk_find(compute, operation->project, operation->zone, last_segment(operation->target));
    if (disk != NULL) {
        free(disk->status);
        disk->status = xstrdup("READY");
    }
}

static void insert_disk(struct call *call, const cJSON *body, const char *name)
{
    struct disk *disk = disk_add(call->compute, call->project, call->zone, name, 0);
    const char *type = json_str(body, "type");
    const char *image = json_str(body, "sourceImage");
    const cJSON *found = image != NULL ? image_resolve(call->compute, image) : NULL;
    free(disk->status);
    disk->status = xstrdup("CREATING");
    if (type != NULL) {
        free(disk->type);
        disk->type = xstrdup(last_segment(type));
    }
    if (found != NULL) {
        disk->image = xstrdup(json_str_or(found, "selfLink", ""));
        (void)json_i64(found, "diskSizeGb", &disk->size_gb);
    } else {
        disk->size_gb = 500;
    }
    (void)json_i64(body, "sizeGb", &disk->size_gb);
    if (json_at(body, "labels") != NULL)
        disk->labels = json_copy(json_at(body, "labels"));
    operation_start(call, &(struct operation_spec){.type = "insert",
                                                   .target = disk_path(disk),
                                                   .target_id = disk->id,
                                                   .finish = finish_insert});
}

void disks_insert(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 || operation_repeated(call, "insert"))
        return;
    const char *name = json_str_or(body, "name", "");
    const char *type = json_str(body, "type");
    const char *image = json_str(body, "sourceImage");
    if (!valid_name(name))
        invalid_value(call->answer, "resource.name", name,
                      "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'");
    else if (disk_find(call->compute, call->project, call->zone, name) != NULL)
        google_error(call->answer, 409, "alreadyExists",
                     "The resource 'projects/%s/zones/%s/disks/%s' already exists", call->project,
                     call->zone, name);
    else if (type != NULL && !disk_type_known(last_segment(type)))
        invalid_value(call->answer, "resource.type", type,
                      "The referenced diskType resource cannot be found.");
    else if (image != NULL && image_resolve(call->compute, image) == NULL)
        invalid_value(call->answer, "resource.sourceImage", image,
                      "The referenced image resource cannot be found.");
    else if (check_labels(call->answer, json_at(body, "labels")) == 0)
        insert_disk(call, body, name);
}

void disks_set_labels(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 ||
        operation_repeated(call, "setLabels"))
        return;
    struct disk *disk = call_disk(call);
    if (disk == NULL || check_labels(call->answer, json_at(body, "labels")) < 0)
        return;
    autofree char *fingerprint = fingerprint_of(disk->labels);
    if (strcmp(json_str_or(body, "labelFingerprint", ""), fingerprint) != 0) {
        google_error(call->answer, 412, "conditionNotMet",
                     "Labels fingerprint either invalid or resource labels have changed");
        return;
    }
    cJSON_Delete(disk->labels);
    disk->labels = json_at(body, "labels") != NULL ? json_copy(json_at(body, "labels")) : NULL;
    operation_start(call, &(struct operation_spec){.type = "setLabels",
                                                   .target = disk_path(disk),
                                                   .target_id = disk->id});
}
