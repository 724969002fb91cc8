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

/* A child that stays, as leader of its own process group; output goes to our standard error. */
int proc_start(const struct proc_spec *spec, pid_t *pid, struct err *err) MUST_CHECK;
/* True once it has ended by itself; *status is its exit status, or 128 + signal. proc_stop is wanted
 * all the same. */
bool proc_ended(pid_t pid, int *status);
/* SIGTERM to the group, SIGKILL after `grace_ms`, reaped. Nothing when pid is 0 or less. */
void proc_stop(pid_t pid, int64_t grace_ms);

#endif
