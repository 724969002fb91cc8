/* Starting and ending a machine's first process.
 *
 * It is made with clone and becomes this program under the name machine-init at once: between the
 * two only what may be done in the child of a process with threads. It inherits nothing but its
 * standard input (whose other end we hold: when we end, however that is, so does the machine) and
 * its standard output. */
#include "emulator/machine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/fs.h"

#define START_MS 20000
#define STOP_MS  2000

struct spawn {
    const char *program;
    unsigned long flags;
    int input, output;
    char uid_map[48], gid_map[48];
    char *const *environ;
};

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

/* Capabilities survive exec only for a user that the namespace knows: this comes first. */
static void become_root_inside(const struct spawn *spawn)
{
    if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", spawn->uid_map) ||
        !put("/proc/self/gid_map", spawn->gid_map))
        _exit(125);
}

static void spawn_child(const struct spawn *spawn)
{
    static char *const argv[] = {(char *)"machine-init", NULL};
    sigset_t none;
    if (spawn->flags & CLONE_NEWUSER)
        become_root_inside(spawn);
    setsid();
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(spawn->input, STDIN_FILENO) < 0 || dup2(spawn->output, STDOUT_FILENO) < 0)
        _exit(125);
    close_range(3, ~0u, 0);
    execve(spawn->program, argv, spawn->environ);
    _exit(125);
}

static pid_t spawn(const struct spawn *spawn)
{
    long pid = syscall(SYS_clone, spawn->flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        spawn_child(spawn);
    return (pid_t)pid;
}

/* ---- configuration ---- */

static cJSON *script_environ(const struct machine *machine, bool namespaces)
{
    struct emu *emu = machine->machines->emu;
    cJSON *list = json_array();
    autofree char *root = namespaces ? xstrdup("") : xasprintf("%s/root", machine->folder);
    autofree char *path = xasprintf("PATH=%s/emulator/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                                    "/usr/bin:/sbin:/bin:%s/opt/necoops/bin",
                                    root, root);
    autofree char *home = xasprintf("HOME=%s/root", root);
    autofree char *metadata =
        xasprintf("GCE_METADATA_HOST=127.0.0.1:%u", (unsigned int)machine->metadata_port);
    autofree char *emulator = xasprintf("NECOOPS_EMULATOR=%s", emu_url(emu));
    autofree char *storage = xasprintf("STORAGE_EMULATOR_HOST=%s", emu_url(emu));
    json_push_str(list, path);
    json_push_str(list, home);
    json_push_str(list, "USER=root");
    json_push_str(list, "LANG=C.UTF-8");
    json_push_str(list, metadata);
    json_push_str(list, emulator);
    json_push_str(list, storage);
    if (!namespaces) {
        autofree char *variable = xasprintf("NECOOPS_ROOT=%s", root);
        json_push_str(list, variable);
    }
    return list;
}

/* Repositories that the emulator has: [{"url", "dir"}]. */
static void add_mirrors(const struct machine *machine, cJSON *config)
{
    const struct strv *mirrors = emu_config(machine->machines->emu)->git_mirrors;
    cJSON *list = json_set_array(config, "mirrors");
    for (size_t i = 0; mirrors != NULL && i < mirrors->len; i++) {
        const char *equals = strrchr(mirrors->items[i], '=');
        char *dir = equals != NULL ? realpath(equals + 1, NULL) : NULL;
        if (dir == NULL)
            continue;
        autofree char *url = xstrndup(mirrors->items[i], (size_t)(equals - mirrors->items[i]));
        cJSON *mirror = json_object();
        json_set_str(mirror, "url", url);
        json_set_str(mirror, "dir", dir);
        json_push(list, mirror);
        free(dir);
    }
}

static char *configuration(const struct machine *machine, const struct console *console,
                           const char *program, bool namespaces)
{
    autojson cJSON *config = json_object();
    json_set_str(config, "folder", machine->folder);
    json_set_str(config, "name", machine->name);
    json_set_str(config, "program", program);
    json_set_str(config, "script", machine->script);
    json_set_i64(config, "ssds", machine->local_ssds);
    json_set_bool(config, "namespaces", namespaces);
    cJSON *ttys = json_set_array(config, "ttys");
    for (int i = 0; i < SERIAL_PORTS; i++)
        json_push_str(ttys, console->names[i]);
    add_mirrors(machine, config);
    json_set(config, "environ", script_environ(machine, namespaces));
    return json_print(config);
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* "ok", or "no" and why. */
static int read_verdict(int fd, struct err *err)
{
    autobuf struct buf line = BUF_INIT(BUF_SMALL);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    for (;;) {
        char c;
        if (poll(&ready, 1, START_MS) == 0)
            return err_set(err, ERR_TIMEOUT, "it does not answer");
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, ERR_FAILED, "its first process ended at once");
        if (c == '\n')
            break;
        (void)buf_add(&line, &c, 1);
    }
    if (strcmp(line.data, "ok") == 0)
        return 0;
    return err_set(err, ERR_FAILED, "%s", line.len > 3 ? line.data + 3 : line.data);
}

/* ---- one try ---- */

static char *program_path(struct emu *emu, struct err *err)
{
    const char *program = emu_config(emu)->program;
    char *path = program != NULL ? realpath(program, NULL) : NULL;
    if (path == NULL)
        err_set(err, ERR_FAILED, "the emulator's own program '%s' is not there",
                program != NULL ? program : "");
    return path;
}

static void end(struct process *process)
{
    close(process->lifeline);
    kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    process->pid = 0;
}

static int try_spawn(struct machine *machine, const struct console *console, unsigned long flags,
                     int *text, struct err *err)
{
    bool namespaces = flags != 0;
    autofree char *program = program_path(machine->machines->emu, err);
    if (program == NULL)
        return -1;
    autofree char *config = configuration(machine, console, program, namespaces);
    static char *const bare[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "no pipe");
    struct spawn child = {.program = program,
                          .flags = flags,
                          .input = input[0],
                          .output = output[1],
                          .environ = bare};
    snprintf(child.uid_map, sizeof child.uid_map, "0 %u 1\n", (unsigned int)geteuid());
    snprintf(child.gid_map, sizeof child.gid_map, "0 %u 1\n", (unsigned int)getegid());
    struct process process = {.pid = spawn(&child), .lifeline = input[1], .namespaces = namespaces};
    int error = errno;
    close(input[0]);
    close(output[1]);
    if (process.pid < 0) {
        close(input[1]);
        close(output[0]);
        return err_set_errno(err, error == EPERM ? ERR_DENIED : ERR_FAILED, error, "no process");
    }
    if (write_all(process.lifeline, config, strlen(config) + 1) < 0 ||
        read_verdict(output[0], err) < 0) {
        if (err->code == ERR_NONE)
            err_set_errno(err, ERR_FAILED, errno, "its first process ended at once");
        end(&process);
        close(output[0]);
        return -1;
    }
    machine->process = process;
    *text = output[0];
    return 0;
}

/* The strongest confinement that the kernel gives us. */
static int spawn_confined(struct machine *machine, const struct console *console, int *text,
                          struct err *err)
{
    const unsigned long spaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    struct machines *machines = machine->machines;
    autoerr struct err why = ERR_INIT;
    if (atomic_load(&machines->confinement) != CONFINE_LANDLOCK) {
        /* Where we may, without a user namespace at first: then root inside becomes somebody who
         * owns nothing here. */
        int result = try_spawn(machine, console, spaces, text, &why);
        if (result < 0 && why.code == ERR_DENIED)
            result = try_spawn(machine, console, spaces | CLONE_NEWUSER, text, &why);
        if (result == 0) {
            atomic_store(&machines->confinement, CONFINE_NAMESPACES);
            return 0;
        }
        if (emu_config(machines->emu)->log != NULL)
            log_warning(emu_config(machines->emu)->log,
                        "machine '%s' has no namespaces of its own (%s): it runs in a folder",
                        machine->name, err_text(&why));
    }
    if (atomic_load(&machines->confinement) == CONFINE_NAMESPACES) {
        err_move(err, &why);
        return -1;
    }
    if (try_spawn(machine, console, 0, text, err) < 0)
        return -1;
    atomic_store(&machines->confinement, CONFINE_LANDLOCK);
    return 0;
}

int process_start(struct machine *machine, struct err *err)
{
    struct console *console;
    if (fs_mkdirs(machine->folder, 0755, err) < 0 || console_open(machine, &console, err) < 0)
        return err_prefix(err, "machine '%s'", machine->name);
    if (spawn_confined(machine, console, &console->text, err) < 0) {
        console_free(console);
        return err_prefix(err, "machine '%s'", machine->name);
    }
    if (console_run(console, err) < 0) {
        process_stop(machine);
        return err_prefix(err, "machine '%s'", machine->name);
    }
    return 0;
}

/* Waits for its end, at most `ms`; it stays to be reaped. */
static void await_end(pid_t pid, int ms)
{
    for (int waited = 0; waited < ms; waited += 2) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* In a process namespace all end with the first one. Elsewhere it ends them itself once it is let
 * go; if it does not, at least it ends. */
void process_stop(struct machine *machine)
{
    struct process *process = &machine->process;
    if (process->pid == 0)
        return;
    if (!process->namespaces) {
        close(process->lifeline);
        process->lifeline = -1;
        await_end(process->pid, STOP_MS);
    }
    end(process);
}
