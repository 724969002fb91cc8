/* Records: one small file for each request, so that none runs twice, whatever happens to us. */
#include "agent/internal.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define KEPT_S     (7 * 24 * 3600) /* far longer than a request may be old */
#define GRACE_MS   15000           /* for what was left running to give the cluster back */
#define RECORD_MAX BUF_SMALL

static const char *const state_names[] = {"queued", "running", "ended"};

static char *record_path(const struct agent *agent, const char *id)
{
    return xasprintf("%s/requests/%s.json", agent->options->state, id);
}

static cJSON *load(const char *path)
{
    autobuf struct buf text = BUF_INIT(RECORD_MAX);
    autoerr struct err ignored = ERR_INIT;
    cJSON *json = NULL;
    if (fs_read(path, &text, &ignored) < 0 ||
        json_parse(text.data, text.len, path, &json, &ignored) < 0)
        return NULL;
    return json;
}

bool record_read(const struct agent *agent, const char *id, struct record *out)
{
    autofree char *path = record_path(agent, id);
    autojson cJSON *json = load(path);
    if (!json)
        return false;
    const char *state = json_str_or(json, "state", "");
    const cJSON *end = json_at(json, "end");
    *out = (struct record){.state = strcmp(state, "queued") == 0 ? JOB_QUEUED : JOB_ENDED,
                           .end = end ? json_copy(end) : NULL};
    return true;
}

/* When the process began, in clock ticks since boot: with its pid it names it for good. "" when
 * there is none. */
static char *process_start(pid_t pid)
{
    autofree char *path = xasprintf("/proc/%d/stat", (int)pid);
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err ignored = ERR_INIT;
    autostrv struct strv words = STRV_INIT;
    if (fs_read(path, &text, &ignored) < 0 || !strrchr(text.data, ')'))
        return xstrdup("");
    strv_split(&words, strrchr(text.data, ')') + 1, ' ');
    /* proc(5): state is word 3, starttime word 22 */
    return xstrdup(words.len > 19 && strcmp(words.items[0], "Z") != 0 ? words.items[19] : "");
}

int record_write(const struct agent *agent, const struct job *job, struct err *err)
{
    autofree char *path = record_path(agent, job->request.id);
    autojson cJSON *json = json_object();
    json_set_str(json, "state", state_names[job->state]);
    json_set_str(json, "tool", job->request.tool ? job->request.tool->name : "");
    json_set_str(json, "boot", agent->boot_id);
    if (job->state == JOB_RUNNING) {
        autofree char *start = process_start(job->child.pid);
        json_set_i64(json, "pid", job->child.pid);
        json_set_str(json, "start", start);
    }
    if (job->end)
        json_set(json, "end", json_copy(job->end));
    autofree char *text = json_print(json);
    return fs_write(path, text, strlen(text), 0600, err);
}

/* ---- after a restart ---- */

static bool is_running(pid_t pid, const char *start)
{
    autofree char *now = process_start(pid);
    return now[0] && strcmp(now, start) == 0;
}

/* It was told when its agent died; here its end is awaited, so that two never work side by side. */
static void end_left_over(const struct agent *agent, pid_t pid, const char *start)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t until = run_mono_ms(&agent->run) + GRACE_MS;
    if (pid <= 1 || !is_running(pid, start))
        return;
    log_warning(agent->run.log, "what an agent before left running (process %d) is ended", pid);
    kill(-pid, SIGTERM);
    while (is_running(pid, start) && run_mono_ms(&agent->run) < until &&
           run_sleep(&agent->run, 20, "the end of what was left running", &ignored) == 0)
        ;
    kill(-pid, SIGKILL);
}

static int recover_one(const struct agent *agent, const char *path, const char *id, cJSON *json,
                       struct err *err)
{
    bool same_boot = strcmp(json_str_or(json, "boot", ""), agent->boot_id) == 0;
    const char *tool = json_str_or(json, "tool", "");
    int64_t pid = 0;
    if (same_boot && json_i64(json, "pid", &pid) && pid < INT32_MAX)
        end_left_over(agent, (pid_t)pid, json_str_or(json, "start", "-"));
    autofree char *why =
        same_boot ? xasprintf("the agent ended while %s ran on the instance; run it again", tool)
                  : xasprintf("the instance booted again while %s ran on it; run it again", tool);
    cJSON *end = json_object();
    json_set_str(end, "t", "end");
    json_set_str(end, "id", id);
    json_set_i64(end, "status", 1);
    json_set_str(end, "error", why);
    json_set(json, "end", end);
    json_set_str(json, "state", state_names[JOB_ENDED]);
    autofree char *text = json_print(json);
    return fs_write(path, text, strlen(text), 0600, err);
}

static bool is_old(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && time(NULL) - st.st_mtime > KEPT_S;
}

static int look_at(const struct agent *agent, const char *folder, const char *name, struct err *err)
{
    autofree char *path = path_join(folder, name);
    if (!text_ends(name, ".json"))
        return 0;
    autofree char *id = xstrndup(name, strlen(name) - strlen(".json"));
    autojson cJSON *json = load(path);
    if (json && strcmp(json_str_or(json, "state", ""), "running") == 0)
        return recover_one(agent, path, id, json, err);
    if (is_old(path)) {
        result_forget((struct agent *)agent, id);
        (void)unlink(path);
    }
    return 0;
}

int record_recover(const struct agent *agent, struct err *err)
{
    autofree char *folder = path_join(agent->options->state, "requests");
    if (fs_mkdirs(folder, 0700, err) < 0)
        return -1;
    DIR *dir = opendir(folder);
    if (!dir)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be read", folder);
    int status = 0;
    for (const struct dirent *entry; status == 0 && (entry = readdir(dir)) != NULL;)
        status = look_at(agent, folder, entry->d_name, err);
    closedir(dir);
    return status;
}
