/* What a run takes from outside, so that tests can give their own: log, progress, clock,
 * environment, the signal that ends it, and its overall deadline.
 *
 * Every function that waits takes a `struct run *` and returns ERR_INTERRUPTED, ERR_TERMINATED or
 * ERR_TIMEOUT when the run is to end; clean-up then happens in ordinary code. Clean-up that must
 * still talk to a server does so in a run of its own made by run_for_cleanup.
 */
#ifndef NECOOPS_BASE_RUN_H
#define NECOOPS_BASE_RUN_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/log.h"
#include "necoops/base/progress.h"

struct clock {
    int64_t (*wall_ms)(void *arg); /* milliseconds since 1970, UTC */
    int64_t (*mono_ms)(void *arg); /* monotonic milliseconds */
    void *arg;
};

extern const struct clock clock_system;

#define RUN_NO_DEADLINE INT64_MAX

struct run {
    struct log *log;
    struct progress *progress;
    const struct clock *clock;
    /* Number of the signal that asked to end, or 0; or NULL. Set by a handler or another thread:
     * a lock-free atomic may be used by both (C17 7.14.1.1). */
    const atomic_int *signal;
    int wake_fd;                /* readable once such a signal came; -1: none */
    int64_t deadline;           /* mono_ms, or RUN_NO_DEADLINE */
    const char *const *environ; /* NAME=VALUE, NULL-terminated */
};

/* Installs handlers for SIGINT and SIGTERM that set the flag and wake every wait; a second signal
 * of the same kind ends the process at once. SIGPIPE is ignored. Call once, from the tool. */
int run_catch_signals(struct run *run, struct err *err) MUST_CHECK;

int64_t run_wall_ms(const struct run *run);
int64_t run_mono_ms(const struct run *run);
/* The variable's value, borrowed; NULL when unset or empty. */
const char *run_env(const struct run *run, const char *name);

/* 0, or -1 with why the run is to end (signal, deadline). `what` names what is still missing and
 * goes into the time-out's text: "timed out waiting for …". */
int run_check(const struct run *run, const char *what, struct err *err) MUST_CHECK;
/* Milliseconds until the deadline, at most `at_most`, never negative. */
int64_t run_remaining_ms(const struct run *run, int64_t at_most);
/* Sleeps, ticking the progress; ends early as run_check says. */
int run_sleep(const struct run *run, int64_t ms, const char *what, struct err *err) MUST_CHECK;

/* A copy whose signal is not looked at and whose deadline is `ms` from now. */
struct run run_for_cleanup(const struct run *run, int64_t ms);
/* A copy whose deadline is the sooner of the run's own and `ms` from now. */
struct run run_within(const struct run *run, int64_t ms);

#endif
