/* What the files of the agent share. */
#ifndef AGENT_INTERNAL_H
#define AGENT_INTERNAL_H

#include "necoops/agent/agent.h"
#include "necoops/base/proc.h"
#include "necoops/gcs/gcs.h"
#include "necoops/http/http.h"
#include "necoops/wire/wire.h"

#define AGENT_NEVER INT64_MAX

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_ENDED };

/* A request and what became of it; it lives as long as its member in the metadata, or runs. */
struct job {
    struct job *next;
    cJSON *json;
    struct wire_request request; /* of `json` */
    enum job_state state;
    bool listed;           /* its member is in the metadata */
    int64_t seen_at;       /* mono */
    int64_t beat, beat_at; /* the caller's last sign of life */
    int64_t alive_at;      /* when ours is due */
    size_t place;          /* told last; 0: none */
    struct job *behind;    /* told last as holder; compared only */
    /* while it runs */
    struct proc_child child;
    bool wants_cancel;
    const char *ended_by; /* why we ended it, or NULL: it was not we */
    int64_t kill_at;
    int events_fd; /* a named pipe */
    int output_fd;
    uint64_t output_size;
    FILE *events_file;
    struct buf errors, events; /* what is not a whole line yet */
    int64_t events_count;
    char *last_error;
    /* after its end */
    cJSON *end; /* the frame */
    int64_t again;
    int repeats;
    int64_t repeat_at;
};

struct agent {
    struct run run; /* our own: its deadline and signal change when we are to end */
    const struct conf *conf;
    const struct agent_options *options;
    struct http *http;
    char *instance_id;
    char boot_id[64];
    int lock_fd, port_fd, epoll_fd;
    struct wire_writer writer;
    struct job *jobs; /* in the order of the metadata */
    struct http_transfer *watch;
    char *etag;
    bool watch_failed; /* said already */
    int64_t watch_at;  /* mono; not before */
    bool stopping;
};

/* agent.c */
int64_t agent_now(const struct agent *agent);

/* port.c */
int port_open(struct agent *agent, struct err *err) MUST_CHECK;
/* A frame of this type; takes `object` (NULL: nothing but type and id). `job` may be NULL. What
 * cannot be written is lost, which the numbers of the frames show. */
void port_say(struct agent *agent, const char *type, const struct job *job, cJSON *object);

/* watch.c: the metadata, and what is asked for there */
void watch_start(struct agent *agent);
void watch_stop(struct agent *agent);

/* job.c */
void job_free(struct agent *agent, struct job *job);
/* Starts what comes next, ends what has to, says what is due; the time of the next thing to do. */
int64_t jobs_step(struct agent *agent);
struct job *jobs_running(struct agent *agent);
/* Without a child: why it does not run (any more). */
void job_refuse(struct agent *agent, struct job *job, int status, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Ends a child with this signal; `why` (static) becomes the error instead of the child's. */
void job_cancel(struct agent *agent, struct job *job, int number, const char *why);

/* child.c */
int child_start(struct agent *agent, struct job *job, struct err *err) MUST_CHECK;
/* Reads what it says; true when it has ended. */
bool child_read(struct agent *agent, struct job *job);
/* Its exit status; what was left of it is gone. */
int child_end(struct agent *agent, struct job *job);

/* result.c */
char *result_folder(const struct agent *agent, const char *id);
/* Sends the results and makes the frame of the end; `error` may be NULL. */
void result_send(struct agent *agent, struct job *job, int status, const char *error);
/* Sends them once more, this time all over the serial port. */
void result_send_again(struct agent *agent, struct job *job);
void result_forget(struct agent *agent, const char *id);

/* record.c: what outlives us */
struct record {
    enum job_state state;
    cJSON *end; /* the frame; or NULL */
};
/* False when there is none. The caller deletes `end`. */
bool record_read(const struct agent *agent, const char *id, struct record *out);
int record_write(const struct agent *agent, const struct job *job, struct err *err) MUST_CHECK;
/* What an agent before us left running is ended; its request is recorded as ended. Old records go.
 */
int record_recover(const struct agent *agent, struct err *err) MUST_CHECK;

#endif
