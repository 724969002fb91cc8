/* One piece of work on the instance: asked for, followed, ended. */
#include "necoops/remote/remote.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/instance/find.h"
#include "necoops/instance/schedule.h"
#include "remote/internal.h"

#define POLL_FIRST_MS  250   /* doubled until it is agent.pollEvery */
#define POLL_SLOW_MS   32000 /* where the limit was met nevertheless */
#define UNREACHABLE_MS (INT64_C(2) * 60 * 1000)
#define LATE_MS        30000 /* the tool there has its own deadline, and then tells why */
#define CANCEL_MS      90000 /* for the tool to end, once it was told to */
#define TIDY_MS        30000
#define TAIL           65536 /* of the serial port, in which an agent would be seen */
#define AGAIN_MOST     3

void remote_outcome_clear(struct remote_outcome *outcome)
{
    free(outcome->output);
    cJSON_Delete(outcome->last);
    *outcome = (struct remote_outcome){.ran = false};
}

/* ---- the beginning ---- */

static int find(struct remote *remote, struct err *err)
{
    autostrv struct strv zones = STRV_INIT;
    autoinstances struct instance_list list = {.items = NULL};
    if (conf_require(remote->conf, "zones", err) < 0)
        return -1;
    conf_strs(remote->conf, "zones", &zones);
    if (instance_find(remote->cloud.gce, remote->work->instance, &zones, &list, err) < 0)
        return -1;
    if (list.len == 0) {
        autofree char *hint = schedule_hint(&remote->run, remote->conf);
        return err_set(err, ERR_NO_CLUSTER, "there is no instance '%s'%s", remote->work->instance,
                       hint);
    }
    remote->instance = json_copy(list.items[0]);
    remote->id = instance_id(remote->instance);
    remote->zone = instance_zone(remote->instance);
    return 0;
}

/* Where the serial port is now; and whether an agent was ever heard there. */
static int find_cursor(struct remote *remote, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    int64_t lost = 0;
    if (gce_serial_output(remote->cloud.gce, remote->zone, remote->id, WIRE_PORT, -TAIL, &text,
                          &remote->cursor, &lost, err) < 0)
        return err->code == ERR_NOT_FOUND ? explain_gone(remote, err) : -1;
    wire_reader_gap(&remote->reader);
    return wire_read(&remote->reader, text.data, text.len, listen_frame, remote, err);
}

static void open_pieces(struct remote *remote)
{
    const struct remote_work *work = remote->work;
    size_t len = 0;
    for (size_t i = 0; i < RESULTS_MAX; i++)
        buf_init(&remote->pieces[i].data, BUF_MEDIUM);
    remote->pieces[len++].name = "stdout";
    remote->pieces[len++].name = "events";
    for (size_t i = 0; i < work->files_len && len < RESULTS_MAX; i++)
        remote->pieces[len++].name = work->files[i].name;
}

/* ---- following ---- */

/* Bytes were overwritten before we read them; the ring holds a megabyte. */
static void tell_lost(struct remote *remote, int64_t lost)
{
    wire_reader_gap(&remote->reader);
    remote->events_missing = true;
    if (remote->lost == 0)
        log_warning(remote->run.log,
                    "%" PRId64 " bytes of the serial port were overwritten before they were read: "
                    "messages of the agent may be missing",
                    lost);
    remote->lost += (uint64_t)lost;
}

static int read_port(struct remote *remote, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    int64_t next = remote->cursor, lost = 0;
    if (gce_serial_poll(remote->cloud.gce, remote->zone, remote->id, WIRE_PORT, remote->cursor,
                        &text, &next, &lost, err) < 0)
        return err->code == ERR_NOT_FOUND ? explain_gone(remote, err) : -1;
    if (lost > 0)
        tell_lost(remote, lost);
    else if (next < remote->cursor)
        wire_reader_gap(&remote->reader); /* the ring of another life of the instance */
    remote->cursor = next;
    return wire_read(&remote->reader, text.data, text.len, listen_frame, remote, err);
}

struct pace {
    int64_t interval;
    int64_t failing_since; /* mono; 0: not */
    bool limited;
};

/* An error of a poll that the next one may not have; -1 when it is over. */
static int bear(struct remote *remote, struct pace *pace, struct err *err)
{
    int64_t now = run_mono_ms(&remote->run);
    bool limited = err->code == ERR_CAPACITY;
    if (!limited && err->code != ERR_UNREACHABLE)
        return -1;
    if (!pace->failing_since)
        pace->failing_since = now;
    if (!limited && now - pace->failing_since > UNREACHABLE_MS)
        return -1;
    if (limited && !pace->limited)
        log_warning(remote->run.log, "%s; it is asked less often", err_text(err));
    pace->limited |= limited;
    pace->interval = pace->interval * 2 < POLL_SLOW_MS ? pace->interval * 2 : POLL_SLOW_MS;
    pace->interval -= (int64_t)random_below((uint64_t)pace->interval / 4 + 1);
    /* Who could not listen has not heard silence. */
    remote->heard_at = now;
    if (run_remaining_ms(remote->caller, pace->interval) < pace->interval && limited)
        return -1; /* the rate limit to the end */
    err_clear(err);
    return 0;
}

static void poll_done(const struct remote *remote, struct pace *pace)
{
    int64_t most = conf_duration_ms(remote->conf, "agent.pollEvery", 1000);
    pace->failing_since = 0;
    pace->interval = pace->interval * 2 < most ? pace->interval * 2 : most;
}

/* Our own sign of life. */
static int keep_alive(struct remote *remote, struct err *err)
{
    int64_t now = run_mono_ms(&remote->run);
    int64_t every = conf_duration_ms(remote->conf, "agent.goneAfter", 300000) / 3;
    if (now < remote->beat_at)
        return 0;
    remote->beat_at = now + every;
    return item_change(remote, item_beat, err);
}

static int check_turn(struct remote *remote, struct err *err)
{
    int64_t waited = run_mono_ms(&remote->run) - remote->asked_at;
    if (remote->accepted || remote->ended || !remote->work->turn_ms ||
        waited < remote->work->turn_ms || !remote->queued)
        return 0;
    return err_set(err, ERR_BUSY, "the agent on the instance '%s' is busy: %s runs there",
                   remote->work->instance, remote->holder);
}

static int check_silence(struct remote *remote, struct err *err)
{
    int64_t silent = conf_duration_ms(remote->conf, "agent.silentAfter", 60000);
    if (run_mono_ms(&remote->run) - remote->heard_at < silent)
        return 0;
    return explain_silence(remote, err);
}

/* Until the request has ended, or it cannot be followed any more. */
static int follow(struct remote *remote, struct err *err)
{
    struct pace pace = {.interval = POLL_FIRST_MS / 2};
    autofree char *what = xasprintf("%s on the instance", remote->work->tool);
    while (!remote->ended) {
        if (read_port(remote, err) == 0)
            poll_done(remote, &pace);
        else if (bear(remote, &pace, err) < 0)
            return -1;
        if (remote->ended)
            break;
        if (keep_alive(remote, err) < 0 || check_turn(remote, err) < 0 ||
            check_silence(remote, err) < 0 || run_sleep(&remote->run, pace.interval, what, err) < 0)
            return -1;
    }
    return 0;
}

/* What was lost on the way is asked for once more. */
static int follow_whole(struct remote *remote, struct err *err)
{
    if (follow(remote, err) < 0)
        return -1;
    while (!remote->refused && listen_incomplete(remote) && remote->again < AGAIN_MOST) {
        log_debug(remote->run.log, "results did not come whole: they are asked for again");
        remote->again++;
        remote->ended = false;
        remote->heard_at = run_mono_ms(&remote->run);
        if (item_change(remote, item_again, err) < 0 || follow(remote, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the end ---- */

static bool is_signal(const struct err *err)
{
    return err->code == ERR_INTERRUPTED || err->code == ERR_TERMINATED;
}

/* The work there is told to end, and its end awaited: after a signal its status is ours, then 0. */
static int cancel(struct remote *remote, struct err *why)
{
    bool by_signal = is_signal(why);
    autoerr struct err err = ERR_INIT;
    remote->run = run_for_cleanup(&remote->run, CANCEL_MS);
    remote->heard_at = run_mono_ms(&remote->run);
    log_info(remote->run.log, "cancelling %s on the instance", remote->work->tool);
    if (item_change(remote, item_cancel, &err) < 0 || follow_whole(remote, &err) < 0) {
        log_warning(remote->run.log, "%s may go on on the instance for a while: %s",
                    remote->work->tool, err_text(&err));
        return -1;
    }
    if (!by_signal)
        return -1;
    err_clear(why);
    return 0;
}

static enum err_code code_of(int status)
{
    static const struct {
        int status;
        enum err_code code;
    } rows[] = {{2, ERR_USAGE},         {3, ERR_NO_CLUSTER},  {4, ERR_DENIED},
                {5, ERR_BUSY},          {6, ERR_TIMEOUT},     {7, ERR_CAPACITY},
                {130, ERR_INTERRUPTED}, {143, ERR_TERMINATED}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status)
            return rows[i].code;
    }
    return ERR_FAILED;
}

/* As if the tool had ended here. */
static int conclude(struct remote *remote, struct err *err)
{
    autoerr struct err results = ERR_INIT;
    remote->outcome->ran = !remote->refused;
    if (result_take_all(remote, &results) < 0 && remote->status == 0) {
        err_move(err, &results);
        return -1;
    }
    if (results.code != ERR_NONE)
        log_warning(remote->run.log, "%s", err_text(&results));
    if (remote->status == 0)
        return 0;
    return err_set(err, code_of(remote->status), "%s",
                   remote->error ? remote->error : "it failed on the instance");
}

static void tell_damage(const struct remote *remote)
{
    const struct wire_reader *reader = &remote->reader;
    if (reader->damaged + reader->missing > 0)
        log_warning(remote->run.log,
                    "%" PRIu64 " messages of the agent were damaged and %" PRIu64
                    " lost on the serial port",
                    reader->damaged, reader->missing);
    if (reader->foreign > 0)
        log_info(remote->run.log,
                 "%" PRIu64 " lines on the serial port are not the agent's: somebody else writes "
                 "there",
                 reader->foreign);
}

static int work(struct remote *remote, struct err *err)
{
    progress_phase(remote->run.progress, "agent", "asking the agent on '%s' to run %s",
                   remote->work->instance, remote->work->tool);
    if (item_change(remote, item_add, err) < 0)
        return -1;
    remote->asked_at = remote->heard_at = run_mono_ms(&remote->run);
    remote->beat_at =
        remote->asked_at + conf_duration_ms(remote->conf, "agent.goneAfter", 300000) / 3;
    int status = follow_whole(remote, err);
    if (status < 0 && (is_signal(err) || err->code == ERR_TIMEOUT))
        status = cancel(remote, err);
    tell_damage(remote);
    return status < 0 ? -1 : conclude(remote, err);
}

static void tidy(struct remote *remote)
{
    autoerr struct err err = ERR_INIT;
    remote->run = run_for_cleanup(&remote->run, TIDY_MS);
    if (item_change(remote, item_remove, &err) < 0 && err.code != ERR_NOT_FOUND)
        log_warning(remote->run.log, "the request stays in the instance's metadata: %s",
                    err_text(&err));
}

static void close_remote(struct remote *remote)
{
    if (remote->events)
        (void)fclose(remote->events);
    for (size_t i = 0; i < RESULTS_MAX; i++)
        buf_clear(&remote->pieces[i].data);
    wire_reader_clear(&remote->reader);
    cloud_close(&remote->cloud);
    cJSON_Delete(remote->instance);
    cJSON_Delete(remote->end);
    free(remote->error);
    free(remote->holder);
    free(remote->phase);
}

int remote_run(const struct run *run, const struct conf *conf, const struct remote_work *work_,
               struct remote_outcome *outcome, struct err *err)
{
    struct remote remote = {.caller = run,
                            .run = *run,
                            .conf = conf,
                            .work = work_,
                            .outcome = outcome,
                            .request = uuid_random()};
    if (run->deadline != RUN_NO_DEADLINE)
        remote.run.deadline += LATE_MS;
    wire_reader_init(&remote.reader);
    open_pieces(&remote);
    int status = cloud_open(&remote.run, conf, &remote.cloud, err) < 0 || find(&remote, err) < 0 ||
                         find_cursor(&remote, err) < 0 || check_ready(&remote, err) < 0
                     ? -1
                     : 0;
    if (status == 0) {
        status = work(&remote, err);
        tidy(&remote);
    }
    close_remote(&remote);
    return status;
}
