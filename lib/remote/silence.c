/* Why nothing comes, told apart as far as the API shows it. */
#include "remote/internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/instance/find.h"
#include "necoops/instance/phase.h"
#include "necoops/instance/schedule.h"

#define CONSOLE_TAIL  4000 /* bytes */
#define CONSOLE_LINES 5

/* The phase that it last told; PHASE_NONE: none, or it cannot be read. */
static struct phase_report last_phase(struct remote *remote)
{
    struct phase_report report = {.phase = PHASE_NONE};
    autoerr struct err ignored = ERR_INIT;
    autofree char *json = NULL;
    if (gce_guest_attribute(remote->cloud.gce, remote->zone, remote->id, PHASE_SPACE, PHASE_KEY,
                            &json, &ignored) < 0 ||
        phase_parse(json, &report, &ignored) < 0)
        report = (struct phase_report){.phase = PHASE_NONE};
    return report;
}

/* The last lines of the console, on the log. */
static void show_console(struct remote *remote)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err ignored = ERR_INIT;
    autostrv struct strv lines = STRV_INIT;
    int64_t next = 0, lost = 0;
    if (gce_serial_output(remote->cloud.gce, remote->zone, remote->id, 1, -CONSOLE_TAIL, &text,
                          &next, &lost, &ignored) < 0)
        return;
    strv_split(&lines, text.data, '\n');
    for (size_t i = lines.len > CONSOLE_LINES ? lines.len - CONSOLE_LINES : 0; i < lines.len; i++)
        log_info(remote->run.log, "console: %.*s", (int)strcspn(lines.items[i], "\r"),
                 lines.items[i]);
}

int explain_gone(struct remote *remote, struct err *err)
{
    autofree char *hint = schedule_hint(&remote->run, remote->conf);
    return err_set(err, ERR_NO_CLUSTER, "the instance '%s' was deleted%s%s%s",
                   remote->work->instance, remote->accepted ? " while " : "",
                   remote->accepted ? remote->work->tool : "",
                   remote->accepted ? " ran on it" : hint);
}

static int not_running(struct remote *remote, const cJSON *instance, struct err *err)
{
    autofree char *hint = schedule_hint(&remote->run, remote->conf);
    const char *status = instance_status(instance);
    if (strcmp(status, "PROVISIONING") == 0 || strcmp(status, "STAGING") == 0)
        return err_set(err, ERR_NO_CLUSTER,
                       "the instance '%s' is still coming up: it is %s; wait for it with "
                       "necoops-create",
                       remote->work->instance, status);
    return err_set(err, ERR_NO_CLUSTER, "the instance '%s' is %s%s%s%s", remote->work->instance,
                   status, remote->accepted ? ", where it ran " : "",
                   remote->accepted ? remote->work->tool : "", remote->accepted ? "" : hint);
}

/* The instance as it is now; -1 when it is gone or does not run. */
static int look(struct remote *remote, cJSON **instance, struct err *err)
{
    if (gce_instance_get(remote->cloud.gce, remote->zone, remote->id, INSTANCE_FIELDS, instance,
                         err) < 0)
        return err->code == ERR_NOT_FOUND ? explain_gone(remote, err) : -1;
    if (strcmp(instance_status(*instance), "RUNNING") != 0)
        return not_running(remote, *instance, err);
    return 0;
}

static int not_ready(struct remote *remote, const struct phase_report *report, struct err *err)
{
    show_console(remote);
    return err_set(err, report->phase == PHASE_FAILED ? ERR_FAILED : ERR_NO_CLUSTER,
                   "the instance '%s' is not ready: its last phase is '%s'%s%s; %s",
                   remote->work->instance, phase_name(report->phase),
                   report->message[0] ? ": " : "", report->message,
                   report->phase == PHASE_FAILED ? "make it anew with necoops-create"
                                                 : "wait for it with necoops-create");
}

int check_ready(struct remote *remote, struct err *err)
{
    if (strcmp(instance_status(remote->instance), "RUNNING") != 0)
        return not_running(remote, remote->instance, err);
    if (remote->agent_seen)
        return 0;
    /* No agent has said anything yet: is it that the setup has not come so far? */
    struct phase_report report = last_phase(remote);
    if (report.phase == PHASE_NONE || report.phase == PHASE_READY)
        return 0;
    return not_ready(remote, &report, err);
}

static bool booted_again(const struct remote *remote, const cJSON *instance)
{
    return strcmp(json_str_or(remote->instance, "lastStartTimestamp", ""),
                  json_str_or(instance, "lastStartTimestamp", "")) != 0;
}

int explain_silence(struct remote *remote, struct err *err)
{
    autojson cJSON *instance = NULL;
    const char *name = remote->work->instance;
    if (look(remote, &instance, err) < 0)
        return -1;
    struct phase_report report = last_phase(remote);
    show_console(remote);
    autofree char *phase = report.phase == PHASE_NONE
                               ? xstrdup("it has told no phase")
                               : xasprintf("its last phase is '%s'%s%s", phase_name(report.phase),
                                           report.message[0] ? ": " : "", report.message);
    if (booted_again(remote, instance))
        return err_set(err, ERR_FAILED, "the instance '%s' was started again%s%s (%s)", name,
                       remote->accepted ? " while it ran " : "",
                       remote->accepted ? remote->work->tool : "", phase);
    if (remote->accepted || remote->queued || remote->agent_seen)
        return err_set(err, ERR_FAILED,
                       "the agent on the instance '%s' is silent since %s: it is dead, or its "
                       "serial port is stuck (%s)",
                       name, duration_format(run_mono_ms(&remote->run) - remote->heard_at).text,
                       phase);
    return err_set(
        err, ERR_FAILED,
        "there is no agent on the instance '%s' (%s): it says nothing on serial port %d; "
        "the programs on it may be older than necoops-agent",
        name, phase, WIRE_PORT);
}
