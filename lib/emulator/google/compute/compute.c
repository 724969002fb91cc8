/* Compute Engine v1: the routes, and the part's beginning and end. */
#include "emulator/google/compute/internal.h"

#include "necoops/base/digest.h"

struct route {
    const char *method;
    const char *pattern; /* below projects/P: "*" is the zone behind "zones", else the name */
    const char *permission;
    void (*handle)(struct call *call);
};

static const struct route routes[] = {
    {"GET", "", "compute.projects.get", project_get},
    {"GET", "zones", "compute.zones.list", zones_list},
    {"GET", "zones/*", "compute.zones.get", zones_get},
    {"GET", "regions/*", "compute.regions.get", regions_get},
    {"GET", "zones/*/machineTypes", "compute.machineTypes.list", machine_types_list},
    {"GET", "zones/*/machineTypes/*", "compute.machineTypes.get", machine_types_get},
    {"GET", "zones/*/diskTypes", "compute.diskTypes.list", disk_types_list},
    {"GET", "zones/*/diskTypes/*", "compute.diskTypes.get", disk_types_get},
    {"GET", "global/images", "compute.images.list", images_list},
    {"GET", "global/images/*", "compute.images.get", images_get},
    {"GET", "global/images/family/*", "compute.images.getFromFamily", images_get_from_family},
    {"GET", "aggregated/instances", "compute.instances.list", instances_aggregated},
    {"GET", "zones/*/instances", "compute.instances.list", instances_list},
    {"POST", "zones/*/instances", "compute.instances.create", instances_insert},
    {"GET", "zones/*/instances/*", "compute.instances.get", instances_get},
    {"DELETE", "zones/*/instances/*", "compute.instances.delete", instances_delete},
    {"POST", "zones/*/instances/*/stop", "compute.instances.stop", instances_stop},
    {"POST", "zones/*/instances/*/start", "compute.instances.start", instances_start},
    {"POST", "zones/*/instances/*/reset", "compute.instances.reset", instances_reset},
    {"POST", "zones/*/instances/*/setMetadata", "compute.instances.setMetadata",
     instances_set_metadata},
    {"POST", "zones/*/instances/*/setLabels", "compute.instances.setLabels", instances_set_labels},
    {"POST", "zones/*/instances/*/setTags", "compute.instances.setTags", instances_set_tags},
    {"POST", "zones/*/instances/*/setScheduling", "compute.instances.setScheduling",
     instances_set_scheduling},
    {"POST", "zones/*/instances/*/testIamPermissions", "", instances_test_permissions},
    {"GET", "zones/*/instances/*/serialPort", "compute.instances.getSerialPortOutput",
     instances_serial},
    {"GET", "zones/*/instances/*/getGuestAttributes", "compute.instances.getGuestAttributes",
     instances_guest_attributes},
    {"GET", "aggregated/disks", "compute.disks.list", disks_aggregated},
    {"GET", "zones/*/disks", "compute.disks.list", disks_list},
    {"POST", "zones/*/disks", "compute.disks.create", disks_insert},
    {"GET", "zones/*/disks/*", "compute.disks.get", disks_get},
    {"DELETE", "zones/*/disks/*", "compute.disks.delete", disks_delete},
    {"POST", "zones/*/disks/*/setLabels", "compute.disks.setLabels", disks_set_labels},
    {"GET", "zones/*/operations", "compute.zoneOperations.list", operations_list},
    {"GET", "zones/*/operations/*", "compute.zoneOperations.get", operations_get},
    {"DELETE", "zones/*/operations/*", "compute.zoneOperations.delete", operations_delete},
    {"POST", "zones/*/operations/*/wait", "compute.zoneOperations.get", operations_wait},
};

bool zone_known(const struct compute *compute, const char *zone)
{
    return strv_has(&compute->zones, zone);
}

bool project_known(const struct compute *compute, const char *project)
{
    return strv_has(&compute->known_projects, project);
}

/* Matches the segments from the fourth on ("compute", "v1", "projects", P are before). */
static bool route_matches(const struct route *route, const struct request *request,
                          struct call *call)
{
    autostrv struct strv pattern = STRV_INIT;
    const struct strv *parts = &request->parts;
    strv_split(&pattern, route->pattern, '/');
    if (!request_is(request, route->method) || parts->len != pattern.len + 4)
        return false;
    call->zone = call->name = NULL;
    for (size_t i = 0; i < pattern.len; i++) {
        const char *part = parts->items[i + 4];
        if (strcmp(pattern.items[i], "*") != 0) {
            if (strcmp(pattern.items[i], part) != 0)
                return false;
        } else if (i == 1 && strcmp(pattern.items[0], "zones") == 0) {
            call->zone = part;
        } else {
            call->name = part;
        }
    }
    return true;
}

static const struct route *find_route(const struct request *request, struct call *call)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (route_matches(&routes[i], request, call))
            return &routes[i];
    }
    return NULL;
}

/* The name of what a POST to a collection is to make. */
static char *name_in_body(const struct request *request)
{
    autojson cJSON *body = NULL;
    autoerr struct err err = ERR_INIT;
    if (!request_is(request, "POST") ||
        json_parse(request->body, request->body_len, "body", &body, &err) < 0)
        return NULL;
    const char *name = json_str(body, "name");
    return name != NULL ? xstrdup(name) : NULL;
}

/* "projects/p/zones/z/instances/x", without the verb behind it; for a list, the project. */
static char *resource_of(const struct request *request, const struct call *call)
{
    autostrv struct strv parts = STRV_INIT;
    autofree char *made = call->name == NULL ? name_in_body(request) : NULL;
    size_t count = call->name != NULL || made != NULL ? 8 : 4;
    for (size_t i = 2; i < count && i < request->parts.len; i++)
        strv_add(&parts, request->parts.items[i]);
    if (made != NULL)
        strv_add(&parts, made);
    return strv_join(&parts, "/");
}

static int check_permission(const struct route *route, struct call *call)
{
    bool own = strcmp(call->project, emu_project(call->compute->emu)) == 0;
    bool public = text_starts(route->permission, "compute.images.");
    if (!project_known(call->compute, call->project))
        return not_found(call->answer, "projects/%s", call->project);
    if ((own || public) &&
        (route->permission[0] == '\0' ||
         oauth_permits(emu_oauth(call->compute->emu), call->request, route->permission)))
        return 0;
    autofree char *resource = resource_of(call->request, call);
    return google_error(call->answer, 403, "forbidden", "Required '%s' permission for '%s'",
                        route->permission, resource);
}

static int check_zone(const struct route *route, struct call *call)
{
    if (call->zone == NULL || zone_known(call->compute, call->zone))
        return 0;
    if (route->handle == zones_get)
        return not_found(call->answer, "projects/%s/zones/%s", call->project, call->zone);
    return invalid_value(call->answer, "zone", call->zone, "Unknown zone.");
}

void compute_handle(void *service, const struct request *request, struct answer *answer)
{
    struct compute *compute = service;
    struct call call = {.compute = compute, .request = request, .answer = answer};
    const struct strv *parts = &request->parts;
    const struct route *route = NULL;
    if (parts->len >= 4 && strcmp(parts->items[2], "projects") == 0) {
        call.project = parts->items[3];
        route = find_route(request, &call);
    }
    if (route == NULL) {
        answer_text(answer, 404, "text/html; charset=UTF-8",
                    "<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n");
        return;
    }
    call.account = oauth_account(emu_oauth(compute->emu), request);
    pthread_mutex_lock(&compute->lock);
    if (check_permission(route, &call) == 0 && check_zone(route, &call) == 0)
        route->handle(&call);
    pthread_mutex_unlock(&compute->lock);
    free(call.account);
}

/* ---- for people and tests ---- */

static cJSON *emulator_json(const struct instance *instance)
{
    cJSON *json = json_object();
    uint16_t port = instance->inside != NULL ? instance->inside->metadata_port : 0;
    autofree char *host = port != 0 ? xasprintf("127.0.0.1:%u", port) : NULL;
    json_set_str(json, "name", instance->name);
    set_id(json, "id", instance->id);
    json_set_str(json, "zone", instance->zone);
    json_set_str(json, "status", instance_status_text(instance->status));
    json_set_str(json, "metadataHost", host);
    return json;
}

/* By name or id; the lock is held. */
static const struct instance *instance_called(const struct compute *compute, const char *wanted)
{
    uint64_t id = 0;
    bool numeric = parse_id(wanted, &id);
    for (size_t i = 0; i < compute->count; i++) {
        const struct instance *instance = compute->by_id[i];
        if (strcmp(instance->name, wanted) == 0 || (numeric && instance->id == id))
            return instance;
    }
    return NULL;
}

/* POST instances/NAME/serial?port=N: as if the instance had written the body there. */
static void write_serial(struct compute *compute, const struct request *request, const char *id,
                         struct answer *answer)
{
    const char *port = request_query(request, "port");
    if (port == NULL || strlen(port) != 1 || port[0] < '1' || port[0] > '4') {
        answer_text(answer, 400, "text/plain", "port is one of 1 to 4\n");
        return;
    }
    compute_serial_write(compute, id, port[0] - '0', request->body, request->body_len);
    answer_json(answer, 200, json_object());
}

void compute_handle_emulator(void *service, const struct request *request, struct answer *answer)
{
    struct compute *compute = service;
    const struct strv *parts = &request->parts;
    const char *wanted = parts->len >= 3 ? parts->items[2] : "";
    bool serial =
        parts->len == 4 && strcmp(parts->items[3], "serial") == 0 && request_is(request, "POST");
    pthread_mutex_lock(&compute->lock);
    const struct instance *instance = instance_called(compute, wanted);
    cJSON *json = instance != NULL ? emulator_json(instance) : NULL;
    pthread_mutex_unlock(&compute->lock);
    if (json == NULL || (parts->len != 3 && !serial)) {
        cJSON_Delete(json);
        not_found(answer, "instances/%s", wanted);
    } else if (serial) {
        write_serial(compute, request, json_str_or(json, "id", ""), answer);
        cJSON_Delete(json);
    } else {
        answer_json(answer, 200, json);
    }
}

/* ---- beginning and end ---- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

int compute_new(struct emu *emu, struct compute **out, struct err *err)
{
    struct compute *compute = xcalloc(1, sizeof *compute);
    compute->emu = emu;
    pthread_mutex_init(&compute->lock, NULL);
    init_condition(&compute->changed);
    init_condition(&compute->work);
    compute->last_id = 4000000000000000000u + random_below(1000000000000000000u);
    compute->end_watch = INT64_MAX;
    catalog_init(compute);
    if (worker_start(compute, err) < 0) {
        compute_free(compute);
        return -1;
    }
    *out = compute;
    return 0;
}

int compute_seed(struct compute *compute, const cJSON *seed, struct err *err)
{
    pthread_mutex_lock(&compute->lock);
    int result = catalog_seed(compute, seed, err);
    if (result == 0)
        result = instances_seed(compute, json_at(seed, "instances"), err);
    pthread_mutex_unlock(&compute->lock);
    return result;
}

void compute_stop(struct compute *compute)
{
    if (compute != NULL)
        worker_stop(compute);
}

static void free_instances(struct compute *compute)
{
    for (size_t i = 0; i < compute->count; i++) {
        struct inside *inside = compute->by_id[i]->inside;
        if (inside != NULL) {
            listener_stop(inside->metadata);
            free(inside->service);
        }
        instance_free(compute->by_id[i]);
    }
    free(compute->by_name);
    free(compute->by_id);
}

void compute_free(struct compute *compute)
{
    if (compute == NULL)
        return;
    compute_stop(compute);
    free_instances(compute);
    for (struct operation *one = compute->operations, *next; one != NULL; one = next) {
        next = one->next;
        operation_free(one);
    }
    for (struct disk *one = compute->disks, *next; one != NULL; one = next) {
        next = one->next;
        disk_free(one);
    }
    for (struct job *one = compute->jobs, *next; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    for (struct name_list *one = compute->names, *next; one != NULL; one = next) {
        next = one->next;
        free(one->name);
        free(one);
    }
    strv_clear(&compute->zones);
    strv_clear(&compute->known_projects);
    cJSON_Delete(compute->images);
    cJSON_Delete(compute->machine_types);
    cJSON_Delete(compute->project_metadata);
    pthread_cond_destroy(&compute->changed);
    pthread_cond_destroy(&compute->work);
    pthread_mutex_destroy(&compute->lock);
    free(compute);
}
