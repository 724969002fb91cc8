/* What can be done to an instance: delete, stop, start, reset, and its set* methods. */
#include "emulator/google/compute/internal.h"

static struct instance *target_of(struct compute *compute, const struct operation *operation)
{
    return instance_by_id(compute, operation->target_id);
}

/* The instance, when no operation that changes its life is under way. */
static struct instance *idle_instance(struct call *call)
{
    struct instance *instance = call_instance(call);
    if (instance == NULL || !instance->busy)
        return instance;
    autofree char *path = instance_path(instance);
    google_error(call->answer, 400, "resourceNotReady", "The resource '%s' is not ready", path);
    return NULL;
}

static void start_operation(struct call *call, struct instance *instance, const char *type,
                            operation_effect begin, operation_effect finish, const cJSON *args)
{
    operation_start(call, &(struct operation_spec){.type = type,
                                                   .target = instance_path(instance),
                                                   .target_id = instance->id,
                                                   .begin = begin,
                                                   .finish = finish,
                                                   .args = args});
}

static void abort_life(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance == NULL)
        return;
    instance->busy = false;
    if (instance->status == INSTANCE_STOPPING)
        instance->status =
            instance->started > instance->stopped ? INSTANCE_RUNNING : INSTANCE_TERMINATED;
}

static void start_life_operation(struct call *call, struct instance *instance, const char *type,
                                 operation_effect begin, operation_effect finish)
{
    instance->busy = true;
    operation_start(call, &(struct operation_spec){.type = type,
                                                   .target = instance_path(instance),
                                                   .target_id = instance->id,
                                                   .begin = begin,
                                                   .finish = finish,
                                                   .abort = abort_life});
}

/* ---- delete, stop, start, reset ---- */

static void hand_to_worker(struct compute *compute, struct operation *operation, enum job_kind kind)
{
    operation->held = true;
    worker_add(compute, kind, operation->target_id, operation, 0);
}

static void finish_delete(struct compute *compute, struct operation *operation)
{
    hand_to_worker(compute, operation, JOB_ERASE);
}

static void finish_stop(struct compute *compute, struct operation *operation)
{
    hand_to_worker(compute, operation, JOB_STOP);
}

static void finish_reset(struct compute *compute, struct operation *operation)
{
    hand_to_worker(compute, operation, JOB_RESET);
}

void instance_expire(struct compute *compute, struct instance *instance)
{
    const char *action =
        json_str_or(instance->spec->json, "scheduling.instanceTerminationAction", "STOP");
    bool erase = strcmp(action, "DELETE") == 0;
    instance->status = INSTANCE_STOPPING;
    instance->busy = true;
    operation_of_system(compute, instance,
                        &(struct operation_spec){.type = erase ? "delete" : "stop",
                                                 .target = instance_path(instance),
                                                 .target_id = instance->id,
                                                 .finish = erase ? finish_delete : finish_stop,
                                                 .abort = abort_life});
}

void instances_delete(struct call *call)
{
    if (operation_repeated(call, "delete"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL)
        return;
    if (json_bool(instance->spec->json, "deletionProtection", false)) {
        google_error(call->answer, 400, "invalidResourceUsage",
                     "Invalid resource usage: 'Resource cannot be deleted if it's protected "
                     "against deletion.'.");
        return;
    }
    instance->status = INSTANCE_STOPPING;
    start_life_operation(call, instance, "delete", NULL, finish_delete);
}

void instances_stop(struct call *call)
{
    if (operation_repeated(call, "stop"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL)
        return;
    if (instance->status == INSTANCE_TERMINATED) {
        start_operation(call, instance, "stop", NULL, NULL, NULL);
        return;
    }
    instance->status = INSTANCE_STOPPING;
    start_life_operation(call, instance, "stop", NULL, finish_stop);
}

static void begin_start(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL)
        instance->status = INSTANCE_STAGING;
}

static void finish_start(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL) {
        instance->busy = false;
        life_begin_running(compute, instance);
    }
}

void instances_start(struct call *call)
{
    if (operation_repeated(call, "start"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL)
        return;
    if (instance->status == INSTANCE_RUNNING) {
        start_operation(call, instance, "start", NULL, NULL, NULL);
        return;
    }
    instance->status = INSTANCE_PROVISIONING;
    start_life_operation(call, instance, "start", begin_start, finish_start);
}

void instances_reset(struct call *call)
{
    if (operation_repeated(call, "reset"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL)
        return;
    if (instance->status != INSTANCE_RUNNING) {
        google_error(call->answer, 400, "resourceNotReady",
                     "Instance '%s' is not running and cannot be reset", instance->name);
        return;
    }
    start_life_operation(call, instance, "reset", NULL, finish_reset);
}

/* ---- guarded by a fingerprint ---- */

/* Compares again when the operation runs: of two that were accepted with one fingerprint, the later
 * one fails there. */
static bool still_current(struct operation *operation, const char *given, const char *current,
                          const char *what)
{
    if (strcmp(given, current) == 0)
        return true;
    autofree char *message =
        xasprintf("Supplied fingerprint does not match current %s fingerprint.", what);
    operation_fail(operation, 412, "PRECONDITION FAILED", "CONDITION_NOT_MET", message);
    return false;
}

static const char *current_fingerprint(const struct instance *instance, const char *path)
{
    return json_str_or(instance->spec->json, path, "");
}

static int check_fingerprint(struct call *call, const cJSON *body, const char *key,
                             const char *current, const char *message)
{
    const char *given = json_str_or(body, key, "");
    if (strcmp(given, current) == 0)
        return 0;
    return google_error(call->answer, 412, "conditionNotMet", "%s", message);
}

static void finish_metadata(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance == NULL ||
        !still_current(operation, json_str_or(operation->args, "fingerprint", ""),
                       current_fingerprint(instance, "metadata.fingerprint"), "metadata"))
        return;
    instance_set(instance, "metadata", metadata_json(operation->args));
}

void instances_set_metadata(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 ||
        operation_repeated(call, "setMetadata"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL || check_metadata(call->answer, "resource.metadata", body) < 0 ||
        check_fingerprint(call, body, "fingerprint",
                          current_fingerprint(instance, "metadata.fingerprint"),
                          "Supplied fingerprint does not match current metadata fingerprint.") < 0)
        return;
    start_operation(call, instance, "setMetadata", finish_metadata, NULL, body);
}

static void finish_labels(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance == NULL ||
        !still_current(operation, json_str_or(operation->args, "labelFingerprint", ""),
                       current_fingerprint(instance, "labelFingerprint"), "label"))
        return;
    const cJSON *labels = json_at(operation->args, "labels");
    autofree char *fingerprint = fingerprint_of(labels);
    bool any = labels != NULL && labels->child != NULL;
    instance_set(instance, "labels", any ? json_copy(labels) : NULL);
    instance_set(instance, "labelFingerprint", cJSON_CreateString(fingerprint));
}

void instances_set_labels(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 ||
        operation_repeated(call, "setLabels"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL || check_labels(call->answer, json_at(body, "labels")) < 0 ||
        check_fingerprint(call, body, "labelFingerprint",
                          current_fingerprint(instance, "labelFingerprint"),
                          "Labels fingerprint either invalid or resource labels have changed") < 0)
        return;
    start_operation(call, instance, "setLabels", finish_labels, NULL, body);
}

static void finish_tags(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL &&
        still_current(operation, json_str_or(operation->args, "fingerprint", ""),
                      current_fingerprint(instance, "tags.fingerprint"), "tags"))
        instance_set(instance, "tags", tags_json(operation->args));
}

static int check_tags(struct call *call, const cJSON *body)
{
    const cJSON *tag = NULL;
    cJSON_ArrayForEach(tag, json_at(body, "items"))
    {
        if (!cJSON_IsString(tag) || !valid_name(tag->valuestring))
            return invalid_value(call->answer, "resource.tags.items[0]",
                                 cJSON_IsString(tag) ? tag->valuestring : "",
                                 "Must be a match of regex "
                                 "'(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'");
    }
    return 0;
}

void instances_set_tags(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 || operation_repeated(call, "setTags"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL || check_tags(call, body) < 0 ||
        check_fingerprint(call, body, "fingerprint",
                          current_fingerprint(instance, "tags.fingerprint"),
                          "Supplied fingerprint does not match current tags fingerprint.") < 0)
        return;
    start_operation(call, instance, "setTags", finish_tags, NULL, body);
}

/* ---- scheduling ---- */

static void finish_scheduling(struct compute *compute, struct operation *operation)
{
    struct instance *instance = target_of(compute, operation);
    if (instance != NULL)
        instance_set(instance, "scheduling", scheduling_json(operation->args));
}

void instances_set_scheduling(struct call *call)
{
    autojson cJSON *body = NULL;
    if (google_body(call->request, call->answer, &body) < 0 ||
        operation_repeated(call, "setScheduling"))
        return;
    struct instance *instance = idle_instance(call);
    if (instance == NULL || check_scheduling(call->answer, body) < 0)
        return;
    if (instance->status != INSTANCE_TERMINATED) {
        autofree char *path = instance_path(instance);
        google_error(call->answer, 400, "invalid",
                     "Instance '%s' must be stopped before its scheduling can be changed", path);
        return;
    }
    start_operation(call, instance, "setScheduling", finish_scheduling, NULL, body);
}

/* ---- permissions ---- */

void instances_test_permissions(struct call *call)
{
    autojson cJSON *body = NULL;
    const cJSON *permission = NULL;
    if (google_body(call->request, call->answer, &body) < 0)
        return;
    cJSON *result = json_object();
    cJSON *granted = json_array();
    cJSON_ArrayForEach(permission, json_at(body, "permissions"))
    {
        if (cJSON_IsString(permission) &&
            oauth_permits(emu_oauth(call->compute->emu), call->request, permission->valuestring))
            json_push_str(granted, permission->valuestring);
    }
    if (granted->child != NULL)
        json_set(result, "permissions", granted);
    else
        cJSON_Delete(granted);
    google_answer(call->request, call->answer, result);
}
