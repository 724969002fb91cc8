/* One small cloud: what the tool necoops-emulator starts, and what its parts know of each other. */
#ifndef EMULATOR_CORE_EMULATOR_H
#define EMULATOR_CORE_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"
#include "emulator/core/server.h"

/* How long things take, in milliseconds; option --timing NAME=DURATION sets one. */
struct emu_timing {
    int64_t operation_pending;       /* PENDING before RUNNING; default 50 */
    int64_t operation_running;       /* RUNNING before DONE; default 150 */
    int64_t boot;                    /* instance RUNNING to startup script; default 100 */
    int64_t cluster_boot;            /* snapshot loaded to /readyz; default 300 */
    int64_t reconcile;               /* Argo CD's and controllers' reaction; default 50 */
    int64_t poll;                    /* Argo CD looks at branches; 0: 40 times reconcile */
    int64_t rollout;                 /* a workload's change to its healthy status; default 300 */
    int64_t operation_wait;          /* longest that operations.wait blocks; default 120000 */
    int64_t guest_attributes_window; /* in which ten guest attribute requests are served; 60000 */
};

struct emu_config {
    uint16_t port;         /* 0: any */
    const char *port_file; /* written with rename once all listens; NULL: none */
    const char *data_dir;  /* NULL: a temporary one, removed at the end */
    const char *seed;      /* JSON or YAML file, see necoops-emulator(1); NULL: none */
    const char *request_log;
    const char
        *credentials; /* where to write the service account key; NULL: DATA/credentials.json */
    const struct strv *faults;
    const struct strv *git_mirrors; /* URL=DIR */
    bool run_startup_scripts;
    const char *program; /* path of this executable, for pmctl and ckecli inside instances */
    struct emu_timing timing;
    struct log *log;
};

/* The defaults above. */
struct emu_timing emu_timing_default(void);
/* Sets one from "NAME=DURATION", NAME as above with dashes; ERR_USAGE. */
int emu_timing_set(struct emu_timing *timing, const char *text, struct err *err) MUST_CHECK;

struct emu;
int emu_start(const struct emu_config *config, struct emu **out, struct err *err);
void emu_stop(struct emu *emu);

/* For the parts. */
struct server *emu_server(struct emu *emu);
const struct emu_config *emu_config(const struct emu *emu);
const char *emu_data_dir(const struct emu *emu);
const char *emu_url(const struct emu *emu); /* "http://127.0.0.1:PORT" */
const char *
emu_credentials(const struct emu *emu);         /* path of the key file that clients are given */
const char *emu_project(const struct emu *emu); /* the seed's `project`, default "neco-test" */
/* The folder that serves a repository's URL (trailing "/" and ".git" are not significant), or NULL.
 */
const char *emu_git_mirror(const struct emu *emu, const char *url);

struct oauth *emu_oauth(struct emu *emu);
struct compute *emu_compute(struct emu *emu);
struct storage *emu_storage(struct emu *emu);
struct machines *emu_machines(struct emu *emu);
struct clusters *emu_clusters(struct emu *emu);

#endif
