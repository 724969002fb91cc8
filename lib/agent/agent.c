/* The agent's life: one loop over the metadata server, the child and the clock. */
#include "necoops/agent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include "agent/internal.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/gce/metadata.h"

#define LOOK_MS 10000 /* the longest wait at a time */
#define END_MS  30000 /* for what runs, when we are to end */

int64_t agent_now(const struct agent *agent)
{
    return run_mono_ms(&agent->run);
}

static void read_boot_id(struct agent *agent)
{
    const char *root = run_env(&agent->run, "NECOOPS_ROOT");
    autofree char *path = xasprintf("%s/proc/sys/kernel/random/boot_id", root ? root : "");
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err ignored = ERR_INIT;
    if (fs_read(path, &text, &ignored) == 0)
        text.data[strcspn(text.data, "\n")] = '\0';
    (void)text_copy(agent->boot_id, sizeof agent->boot_id, text.data);
}

static int open_agent(struct agent *agent, struct err *err)
{
    wire_writer_init(&agent->writer);
    read_boot_id(agent);
    if (fs_mkdirs(agent->options->state, 0700, err) < 0 || port_open(agent, err) < 0 ||
        record_recover(agent, err) < 0 || http_new(&agent->run, &agent->http, err) < 0)
        return -1;
    agent->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (agent->epoll_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "no epoll descriptor");
    return metadata_get(agent->http, "instance/id", &agent->instance_id, err);
}

static void close_agent(struct agent *agent)
{
    while (agent->jobs)
        job_free(agent, agent->jobs);
    http_free(agent->http);
    free(agent->instance_id);
    free(agent->etag);
    close_fdp(&agent->epoll_fd);
    close_fdp(&agent->port_fd);
    close_fdp(&agent->lock_fd);
}

static void say_hello(struct agent *agent)
{
    cJSON *frame = json_object();
    json_set_str(frame, "boot", agent->boot_id);
    json_set_str(frame, "version", NECOOPS_VERSION);
    port_say(agent, "hello", NULL, frame);
    log_info(agent->run.log, "requests for instance %s are served", agent->instance_id);
}

/* Until `at`, or something happens. */
static int wait_until(struct agent *agent, int64_t at, struct err *err)
{
    int64_t now = agent_now(agent);
    int64_t ms = at == AGENT_NEVER ? LOOK_MS : at > now ? at - now : 0;
    if (!agent->watch && agent->watch_at > now && agent->watch_at - now < ms)
        ms = agent->watch_at - now;
    return http_drive(agent->http, ms < LOOK_MS ? ms : LOOK_MS, agent->epoll_fd, NULL, err);
}

static int serve(struct agent *agent, struct err *err)
{
    for (;;) {
        watch_start(agent);
        int64_t at = jobs_step(agent);
        if (wait_until(agent, at, err) < 0)
            return -1;
    }
}

/* We are asked to end: so is what runs, and its caller is told. */
static void wind_up(struct agent *agent)
{
    autoerr struct err err = ERR_INIT;
    watch_stop(agent);
    agent->run = run_for_cleanup(&agent->run, END_MS);
    agent->stopping = true;
    while (jobs_running(agent)) {
        int64_t at = jobs_step(agent);
        if (jobs_running(agent) && wait_until(agent, at, &err) < 0)
            return;
    }
}

int agent_run(const struct run *run, const struct conf *conf, const struct agent_options *options,
              struct err *err)
{
    struct agent agent = {.run = *run,
                          .conf = conf,
                          .options = options,
                          .lock_fd = -1,
                          .port_fd = -1,
                          .epoll_fd = -1};
    int status = open_agent(&agent, err);
    if (status == 0) {
        say_hello(&agent);
        status = serve(&agent, err);
        if (err->code == ERR_INTERRUPTED || err->code == ERR_TERMINATED) {
            wind_up(&agent);
            err_clear(err);
            status = 0;
        }
    }
    close_agent(&agent);
    return status;
}
