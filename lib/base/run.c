#include "necoops/base/run.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 1000 /* longest wait between two ticks of the progress */

/* ---- the clock ---- */

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(void *arg)
{
    (void)arg;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono_ms(void *arg)
{
    (void)arg;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock clock_system = {.wall_ms = system_wall_ms, .mono_ms = system_mono_ms};

int64_t run_wall_ms(const struct run *run)
{
    return run->clock->wall_ms(run->clock->arg);
}

int64_t run_mono_ms(const struct run *run)
{
    return run->clock->mono_ms(run->clock->arg);
}

/* ---- signals: a handler has no argument, hence the only variables of this library ---- */

static atomic_int caught;   /* the first one that asked to end */
static atomic_int seen_int; /* came once already */
static atomic_int seen_term;
static int caught_fd = -1;

static void on_signal(int number)
{
    atomic_int *seen = number == SIGINT ? &seen_int : &seen_term;
    int saved = errno;
    uint64_t one = 1;
    ssize_t ignored;

    if (*seen) {
        signal(number, SIG_DFL);
        raise(number); /* delivered when this handler returns */
        return;
    }
    *seen = 1;
    if (caught == 0)
        caught = number;
    ignored = write(caught_fd, &one, sizeof(one));
    (void)ignored;
    errno = saved;
}

int run_catch_signals(struct run *run, struct err *err)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (caught_fd < 0)
        caught_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (caught_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make an event descriptor");
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0 ||
        sigaction(SIGPIPE, &ignore, NULL) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot install signal handlers");
    run->signal = &caught;
    run->wake_fd = caught_fd;
    return 0;
}

/* ---- environment ---- */

const char *run_env(const struct run *run, const char *name)
{
    size_t len = strlen(name);

    if (run->environ == NULL)
        return NULL;
    for (const char *const *at = run->environ; *at != NULL; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return (*at)[len + 1] != '\0' ? *at + len + 1 : NULL;
    }
    return NULL;
}

/* ---- the end of a run ---- */

int run_check(const struct run *run, const char *what, struct err *err)
{
    int number = run->signal != NULL ? *run->signal : 0;

    if (number == SIGINT)
        return err_set(err, ERR_INTERRUPTED, "interrupted");
    if (number != 0)
        return err_set(err, ERR_TERMINATED, "terminated");
    if (run->deadline != RUN_NO_DEADLINE && run_mono_ms(run) >= run->deadline)
        return err_set(err, ERR_TIMEOUT, "timed out%s%s", what != NULL ? " waiting for " : "",
                       what != NULL ? what : "");
    return 0;
}

int64_t run_remaining_ms(const struct run *run, int64_t at_most)
{
    int64_t left = at_most;

    if (run->deadline != RUN_NO_DEADLINE) {
        int64_t until = run->deadline - run_mono_ms(run);

        if (until < left)
            left = until;
    }
    return left > 0 ? left : 0;
}

static int64_t after(int64_t now, int64_t ms)
{
    int64_t then;

    return __builtin_add_overflow(now, ms, &then) ? RUN_NO_DEADLINE : then;
}

/* Waits until the signal comes or `ms` are over; true when the signal came. */
static bool wait_for_signal(const struct run *run, bool listen, int64_t ms)
{
    struct pollfd wake = {.fd = listen ? run->wake_fd : -1, .events = POLLIN};
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    return ppoll(&wake, 1, &time, NULL) > 0;
}

int run_sleep(const struct run *run, int64_t ms, const char *what, struct err *err)
{
    int64_t end = after(run_mono_ms(run), ms);
    bool listen = true;

    for (;;) {
        int64_t left;

        if (run_check(run, what, err) < 0)
            return -1;
        progress_tick(run->progress);
        left = end - run_mono_ms(run);
        if (left <= 0)
            return 0;
        /* Readable and yet nothing to end for: do not spin on it. */
        if (wait_for_signal(run, listen, run_remaining_ms(run, left < SLICE_MS ? left : SLICE_MS)))
            listen = false;
    }
}

struct run run_for_cleanup(const struct run *run, int64_t ms)
{
    struct run copy = *run;

    copy.signal = NULL;
    copy.wake_fd = -1;
    copy.deadline = after(run_mono_ms(run), ms);
    return copy;
}

struct run run_within(const struct run *run, int64_t ms)
{
    struct run copy = *run;
    int64_t end = after(run_mono_ms(run), ms);

    if (end < copy.deadline)
        copy.deadline = end;
    return copy;
}
