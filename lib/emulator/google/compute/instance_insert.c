/* instances.insert, and the instances of the seed. */
#include "emulator/google/compute/internal.h"

static bool known_field(const char *name)
{
    static const char *const known[] = {
        "name",
        "description",
        "tags",
        "machineType",
        "canIpForward",
        "networkInterfaces",
        "disks",
        "metadata",
        "serviceAccounts",
        "scheduling",
        "cpuPlatform",
        "labels",
        "labelFingerprint",
        "minCpuPlatform",
        "guestAccelerators",
        "startRestricted",
        "deletionProtection",
        "resourcePolicies",
        "reservationAffinity",
        "hostname",
        "displayDevice",
        "shieldedInstanceConfig",
        "shieldedInstanceIntegrityPolicy",
        "confidentialInstanceConfig",
        "fingerprint",
        "privateIpv6GoogleAccess",
        "advancedMachineFeatures",
        "params",
        "networkPerformanceConfig",
        "keyRevocationActionType",
        "instanceEncryptionKey",
        "kind",
        "id",
        "zone",
        "status",
        "selfLink",
        "creationTimestamp",
        "sourceMachineImage",
        "localSsdEncryptionMode",
        "workloadIdentityConfig",
        "resourceStatus",
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

static int check_fields(struct call *call, const cJSON *body)
{
    for (const cJSON *item = body->child; item != NULL; item = item->next) {
        if (!known_field(item->string))
            return google_error(call->answer, 400, "invalid",
                                "Invalid JSON payload received. Unknown name \"%s\": Cannot find "
                                "field.",
                                item->string);
    }
    return 0;
}

static int check_machine_type(struct call *call, const cJSON *body, struct machine_type *type)
{
    const char *link = json_str(body, "machineType");
    if (link == NULL || link[0] == '\0')
        return google_error(call->answer, 400, "required",
                            "Invalid value for field 'resource.machineType': ''. Required field "
                            "'resource.machineType' not specified");
    autofree char *expected = xasprintf("zones/%s/machineTypes/", call->zone);
    if (strstr(link, expected) == NULL)
        return invalid_value(call->answer, "resource.machineType", link,
                             "The URL is malformed or names another zone than '%s'.", call->zone);
    if (!machine_type_find(call->compute, last_segment(link), type)) {
        autofree char *shown =
            xasprintf("zones/%s/machineTypes/%s", call->zone, last_segment(link));
        return invalid_value(call->answer, "resource.machineType", shown,
                             "Machine type with name '%s' does not exist in zone '%s'.",
                             last_segment(link), call->zone);
    }
    return 0;
}

static int check_features(struct call *call, const cJSON *body, const struct machine_type *type)
{
    const char *platform = json_str(body, "minCpuPlatform");
    if (json_bool(body, "advancedMachineFeatures.enableNestedVirtualization", false) &&
        !type->nested)
        return google_error(call->answer, 400, "invalid",
                            "Invalid value for field "
                            "'resource.advancedMachineFeatures.enableNestedVirtualization': "
                            "'true'. Nested virtualization is not supported for machine type '%s'.",
                            type->name);
    if (platform != NULL && platform[0] != '\0' && !machine_type_has_platform(type, platform))
        return invalid_value(call->answer, "resource.minCpuPlatform", platform,
                             "The CPU platform is not available for machine type '%s' in zone "
                             "'%s'.",
                             type->name, call->zone);
    return 0;
}

static int check_name(struct call *call, const cJSON *body)
{
    const char *name = json_str_or(body, "name", "");
    if (valid_name(name))
        return 0;
    return invalid_value(call->answer, "resource.name", name,
                         "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'");
}

static cJSON *service_accounts(const struct call *call, const cJSON *given)
{
    cJSON *list = json_array();
    const cJSON *one = NULL;
    cJSON_ArrayForEach(one, given)
    {
        const char *email = json_str_or(one, "email", "default");
        cJSON *account = json_object();
        json_set_str(account, "email",
                     strcmp(email, "default") == 0
                         ? oauth_default_account(emu_oauth(call->compute->emu))
                         : email);
        json_set(account, "scopes",
                 json_at(one, "scopes") != NULL ? json_copy(json_at(one, "scopes")) : json_array());
        json_push(list, account);
    }
    return list;
}

static void set_labels(cJSON *spec, const cJSON *labels)
{
    autofree char *fingerprint = fingerprint_of(labels);
    if (labels != NULL && labels->child != NULL)
        json_set(spec, "labels", json_copy(labels));
    json_set_str(spec, "labelFingerprint", fingerprint);
}

static void set_shielded(cJSON *spec)
{
    cJSON *config = json_set_object(spec, "shieldedInstanceConfig");
    json_set_bool(config, "enableSecureBoot", false);
    json_set_bool(config, "enableVtpm", true);
    json_set_bool(config, "enableIntegrityMonitoring", true);
    json_set_bool(json_set_object(spec, "shieldedInstanceIntegrityPolicy"), "updateAutoLearnPolicy",
                  true);
}

/* What is kept of what was asked for, and what the service adds. */
static cJSON *build_spec(struct call *call, const cJSON *body, const struct machine_type *type)
{
    static const char *const kept[] = {"description",
                                       "minCpuPlatform",
                                       "hostname",
                                       "advancedMachineFeatures",
                                       "guestAccelerators",
                                       "reservationAffinity",
                                       "displayDevice",
                                       "resourcePolicies",
                                       "keyRevocationActionType"};
    struct compute *compute = call->compute;
    cJSON *spec = json_object();
    set_link(spec, "machineType", "projects/%s/zones/%s/machineTypes/%s", call->project, call->zone,
             type->name);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (json_at(body, kept[i]) != NULL)
            json_set(spec, kept[i], json_copy(json_at(body, kept[i])));
    }
    json_set(spec, "tags", tags_json(json_at(body, "tags")));
    json_set_bool(spec, "canIpForward", json_bool(body, "canIpForward", false));
    json_set(
        spec, "networkInterfaces",
        interfaces_json(compute, call->project, call->zone, json_at(body, "networkInterfaces")));
    json_set(spec, "disks", disks_json(call, body));
    json_set(spec, "metadata", metadata_json(json_at(body, "metadata")));
    json_set(spec, "serviceAccounts", service_accounts(call, json_at(body, "serviceAccounts")));
    json_set(spec, "scheduling", scheduling_json(json_at(body, "scheduling")));
    const char *platform = json_str(body, "minCpuPlatform");
    autofree char *usual = xstrndup(type->platform, strcspn(type->platform, "|"));
    json_set_str(spec, "cpuPlatform", platform != NULL && platform[0] != '\0' ? platform : usual);
    set_labels(spec, json_at(body, "labels"));
    json_set_bool(spec, "startRestricted", false);
    json_set_bool(spec, "deletionProtection", json_bool(body, "deletionProtection", false));
    set_shielded(spec);
    autofree char *fingerprint = fingerprint_of(spec);
    json_set_str(spec, "fingerprint", fingerprint);
    return spec;
}

/* Checks a resource as it came, and makes of it what is kept (still with the initializeParams of
 * its disks). */
static int insert_check(struct call *call, const cJSON *body, cJSON **spec)
{
    struct machine_type type;
    if (check_fields(call, body) < 0 || check_name(call, body) < 0 ||
        check_machine_type(call, body, &type) < 0 ||
        check_metadata(call->answer, "resource.metadata", json_at(body, "metadata")) < 0 ||
        check_labels(call->answer, json_at(body, "labels")) < 0 ||
        check_scheduling(call->answer, json_at(body, "scheduling")) < 0 ||
        check_features(call, body, &type) < 0 || check_disks(call, body, &type) < 0)
        return -1;
    *spec = build_spec(call, body, &type);
    return 0;
}

/* ---- insert ---- */

static struct instance *target_of(struct compute *compute, const struct operation *operation)
{
    return instance_by_id(compute, operation->target_id);
}

static void begin_insert(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL)
        instance->status = INSTANCE_STAGING;
}

static void finish_insert(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL) {
        instance->busy = false;
        life_begin_running(compute, instance);
    }
}

/* It was reserved, and perhaps seen; now it is gone with the disks made for it. */
static void abort_insert(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance == NULL)
        return;
    disks_release(compute, instance);
    instance_remove(compute, instance);
}

static struct instance *instance_make(struct compute *compute, const char *project,
                                      const char *zone, const char *name)
{
    struct instance *instance = xcalloc(1, sizeof *instance);
    instance->id = next_id(compute);
    instance->name = xstrdup(name);
    instance->project = intern(compute, project);
    instance->zone = intern(compute, zone);
    instance->created = wall_now();
    return instance;
}

static void insert(struct call *call, const cJSON *body, cJSON *spec)
{
    struct compute *compute = call->compute;
    struct instance *instance =
        instance_make(compute, call->project, call->zone, json_str_or(body, "name", ""));
    disks_attach(compute, instance, cJSON_GetObjectItemCaseSensitive(spec, "disks"));
    instance->spec = spec_new(spec);
    instance->busy = true;
    instances_add(compute, instance);
    struct operation *operation =
        operation_start(call, &(struct operation_spec){.type = "insert",
                                                       .target = instance_path(instance),
                                                       .target_id = instance->id,
                                                       .begin = begin_insert,
                                                       .finish = finish_insert,
                                                       .abort = abort_insert,
                                                       .args = body});
    instance->hidden = operation->fault.kind == FAULT_OPERATION && !operation->fault.vanish;
}

void instances_insert(struct call *call)
{
    autojson cJSON *body = NULL;
    cJSON *spec = NULL;
    if (google_body(call->request, call->answer, &body) < 0 || operation_repeated(call, "insert") ||
        insert_check(call, body, &spec) < 0)
        return;
    const char *name = json_str_or(body, "name", "");
    if (instance_find(call->compute, call->project, call->zone, name) != NULL) {
        cJSON_Delete(spec);
        google_error(call->answer, 409, "alreadyExists",
                     "The resource 'projects/%s/zones/%s/instances/%s' already exists",
                     call->project, call->zone, name);
        return;
    }
    insert(call, body, spec);
}

/* ---- seed ---- */

/* "load-%d" → "load-7"; nothing else of printf. */
static char *numbered(const char *pattern, long long number)
{
    const char *at = strstr(pattern, "%d");
    if (at == NULL)
        return xstrdup(pattern);
    return xasprintf("%.*s%lld%s", (int)(at - pattern), pattern, number, at + 2);
}

static void seed_one(struct compute *compute, struct spec *spec, const cJSON *row,
                     const char *project, const char *zone, const char *name)
{
    struct instance *instance = instance_make(compute, project, zone, name);
    autoerr struct err err = ERR_INIT;
    const char *created = json_str(row, "creationTimestamp");
    if (created != NULL && time_parse_rfc3339(created, &instance->created, &err) < 0)
        instance->created = wall_now();
    instance->spec = spec;
    spec->refs++;
    bool stopped = strcmp(json_str_or(row, "status", "RUNNING"), "TERMINATED") == 0;
    instance->status = stopped ? INSTANCE_TERMINATED : INSTANCE_RUNNING;
    instance->started = instance->created;
    instance->stopped = stopped ? instance->created : 0;
    instances_append(compute, instance);
    if (!stopped) {
        instance->ends = scheduling_end(json_at(spec->json, "scheduling"), instance->started);
        life_watch_end(compute, instance);
    }
}

/* The resource of a row: what is not of the seed's own is as instances.insert takes it. */
static cJSON *seed_body(const cJSON *row, const char *zone)
{
    static const char *const own[] = {
        "count", "zone", "zones", "status", "creationTimestamp", "machineType", "project"};
    cJSON *body = json_copy(row);
    const char *type = last_segment(json_str_or(row, "machineType", "n1-standard-1"));
    autofree char *link = xasprintf("zones/%s/machineTypes/%s", zone, type);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(body, own[i]);
    json_set_str(body, "machineType", link);
    if (json_at(body, "disks") == NULL) {
        cJSON *disk = json_object();
        json_set_bool(disk, "boot", true);
        json_set_bool(disk, "autoDelete", true);
        json_set_str(json_set_object(disk, "initializeParams"), "sourceImage",
                     "projects/debian-cloud/global/images/family/debian-12");
        json_push(json_set_array(body, "disks"), disk);
    }
    return body;
}

/* Many of one row share one spec; they have neither disks nor a metadata server. */
static void seed_many(struct compute *compute, cJSON *spec_value, const cJSON *row,
                      const char *project, const char *zone, int64_t count)
{
    cJSON *disk = NULL;
    cJSON_ArrayForEach(disk, cJSON_GetObjectItemCaseSensitive(spec_value, "disks"))
    {
        cJSON_DeleteItemFromObjectCaseSensitive(disk, "source");
        cJSON_DeleteItemFromObjectCaseSensitive(disk, "initializeParams");
    }
    struct spec *spec = spec_new(spec_value);
    for (int64_t i = 0; i < count; i++) {
        autofree char *name = numbered(json_str_or(row, "name", ""), (long long)i);
        seed_one(compute, spec, row, project, zone, name);
    }
    spec_unref(spec);
}

static void seed_single(struct compute *compute, cJSON *spec_value, const cJSON *row,
                        const char *project, const char *zone)
{
    struct spec *spec = spec_new(spec_value);
    seed_one(compute, spec, row, project, zone, json_str_or(row, "name", ""));
    spec_unref(spec);
    struct instance *instance = compute->by_id[compute->count - 1];
    disks_attach(compute, instance,
                 cJSON_GetObjectItemCaseSensitive(instance->spec->json, "disks"));
    if (instance->status == INSTANCE_RUNNING)
        life_begin_running(compute, instance);
}

/* The message of an error envelope. */
static char *refusal(const struct answer *answer)
{
    autojson cJSON *envelope = NULL;
    autoerr struct err err = ERR_INIT;
    if (json_parse(answer->body.data, answer->body.len, "answer", &envelope, &err) < 0)
        return xstrdup(err_text(&err));
    return xstrdup(json_str_or(envelope, "error.message", ""));
}

static int seed_row(struct compute *compute, const cJSON *row, struct err *err)
{
    int64_t count = 0;
    const char *zone = json_str_or(row, "zone", compute->zones.items[0]);
    const char *project = intern(compute, json_str_or(row, "project", emu_project(compute->emu)));
    const char *name = json_str_or(row, "name", "");
    if (!zone_known(compute, zone))
        return err_set(err, ERR_USAGE, "seed: instance '%s': unknown zone '%s'", name, zone);
    autojson cJSON *body = seed_body(row, zone);
    autofree char *first = numbered(name, 0);
    struct answer answer = {.body = BUF_INIT(BUF_SMALL), .fd = -1};
    struct call call = {.compute = compute, .answer = &answer, .project = project, .zone = zone};
    cJSON *spec = NULL;
    json_set_str(body, "name", first);
    int checked = insert_check(&call, body, &spec);
    autofree char *reason = checked < 0 ? refusal(&answer) : NULL;
    buf_clear(&answer.body);
    strv_clear(&answer.headers);
    if (checked < 0)
        return err_set(err, ERR_USAGE, "seed: instance '%s': %s", name, reason);
    if (json_i64(row, "count", &count))
        seed_many(compute, spec, row, project, zone, count);
    else
        seed_single(compute, spec, row, project, zone);
    return 0;
}

int instances_seed(struct compute *compute, const cJSON *list, struct err *err)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, list)
    {
        if (seed_row(compute, row, err) < 0)
            return -1;
    }
    instances_sort(compute);
    return 0;
}
