#include "necoops/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/strv.h"

#define GRACE_MS     2000
#define TICK_MS      1000
#define LOOK_MS      20 /* between two looks at a child that cannot be polled */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* ---- what is run ---- */

static const char *find_variable(const char *const *variables, const char *name)
{
    struct run run = {.environ = variables};

    return run_env(&run, name);
}

static bool is_program(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* The file behind argv[0]. Relative folders in PATH are passed over: they would mean something else
 * in the child's folder. */
static int find_program(const char *name, const char *const *variables, char **file,
                        struct err *err)
{
    const char *path = find_variable(variables, "PATH");
    autostrv struct strv folders = STRV_INIT;

    if (strchr(name, '/') != NULL) {
        *file = xstrdup(name);
        return 0;
    }
    strv_split(&folders, path != NULL ? path : DEFAULT_PATH, ':');
    for (size_t i = 0; i < folders.len; i++) {
        autofree char *candidate = xasprintf("%s/%s", folders.items[i], name);

        if (candidate[0] == '/' && is_program(candidate)) {
            *file = steal(candidate);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "command '%s' not found", name);
}

int proc_find(const struct run *run, const char *name, struct err *err)
{
    autofree char *file = NULL;

    if (find_program(name, run->environ, &file, err) < 0)
        return -1;
    if (!is_program(file))
        return err_set(err, ERR_NOT_FOUND, "'%s' is no program that can be run", name);
    return 0;
}

/* ---- descriptors: all of 3 or more, so that none is in the way of the child's 0, 1 and 2 ---- */

static int raise_fd(int *fd)
{
    autoclose int low = *fd;

    *fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
    return *fd < 0 ? -1 : 0;
}

static int make_pipe(int *read_end, int *write_end, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make a pipe");
    *read_end = fds[0];
    *write_end = fds[1];
    if (raise_fd(read_end) < 0 || raise_fd(write_end) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make a pipe");
    return 0;
}

/* The child's standard input: /dev/null, or the bytes in a file of memory, so that nobody has to
 * feed a pipe (and nobody gets a SIGPIPE). */
static int open_input(const struct proc_spec *spec, int *fd, struct err *err)
{
    size_t done = 0;

    if (spec->input == NULL)
        *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    else
        *fd = memfd_create("input", MFD_CLOEXEC);
    if (*fd < 0 || raise_fd(fd) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot open the input of '%s'",
                             spec->argv[0]);
    while (spec->input != NULL && done < spec->input_len) {
        ssize_t put = pwrite(*fd, spec->input + done, spec->input_len - done, (off_t)done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot store the input of '%s'",
                                 spec->argv[0]);
        done += (size_t)put;
    }
    return 0;
}

/* ---- fork and exec ---- */

struct launch {
    const struct proc_spec *spec;
    const char *file;
    const char *const *variables;
    int fds[3]; /* the child's 0, 1, 2 */
    int report; /* where the child says why it could not start */
    pid_t parent;
};

struct failure {
    int errnum;
    bool in_chdir;
};

/* Between fork and exec: nothing but async-signal-safe calls. */
static _Noreturn void become_child(const struct launch *launch)
{
    struct failure failure = {.errnum = 0};
    sigset_t none;
    ssize_t ignored;

    setpgid(0, 0);
    if (launch->spec->dies_with_us) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != launch->parent)
            _exit(127);
    }
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    for (int fd = 0; fd < 3; fd++) {
        if (dup2(launch->fds[fd], fd) < 0)
            failure.errnum = errno;
    }
    if (failure.errnum == 0 && launch->spec->dir != NULL && chdir(launch->spec->dir) < 0) {
        failure.errnum = errno;
        failure.in_chdir = true;
    }
    if (failure.errnum == 0) {
        close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC); /* whatever a library left open */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(launch->file, (char *const *)launch->spec->argv, (char *const *)launch->variables);
        failure.errnum = errno;
    }
    ignored = write(launch->report, &failure, sizeof(failure));
    (void)ignored;
    _exit(127);
}

static pid_t fork_child(const struct launch *launch)
{
    sigset_t all;
    sigset_t before;
    pid_t pid;

    /* No handler of ours may run in the child: it would wake the parent. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become_child(launch);
    if (pid > 0)
        setpgid(pid, pid); /* in both, so that the group is there whoever comes first */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void reap(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
}

/* Reads what the child reports; its end of the pipe closes when exec worked. */
static int wait_for_exec(const struct launch *launch, int report, pid_t pid, struct err *err)
{
    struct failure failure;
    ssize_t got;
    int status;

    do
        got = read(report, &failure, sizeof(failure));
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(failure))
        return 0;
    reap(pid, &status);
    if (failure.in_chdir)
        return err_set_errno(err, failure.errnum == ENOENT ? ERR_NOT_FOUND : ERR_FAILED,
                             failure.errnum, "cannot run '%s' in '%s'", launch->spec->argv[0],
                             launch->spec->dir);
    if (failure.errnum == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "command '%s' not found", launch->spec->argv[0]);
    return err_set_errno(err, ERR_FAILED, failure.errnum, "cannot run '%s'", launch->spec->argv[0]);
}

static int start(const struct proc_spec *spec, const char *const *variables, int out, int error,
                 pid_t *pid, struct err *err)
{
    autofree char *file = NULL;
    autoclose int input = -1;
    autoclose int report = -1;
    autoclose int report_child = -1;
    struct launch launch;
    pid_t child;

    if (find_program(spec->argv[0], variables, &file, err) < 0 ||
        open_input(spec, &input, err) < 0 || make_pipe(&report, &report_child, err) < 0)
        return -1;
    launch = (struct launch){spec, file, variables, {input, out, error}, report_child, getpid()};
    child = fork_child(&launch);
    if (child < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot start '%s'", spec->argv[0]);
    close_fdp(&report_child);
    if (wait_for_exec(&launch, report, child, err) < 0)
        return -1;
    *pid = child;
    return 0;
}

/* ---- the end ---- */

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};

    nanosleep(&time, NULL);
}

/* Waits for the child's end without reaping it, so that its group's number stays taken. */
static bool ends_within(pid_t pid, int64_t ms)
{
    struct run run = {.clock = &clock_system};
    int64_t end = run_mono_ms(&run) + ms;
    siginfo_t info = {.si_pid = 0};

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
        if (run_mono_ms(&run) >= end)
            return false;
        pause_ms(10);
    }
    return true;
}

int proc_ended(pid_t pid, int *status)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return 0;
    *status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return 1;
}

void proc_stop(pid_t pid, int64_t grace_ms)
{
    int status;

    if (pid <= 0)
        return;
    kill(-pid, SIGTERM);
    (void)ends_within(pid, grace_ms);
    kill(-pid, SIGKILL); /* also who outlived the leader */
    reap(pid, &status);
}

/* ---- running to the end ---- */

struct child {
    pid_t pid;
    int pidfd;  /* -1 where the kernel (or valgrind) has none */
    int fds[2]; /* where its output comes from: out, error; -1 when it ended */
    struct buf *bufs[2];
};

/* One read. What is beyond the cap is dropped; false when there is nothing (more). */
static bool drain(struct child *child, int which)
{
    char chunk[16384];
    struct buf *buf = child->bufs[which];
    size_t room = buf->cap - buf->len;
    ssize_t got = child->fds[which] >= 0 ? read(child->fds[which], chunk, sizeof(chunk)) : 0;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        close_fdp(&child->fds[which]);
        return false;
    }
    (void)buf_add(buf, chunk, (size_t)got < room ? (size_t)got : room);
    if ((size_t)got > room)
        buf->overflowed = true;
    return true;
}

/* What still lies in the pipes. Somebody who left the group may go on writing: no more than a pipe
 * can hold is read. */
static void drain_rest(struct child *child)
{
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < 64 && drain(child, which); i++)
            continue;
    }
}

static int watch(const struct run *run, struct child *child, const char *name, struct err *err)
{
    autofree char *what = xasprintf("'%s' to end", name);
    int64_t slice = child->pidfd >= 0 ? TICK_MS : LOOK_MS;

    while (!ends_within(child->pid, 0)) {
        struct pollfd fds[] = {{.fd = child->fds[0], .events = POLLIN},
                               {.fd = child->fds[1], .events = POLLIN},
                               {.fd = child->pidfd, .events = POLLIN},
                               {.fd = run->wake_fd, .events = POLLIN}};

        if (run_check(run, what, err) < 0)
            return -1;
        progress_tick(run->progress);
        if (poll(fds, ARRAY_LEN(fds), (int)run_remaining_ms(run, slice)) <= 0)
            continue;
        for (int which = 0; which < 2; which++) {
            if (fds[which].revents != 0)
                (void)drain(child, which);
        }
    }
    return 0;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Follows a started child to its end; it and its group are gone afterwards in any case. */
static int follow(const struct run *run, const char *name, struct child *child,
                  struct proc_result *result, struct err *err)
{
    int status = 0;

    child->pidfd = pidfd_open(child->pid, 0);
    if (watch(run, child, name, err) < 0) {
        proc_stop(child->pid, GRACE_MS);
        return -1;
    }
    kill(-child->pid, SIGKILL); /* what it left behind in its group */
    reap(child->pid, &status);
    drain_rest(child);
    result->status = exit_status(status);
    return 0;
}

static void close_child(struct child *child)
{
    close_fdp(&child->pidfd);
    close_fdp(&child->fds[0]);
    close_fdp(&child->fds[1]);
}

static const char *const *variables_of(const struct proc_spec *spec, const struct run *run)
{
    if (spec->environ != NULL)
        return spec->environ;
    if (run != NULL && run->environ != NULL)
        return run->environ;
    return (const char *const *)environ;
}

int proc_run(const struct run *run, const struct proc_spec *spec, struct proc_result *result,
             struct err *err)
{
    struct run within = spec->timeout_ms > 0 ? run_within(run, spec->timeout_ms) : *run;
    CLEANUP(close_child)
    struct child child = {.pidfd = -1, .fds = {-1, -1}, .bufs = {&result->out, &result->error}};
    autoclose int out = -1;
    autoclose int error = -1;

    buf_reset(&result->out);
    buf_reset(&result->error);
    if (run_check(&within, spec->argv[0], err) < 0 || make_pipe(&child.fds[0], &out, err) < 0 ||
        (!spec->merge_stderr && make_pipe(&child.fds[1], &error, err) < 0))
        return -1;
    for (int which = 0; which < 2; which++) {
        if (child.fds[which] >= 0)
            (void)fcntl(child.fds[which], F_SETFL, O_NONBLOCK);
    }
    if (start(spec, variables_of(spec, run), out, spec->merge_stderr ? out : error, &child.pid,
              err) < 0)
        return -1;
    close_fdp(&out); /* the child's alone now: its end is the end of the pipe */
    close_fdp(&error);
    return follow(&within, spec->argv[0], &child, result, err);
}

/* The last line that is not blank, made fit for a message; NULL when there is none. */
static char *last_line(const struct buf *text)
{
    size_t end = text->len;
    size_t begin;

    while (end > 0 && strchr(" \t\r\n", text->data[end - 1]) != NULL)
        end--;
    begin = end;
    while (begin > 0 && text->data[begin - 1] != '\n')
        begin--;
    if (begin == end)
        return NULL;
    return text_visible(text->data + begin, end - begin < 500 ? end - begin : 500, false);
}

int proc_check(const struct run *run, const struct proc_spec *spec, struct proc_result *result,
               struct err *err)
{
    autofree char *line = NULL;

    if (proc_run(run, spec, result, err) < 0)
        return -1;
    if (result->status == 0)
        return 0;
    line = last_line(&result->error);
    if (line == NULL)
        line = last_line(&result->out);
    return err_set(err, ERR_FAILED, "'%s' ended with status %d%s%s", spec->argv[0], result->status,
                   line != NULL ? ": " : "", line != NULL ? line : "");
}

int proc_open(const struct run *run, const struct proc_spec *spec, struct proc_child *child,
              struct err *err)
{
    autoclose int out = -1, error = -1, out_child = -1, error_child = -1;
    pid_t pid;

    if (make_pipe(&out, &out_child, err) < 0 || make_pipe(&error, &error_child, err) < 0)
        return -1;
    (void)fcntl(out, F_SETFL, O_NONBLOCK);
    (void)fcntl(error, F_SETFL, O_NONBLOCK);
    if (start(spec, variables_of(spec, run), out_child, error_child, &pid, err) < 0)
        return -1;
    child->pid = pid;
    child->pidfd = pidfd_open(pid, 0);
    if (child->pidfd < 0) {
        err_set_errno(err, ERR_FAILED, errno, "cannot follow '%s'", spec->argv[0]);
        proc_stop(pid, 0);
        return -1;
    }
    child->out = out;
    child->error = error;
    out = error = -1;
    return 0;
}

int proc_close(struct proc_child *child)
{
    int status = 0;

    kill(-child->pid, SIGKILL);
    reap(child->pid, &status);
    child->pid = 0;
    return exit_status(status);
}

int proc_start(const struct proc_spec *spec, pid_t *pid, struct err *err)
{
    autoclose int out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

    if (out < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot start '%s'", spec->argv[0]);
    return start(spec, variables_of(spec, NULL), out, out, pid, err);
}
