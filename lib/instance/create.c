#include "necoops/instance/create.h"

#include <stdlib.h>
#include <string.h>
#include "instance/failure.h"
#include "instance/follow.h"
#include "instance/ladder.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/delete.h"
#include "necoops/instance/find.h"

#define MAX_MADE       3 /* instances made by one run: a Spot instance may be taken away in between */
#define CONTEST_MS     500            /* between looks at what other runs are doing */
#define START_SLACK_MS INT64_C(60000) /* a setup so long over its time is not waited for */

struct creation {
    const struct run *run;
    struct gce *gce;
    const struct instance_spec *spec;
    const struct create_options *options;
    struct ladder ladder; /* once something is to be made */
    char *own_id; /* the instance that this run made, or NULL */
    int made;
    char *joined_id; /* the one whose setup was waited for */
    bool vanished;   /* one that was already running, and nobody made it a Spot instance */
    int64_t started, inserted, running; /* mono_ms */
};

/* ---- what is there ---- */

enum verdict { VERDICT_READY, VERDICT_WAIT, VERDICT_REMAKE };

static bool is_alive(const cJSON *instance)
{
    const char *status = instance_status(instance);
    return strcmp(status, "RUNNING") == 0 || strcmp(status, "PROVISIONING") == 0 ||
           strcmp(status, "STAGING") == 0 || strcmp(status, "REPAIRING") == 0;
}

static bool is_overdue(const struct creation *creation, const cJSON *instance)
{
    autoerr struct err err = ERR_INIT;
    int64_t started;
    const char *text = json_str(instance, "lastStartTimestamp");
    int64_t limit = conf_duration_ms(creation->spec->conf, "instance.setupTimeout", 0);
    return text && time_parse_rfc3339(text, &started, &err) == 0 &&
           run_wall_ms(creation->run) > started + limit + START_SLACK_MS;
}

/* Whether an instance that this run did not make is to be made anew, and why. */
static enum verdict judge(const struct creation *creation, const cJSON *instance,
                          const struct phase_report *report, const char **why)
{
    enum recreate recreate = creation->options->recreate;
    bool own = creation->own_id && strcmp(instance_id(instance), creation->own_id) == 0;
    const char *hash = json_str_or(instance, "labels." LABEL_SPEC, "");
    *why = NULL;
    if (!is_alive(instance))
        *why = "is stopped";
    else if (report->phase == PHASE_FAILED)
        *why = "failed in its setup";
    else if (report->phase != PHASE_READY && is_overdue(creation, instance))
        *why = "did not finish its setup in time";
    else if (!own && recreate == RECREATE_ALWAYS)
        *why = "is to be made anew (--recreate always)";
    else if (!own && recreate == RECREATE_CHANGED && strcmp(hash, creation->spec->hash) != 0)
        *why = "was made from another specification";
    if (*why)
        return VERDICT_REMAKE;
    return report->phase == PHASE_READY ? VERDICT_READY : VERDICT_WAIT;
}

/* ---- ends ---- */

static int end_ready(struct creation *creation, const cJSON *instance, struct create_result *out)
{
    int64_t now = run_mono_ms(creation->run);
    bool own = creation->own_id && strcmp(instance_id(instance), creation->own_id) == 0;
    out->outcome = own ? CREATE_MADE : creation->joined_id ? CREATE_JOINED : CREATE_WAS_READY;
    out->instance = json_copy(instance);
    out->total_ms = now - creation->started;
    if (creation->running) {
        out->boot_ms = own ? creation->running - creation->inserted : 0;
        out->setup_ms = now - creation->running;
    }
    return 0;
}

/* ---- steps ---- */

static int prepare(struct creation *creation, struct err *err)
{
    const struct create_options *options = creation->options;
    autofree char *saved = NULL;
    if (creation->ladder.len > 0)
        return 0;
    if (options->saved_on && options->saved_on(options->arg, &saved, err) < 0)
        return -1;
    return ladder_make(creation->run, creation->gce, creation->spec, saved, &creation->ladder, err);
}

static int make_one(struct creation *creation, struct err *err)
{
    if (creation->made == MAX_MADE)
        return err_set(err, ERR_FAILED, "'%s' went away again and again while it was set up",
                       creation->spec->name);
    if (prepare(creation, err) < 0)
        return -1;
    creation->inserted = run_mono_ms(creation->run);
    free_charp(&creation->own_id);
    creation->running = 0;
    if (ladder_insert(creation->run, creation->gce, creation->spec, &creation->ladder,
                      &creation->own_id, err) < 0) {
        if (err->code != ERR_EXISTS)
            return -1;
        log_debug(creation->run->log, "another run was faster: %s", err_text(err));
        err_clear(err);
        return run_sleep(creation->run, CONTEST_MS, "the instance that another run makes", err);
    }
    creation->made++;
    return 0;
}

/* What somebody began is waited for: an insertion whose instance does not show yet, a deletion. */
static int await_operation(struct creation *creation, bool *found, struct err *err)
{
    const struct strv *zones = &creation->spec->zones;
    for (size_t i = 0; i < zones->len && !*found; i++) {
        autojson cJSON *running = NULL;
        if (gce_operations_running(creation->gce, zones->items[i], creation->spec->name, &running,
                                   err) < 0)
            return find_zone_error(zones->items[i], err);
        const cJSON *operation = cJSON_GetArrayItem(running, 0);
        if (!operation)
            continue;
        *found = true;
        progress_phase(creation->run->progress, "join", "waiting for a running %s of %s in %s",
                       json_str_or(operation, "operationType", "operation"), creation->spec->name,
                       zones->items[i]);
        if (gce_operation_wait(creation->gce, operation, "a running operation", err) < 0) {
            if (run_check(creation->run, "a running operation", err) < 0)
                return -1;
            err_clear(err); /* how it ended shows in the next look */
        }
    }
    return 0;
}

static void settle_failed(const struct creation *creation, const cJSON *instance,
                          const struct follow_result *result)
{
    failure_settle(creation->run, creation->gce, creation->spec->conf, instance, creation->options,
                   &result->console);
}

static int follow(struct creation *creation, const cJSON *instance, struct follow_result *result,
                  struct err *err)
{
    int64_t limit = conf_duration_ms(creation->spec->conf, "instance.setupTimeout", 0);
    const struct follow_how how = {.deadline = run_mono_ms(creation->run) + limit,
                                   .stream = creation->options->follow};
    bool own = creation->own_id && strcmp(instance_id(instance), creation->own_id) == 0;
    progress_phase(creation->run->progress, own ? "boot" : "join", "waiting for %s in %s",
                   creation->spec->name, instance_zone(instance));
    int followed = follow_setup(creation->run, creation->gce, instance, &how, result, err);
    if (result->running_at)
        creation->running = result->running_at;
    if (!own) {
        free_charp(&creation->joined_id);
        creation->joined_id = xstrdup(instance_id(instance));
    }
    if (followed < 0) {
        bool setup_overdue = err->code == ERR_TIMEOUT && run_remaining_ms(creation->run, 1) > 0;
        if (own && setup_overdue)
            settle_failed(creation, instance, result);
        return -1;
    }
    if (result->end != FOLLOW_FAILED)
        return 0;
    if (!own)
        return err_set(err, ERR_FAILED, "the creation joined failed: %s", result->report.message);
    err_set(err, ERR_FAILED, "the setup of '%s' failed: %s", creation->spec->name,
            result->report.message);
    settle_failed(creation, instance, result);
    return -1;
}

/* Is this one still the only, or the oldest, and nobody's to delete? A run that made one first waits for insertions that
 * began before this look: whoever inserts later sees ours, so of any two makers at least one sees
 * both. */
static int look_again(struct creation *creation, const cJSON *instance, bool *settled,
                      struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    bool waited = false;
    if ((creation->own_id && await_operation(creation, &waited, err) < 0) ||
        instance_find(creation->gce, creation->spec->name, &creation->spec->zones, &list, err) < 0)
        return -1;
    *settled = !waited && list.len > 0 &&
               strcmp(instance_id(list.items[0]), instance_id(instance)) == 0 &&
               strcmp(instance_status(list.items[0]), "RUNNING") == 0;
    return 0;
}

/* Waits for its setup. `done` when it is ready; otherwise what is there has changed. */
static int await_setup(struct creation *creation, const cJSON *instance, bool *done,
                       struct err *err)
{
    struct follow_result result = {.end = FOLLOW_GONE};
    buf_init(&result.console, BUF_MEDIUM);
    int followed = follow(creation, instance, &result, err);
    buf_clear(&result.console);
    if (followed < 0)
        return -1;
    *done = result.end == FOLLOW_READY;
    const char *model = json_str_or(instance, "scheduling.provisioningModel", "STANDARD");
    creation->vanished =
        result.end == FOLLOW_GONE && result.running_at && strcmp(model, "SPOT") != 0;
    return 0;
}

/* An older instance of the name is there beside ours: once it is more than a request, ours goes. */
static int yield_to(struct creation *creation, const cJSON *older, const struct instance_list *list,
                    struct err *err)
{
    if (strcmp(instance_status(older), "RUNNING") != 0)
        return run_sleep(creation->run, CONTEST_MS, "the older of two instances", err);
    for (size_t i = 1; i < list->len; i++) {
        if (strcmp(instance_id(list->items[i]), creation->own_id) != 0)
            continue;
        log_info(creation->run->log, "an older %s is in %s: deleting ours in %s",
                 creation->spec->name, instance_zone(older), instance_zone(list->items[i]));
        if (instance_delete_one(creation->run, creation->gce, list->items[i], err) < 0)
            return -1;
    }
    free_charp(&creation->own_id);
    return 0;
}

static bool ours_is_younger(const struct creation *creation, const struct instance_list *list)
{
    for (size_t i = 1; creation->own_id && i < list->len; i++) {
        if (strcmp(instance_id(list->items[i]), creation->own_id) == 0)
            return true;
    }
    return false;
}

static int remake(struct creation *creation, const cJSON *instance, const char *why,
                  struct err *err)
{
    bool waited = false;
    if (instance_is_changing(instance) && await_operation(creation, &waited, err) < 0)
        return -1;
    if (waited)
        return 0;
    if (creation->options->recreate == RECREATE_NEVER)
        return err_set(err, ERR_FAILED,
                       "'%s' in %s %s, and --recreate never forbids to make it anew",
                       creation->spec->name, instance_zone(instance), why);
    log_info(creation->run->log, "%s in %s %s: making it anew", creation->spec->name,
             instance_zone(instance), why);
    return instance_delete_one(creation->run, creation->gce, instance, err);
}

static int plan(struct creation *creation, const cJSON *instance, const char *why,
                struct create_result *out, struct err *err)
{
    out->outcome = CREATE_PLANNED;
    out->total_ms = run_mono_ms(creation->run) - creation->started;
    if (instance && !why)
        return 0; /* nothing would be made: only waited for */
    if (prepare(creation, err) < 0 || ladder_check(creation->gce, &creation->ladder, err) < 0)
        return -1;
    out->instance = ladder_body(&creation->ladder, creation->spec, 0);
    return 0;
}

static int step_absent(struct creation *creation, struct create_result *out, bool *done,
                       struct err *err)
{
    bool found = false;
    *done = creation->options->dry_run;
    if (*done)
        return plan(creation, NULL, NULL, out, err);
    if (creation->vanished)
        return err_set(err, ERR_FAILED, "'%s' was deleted while it was being set up",
                       creation->spec->name);
    if (await_operation(creation, &found, err) < 0)
        return -1;
    return found ? 0 : make_one(creation, err);
}

/* The oldest is the one; the others are left to who made them. */
static int step_present(struct creation *creation, const struct instance_list *list,
                        struct create_result *out, bool *done, struct err *err)
{
    const cJSON *instance = list->items[0];
    struct phase_report report = {.phase = PHASE_NONE};
    const char *why = NULL;
    if (strcmp(instance_status(instance), "RUNNING") == 0 &&
        follow_phase(creation->gce, instance, &report, err) < 0)
        return -1;
    enum verdict verdict = judge(creation, instance, &report, &why);
    *done = creation->options->dry_run && verdict != VERDICT_READY;
    if (*done)
        return plan(creation, instance, why, out, err);
    if (verdict == VERDICT_REMAKE)
        return remake(creation, instance, why, err);
    if (ours_is_younger(creation, list))
        return yield_to(creation, instance, list, err);
    *done = verdict == VERDICT_READY;
    if (verdict == VERDICT_WAIT && await_setup(creation, instance, done, err) < 0)
        return -1;
    bool contested = creation->own_id || verdict == VERDICT_WAIT;
    if (*done && contested && look_again(creation, instance, done, err) < 0)
        return -1;
    return *done ? end_ready(creation, instance, out) : 0;
}

/* Looks at what is there and takes one step. `done` when it is ready. */
static int step(struct creation *creation, struct create_result *out, bool *done, struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    if (run_check(creation->run, "the instance", err) < 0 ||
        instance_find(creation->gce, creation->spec->name, &creation->spec->zones, &list, err) < 0)
        return -1;
    return list.len == 0 ? step_absent(creation, out, done, err)
                         : step_present(creation, &list, out, done, err);
}

int instance_create(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                    const struct create_options *options, struct create_result *out,
                    struct err *err)
{
    struct creation creation = {
        .run = run, .gce = gce, .spec = spec, .options = options, .started = run_mono_ms(run)};
    struct create_result result = {.instance = NULL};
    bool done = false;
    int stepped = 0;
    while (!done && stepped == 0)
        stepped = step(&creation, &result, &done, err);
    ladder_clear(&creation.ladder);
    free(creation.own_id);
    free(creation.joined_id);
    if (stepped < 0) {
        create_result_clear(&result);
        return -1;
    }
    *out = result;
    return 0;
}

void create_result_clear(struct create_result *result)
{
    cJSON_Delete(result->instance);
    result->instance = NULL;
}
