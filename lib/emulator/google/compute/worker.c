/* The worker: one thread that starts and stops machines and metadata listeners, outside the lock
 * and in order, since that may take a while. */
#include "emulator/google/compute/internal.h"

#include <inttypes.h>
#include "emulator/machine/machine.h"

struct id_text {
    char text[24];
};

static struct id_text id_text(uint64_t id)
{
    struct id_text out;
    (void)snprintf(out.text, sizeof out.text, "%" PRIu64, id);
    return out;
}

void worker_add(struct compute *compute, enum job_kind kind, uint64_t instance,
                struct operation *operation, int64_t delay_ms)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->kind = kind;
    job->instance = instance;
    job->operation = operation;
    job->due = mono_now() + delay_ms;
    struct job **at = &compute->jobs;
    while (*at != NULL && (*at)->due <= job->due)
        at = &(*at)->next;
    job->next = *at;
    *at = job;
    pthread_cond_signal(&compute->work);
}

/* ---- the metadata server ---- */

static void listen_for(struct compute *compute, uint64_t id)
{
    autoerr struct err err = ERR_INIT;
    struct log *log = emu_config(compute->emu)->log;
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, id);
    bool wanted = instance != NULL && instance->status == INSTANCE_RUNNING &&
                  instance_inside(instance)->metadata == NULL;
    autofree char *name = wanted ? xasprintf("metadata %s", instance->name) : NULL;
    pthread_mutex_unlock(&compute->lock);
    if (!wanted)
        return;
    struct metadata_service *service = xcalloc(1, sizeof *service);
    *service = (struct metadata_service){.compute = compute, .instance = id};
    struct listener *listener = NULL;
    struct listener_spec spec = {
        .name = name, .handler = metadata_handle, .service = service, .body_cap = 1 << 20};
    if (listener_start(emu_server(compute->emu), &spec, &listener, &err) < 0) {
        free(service);
        if (log != NULL)
            log_error(log, "%s", err_text(&err));
        return;
    }
    pthread_mutex_lock(&compute->lock);
    /* Only this thread removes a running instance. */
    instance->inside->metadata = listener;
    instance->inside->service = service;
    instance->inside->metadata_port = listener_port(listener);
    pthread_cond_broadcast(&compute->changed);
    pthread_mutex_unlock(&compute->lock);
    if (log != NULL)
        log_info(log, "%s: serves on 127.0.0.1:%u", name, listener_port(listener));
}

static void stop_listening(struct compute *compute, uint64_t id)
{
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, id);
    struct inside *inside = instance != NULL ? instance->inside : NULL;
    struct listener *listener = inside != NULL ? steal(inside->metadata) : NULL;
    struct metadata_service *service = inside != NULL ? steal(inside->service) : NULL;
    if (inside != NULL)
        inside->metadata_port = 0;
    pthread_mutex_unlock(&compute->lock);
    listener_stop(listener);
    free(service);
}

/* ---- machines ---- */

/* What a boot needs, copied out of the lock; false when the instance does not run (any more). */
struct boot {
    char *name, *script;
    struct id_text id;
    uint16_t port;
    int local_ssds;
};

static int count_local_ssds(const struct instance *instance)
{
    int count = 0;
    const cJSON *disk = NULL;
    cJSON_ArrayForEach(disk, json_at(instance->spec->json, "disks"))
    {
        if (strcmp(json_str_or(disk, "type", ""), "SCRATCH") == 0)
            count++;
    }
    return count;
}

static bool boot_read(struct compute *compute, uint64_t id, struct boot *boot)
{
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, id);
    bool runs = instance != NULL && instance->status == INSTANCE_RUNNING;
    if (runs) {
        const char *script = instance_metadata(instance, "startup-script");
        boot->name = xstrdup(instance->name);
        boot->script = script != NULL ? xstrdup(script) : NULL;
        boot->id = id_text(id);
        boot->port = instance_inside(instance)->metadata_port;
        boot->local_ssds = count_local_ssds(instance);
    }
    pthread_mutex_unlock(&compute->lock);
    return runs;
}

static void boot_machine(struct compute *compute, uint64_t id)
{
    struct boot boot = {.name = NULL};
    autoerr struct err err = ERR_INIT;
    if (!emu_config(compute->emu)->run_startup_scripts || !boot_read(compute, id, &boot))
        return;
    struct machine_spec spec = {.instance_id = boot.id.text,
                                .name = boot.name,
                                .startup_script = boot.script,
                                .metadata_port = boot.port,
                                .local_ssds = boot.local_ssds};
    if (machine_boot(emu_machines(compute->emu), &spec, &err) < 0) {
        struct log *log = emu_config(compute->emu)->log;
        if (log != NULL)
            log_error(log, "instance '%s' does not boot: %s", boot.name, err_text(&err));
    }
    free(boot.name);
    free(boot.script);
}

static void stop_machine(struct compute *compute, uint64_t id, bool erase)
{
    machine_stop(emu_machines(compute->emu), id_text(id).text, erase);
}

/* ---- jobs ---- */

static void finish_stop(struct compute *compute, const struct job *job)
{
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, job->instance);
    if (instance != NULL) {
        instance->status = INSTANCE_TERMINATED;
        instance->stopped = wall_now();
        instance->ends = 0;
        instance->busy = false;
    }
    operation_release(job->operation);
    pthread_mutex_unlock(&compute->lock);
}

static void finish_reset(struct compute *compute, const struct job *job)
{
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, job->instance);
    if (instance != NULL) {
        instance->busy = false;
        serial_boot_lines(instance);
    }
    operation_release(job->operation);
    pthread_mutex_unlock(&compute->lock);
    boot_machine(compute, job->instance);
}

static void finish_erase(struct compute *compute, const struct job *job)
{
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, job->instance);
    if (instance != NULL) {
        disks_release(compute, instance);
        instance_remove(compute, instance);
    }
    operation_release(job->operation);
    pthread_mutex_unlock(&compute->lock);
}

static void run_job(struct compute *compute, const struct job *job)
{
    switch (job->kind) {
    case JOB_LISTEN:
        listen_for(compute, job->instance);
        return;
    case JOB_BOOT:
        boot_machine(compute, job->instance);
        return;
    case JOB_STOP:
        stop_machine(compute, job->instance, false);
        stop_listening(compute, job->instance);
        finish_stop(compute, job);
        return;
    case JOB_RESET:
        stop_machine(compute, job->instance, false);
        finish_reset(compute, job);
        return;
    case JOB_ERASE:
        stop_machine(compute, job->instance, true);
        stop_listening(compute, job->instance);
        finish_erase(compute, job);
        return;
    }
}

static void wait_for_work(struct compute *compute)
{
    if (compute->jobs == NULL) {
        pthread_cond_wait(&compute->work, &compute->lock);
        return;
    }
    int64_t due = compute->jobs->due;
    struct timespec when = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    pthread_cond_timedwait(&compute->work, &compute->lock, &when);
}

static void *work(void *arg)
{
    struct compute *compute = arg;
    pthread_mutex_lock(&compute->lock);
    while (!compute->stopping) {
        struct job *job = compute->jobs;
        if (job == NULL || job->due > mono_now()) {
            wait_for_work(compute);
            continue;
        }
        compute->jobs = job->next;
        pthread_mutex_unlock(&compute->lock);
        run_job(compute, job);
        free(job);
        pthread_mutex_lock(&compute->lock);
    }
    pthread_mutex_unlock(&compute->lock);
    return NULL;
}

int worker_start(struct compute *compute, struct err *err)
{
    int error = pthread_create(&compute->worker, NULL, work, compute);
    if (error != 0)
        return err_set_errno(err, ERR_FAILED, error, "the worker thread cannot be started");
    compute->working = true;
    return 0;
}

void worker_stop(struct compute *compute)
{
    pthread_mutex_lock(&compute->lock);
    bool working = compute->working;
    compute->working = false;
    compute->stopping = true;
    pthread_cond_signal(&compute->work);
    pthread_mutex_unlock(&compute->lock);
    if (working)
        pthread_join(compute->worker, NULL);
}
