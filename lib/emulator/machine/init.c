/* A machine's first process. It builds the machine's world, runs the startup script as the guest
 * agent does, tells its output line by line, reaps what is left behind, and ends everything when
 * the emulator lets go of its standard input, however that came about.
 *
 * Standard input: the configuration (JSON, ended by a NUL), then nothing until the end. Standard
 * output: "ok\n" or "no REASON\n", then the text of serial port 1. */
#include "emulator/machine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define LINE_CAP ((size_t)64 << 10)

struct runner {
    const struct init *init;
    pid_t script;    /* 0: none, or it has ended */
    int output;      /* of the script and what it started; -1: closed */
    struct buf line; /* what has no end yet */
};

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

/* As the journal forwards the agent's lines to the console. */
static void say(const struct runner *runner, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(const struct runner *runner, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *text = xvasprintf(format, args);
    va_end(args);
    time_t now = time(NULL);
    struct tm tm;
    char when[32];
    strftime(when, sizeof when, "%b %e %H:%M:%S", gmtime_r(&now, &tm));
    autofree char *line = xasprintf("%s %s google_metadata_script_runner[%d]: %s\r\n", when,
                                    runner->init->name, (int)getpid(), text);
    write_all(STDOUT_FILENO, line, strlen(line));
}

/* ---- the script's output ---- */

static void flush_line(struct runner *runner)
{
    while (runner->line.len > 0 && runner->line.data[runner->line.len - 1] == '\r')
        runner->line.data[--runner->line.len] = '\0';
    say(runner, "startup-script: %s", runner->line.data);
    buf_reset(&runner->line);
}

static void take_output(struct runner *runner, const char *data, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(data, '\n', len);
        size_t part = newline != NULL ? (size_t)(newline - data) : len;
        /* A line longer than a log takes is cut. */
        if (part > LINE_CAP - runner->line.len)
            part = LINE_CAP - runner->line.len;
        (void)buf_add(&runner->line, data, part);
        data += part;
        len -= part;
        bool ended = len > 0 && *data == '\n';
        if (ended) {
            data++;
            len--;
        }
        if (ended || runner->line.len == LINE_CAP)
            flush_line(runner);
    }
}

/* False when there is nothing to read now. */
static bool read_output(struct runner *runner)
{
    char block[8192];
    ssize_t n = read(runner->output, block, sizeof block);
    if (n > 0) {
        take_output(runner, block, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(runner->output);
        runner->output = -1;
        if (runner->line.len > 0)
            flush_line(runner);
    }
    return false;
}

/* ---- the script ---- */

static int write_script(const struct init *init, char **path, struct err *err)
{
    const char *root = init->namespaces ? "" : init->folder;
    autofree char *tmp = xasprintf("%s%s/tmp", root, init->namespaces ? "" : "/root");
    autofree char *dir = NULL;
    if (fs_make_temp_dir(tmp, "metadata-scripts", &dir, err) < 0)
        return -1;
    autofree char *file = path_join(dir, "startup-script");
    if (fs_write(file, init->script, strlen(init->script), 0755, err) < 0)
        return -1;
    *path = steal(file);
    return 0;
}

static void script_exec(const struct init *init, const char *path, int output)
{
    autostrv struct strv environ_list = STRV_INIT;
    const cJSON *item;
    sigset_t none;
    cJSON_ArrayForEach(item, json_at(init->config, "environ"))
        strv_add(&environ_list, item->valuestring);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        (init->namespaces && chdir("/") < 0))
        _exit(126);
    close_range(3, ~0u, 0);
    char *const argv[] = {(char *)"/bin/bash", (char *)"-c", (char *)path, NULL};
    execve(argv[0], argv, environ_list.items);
    _exit(127);
}

static int script_start(struct runner *runner, struct err *err)
{
    autofree char *path = NULL;
    int output[2];
    if (write_script(runner->init, &path, err) < 0)
        return -1;
    if (pipe2(output, O_CLOEXEC) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "no pipe");
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    runner->script = fork();
    if (runner->script == 0)
        script_exec(runner->init, path, output[1]);
    close(output[1]);
    runner->output = output[0];
    if (runner->script < 0) {
        runner->script = 0;
        return err_set_errno(err, ERR_FAILED, errno, "no process");
    }
    return 0;
}

static void start_agent(struct runner *runner)
{
    autoerr struct err err = ERR_INIT;
    say(runner, "Starting startup scripts (version dev).");
    if (runner->init->script == NULL) {
        say(runner, "No startup scripts to run.");
        return;
    }
    say(runner, "Found startup-script in metadata.");
    if (script_start(runner, &err) < 0)
        say(runner, "startup-script %s", err_text(&err));
}

static void script_ended(struct runner *runner, int status)
{
    while (runner->output >= 0 && read_output(runner))
        ;
    if (runner->output >= 0 && runner->line.len > 0)
        flush_line(runner);
    runner->script = 0;
    if (WIFSIGNALED(status))
        say(runner, "startup-script signal: %s", strsignal(WTERMSIG(status)));
    else
        say(runner, "startup-script exit status %d", WEXITSTATUS(status));
    say(runner, "Finished running startup scripts.");
}

/* True while there may be more children. */
static bool reap(struct runner *runner)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0 && pid == runner->script)
        script_ended(runner, status);
    return pid > 0 || (pid < 0 && errno == EINTR);
}

/* ---- the end ---- */

/* Kills and reaps the children that /proc shows; true when there was one. */
static bool kill_children(void)
{
    DIR *proc = opendir("/proc");
    bool found = false;
    pid_t self = getpid();
    for (const struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        autofree char *path = xasprintf("/proc/%s/stat", entry->d_name);
        autobuf struct buf text = BUF_INIT(BUF_SMALL);
        autoerr struct err ignored = ERR_INIT;
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || fs_read(path, &text, &ignored) < 0)
            continue;
        const char *name_end = strrchr(text.data, ')');
        int parent = 0;
        if (name_end != NULL && sscanf(name_end + 1, " %*c %d", &parent) == 1 && parent == self) {
            kill((pid_t)pid, SIGKILL);
            waitpid((pid_t)pid, NULL, 0);
            found = true;
        }
    }
    if (proc != NULL)
        closedir(proc);
    return found;
}

/* In a process namespace the kernel ends the rest. Elsewhere what a killed process leaves behind
 * becomes our child, and is killed next. */
static int end_everything(const struct runner *runner)
{
    while (!runner->init->namespaces && kill_children())
        ;
    return 0;
}

static int child_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(struct runner *runner)
{
    struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = child_signals(), .events = POLLIN}};
    start_agent(runner);
    for (;;) {
        fds[2] = (struct pollfd){.fd = runner->output, .events = POLLIN};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return end_everything(runner);
        if (fds[0].revents != 0)
            return end_everything(runner);
        if (fds[2].revents != 0)
            (void)read_output(runner);
        if (fds[1].revents != 0) {
            struct signalfd_siginfo info;
            (void)!read(fds[1].fd, &info, sizeof info);
            while (reap(runner))
                ;
        }
    }
}

/* ---- the beginning ---- */

static int read_config(cJSON **out, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    for (;;) {
        char block[4096];
        ssize_t n = read(STDIN_FILENO, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, ERR_USAGE, "this program is started by necoops-emulator");
        const char *end = memchr(block, '\0', (size_t)n);
        if (buf_add(&text, block, end != NULL ? (size_t)(end - block) : (size_t)n) < 0)
            return err_set(err, ERR_FAILED, "the configuration is too long");
        if (end != NULL)
            return json_parse(text.data, text.len, "configuration", out, err);
    }
}

static int enter(struct init *init, struct err *err)
{
    init->folder = json_str_or(init->config, "folder", "");
    init->name = json_str_or(init->config, "name", "");
    init->program = json_str_or(init->config, "program", "");
    init->script = json_str(init->config, "script");
    init->namespaces = json_bool(init->config, "namespaces", false);
    int64_t ssds = 0;
    json_i64(init->config, "ssds", &ssds);
    init->ssds = (int)ssds;
    if (init->folder[0] != '/' || init->program[0] != '/')
        return err_set(err, ERR_USAGE, "the machine's folder and program are no absolute paths");
    if (init->namespaces)
        return init_enter_namespaces(init, err);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return init_confine(init, err);
}

int init_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *config = NULL;
    if (read_config(&config, &err) < 0) {
        fprintf(stderr, "machine-init: %s\n", err_text(&err));
        return 2;
    }
    struct init init = {.config = config};
    if (enter(&init, &err) < 0) {
        autofree char *line = xasprintf("no %s\n", err_text(&err));
        write_all(STDOUT_FILENO, line, strlen(line));
        return 1;
    }
    write_all(STDOUT_FILENO, "ok\n", 3);
    struct runner runner = {.init = &init, .output = -1, .line = BUF_INIT(LINE_CAP)};
    int status = serve(&runner);
    buf_clear(&runner.line);
    return status;
}
