#include "instance/follow.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/instance/find.h"

#define POLL_MS 1000
#define POLL_FIRST_MS                                                                              \
    250              /* doubled until it is POLL_MS: what is nearly ready is not waited for        \
                      */
#define LOOK_EVERY 5 /* polls of the console for one look at the instance */
#define ATTRIBUTE_EVERY                                                                            \
    15 /* and for one at its guest attribute, of which 10 a minute are allowed */
#define CLOCK_SLACK_MS 5000 /* the instance's clock against the cloud's */
#define CONSOLE_KEPT   ((size_t)256 << 10)

static bool is_any(const char *status, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(status, *list) == 0)
            return true;
    }
    return false;
}

static bool is_stopped(const char *status)
{
    return is_any(status, (const char *const[]){"PENDING_STOP", "STOPPING", "STOPPED", "SUSPENDING",
                                                "SUSPENDED", "TERMINATED", "DEPROVISIONING", NULL});
}

static bool is_running(const char *status)
{
    return strcmp(status, "RUNNING") == 0;
}

/* True when the report was written before the instance's last start. */
static bool is_stale(const cJSON *instance, const struct phase_report *report)
{
    autoerr struct err err = ERR_INIT;
    int64_t started, reported;
    const char *text = json_str(instance, "lastStartTimestamp");
    return text && time_parse_rfc3339(text, &started, &err) == 0 &&
           time_parse_rfc3339(report->time, &reported, &err) == 0 &&
           reported + CLOCK_SLACK_MS < started;
}

int follow_phase(struct gce *gce, const cJSON *instance, struct phase_report *out, struct err *err)
{
    autofree char *json = NULL;
    struct phase_report report = {.phase = PHASE_NONE};
    if (gce_guest_attribute(gce, instance_zone(instance), instance_id(instance), PHASE_SPACE,
                            PHASE_KEY, &json, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
    } else if (phase_parse(json, &report, err) < 0) {
        err_clear(err); /* anything on the instance can write there */
        report = (struct phase_report){.phase = PHASE_NONE};
    } else if (is_stale(instance, &report)) {
        report = (struct phase_report){.phase = PHASE_NONE};
    }
    *out = report;
    return 0;
}

struct following {
    const struct run *run;
    struct gce *gce;
    cJSON *instance; /* as last seen */
    int64_t next;    /* of the console */
    size_t parsed;   /* of result->console */
    struct follow_result *result;
    const struct follow_how *how;
    char boot_id[64];
};

/* A new report: progress, and a word when the instance booted again. */
static void take_report(struct following *follow, const struct phase_report *report)
{
    const struct phase_report *before = &follow->result->report;
    if (is_stale(follow->instance, report))
        return;
    if (follow->boot_id[0] && report->boot_id[0] && strcmp(follow->boot_id, report->boot_id) != 0)
        log_warning(follow->run->log, "the instance booted again while it was being set up");
    memcpy(follow->boot_id, report->boot_id, sizeof follow->boot_id);
    if (before->phase != report->phase || strcmp(before->message, report->message) != 0)
        progress_phase(follow->run->progress, phase_name(report->phase), "%s", report->message);
    follow->result->report = *report;
}

/* The whole lines that are new; those of phases are told as such. */
static void stream_lines(const struct following *follow, size_t from)
{
    const struct buf *console = &follow->result->console;
    while (from < follow->parsed) {
        const char *line = console->data + from;
        size_t len = strcspn(line, "\n");
        size_t shown = len > 0 && line[len - 1] == '\r' ? len - 1 : len;
        if (!memmem(line, len, PHASE_MARKER, strlen(PHASE_MARKER)))
            log_info(follow->run->log, "| %.*s", (int)shown, line);
        from += len + 1;
    }
}

/* Keeps the end of the console, cut at a line. */
static void trim_console(struct following *follow)
{
    struct buf *console = &follow->result->console;
    if (console->len <= CONSOLE_KEPT)
        return;
    size_t from = console->len - CONSOLE_KEPT;
    const char *line = memchr(console->data + from, '\n', console->len - from);
    from = line ? (size_t)(line - console->data) + 1 : from;
    if (from > follow->parsed)
        from = follow->parsed;
    memmove(console->data, console->data + from, console->len - from + 1);
    console->len -= from;
    follow->parsed -= from;
}

static int read_console(struct following *follow, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    int64_t lost = 0, from = follow->next;
    if (gce_serial_output(follow->gce, instance_zone(follow->instance),
                          instance_id(follow->instance), 1, from, &text, &follow->next, &lost,
                          err) < 0)
        return -1;
    if (lost > 0 && (from > 0 || follow->how->stream))
        log_info(follow->run->log, "%lld bytes of the console were lost", (long long)lost);
    buf_add(&follow->result->console, text.data, text.len);
    struct phase_report report;
    size_t before = follow->parsed;
    bool reported = phase_from_console(&follow->result->console, &follow->parsed, &report);
    if (follow->how->stream)
        stream_lines(follow, before);
    if (reported)
        take_report(follow, &report);
    trim_console(follow);
    return 0;
}

static int look(struct following *follow, struct err *err)
{
    cJSON *instance;
    if (gce_instance_get(follow->gce, instance_zone(follow->instance),
                         instance_id(follow->instance), INSTANCE_FIELDS, &instance, err) < 0)
        return -1;
    cJSON_Delete(follow->instance);
    follow->instance = instance;
    if (is_running(instance_status(instance)) && !follow->result->running_at) {
        follow->result->running_at = run_mono_ms(follow->run);
        progress_phase(follow->run->progress, "boot",
                       "%s is running, waiting for its startup script to report",
                       json_str_or(instance, "name", "the instance"));
    }
    return 0;
}

static int read_attribute(struct following *follow, struct err *err)
{
    struct phase_report report;
    if (follow_phase(follow->gce, follow->instance, &report, err) < 0)
        return -1;
    if (report.phase != PHASE_NONE)
        take_report(follow, &report);
    return 0;
}

/* One poll; ERR_NOT_FOUND when the instance is gone. */
static int poll_once(struct following *follow, int64_t count, struct err *err)
{
    if ((count % LOOK_EVERY == 0 || !follow->result->running_at) && look(follow, err) < 0)
        return -1;
    if (!is_running(instance_status(follow->instance)))
        return 0; /* it has no console now */
    if (count % ATTRIBUTE_EVERY == ATTRIBUTE_EVERY - 1 && read_attribute(follow, err) < 0)
        return -1;
    return read_console(follow, err);
}

static bool has_ended(struct following *follow)
{
    struct follow_result *result = follow->result;
    if (result->report.phase == PHASE_FAILED)
        result->end = FOLLOW_FAILED;
    else if (is_stopped(instance_status(follow->instance)))
        result->end = FOLLOW_STOPPED;
    else if (result->report.phase == PHASE_READY)
        result->end = FOLLOW_READY;
    else
        return false;
    return true;
}

#define NOTHING_REPORTED                                                                           \
    "has reported nothing: its image must run startup scripts (necoops-emulator does with "        \
    "--run-startup-scripts)"

/* What is still missing when the time is up. Caller frees. */
static char *missing(const struct phase_report *report)
{
    if (report->phase == PHASE_NONE)
        return xstrdup("the setup of the instance, which " NOTHING_REPORTED);
    return xasprintf("the setup of the instance, whose last phase is '%s'%s%s",
                     phase_name(report->phase), report->message[0] ? ": " : "", report->message);
}

static int follow_loop(struct following *follow, struct err *err)
{
    int64_t interval = POLL_FIRST_MS;
    for (int64_t count = 0;; count++) {
        if (poll_once(follow, count, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return -1;
            err_clear(err);
            follow->result->end = FOLLOW_GONE;
            return 0;
        }
        if (has_ended(follow))
            return 0;
        autofree char *what = missing(&follow->result->report);
        if (run_mono_ms(follow->run) >= follow->how->deadline)
            return err_set(err, ERR_TIMEOUT, "timed out waiting for %s", what);
        if (run_sleep(follow->run, interval, what, err) < 0)
            return -1;
        interval = interval * 2 < POLL_MS ? interval * 2 : POLL_MS;
    }
}

int follow_setup(const struct run *run, struct gce *gce, const cJSON *instance,
                 const struct follow_how *how, struct follow_result *out, struct err *err)
{
    struct following follow = {.run = run, .gce = gce, .result = out, .how = how};
    follow.instance = json_copy(instance);
    int result = follow_loop(&follow, err);
    cJSON_Delete(follow.instance);
    return result;
}
