/* Having the agent on an instance do the work (wire.h), from anywhere that reaches Google's APIs.
 *
 * What the tool says there is said here: its log, its progress, its events, its files. What only it
 * prints, its standard output, comes back as a text.
 */
#ifndef NECOOPS_REMOTE_REMOTE_H
#define NECOOPS_REMOTE_REMOTE_H

#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

struct remote_file {
    const char *name; /* as the tool's option: "junit" */
    const char *path; /* NULL: not wanted */
};

/* Everything is borrowed. */
struct remote_work {
    const char *tool;
    const char *instance; /* its name */
    const cJSON *options; /* as wire.h has them */
    const char *const
        *keys; /* configuration keys that go along where they are set: globs; or NULL */
    const struct remote_file *files;
    size_t files_len;
    const char *events; /* file for the lines of events, or NULL */
    bool color;         /* of its standard output */
    int64_t turn_ms;    /* how long its turn is waited for; 0: no longer than the run */
};

struct remote_outcome {
    bool ran;     /* the tool has run there, whatever came of it: files and events are written */
    char *output; /* its standard output, fit for a terminal; NULL: none */
    cJSON *last;  /* its last event, with its result; NULL: none */
};
void remote_outcome_clear(struct remote_outcome *outcome);
#define autoremote CLEANUP(remote_outcome_clear)

/* 0 when the tool ended with 0. Else the tool's own status and words (`ran`), or
 *   ERR_NO_CLUSTER  no instance, or it is not ready, stopped or deleted meanwhile
 *   ERR_BUSY        another request ran for all of turn_ms
 *   ERR_FAILED      no agent there, or it fell silent: with the phase and the console's last lines
 *   the agent's own refusal, and what can happen to any call of the API.
 * A signal cancels the work and waits for its end. */
int remote_run(const struct run *run, const struct conf *conf, const struct remote_work *work,
               struct remote_outcome *outcome, struct err *err) MUST_CHECK;

/* The first request for the agent on the instance whose caller is alive (wire.h); NULL when there
 * is none. The caller deletes it. */
int remote_look(const struct run *run, const struct conf *conf, const char *name, cJSON **request,
                struct err *err) MUST_CHECK;

#endif
