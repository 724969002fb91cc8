/* What is wrong with an instance as it was asked for, in the service's words. */
#include "emulator/google/compute/internal.h"

#define VALUE_LIMIT    ((size_t)262144)
#define METADATA_LIMIT ((size_t)512 * 1024)
#define MAX_LABELS     64
#define RUN_LEAST_S    30
#define RUN_MOST_S     ((int64_t)120 * 24 * 3600)

/* ---- metadata ---- */

static bool valid_metadata_key(const char *key)
{
    size_t len = strlen(key);
    if (len == 0 || len > 128)
        return false;
    for (const char *p = key; *p != '\0'; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '-' || *p == '_'))
            return false;
    }
    return true;
}

static bool key_repeated(const cJSON *item, const char *key)
{
    for (const cJSON *other = item->next; other != NULL; other = other->next) {
        if (strcmp(json_str_or(other, "key", ""), key) == 0)
            return true;
    }
    return false;
}

int check_metadata(struct answer *answer, const char *field, const cJSON *metadata)
{
    size_t total = 0;
    int index = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json_at(metadata, "items"))
    {
        autofree char *name = xasprintf("%s.items[%d]", field, index++);
        const char *key = json_str_or(item, "key", "");
        const char *value = json_str_or(item, "value", "");
        autofree char *key_field = xasprintf("%s.key", name);
        if (!valid_metadata_key(key))
            return invalid_value(answer, key_field, key,
                                 "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'");
        if (key_repeated(item, key))
            return invalid_value(answer, field, "", "Duplicate metadata key '%s'.", key);
        if (strlen(value) > VALUE_LIMIT)
            return google_error(answer, 413, "fieldSizeTooLarge",
                                "Value for field '%s.value' is too large: maximum size %zu "
                                "character(s); actual size %zu.",
                                name, VALUE_LIMIT, strlen(value));
        total += strlen(key) + strlen(value);
    }
    if (total > METADATA_LIMIT)
        return google_error(answer, 413, "fieldSizeTooLarge",
                            "Value for field '%s' is too large: maximum size %zu character(s); "
                            "actual size %zu.",
                            field, METADATA_LIMIT, total);
    return 0;
}

/* ---- labels ---- */

/* Lower-case letters, digits, '_', '-', and letters of other scripts. */
static bool valid_label_text(const char *text)
{
    size_t characters = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if ((*p & 0xc0) != 0x80)
            characters++;
        if (*p < 0x80 &&
            !((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-'))
            return false;
    }
    return characters <= 63;
}

int check_labels(struct answer *answer, const cJSON *labels)
{
    const cJSON *label = NULL;
    if (labels != NULL && !cJSON_IsObject(labels))
        return invalid_value(answer, "resource.labels", "", "It must be a map.");
    if (cJSON_GetArraySize(labels) > MAX_LABELS)
        return invalid_value(answer, "resource.labels", "", "At most %d labels are allowed.",
                             MAX_LABELS);
    cJSON_ArrayForEach(label, labels)
    {
        const char *key = label->string;
        bool lower = (key[0] >= 'a' && key[0] <= 'z') || (unsigned char)key[0] >= 0x80;
        if (!lower || !valid_label_text(key))
            return invalid_value(
                answer, "resource.labels", "",
                "Label key '%s' violates format constraints. The key must start with a lowercase "
                "character, can only contain lowercase letters, numeric characters, underscores "
                "and dashes. The key can be at most 63 characters long. International characters "
                "are allowed.",
                key);
        if (!cJSON_IsString(label) || !valid_label_text(label->valuestring))
            return invalid_value(
                answer, "resource.labels", "",
                "Label value '%s' violates format constraints. The value can only contain "
                "lowercase letters, numeric characters, underscores and dashes. The value can be "
                "at most 63 characters long. International characters are allowed.",
                cJSON_IsString(label) ? label->valuestring : "");
    }
    return 0;
}

/* ---- scheduling ---- */

static bool is_preemptible(const cJSON *scheduling)
{
    return json_bool(scheduling, "preemptible", false) ||
           strcmp(json_str_or(scheduling, "provisioningModel", ""), "SPOT") == 0;
}

static int check_end(struct answer *answer, const cJSON *scheduling)
{
    const cJSON *duration = json_at(scheduling, "maxRunDuration");
    const char *until = json_str(scheduling, "terminationTime");
    int64_t seconds = 0, when = 0;
    autoerr struct err err = ERR_INIT;
    if (duration != NULL && until != NULL)
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling': ''. Only one of "
                            "terminationTime and maxRunDuration can be specified.");
    if (duration != NULL &&
        (!json_i64(duration, "seconds", &seconds) || seconds < RUN_LEAST_S || seconds > RUN_MOST_S))
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling.maxRunDuration': ''. "
                            "maxRunDuration must be between 30 seconds and 120 days.");
    if (until == NULL)
        return 0;
    if (time_parse_rfc3339(until, &when, &err) < 0)
        return invalid_value(answer, "resource.scheduling.terminationTime", until,
                             "Invalid timestamp format.");
    if (when <= wall_now() || when > wall_now() + RUN_MOST_S * 1000)
        return invalid_value(answer, "resource.scheduling.terminationTime", until,
                             "terminationTime must be in the future and at most 120 days ahead.");
    return 0;
}

int check_scheduling(struct answer *answer, const cJSON *scheduling)
{
    const char *action = json_str(scheduling, "instanceTerminationAction");
    const char *model = json_str(scheduling, "provisioningModel");
    const char *maintenance = json_str(scheduling, "onHostMaintenance");
    bool ends = json_at(scheduling, "maxRunDuration") != NULL ||
                json_at(scheduling, "terminationTime") != NULL;
    if (check_end(answer, scheduling) < 0)
        return -1;
    if (action != NULL && strcmp(action, "DELETE") != 0 && strcmp(action, "STOP") != 0)
        return invalid_value(answer, "resource.scheduling.instanceTerminationAction", action,
                             "Unknown value.");
    if (model != NULL && strcmp(model, "STANDARD") != 0 && strcmp(model, "SPOT") != 0)
        return invalid_value(answer, "resource.scheduling.provisioningModel", model,
                             "Unknown value.");
    if (action != NULL && !ends && !is_preemptible(scheduling))
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling': ''. "
                            "instanceTerminationAction can only be specified for Spot VMs or VMs "
                            "with a limited run time.");
    if (ends && action == NULL)
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling': ''. "
                            "instanceTerminationAction must be specified with a limited run time.");
    if (!is_preemptible(scheduling))
        return 0;
    if (json_bool(scheduling, "automaticRestart", false))
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling': ''. Scheduling must "
                            "have preemptible be false when AutomaticRestart is true.");
    if (maintenance != NULL && strcmp(maintenance, "MIGRATE") == 0)
        return google_error(answer, 400, "invalid",
                            "Invalid value for field 'resource.scheduling': ''. Scheduling must "
                            "have preemptible be false when OnHostMaintenance is MIGRATE.");
    return 0;
}

int64_t scheduling_end(const cJSON *scheduling, int64_t started)
{
    int64_t seconds = 0, when = 0;
    autoerr struct err err = ERR_INIT;
    const char *until = json_str(scheduling, "terminationTime");
    if (json_i64(scheduling, "maxRunDuration.seconds", &seconds))
        return started + seconds * 1000;
    if (until != NULL && time_parse_rfc3339(until, &when, &err) == 0)
        return when;
    return 0;
}

/* ---- disks ---- */

static bool is_local_ssd(const cJSON *disk)
{
    return strcmp(json_str_or(disk, "type", "PERSISTENT"), "SCRATCH") == 0;
}

static int check_params(struct call *call, const cJSON *disk, int index)
{
    const char *type = json_str(disk, "initializeParams.diskType");
    const char *image = json_str(disk, "initializeParams.sourceImage");
    autofree char *field = xasprintf("resource.disks[%d].initializeParams", index);
    autofree char *type_field = xasprintf("%s.diskType", field);
    autofree char *image_field = xasprintf("%s.sourceImage", field);
    if (type != NULL && !disk_type_known(last_segment(type)))
        return invalid_value(call->answer, type_field, type,
                             "The referenced diskType resource cannot be found.");
    if (type != NULL && is_local_ssd(disk) != (strcmp(last_segment(type), "local-ssd") == 0))
        return invalid_value(call->answer, type_field, type,
                             "SCRATCH disks, and only they, are of type local-ssd.");
    const cJSON *found = image != NULL ? image_resolve(call->compute, image) : NULL;
    if (image != NULL && found == NULL)
        return invalid_value(call->answer, image_field, image,
                             "The referenced image resource cannot be found.");
    int64_t least = 0, size = 0;
    if (found != NULL && json_i64(found, "diskSizeGb", &least) &&
        json_i64(disk, "initializeParams.diskSizeGb", &size) && size < least)
        return google_error(call->answer, 400, "invalid",
                            "Invalid value for field '%s.diskSizeGb': '%lld'. Requested disk size "
                            "cannot be smaller than the image size (%lld GB)",
                            field, (long long)size, (long long)least);
    return 0;
}

/* An existing disk, by link. */
static int check_source(struct call *call, const cJSON *attached, int index)
{
    const char *source = json_str(attached, "source");
    if (source == NULL)
        return 0;
    const struct disk *disk =
        disk_find(call->compute, call->project, call->zone, last_segment(source));
    autofree char *field = xasprintf("resource.disks[%d].source", index);
    if (disk == NULL)
        return invalid_value(call->answer, field, source,
                             "The referenced disk resource cannot be found.");
    if (disk->user != 0)
        return google_error(call->answer, 400, "resourceInUseByAnotherResource",
                            "The disk resource 'projects/%s/zones/%s/disks/%s' is already being "
                            "used",
                            disk->project, disk->zone, disk->name);
    return 0;
}

static int check_ssd_count(struct call *call, const struct machine_type *type, int64_t count)
{
    autobuf struct buf allowed = BUF_INIT(BUF_SMALL);
    if (machine_type_takes_ssds(type, count, &allowed))
        return 0;
    return google_error(call->answer, 400, "badRequest",
                        "Number of local SSDs for an instance of type %s should be one of %s, "
                        "while [%lld] is requested.",
                        type->name, allowed.data, (long long)count);
}

int check_disks(struct call *call, const cJSON *body, const struct machine_type *type)
{
    int index = 0;
    int64_t ssds = 0;
    bool boot = false;
    const cJSON *disk = NULL;
    cJSON_ArrayForEach(disk, json_at(body, "disks"))
    {
        if (check_params(call, disk, index) < 0 || check_source(call, disk, index) < 0)
            return -1;
        bool has_content = json_str(disk, "initializeParams.sourceImage") != NULL ||
                           json_str(disk, "source") != NULL ||
                           json_str(disk, "initializeParams.sourceSnapshot") != NULL;
        boot = boot || (index == 0 && has_content && !is_local_ssd(disk));
        if (is_local_ssd(disk))
            ssds++;
        index++;
    }
    if (index == 0)
        return google_error(
            call->answer, 400, "required",
            "Invalid value for field 'resource.disks': ''. No disks are specified.");
    if (!boot)
        return google_error(call->answer, 400, "invalid",
                            "Invalid value for field 'resource.disks[0]': ''. Boot disk must have "
                            "a source specified");
    return check_ssd_count(call, type, ssds);
}
