/* The life of an instance: what begins when it runs, and its hard end. */
#include "emulator/google/compute/internal.h"

static void check_ends(void *arg);

static void set_end_timer(struct compute *compute, int64_t when)
{
    int64_t delay = when - wall_now();
    compute->end_watch = when;
    server_after(emu_server(compute->emu), delay > 0 ? delay : 0, check_ends, compute);
}

/* Ends what is due, and waits for the next one; an instance that is busy is looked at again in a
 * second. */
static void check_ends(void *arg)
{
    struct compute *compute = arg;
    pthread_mutex_lock(&compute->lock);
    int64_t now = wall_now(), next = INT64_MAX;
    for (size_t i = 0; i < compute->count; i++) {
        struct instance *instance = compute->by_id[i];
        if (instance->ends == 0 || instance->status != INSTANCE_RUNNING)
            continue;
        if (instance->ends <= now && !instance->busy) {
            instance_expire(compute, instance);
            continue;
        }
        int64_t due = instance->ends <= now ? now + 1000 : instance->ends;
        next = due < next ? due : next;
    }
    compute->end_watch = INT64_MAX;
    if (next != INT64_MAX)
        set_end_timer(compute, next);
    pthread_mutex_unlock(&compute->lock);
}

void life_watch_end(struct compute *compute, struct instance *instance)
{
    if (instance->ends != 0 && instance->ends < compute->end_watch)
        set_end_timer(compute, instance->ends);
}

void life_begin_running(struct compute *compute, struct instance *instance)
{
    const struct emu_config *config = emu_config(compute->emu);
    instance->status = INSTANCE_RUNNING;
    instance->started = wall_now();
    instance->ends = scheduling_end(json_at(instance->spec->json, "scheduling"), instance->started);
    life_watch_end(compute, instance);
    serial_boot_lines(instance);
    worker_add(compute, JOB_LISTEN, instance->id, NULL, 0);
    if (config->run_startup_scripts)
        worker_add(compute, JOB_BOOT, instance->id, NULL, config->timing.boot);
    else if (instance_metadata(instance, "startup-script") != NULL && config->log != NULL)
        log_info(config->log,
                 "instance '%s' has a startup script, which is not run: no --run-startup-scripts",
                 instance->name);
    pthread_cond_broadcast(&compute->changed);
}
