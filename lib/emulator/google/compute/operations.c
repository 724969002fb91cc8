/* Operations: PENDING, RUNNING, DONE on timers; get, list, wait, delete. */
#include "emulator/google/compute/internal.h"

#include "necoops/base/digest.h"

#define KEPT_MS ((int64_t)3600 * 1000)
#define KNOWN                                                                                      \
    "id name operationType status targetLink targetId user progress insertTime startTime endTime " \
    "zone selfLink kind clientOperationId creationTimestamp error httpErrorStatusCode "            \
    "httpErrorMessage region description statusMessage warnings"

static const char *status_text(enum operation_status status)
{
    switch (status) {
    case OPERATION_PENDING:
        return "PENDING";
    case OPERATION_RUNNING:
        return "RUNNING";
    default:
        return "DONE";
    }
}

/* Where it is served: "projects/p/zones/z/operations/NAME". */
static char *operation_path(const struct operation *operation)
{
    if (operation->zone == NULL)
        return xasprintf("projects/%s/global/operations/%s", operation->project, operation->name);
    return xasprintf("projects/%s/zones/%s/operations/%s", operation->project, operation->zone,
                     operation->name);
}

static int progress_of(const struct operation *operation)
{
    if (operation->status == OPERATION_DONE)
        return 100;
    return operation->status == OPERATION_RUNNING ? 50 : 0;
}

static cJSON *operation_json(const struct operation *operation)
{
    cJSON *json = json_object();
    autofree char *path = operation_path(operation);
    json_set_str(json, "kind", "compute#operation");
    set_id(json, "id", operation->id);
    json_set_str(json, "name", operation->name);
    if (operation->zone != NULL)
        set_link(json, "zone", "projects/%s/zones/%s", operation->project, operation->zone);
    json_set_str(json, "clientOperationId", operation->request_id);
    json_set_str(json, "operationType", operation->type);
    set_link(json, "targetLink", "%s", operation->target);
    if (operation->target_id != 0)
        set_id(json, "targetId", operation->target_id);
    json_set_str(json, "status", status_text(operation->status));
    json_set_str(json, "user", operation->user);
    json_set_i64(json, "progress", progress_of(operation));
    set_time(json, "insertTime", operation->inserted);
    if (operation->started != 0)
        set_time(json, "startTime", operation->started);
    if (operation->ended != 0)
        set_time(json, "endTime", operation->ended);
    set_link(json, "selfLink", "%s", path);
    if (operation->status == OPERATION_DONE && operation->error != NULL) {
        json_set(json, "error", json_copy(operation->error));
        json_set_i64(json, "httpErrorStatusCode", operation->http_status);
        json_set_str(json, "httpErrorMessage", operation->http_message);
    }
    return json;
}

void operation_free(struct operation *operation)
{
    free(operation->name);
    free(operation->target);
    free(operation->request_id);
    free(operation->user);
    cJSON_Delete(operation->args);
    cJSON_Delete(operation->error);
    free(operation);
}

/* ---- their course ---- */

static void operation_done(struct operation *operation)
{
    operation->status = OPERATION_DONE;
    operation->ended = wall_now();
    pthread_cond_broadcast(&operation->compute->changed);
}

static void step_finish(void *arg)
{
    struct operation *operation = arg;
    struct compute *compute = operation->compute;
    pthread_mutex_lock(&compute->lock);
    if (operation->fault.kind == FAULT_OPERATION) {
        operation_apply_fault(operation);
        if (operation->abort != NULL)
            operation->abort(compute, operation);
    } else if (operation->finish != NULL) {
        operation->finish(compute, operation);
    }
    if (!operation->held)
        operation_done(operation);
    pthread_mutex_unlock(&compute->lock);
}

void operation_release(struct operation *operation)
{
    operation_done(operation);
}

static void step_begin(void *arg)
{
    struct operation *operation = arg;
    struct compute *compute = operation->compute;
    pthread_mutex_lock(&compute->lock);
    operation->status = OPERATION_RUNNING;
    operation->started = wall_now();
    /* What a fault rule lets fail must not have happened; without `abort` it cannot be undone. */
    bool doomed = operation->fault.kind == FAULT_OPERATION && operation->abort == NULL;
    if (operation->begin != NULL && !doomed)
        operation->begin(compute, operation);
    pthread_cond_broadcast(&compute->changed);
    pthread_mutex_unlock(&compute->lock);
    server_after(emu_server(compute->emu), emu_config(compute->emu)->timing.operation_running,
                 step_finish, operation);
}

/* Finished ones are kept for an hour. */
static void purge(struct compute *compute)
{
    int64_t oldest = wall_now() - KEPT_MS;
    for (struct operation **at = &compute->operations; *at != NULL;) {
        struct operation *operation = *at;
        if (operation->status != OPERATION_DONE || operation->ended > oldest) {
            at = &operation->next;
            continue;
        }
        *at = operation->next;
        operation_free(operation);
    }
}

static char *new_name(int64_t now)
{
    unsigned char noise[14];
    random_bytes(noise, sizeof noise);
    autofree char *hex = hex_encode(noise, sizeof noise);
    return xasprintf("operation-%lld-%.12s-%.8s-%.8s", (long long)now, hex, hex + 12, hex + 20);
}

static struct operation *operation_new(struct compute *compute, const char *project,
                                       const char *zone, const struct operation_spec *spec)
{
    purge(compute);
    struct operation *operation = xcalloc(1, sizeof *operation);
    operation->compute = compute;
    operation->id = next_id(compute);
    operation->inserted = wall_now();
    operation->name = new_name(operation->inserted);
    operation->type = spec->type;
    operation->project = intern(compute, project);
    operation->zone = zone != NULL ? intern(compute, zone) : NULL;
    operation->target = spec->target;
    operation->target_id = spec->target_id;
    operation->begin = spec->begin;
    operation->finish = spec->finish;
    operation->abort = spec->abort;
    operation->args = spec->args != NULL ? json_copy(spec->args) : NULL;
    (void)faults_operation(server_faults(emu_server(compute->emu)), spec->type,
                           zone != NULL ? zone : "", last_segment(spec->target), &operation->fault);
    operation->next = compute->operations;
    compute->operations = operation;
    server_after(emu_server(compute->emu), emu_config(compute->emu)->timing.operation_pending,
                 step_begin, operation);
    return operation;
}

struct operation *operation_start(struct call *call, const struct operation_spec *spec)
{
    struct operation *operation = operation_new(call->compute, call->project, call->zone, spec);
    const char *request_id = request_query(call->request, "requestId");
    operation->request_id = request_id != NULL ? xstrdup(request_id) : NULL;
    operation->user = xstrdup(call->account != NULL ? call->account : "unknown");
    call->answer->fault = operation->fault.rule;
    google_answer(call->request, call->answer, operation_json(operation));
    return operation;
}

struct operation *operation_of_system(struct compute *compute, const struct instance *instance,
                                      const struct operation_spec *spec)
{
    struct operation *operation = operation_new(compute, instance->project, instance->zone, spec);
    operation->user = xstrdup("system");
    return operation;
}

/* ---- errors ---- */

void operation_fail(struct operation *operation, int http_status, const char *http_message,
                    const char *code, const char *message)
{
    cJSON *error = json_object();
    cJSON *one = json_object();
    json_set_str(one, "code", code);
    json_set_str(one, "message", message);
    json_push(json_set_array(error, "errors"), one);
    cJSON_Delete(operation->error);
    operation->error = error;
    operation->http_status = http_status;
    operation->http_message = http_message;
}

/* ---- requestId ---- */

/* A UUID that is not all zero. */
static bool valid_request_id(const char *text)
{
    bool nonzero = false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = text[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
        nonzero = nonzero || (hex && c != '0');
    }
    return text[36] == '\0' && nonzero;
}

bool operation_repeated(struct call *call, const char *type)
{
    const char *id = request_query(call->request, "requestId");
    if (id == NULL || id[0] == '\0')
        return false;
    if (!valid_request_id(id)) {
        invalid_value(call->answer, "requestId", id, "Must be a valid, non-zero UUID.");
        return true;
    }
    for (struct operation *one = call->compute->operations; one != NULL; one = one->next) {
        if (one->request_id == NULL || strcmp(one->request_id, id) != 0 ||
            strcmp(one->type, type) != 0 || strcmp(one->project, call->project) != 0 ||
            (one->zone != NULL && call->zone != NULL && strcmp(one->zone, call->zone) != 0))
            continue;
        google_answer(call->request, call->answer, operation_json(one));
        return true;
    }
    return false;
}

/* ---- methods ---- */

static struct operation *find(struct call *call)
{
    uint64_t id = 0;
    bool numeric = parse_id(call->name, &id);
    for (struct operation *one = call->compute->operations; one != NULL; one = one->next) {
        bool named = strcmp(one->name, call->name) == 0 || (numeric && one->id == id);
        bool here = strcmp(one->project, call->project) == 0 &&
                    (one->zone == NULL) == (call->zone == NULL) &&
                    (one->zone == NULL || strcmp(one->zone, call->zone) == 0);
        if (named && here)
            return one;
    }
    if (call->zone != NULL)
        not_found(call->answer, "projects/%s/zones/%s/operations/%s", call->project, call->zone,
                  call->name);
    else
        not_found(call->answer, "projects/%s/global/operations/%s", call->project, call->name);
    return NULL;
}

void operations_get(struct call *call)
{
    struct operation *operation = find(call);
    if (operation != NULL)
        google_answer(call->request, call->answer, operation_json(operation));
}

/* Best effort, as the real one: one call in five returns at once. */
void operations_wait(struct call *call)
{
    struct compute *compute = call->compute;
    struct operation *operation = find(call);
    bool early = compute->wait_calls++ % 5 == 1;
    int64_t deadline = mono_now() + emu_config(compute->emu)->timing.operation_wait;
    while (operation != NULL && operation->status != OPERATION_DONE && !early &&
           mono_now() < deadline && !request_abandoned(call->request)) {
        int64_t until = mono_now() + 200;
        struct timespec when = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
        pthread_cond_timedwait(&compute->changed, &compute->lock, &when);
        operation = find(call);
    }
    if (operation != NULL)
        google_answer(call->request, call->answer, operation_json(operation));
}

void operations_delete(struct call *call)
{
    struct operation *operation = find(call);
    if (operation == NULL)
        return;
    if (operation->status != OPERATION_DONE) {
        google_error(call->answer, 400, "invalid",
                     "The operation is not done and cannot be deleted");
        return;
    }
    for (struct operation **at = &call->compute->operations; *at != NULL; at = &(*at)->next) {
        if (*at == operation) {
            *at = operation->next;
            break;
        }
    }
    operation_free(operation);
    call->answer->status = 204;
}

static int by_name(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void operations_list(struct call *call)
{
    size_t count = 0, total = 0;
    for (struct operation *one = call->compute->operations; one != NULL; one = one->next)
        total++;
    struct operation **found = xcalloc(total + 1, sizeof *found);
    for (struct operation *one = call->compute->operations; one != NULL; one = one->next) {
        if (one->zone != NULL && strcmp(one->zone, call->zone) == 0 &&
            strcmp(one->project, call->project) == 0)
            found[count++] = one;
    }
    qsort(found, count, sizeof *found, by_name);
    cJSON *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_push(array, operation_json(found[i]));
    free(found);
    autofree char *link = xasprintf("projects/%s/zones/%s/operations", call->project, call->zone);
    list_answer(call, "compute#operationList", link, KNOWN, array);
}
