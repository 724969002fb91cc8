/* The doctor: what it looks at, and how it says it. */
#include "doctor.h"

#include <string.h>
#include "necoops/instance/schedule.h"
#include "necoops/instance/spec.h"
#include "necoops/report/table.h"

static const char *const outcomes[] = {"ok", "warning", "wrong", "skipped"};
static const enum table_color colors[] = {TABLE_GOOD, TABLE_WAIT, TABLE_BAD, TABLE_PLAIN};

void doctor_add(struct doctor *doctor, const char *check, enum outcome outcome, const char *hint,
                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *detail = xvasprintf(format, args);
    va_end(args);
    cJSON *entry = json_object();
    json_set_str(entry, "check", check);
    json_set_str(entry, "outcome", outcomes[outcome]);
    json_set_str(entry, "detail", detail);
    json_set_str(entry, "hint", hint);
    json_push(doctor->checks, entry);
}

void doctor_fail(struct doctor *doctor, const char *check, enum outcome outcome, const char *hint,
                 struct err *err)
{
    doctor_add(doctor, check, outcome, hint, "%s", err_text(err));
    err_clear(err);
}

/* ---- what needs no network ---- */

static void check_configuration(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autospec struct instance_spec spec = {.name = NULL};
    const char *file = conf_file(doctor->conf);
    if (instance_spec_load(doctor->run, doctor->conf, &spec, &err) < 0)
        doctor_fail(doctor, "configuration", OUTCOME_WRONG, "see necoops.yaml(5)", &err);
    else
        doctor_add(doctor, "configuration", OUTCOME_OK, NULL, "%s",
                   file ? file : "no file: environment and defaults");
    if (conf_has(doctor->conf, "snapshot.source") &&
        !conf_has(doctor->conf, "instance.programs.archive"))
        doctor_add(doctor, "programs", OUTCOME_WARNING,
                   "set instance.programs to what 'make tarball' packs, unless the image has them",
                   "snapshot.source is to be loaded, and instance.programs does not say with what");
}

static void check_schedule(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autoschedule struct schedule schedule = {.up = -1};
    int64_t now = run_wall_ms(doctor->run), next;
    if (schedule_load(doctor->conf, &schedule, &err) < 0) {
        doctor_fail(doctor, "schedule", OUTCOME_WRONG, "correct the keys below 'schedule'", &err);
        return;
    }
    if (!conf_has(doctor->conf, "schedule.up")) {
        doctor_add(doctor, "schedule", OUTCOME_SKIPPED,
                   "set schedule.up and schedule.down for necoops-create --scheduled",
                   "there is none");
        return;
    }
    bool up = schedule_is_up(&schedule, now);
    if (!schedule_next_up(&schedule, now, &next)) {
        doctor_add(doctor, "schedule", up ? OUTCOME_WARNING : OUTCOME_WRONG,
                   "look at schedule.days and schedule.holidays",
                   "it brings no cluster up within a year");
        return;
    }
    autofree char *when = schedule_time_text(&schedule, next);
    doctor_add(doctor, "schedule", OUTCOME_OK, NULL, "%s now, next up on %s", up ? "up" : "down",
               when);
}

/* ---- the whole ---- */

int doctor_examine(const struct run *run, const struct conf *conf, cJSON **checks, struct err *err)
{
    struct doctor doctor = {.run = run, .conf = conf, .checks = json_array()};
    bool running = false;
    check_configuration(&doctor);
    check_schedule(&doctor);
    int begun = http_new(run, &doctor.http, err);
    if (begun == 0 && doctor_clock(&doctor)) {
        doctor_credential(&doctor);
        doctor_compute(&doctor, &running);
        doctor_storage(&doctor);
        doctor_cluster(&doctor, running);
    } else if (begun == 0) {
        doctor_add(&doctor, "credential, instance, cluster", OUTCOME_SKIPPED, NULL,
                   "Compute Engine does not answer");
    }
    gce_free(doctor.gce);
    auth_free(doctor.auth);
    http_free(doctor.http);
    if (begun < 0 || run_check(run, "the examination", err) < 0) {
        cJSON_Delete(doctor.checks);
        return -1;
    }
    *checks = doctor.checks;
    return 0;
}

static enum outcome outcome_of(const cJSON *check)
{
    const char *name = json_str_or(check, "outcome", "");
    enum outcome outcome = OUTCOME_OK;
    while (outcome < OUTCOME_SKIPPED && strcmp(outcomes[outcome], name) != 0)
        outcome++;
    return outcome;
}

void doctor_print(const cJSON *checks, FILE *stream, bool color)
{
    autotable struct table table = {.rows = NULL};
    const cJSON *check;
    table_init(&table, (const char *const[]){"", "CHECK", "", NULL});
    cJSON_ArrayForEach(check, checks)
    {
        const char *hint = json_str(check, "hint");
        enum outcome outcome = outcome_of(check);
        struct table_row *row = table_add(&table, colors[outcome]);
        strv_add(&row->cells, outcomes[outcome]);
        strv_add(&row->cells, json_str_or(check, "check", ""));
        strv_add(&row->cells, json_str_or(check, "detail", ""));
        if (!hint || outcome == OUTCOME_OK)
            continue;
        row = table_add(&table, TABLE_PLAIN);
        strv_add(&row->cells, "");
        strv_add(&row->cells, "");
        strv_addf(&row->cells, "-> %s", hint);
    }
    table_print(&table, stream, color);
}

int doctor_verdict(const cJSON *checks, struct err *err)
{
    autostrv struct strv wrong = STRV_INIT;
    const cJSON *check;
    cJSON_ArrayForEach(check, checks)
    {
        if (outcome_of(check) == OUTCOME_WRONG)
            strv_add(&wrong, json_str_or(check, "check", ""));
    }
    if (wrong.len == 0)
        return 0;
    autofree char *names = strv_join(&wrong, ", ");
    return err_set(err, ERR_FAILED, "not right: %s", names);
}
