/* Following the request in the metadata. The whole folder of attributes is watched: a single item
 * that does not exist cannot be. */
#include "agent/internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/google/api.h"

#define WAIT_S     60
#define PAUSE_MS   1000             /* after an answer that was none */
#define AGE_MAX_MS (10 * 60 * 1000) /* of a request that is seen for the first time */
#define CAP        ((size_t)4 << 20) /* metadata has at most 512 KB, in JSON at most six times that */

/* ---- a request ---- */

static struct job *find(struct agent *agent, const char *id)
{
    struct job *job = agent->jobs;
    while (job && strcmp(job->request.id, id) != 0)
        job = job->next;
    return job;
}

static size_t count(const struct agent *agent)
{
    size_t len = 0;
    for (const struct job *job = agent->jobs; job; job = job->next)
        len++;
    return len;
}

static struct job *job_new(struct agent *agent, cJSON *json, const struct wire_request *request)
{
    struct job *job = xcalloc(1, sizeof *job);
    struct job **at = &agent->jobs;
    while (*at)
        at = &(*at)->next;
    *at = job;
    *job = (struct job){
        .json = json,
        .request = *request,
        .listed = true,
        .seen_at = agent_now(agent),
        .beat = request->beat,
        .beat_at = agent_now(agent),
        .alive_at = agent_now(agent) + request->alive_ms,
        .child = PROC_CHILD_INIT,
        .events_fd = -1,
        .output_fd = -1,
        .errors = BUF_INIT(BUF_MEDIUM),
        .events = BUF_INIT(BUF_MEDIUM),
    };
    return job;
}

/* A request that we do not know: new, or one from before we started. */
static void judge(struct agent *agent, struct job *job, const struct err *fault, int64_t now)
{
    struct record record = {.end = NULL};
    const struct wire_request *request = &job->request;
    autoerr struct err err = ERR_INIT;
    if (record_read(agent, request->id, &record)) {
        job->end = record.end;
        if (record.state == JOB_QUEUED && fault->code == ERR_NONE)
            return;
        if (!job->end) {
            job_refuse(agent, job, 1, "request %s was taken before", request->id);
            return;
        }
        job->state = JOB_ENDED;
        job->again = request->again;
        log_info(agent->run.log, "request %s has ended before", request->id);
        port_say(agent, json_bool(job->end, "refused", false) ? "refused" : "end", job,
                 json_copy(job->end));
    } else if (fault->code != ERR_NONE) {
        job_refuse(agent, job, 2, "the agent does not take the request: %s", err_text(fault));
    } else if (strcmp(request->instance, agent->instance_id) != 0) {
        job_refuse(agent, job, 2, "the request is for the instance with the id '%.40s', not for %s",
                   request->instance, agent->instance_id);
    } else if (now - request->time_ms > AGE_MAX_MS || request->time_ms - now > AGE_MAX_MS) {
        autofree char *off = xstrdup(duration_format(llabs(now - request->time_ms)).text);
        job_refuse(agent, job, 2,
                   "the request's time is %s %s: it is an old one, or the clock of the machine "
                   "that sent it is wrong",
                   off, now > request->time_ms ? "ago" : "ahead");
    } else if (count(agent) > WIRE_REQUESTS_MAX) {
        job_refuse(agent, job, 5, "%d requests wait already", WIRE_REQUESTS_MAX);
    } else if (record_write(agent, job, &err) < 0) {
        job_refuse(agent, job, 1, "%s", err_text(&err));
    }
}

/* What may change of a known one: the caller's sign of life, and what it wants. */
static void refresh(struct agent *agent, struct job *job, cJSON *json,
                    const struct wire_request *request)
{
    cJSON_Delete(job->json);
    job->json = json;
    job->request = *request;
    job->listed = true;
    if (request->beat != job->beat) {
        job->beat = request->beat;
        job->beat_at = agent_now(agent);
    }
    if (request->cancel && job->state == JOB_RUNNING)
        job_cancel(agent, job, strcmp(request->cancel, "TERM") == 0 ? SIGTERM : SIGINT, NULL);
}

static void take_request(struct agent *agent, const cJSON *member, int64_t now)
{
    autoerr struct err fault = ERR_INIT;
    struct wire_request request;
    cJSON *json = json_copy(member);
    int status = wire_request_parse(json, &request, &fault);
    if (!request.id) {
        cJSON_Delete(json); /* nobody to answer to */
        return;
    }
    struct job *job = find(agent, request.id);
    if (!job)
        judge(agent, job_new(agent, json, &request), &fault, now);
    else if (status == 0)
        refresh(agent, job, json, &request);
    else
        cJSON_Delete(json);
    if (job)
        job->listed = true;
}

static void take_item(struct agent *agent, const char *value, int64_t now)
{
    autojson cJSON *all = wire_requests_parse(value);
    const cJSON *member;
    for (struct job *job = agent->jobs; job; job = job->next)
        job->listed = false;
    cJSON_ArrayForEach(member, json_at(all, "requests")) take_request(agent, member, now);
}

/* ---- the metadata server ---- */

static int take_answer(struct agent *agent, const struct http_response *response, struct err *err)
{
    autojson cJSON *attributes = NULL;
    const char *flavor = http_header(response, "Metadata-Flavor");
    const char *etag = http_header(response, "ETag");
    int64_t now = run_wall_ms(&agent->run);
    if (response->status != 200 || !flavor || strcmp(flavor, "Google") != 0 || !etag)
        return err_set(err, ERR_PROTOCOL, "the metadata server answers %d", response->status);
    if (json_parse(response->body.data, response->body.len, "metadata", &attributes, err) < 0)
        return -1;
    free(agent->etag);
    agent->etag = xstrdup(etag);
    (void)http_date(response, &now);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(attributes, WIRE_KEY);
    take_item(agent, cJSON_IsString(item) ? item->valuestring : NULL, now);
    return 0;
}

static void watch_done(void *arg, struct http_response *response, struct err *err)
{
    struct agent *agent = arg;
    agent->watch = NULL;
    if (err->code == ERR_NONE && take_answer(agent, response, err) == 0) {
        agent->watch_failed = false;
        return;
    }
    agent->watch_at = agent_now(agent) + PAUSE_MS;
    if (!agent->watch_failed)
        log_warning(agent->run.log, "requests cannot be read now: %s", err_text(err));
    agent->watch_failed = true;
}

void watch_start(struct agent *agent)
{
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    const struct http_handler handler = {.done = watch_done, .arg = agent};
    if (agent->watch || agent_now(agent) < agent->watch_at)
        return;
    autofree char *etag = url_encode(agent->etag ? agent->etag : "0");
    autofree char *path =
        xasprintf("instance/attributes/?recursive=true&alt=json&wait_for_change=true"
                  "&timeout_sec=%d&last_etag=%s",
                  WAIT_S, etag);
    autofree char *url = google_metadata_url(&agent->run, path);
    const struct http_request request = {.method = "GET",
                                         .url = url,
                                         .headers = headers,
                                         .cap = CAP,
                                         .timeout_ms = (WAIT_S + 15) * 1000,
                                         .stall_ms = -1,
                                         .retry_ms = -1,
                                         .proxy = "",
                                         .secret = true,
                                         .what = "the instance's metadata"};
    agent->watch = http_start(agent->http, &request, &handler);
}

void watch_stop(struct agent *agent)
{
    if (agent->watch)
        http_cancel(agent->watch);
    agent->watch = NULL;
}
