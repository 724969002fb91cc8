/* The machines of one emulator: boot, stop, power; see machine.h. */
#include "emulator/machine/internal.h"

#include "necoops/base/fs.h"

int machines_new(struct emu *emu, struct machines **out, struct err *err)
{
    struct machines *machines = xcalloc(1, sizeof *machines);
    machines->emu = emu;
    pthread_mutex_init(&machines->lock, NULL);
    pthread_cond_init(&machines->console_ended, NULL);
    /* Folders of an earlier run belong to instances that are no more. */
    autofree char *dir = path_join(emu_data_dir(emu), "machines");
    if (fs_remove_tree(dir, err) < 0) {
        machines_free(machines);
        return -1;
    }
    *out = machines;
    return 0;
}

static void machine_free(struct machine *machine)
{
    placemat_clear(&machine->placemat);
    pthread_mutex_destroy(&machine->lock);
    free(machine->id);
    free(machine->name);
    free(machine->folder);
    free(machine->script);
    free(machine);
}

static struct machine *find(struct machines *machines, const char *id)
{
    struct machine *machine = machines->list;
    while (machine != NULL && strcmp(machine->id, id) != 0)
        machine = machine->next;
    return machine;
}

/* The caller has a reference to what comes back. */
static struct machine *machine_get(struct machines *machines, const char *id)
{
    pthread_mutex_lock(&machines->lock);
    struct machine *machine = find(machines, id);
    if (machine != NULL)
        machine->refs++;
    pthread_mutex_unlock(&machines->lock);
    return machine;
}

static void machine_put(struct machine *machine)
{
    struct machines *machines = machine->machines;
    pthread_mutex_lock(&machines->lock);
    bool last = --machine->refs == 0;
    pthread_mutex_unlock(&machines->lock);
    if (last)
        machine_free(machine);
}

/* Folders are named after ids, which Compute Engine makes of digits. */
static bool id_valid(const char *id)
{
    return id[0] != '\0' && strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == strlen(id);
}

static struct machine *machine_make(struct machines *machines, const struct machine_spec *spec)
{
    struct machine *machine = xcalloc(1, sizeof *machine);
    machine->machines = machines;
    machine->refs = 1; /* the list's */
    machine->id = xstrdup(spec->instance_id);
    machine->name = xstrdup(spec->name);
    machine->folder = xasprintf("%s/machines/%s", emu_data_dir(machines->emu), spec->instance_id);
    pthread_mutex_init(&machine->lock, NULL);
    placemat_init(&machine->placemat);
    return machine;
}

static struct machine *machine_get_or_make(struct machines *machines,
                                           const struct machine_spec *spec)
{
    pthread_mutex_lock(&machines->lock);
    struct machine *machine = find(machines, spec->instance_id);
    if (machine == NULL) {
        machine = machine_make(machines, spec);
        machine->next = machines->list;
        machines->list = machine;
    }
    machine->refs++;
    pthread_mutex_unlock(&machines->lock);
    return machine;
}

/* The machine's lock is held. */
static void power_off(struct machine *machine)
{
    process_stop(machine);
    placemat_switch(&machine->placemat, false);
}

/* The machine's lock is held. */
static int power_on(struct machine *machine, struct err *err)
{
    if (process_start(machine, err) < 0)
        return -1;
    placemat_switch(&machine->placemat, true);
    return 0;
}

int machine_boot(struct machines *machines, const struct machine_spec *spec, struct err *err)
{
    if (!emu_config(machines->emu)->run_startup_scripts)
        return 0;
    if (!id_valid(spec->instance_id))
        return err_set(err, ERR_INVALID, "'%s' is no instance id", spec->instance_id);
    struct machine *machine = machine_get_or_make(machines, spec);
    pthread_mutex_lock(&machine->lock);
    power_off(machine);
    free(machine->script);
    machine->script = spec->startup_script != NULL ? xstrdup(spec->startup_script) : NULL;
    machine->metadata_port = spec->metadata_port;
    machine->local_ssds = spec->local_ssds;
    int result = power_on(machine, err);
    pthread_mutex_unlock(&machine->lock);
    machine_put(machine);
    return result;
}

static void forget(struct machines *machines, struct machine *machine)
{
    pthread_mutex_lock(&machines->lock);
    for (struct machine **at = &machines->list; *at != NULL; at = &(*at)->next) {
        if (*at == machine) {
            *at = machine->next;
            machine->refs--;
            break;
        }
    }
    pthread_mutex_unlock(&machines->lock);
}

void machine_stop(struct machines *machines, const char *instance_id, bool erase)
{
    struct machine *machine = machine_get(machines, instance_id);
    if (machine == NULL)
        return;
    pthread_mutex_lock(&machine->lock);
    power_off(machine);
    if (erase) {
        autoerr struct err err = ERR_INIT;
        if (fs_remove_tree(machine->folder, &err) < 0 && emu_config(machines->emu)->log != NULL)
            log_warning(emu_config(machines->emu)->log, "machine '%s': %s", machine->name,
                        err_text(&err));
    }
    pthread_mutex_unlock(&machine->lock);
    if (erase)
        forget(machines, machine);
    machine_put(machine);
}

void machines_free(struct machines *machines)
{
    if (machines == NULL)
        return;
    while (machines->list != NULL) {
        struct machine *machine = machines->list;
        power_off(machine);
        machines->list = machine->next;
        machine_put(machine);
    }
    pthread_mutex_lock(&machines->lock);
    while (machines->consoles > 0)
        pthread_cond_wait(&machines->console_ended, &machines->lock);
    pthread_mutex_unlock(&machines->lock);
    pthread_cond_destroy(&machines->console_ended);
    pthread_mutex_destroy(&machines->lock);
    free(machines);
}

/* ---- power, as the machine itself asks for it ---- */

static void obey(struct machine *machine)
{
    autoerr struct err err = ERR_INIT;
    pthread_mutex_lock(&machine->lock);
    enum power wanted = atomic_exchange(&machine->wanted, POWER_NONE);
    if (wanted != POWER_NONE)
        power_off(machine);
    int result = wanted == POWER_REBOOT ? power_on(machine, &err) : 0;
    pthread_mutex_unlock(&machine->lock);
    if (result < 0)
        console_say(machine, "%s", err_text(&err));
}

static struct machine *next_wish(struct machines *machines)
{
    pthread_mutex_lock(&machines->lock);
    struct machine *machine = machines->list;
    while (machine != NULL && atomic_load(&machine->wanted) == POWER_NONE)
        machine = machine->next;
    if (machine != NULL)
        machine->refs++;
    pthread_mutex_unlock(&machines->lock);
    return machine;
}

static void obey_all(void *arg)
{
    for (struct machine *machine; (machine = next_wish(arg)) != NULL;) {
        obey(machine);
        machine_put(machine);
    }
}

static void handle_power(struct machine *machine, const struct request *request,
                         struct answer *answer)
{
    const char *action = request_query(request, "action");
    enum power wanted = POWER_NONE;
    if (action != NULL && strcmp(action, "reboot") == 0)
        wanted = POWER_REBOOT;
    if (action != NULL && strcmp(action, "poweroff") == 0)
        wanted = POWER_OFF;
    if (wanted == POWER_NONE) {
        answer_text(answer, 400, "text/plain", "no such action\n");
        return;
    }
    atomic_store(&machine->wanted, wanted);
    /* Later, so that this answer gets out first. */
    server_after(emu_server(machine->machines->emu), 20, obey_all, machine->machines);
    answer_text(answer, 200, "text/plain", "");
}

void machine_handle(void *machines, const char *instance_id, const struct request *request,
                    struct answer *answer)
{
    const char *flavor = request_header(request, "Metadata-Flavor");
    const struct strv *parts = &request->parts;
    struct machine *machine = machine_get(machines, instance_id);
    if (flavor == NULL || strcmp(flavor, "Google") != 0) {
        answer_text(answer, 403, "text/plain", "Metadata-Flavor is missing\n");
    } else if (machine == NULL) {
        answer_text(answer, 404, "text/plain", "the machine is not running\n");
    } else if (parts->len == 3 && strcmp(parts->items[2], "power") == 0 &&
               request_is(request, "POST")) {
        handle_power(machine, request, answer);
    } else {
        placemat_handle(machine, request, answer);
    }
    if (machine != NULL)
        machine_put(machine);
}
