/* The tool that runs for a request: what it is told, and what it says. */
#include "agent/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define LINE_MAX_BYTES ((size_t)4 << 20) /* an event may hold every application */
#define OUTPUT_MAX     ((uint64_t)64 << 20)
#define READS_MOST     64 /* at once, so that one that never stops does not hold us */

/* ---- what it is told ---- */

/* The program of this name beside ours, else what PATH has. */
static char *program_of(const char *name)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = '\0';
        char *slash = strrchr(self, '/');
        autofree char *beside = xasprintf("%.*s/%s", (int)(slash - self), self, name);
        if (access(beside, X_OK) == 0)
            return steal(beside);
    }
    return xstrdup(name);
}

static bool is_asked(const struct job *job, const char *file)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(job->json, "files"))
    {
        if (strcmp(item->valuestring, file) == 0)
            return true;
    }
    return false;
}

static void add_settings(const struct agent *agent, const struct job *job, struct strv *argv)
{
    const cJSON *set;
    cJSON_ArrayForEach(set, json_at(job->json, "set"))
        strv_addf(argv, "--set=%s=%s", set->string, set->valuestring);
    if (strcmp(job->request.tool->name, "necoops-deploy") != 0) {
        if (conf_str(agent->conf, "snapshot.to"))
            strv_addf(argv, "--set=snapshot.to=%s", conf_str(agent->conf, "snapshot.to"));
        return;
    }
    const char *cluster = json_str(job->json, "options.cluster");
    if (!cluster)
        cluster = conf_str(agent->conf, "instance.name");
    strv_addf(argv, "--set=clusters.%s.via=here", cluster);
    strv_addf(argv, "--mirror=%s/repository", agent->options->state);
}

static void make_argv(const struct agent *agent, const struct job *job, const char *folder,
                      struct strv *argv)
{
    const struct wire_tool *tool = job->request.tool;
    int64_t left = job->request.timeout_ms - (agent_now(agent) - job->seen_at);
    strv_take(argv, program_of(tool->name));
    strv_add(argv, "--log-format=json");
    strv_addf(argv, "--timeout=%lldms", (long long)(left > 1 ? left : 1));
    autofree char *config = conf_file(agent->conf) ? realpath(conf_file(agent->conf), NULL) : NULL;
    if (config)
        strv_addf(argv, "--config=%s", config);
    add_settings(agent, job, argv);
    for (const char *const *file = tool->files; *file; file++) {
        if (is_asked(job, *file))
            strv_addf(argv, "--%s=%s/%s", *file, folder, *file);
    }
    if (job->events_fd >= 0)
        strv_addf(argv, "--events=%s/events.pipe", folder);
    wire_request_argv(&job->request, argv);
}

static bool is_wire_variable(const char *setting)
{
    for (const char *const *name = wire_variables; *name; name++) {
        size_t len = strlen(*name);
        if (strncmp(setting, *name, len) == 0 && setting[len] == '=')
            return true;
    }
    return false;
}

static void make_environ(const struct agent *agent, const struct job *job, struct strv *out)
{
    const cJSON *variable;
    for (const char *const *at = agent->run.environ; at && *at; at++) {
        if (!is_wire_variable(*at) && !text_starts(*at, "NECOOPS_CONFIG="))
            strv_add(out, *at);
    }
    strv_add(out, "NECOOPS_RELAY=1");
    if (json_bool(job->json, "color", false))
        strv_add(out, "CLICOLOR_FORCE=1");
    cJSON_ArrayForEach(variable, json_at(job->json, "env"))
        strv_addf(out, "%s=%s", variable->string, variable->valuestring);
}

/* ---- its beginning ---- */

static int open_results(struct job *job, const char *folder, struct err *err)
{
    autofree char *pipe = path_join(folder, "events.pipe");
    autofree char *events = path_join(folder, "events");
    autofree char *output = path_join(folder, "stdout");
    if (fs_remove_tree(folder, err) < 0 || fs_mkdirs(folder, 0700, err) < 0)
        return -1;
    job->output_fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (job->output_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", output);
    if (!job->request.events)
        return 0;
    /* For reading and writing: it neither blocks nor ends while the child has not opened it. */
    if (mkfifo(pipe, 0600) < 0 ||
        (job->events_fd = open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", pipe);
    job->events_file = fopen(events, "we");
    if (!job->events_file)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", events);
    return 0;
}

static void listen_to(const struct agent *agent, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= 0)
        (void)epoll_ctl(agent->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int child_start(struct agent *agent, struct job *job, struct err *err)
{
    autofree char *folder = result_folder(agent, job->request.id);
    autostrv struct strv argv = STRV_INIT;
    autostrv struct strv variables = STRV_INIT;
    if (open_results(job, folder, err) < 0)
        return -1;
    make_argv(agent, job, folder, &argv);
    make_environ(agent, job, &variables);
    const struct proc_spec spec = {.argv = (const char *const *)argv.items,
                                   .environ = (const char *const *)variables.items,
                                   .dir = folder,
                                   .dies_with_us = true};
    if (proc_open(&agent->run, &spec, &job->child, err) < 0)
        return -1;
    listen_to(agent, job->child.pidfd);
    listen_to(agent, job->child.out);
    listen_to(agent, job->child.error);
    listen_to(agent, job->events_fd);
    return 0;
}

/* ---- what it says ---- */

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warning", "info", "debug", "trace"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return (enum log_level)i;
    }
    return LOG_INFO;
}

/* Cut where a character ends. */
static char *cut(const char *text)
{
    size_t len = strlen(text);
    if (len <= WIRE_TEXT_MAX)
        return xstrdup(text);
    len = WIRE_TEXT_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return xasprintf("%.*s …", (int)len, text);
}

static void say_texts(struct agent *agent, const struct job *job, const char *type,
                      const char *name, const char *value, const char *text)
{
    autofree char *fitting = cut(text);
    cJSON *frame = json_object();
    json_set_str(frame, name, value);
    json_set_str(frame, "text", fitting);
    port_say(agent, type, job, frame);
}

/* A line of its log; one that is none comes from a library or from a program that it runs. */
static void take_error_line(struct agent *agent, struct job *job, const char *line, size_t len)
{
    autojson cJSON *json = NULL;
    autoerr struct err ignored = ERR_INIT;
    if (len == 0)
        return;
    if (json_parse(line, len, "log", &json, &ignored) == 0 && json_str(json, "message")) {
        const char *text = json_str(json, "message");
        const char *level = json_str_or(json, "level", "info");
        if (level_of(level) == LOG_ERROR) {
            free(job->last_error);
            job->last_error = cut(text);
        } else {
            say_texts(agent, job, "log", "level", level, text);
        }
    } else if (json && json_str(json, "phase")) {
        say_texts(agent, job, "progress", "phase", json_str(json, "phase"),
                  json_str_or(json, "text", ""));
    } else {
        autofree char *visible = text_visible(line, len, false);
        say_texts(agent, job, "log", "level", "info", visible);
    }
}

static void take_event_line(struct agent *agent, struct job *job, const char *line, size_t len)
{
    autojson cJSON *event = NULL;
    autoerr struct err ignored = ERR_INIT;
    if (len == 0 || fprintf(job->events_file, "%.*s\n", (int)len, line) < 0 ||
        fflush(job->events_file) != 0)
        return;
    int64_t number = job->events_count++;
    /* A large one is fetched with the results. */
    if (len > WIRE_LINE_MAX / 4 || json_parse(line, len, "event", &event, &ignored) < 0)
        return;
    cJSON *frame = json_object();
    json_set_i64(frame, "number", number);
    json_set(frame, "event", steal(event));
    port_say(agent, "event", job, frame);
}

typedef void take_line(struct agent *agent, struct job *job, const char *line, size_t len);

/* Whole lines go to `take`; one that is too long is left out. */
static void take_lines(struct agent *agent, struct job *job, struct buf *buf, take_line *take)
{
    size_t from = 0;
    for (const char *end; (end = memchr(buf->data + from, '\n', buf->len - from)) != NULL;) {
        size_t len = (size_t)(end - buf->data) - from;
        autofree char *line = xstrndup(buf->data + from, len);
        take(agent, job, line, strlen(line));
        from += len + 1;
    }
    if (from == 0)
        return;
    memmove(buf->data, buf->data + from, buf->len - from + 1);
    buf->len -= from;
}

/* False when there is nothing now. */
static bool read_lines(struct agent *agent, struct job *job, int *fd, struct buf *buf,
                       take_line *take)
{
    char chunk[16384];
    ssize_t got = *fd >= 0 ? read(*fd, chunk, sizeof chunk) : -1;
    if (got == 0)
        close_fdp(fd); /* which also takes it out of the epoll set */
    if (got <= 0)
        return got < 0 && *fd >= 0 && errno == EINTR;
    if (buf_add(buf, chunk, (size_t)got) < 0)
        buf_reset(buf);
    take_lines(agent, job, buf, take);
    return true;
}

static bool read_output(struct job *job)
{
    char chunk[16384];
    ssize_t got = job->child.out >= 0 ? read(job->child.out, chunk, sizeof chunk) : -1;
    if (got == 0)
        close_fdp(&job->child.out);
    if (got <= 0)
        return got < 0 && job->child.out >= 0 && errno == EINTR;
    job->output_size += (uint64_t)got;
    if (job->output_size <= OUTPUT_MAX && write(job->output_fd, chunk, (size_t)got) != got)
        job->output_size = OUTPUT_MAX + 1;
    return true;
}

static void read_all(struct agent *agent, struct job *job)
{
    for (int i = 0; i < READS_MOST; i++) {
        bool more = read_lines(agent, job, &job->child.error, &job->errors, take_error_line);
        more |= job->events_file &&
                read_lines(agent, job, &job->events_fd, &job->events, take_event_line);
        more |= read_output(job);
        if (!more)
            return;
    }
}

bool child_read(struct agent *agent, struct job *job)
{
    siginfo_t info = {.si_pid = 0};
    /* Looked at first: what it wrote before its end is in the pipes then. */
    bool ended = waitid(P_PID, (id_t)job->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
                 info.si_pid != 0;
    read_all(agent, job);
    return ended;
}

int child_end(struct agent *agent, struct job *job)
{
    int status = proc_close(&job->child);
    read_all(agent, job);
    close_fdp(&job->child.out);
    close_fdp(&job->child.error);
    close_fdp(&job->child.pidfd);
    close_fdp(&job->events_fd);
    close_fdp(&job->output_fd);
    if (job->events_file)
        (void)fclose(job->events_file);
    job->events_file = NULL;
    return status;
}
