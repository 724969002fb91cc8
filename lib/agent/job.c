/* The queue: whose turn it is, who is told what, and how a request ends. */
#include "agent/internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_GRACE_MS 60000 /* a deploy gives the cluster back first */
#define REPEAT_FIRST_MS 2000
#define REPEATS         8 /* over four minutes: an end that was lost must still be found */

struct job *jobs_running(struct agent *agent)
{
    struct job *job = agent->jobs;
    while (job && job->state != JOB_RUNNING)
        job = job->next;
    return job;
}

void job_free(struct agent *agent, struct job *job)
{
    for (struct job **at = &agent->jobs; *at; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            break;
        }
    }
    if (job->state == JOB_RUNNING)
        (void)child_end(agent, job);
    close_fdp(&job->events_fd);
    close_fdp(&job->output_fd);
    if (job->events_file)
        (void)fclose(job->events_file);
    buf_clear(&job->errors);
    buf_clear(&job->events);
    cJSON_Delete(job->json);
    cJSON_Delete(job->end);
    free(job->last_error);
    free(job);
}

static void keep_record(struct agent *agent, struct job *job)
{
    autoerr struct err err = ERR_INIT;
    if (record_write(agent, job, &err) < 0)
        log_warning(agent->run.log, "%s", err_text(&err));
}

/* ---- the end ---- */

static void set_ended(struct agent *agent, struct job *job)
{
    job->state = JOB_ENDED;
    job->repeats = REPEATS;
    job->repeat_at = agent_now(agent) + REPEAT_FIRST_MS;
    keep_record(agent, job);
}

void job_refuse(struct agent *agent, struct job *job, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *why = xvasprintf(format, args);
    va_end(args);
    log_warning(agent->run.log, "request %s is refused: %s", job->request.id, why);
    cJSON_Delete(job->end);
    job->end = json_object();
    json_set_i64(job->end, "status", status);
    json_set_str(job->end, "error", why);
    json_set_bool(job->end, "refused", true);
    set_ended(agent, job);
    port_say(agent, "refused", job, json_copy(job->end));
}

void job_cancel(struct agent *agent, struct job *job, int number, const char *why)
{
    if (job->wants_cancel)
        return;
    log_info(agent->run.log, "request %s is cancelled%s%s", job->request.id, why ? ": " : "",
             why ? why : "");
    job->wants_cancel = true;
    job->ended_by = why;
    job->kill_at = agent_now(agent) + CANCEL_GRACE_MS;
    kill(-job->child.pid, number);
}

static void end_running(struct agent *agent, struct job *job)
{
    int status = child_end(agent, job);
    const char *tool = job->request.tool->name;
    autofree char *error = NULL;
    if (job->ended_by) {
        error = xasprintf("%s was ended: %s", tool, job->ended_by);
        status = 1;
    } else if (status > 128 && status != 128 + SIGINT && status != 128 + SIGTERM) {
        error = xasprintf("%s was killed by signal %d on the instance", tool, status - 128);
        status = 1;
    } else if (status != 0 && job->last_error) {
        error = xstrdup(job->last_error);
    } else if (status != 0) {
        error = xasprintf("%s ended with status %d", tool, status);
    }
    log_info(agent->run.log, "request %s: %s ended with status %d", job->request.id, tool, status);
    result_send(agent, job, status, error);
    set_ended(agent, job);
}

/* ---- the beginning ---- */

static void begin(struct agent *agent, struct job *job)
{
    autoerr struct err err = ERR_INIT;
    /* Recorded first: should we die now, it does not run a second time. */
    job->state = JOB_RUNNING;
    if (record_write(agent, job, &err) < 0 || child_start(agent, job, &err) < 0) {
        job->state = JOB_QUEUED;
        job_refuse(agent, job, 1, "%s cannot be run on the instance: %s", job->request.tool->name,
                   err_text(&err));
        return;
    }
    keep_record(agent, job); /* now with its process */
    log_info(agent->run.log, "request %s of '%s': %s runs", job->request.id, job->request.caller,
             job->request.tool->name);
    port_say(agent, "accepted", job, NULL);
    job->alive_at = agent_now(agent) + job->request.alive_ms;
    if (job->request.cancel)
        job_cancel(agent, job, strcmp(job->request.cancel, "TERM") == 0 ? SIGTERM : SIGINT, NULL);
}

static void tell_place(struct agent *agent, struct job *job, size_t place, struct job *holder)
{
    if (job->place == place && job->behind == holder)
        return;
    job->place = place;
    job->behind = holder;
    cJSON *frame = json_object();
    cJSON *who = json_set_object(frame, "holder");
    json_set_i64(frame, "place", (int64_t)place);
    json_set_str(who, "tool", holder->request.tool->name);
    json_set_str(who, "caller", holder->request.caller);
    port_say(agent, "queued", job, frame);
}

/* ---- what is due ---- */

static void tell_alive(struct agent *agent, struct job *job)
{
    cJSON *frame = json_object();
    json_set_str(frame, "state", job->state == JOB_RUNNING ? "running" : "queued");
    port_say(agent, "alive", job, frame);
    job->alive_at = agent_now(agent) + job->request.alive_ms;
}

static bool is_gone(const struct agent *agent, const struct job *job)
{
    return agent_now(agent) - job->beat_at > job->request.gone_ms;
}

static void step_running(struct agent *agent, struct job *job)
{
    if (child_read(agent, job)) {
        end_running(agent, job);
        return;
    }
    if (is_gone(agent, job))
        job_cancel(agent, job, SIGTERM, "who asked for it is gone");
    if (!job->listed)
        job_cancel(agent, job, SIGTERM, "its request was taken out of the instance's metadata");
    if (agent->stopping)
        job_cancel(agent, job, SIGTERM, "the agent on the instance was stopped");
    if (job->wants_cancel && agent_now(agent) >= job->kill_at)
        kill(-job->child.pid, SIGKILL);
    if (agent_now(agent) >= job->alive_at)
        tell_alive(agent, job);
}

static void step_queued(struct agent *agent, struct job *job)
{
    if (job->request.cancel)
        job_refuse(agent, job, strcmp(job->request.cancel, "TERM") == 0 ? 143 : 130,
                   "cancelled before its turn came");
    else if (is_gone(agent, job))
        job_refuse(agent, job, 1, "who asked for it is gone");
    else if (agent_now(agent) - job->seen_at > job->request.timeout_ms)
        job_refuse(agent, job, 6, "timed out waiting for its turn on the instance");
    else if (agent_now(agent) >= job->alive_at)
        tell_alive(agent, job);
}

static void step_ended(struct agent *agent, struct job *job)
{
    if (job->request.again > job->again) {
        job->again = job->request.again;
        result_send_again(agent, job);
    } else if (job->repeats > 0 && agent_now(agent) >= job->repeat_at) {
        int64_t past = REPEATS - job->repeats--;
        job->repeat_at = agent_now(agent) + (REPEAT_FIRST_MS << past);
        port_say(agent, json_bool(job->end, "refused", false) ? "refused" : "end", job,
                 json_copy(job->end));
    }
}

/* The first that waits begins when none runs; the others are told who is before them. */
static void step_queue(struct agent *agent)
{
    struct job *holder = jobs_running(agent);
    size_t place = 0;
    for (struct job *job = agent->jobs; job; job = job->next) {
        if (job->state != JOB_QUEUED)
            continue;
        if (!holder && !agent->stopping) {
            begin(agent, job);
            holder = job->state == JOB_RUNNING ? job : NULL;
        } else if (holder) {
            tell_place(agent, job, ++place, holder);
        }
    }
}

static int64_t due(const struct agent *agent, const struct job *job)
{
    int64_t at = AGENT_NEVER;
    if (job->state == JOB_ENDED)
        return job->repeats > 0 ? job->repeat_at : AGENT_NEVER;
    at = job->alive_at;
    if (job->wants_cancel && job->kill_at < at)
        at = job->kill_at;
    (void)agent;
    return at;
}

int64_t jobs_step(struct agent *agent)
{
    int64_t next_at = AGENT_NEVER;
    for (struct job *next, *job = agent->jobs; job; job = next) {
        next = job->next;
        if (job->state == JOB_RUNNING)
            step_running(agent, job);
        else if (job->state == JOB_QUEUED)
            step_queued(agent, job);
        else
            step_ended(agent, job);
        /* The caller took its member away: it has what it wanted, or wants it no more. */
        if (!job->listed && job->state != JOB_RUNNING) {
            if (job->state == JOB_QUEUED)
                job_refuse(agent, job, 130, "withdrawn before its turn came");
            result_forget(agent, job->request.id);
            job_free(agent, job);
        }
    }
    step_queue(agent);
    for (const struct job *job = agent->jobs; job; job = job->next) {
        int64_t at = due(agent, job);
        next_at = at < next_at ? at : next_at;
    }
    return next_at;
}
