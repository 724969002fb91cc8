/* Child processes: an argv (no shell), a process group of their own, a deadline, output with a cap,
 * ended (SIGTERM, then SIGKILL) on every way out. */
#ifndef NECOOPS_BASE_PROC_H
#define NECOOPS_BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"
#include "necoops/base/run.h"

struct proc_spec {
    const char *const *argv;    /* argv[0] is looked up in the absolute folders of its PATH */
    const char *const *environ; /* NULL: the run's */
    const char *dir;            /* NULL: this one */
    const char *input;          /* standard input; NULL: /dev/null */
    size_t input_len;
    int64_t timeout_ms; /* 0: only the run's deadline */
    bool merge_stderr;  /* standard error goes into `out` too */
    bool dies_with_us;  /* SIGTERM when the thread that started it ends, however that is */
};

struct proc_result {
    int status;       /* exit status, or 128 + signal */
    struct buf out;   /* init by the caller with its caps; beyond the cap output is dropped and */
    struct buf error; /* `overflowed` set, the child is not blocked */
};

/* Runs to the end; what the child leaves behind in its group is killed. The buffers are emptied
 * first, so a result may be used again. 0 when it could be started and ended by itself, whatever
 * its status. -1: not found (ERR_NOT_FOUND), time-out, interrupted; the child and its group are
 * gone then. */
int proc_run(const struct run *run, const struct proc_spec *spec, struct proc_result *result,
             struct err *err) MUST_CHECK;
/* As proc_run, and a status other than 0 is ERR_FAILED with the last line the child printed. */
int proc_check(const struct run *run, const struct proc_spec *spec, struct proc_result *result,
               struct err *err) MUST_CHECK;

/* Is there a program that proc_run would run by this name? ERR_NOT_FOUND. */
int proc_find(const struct run *run, const char *name, struct err *err) MUST_CHECK;
/* A child that the caller follows by itself, as leader of its own process group. */
struct proc_child {
    pid_t pid;
    int pidfd;      /* readable once it has ended */
    int out, error; /* where its output comes from, never blocking; the caller closes all three */
};
#define PROC_CHILD_INIT                                                                            \
    {                                                                                              \
        .pidfd = -1, .out = -1, .error = -1                                                        \
    }
/* The spec's timeout_ms and merge_stderr are not looked at. */
int proc_open(const struct run *run, const struct proc_spec *spec, struct proc_child *child,
              struct err *err) MUST_CHECK;
/* After its end: what is left of its group is killed, it is reaped; status as in proc_result. The
 * descriptors stay. */
int proc_close(struct proc_child *child);

/* A child that stays, as leader of its own process group; output goes to our standard error. */
int proc_start(const struct proc_spec *spec, pid_t *pid, struct err *err) MUST_CHECK;
/* 0 while the child runs, else 1 and its exit status (or 128 + signal). It stays to be stopped. */
int proc_ended(pid_t pid, int *status);
/* SIGTERM to the group, SIGKILL after `grace_ms`, reaped. Nothing when pid is 0 or less. */
void proc_stop(pid_t pid, int64_t grace_ms);

#endif
