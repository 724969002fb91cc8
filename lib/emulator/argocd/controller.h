/* The application controller: one thread that watches the store and works through what is due. */
#ifndef EMULATOR_ARGOCD_CONTROLLER_H
#define EMULATOR_ARGOCD_CONTROLLER_H

#include <pthread.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/argocd/health.h"
#include "emulator/argocd/render.h"
#include "emulator/argocd/tracker.h"
#include "emulator/kube/store.h"

/* What the controller takes from outside, so that a test can give its own. */
struct controller_config {
    struct store *store;
    const char *version;  /* "v2.14.21", until a workload of it has another image */
    const char *work_dir; /* for checkouts; removed at the end */
    struct log *log;
    const char *const *environ; /* where kustomize and kubectl are found */
    /* The folder that serves a repository's URL, or NULL. */
    const char *(*mirror)(void *arg, const char *url);
    void *mirror_arg;
    int64_t reconcile_ms; /* how long it takes to react */
    int64_t poll_ms;      /* how often it looks at branches; 0: by its reaction */
    /* `what` (fault.h) goes wrong with this application now; *pause_ms as the rule says. NULL:
     * nothing ever does. */
    bool (*fault)(void *arg, const char *app, const char *what, int64_t *pause_ms);
    void *fault_arg;
};

struct controller;
int controller_start(const struct controller_config *config, struct controller **out,
                     struct err *err);
void controller_stop(struct controller *controller);

/* ---- between the parts of the controller ---- */

#define ARGOCD_NAMESPACE "argocd"
#define ARGOCD_GROUP     "argoproj.io"
/* The field manager of what it applies. */
#define ARGOCD_MANAGER "argocd-controller"

/* How thoroughly an application is compared, least first. */
enum compare_level {
    COMPARE_NEEDED, /* only when spec, an annotation or its age asks for it */
    COMPARE_RECENT, /* with the revision of the last comparison */
    COMPARE_LATEST, /* revisions resolved anew */
};

struct controller {
    struct controller_config config;
    struct store *store;
    struct run run;
    struct renderer *renderer;
    struct tracker *tracker;
    struct health_settings health;
    bool patches_known;
    char *images[2]; /* of its workload as StatefulSet and as Deployment, or NULL */
    /* the thread */
    pthread_t thread;
    atomic_int stop; /* also ends a child process that is running */
    int wake_fd;
    struct queue_item *items;
    size_t items_len, items_size;
    int64_t next_poll;    /* of the branches */
    int64_t absent_until; /* mono; it is being restarted */
    uint64_t seen;        /* the last event's version */
};

const struct resource *controller_applications(struct controller *controller);
/* The application as it is stored, or NULL; the caller unrefs. */
struct stored *controller_application(struct controller *controller, const char *name);
/* RFC 7386 on the application; false when it is gone. */
bool controller_patch(struct controller *controller, const char *name, const cJSON *patch);
struct time_text controller_now(struct controller *controller);

/* Something to do for an application, `ms` from now; what is due sooner stays. */
void controller_refresh_after(struct controller *controller, const char *app, int64_t ms,
                              enum compare_level level);
void controller_operate_after(struct controller *controller, const char *app, int64_t ms);

bool controller_fault(struct controller *controller, const char *app, const char *what);

/* The state of the operation in progress, from one step to the next. */
void controller_keep_state(struct controller *controller, const char *app,
                           cJSON *state /* taken */);
cJSON *controller_take_state(struct controller *controller, const char *app); /* NULL: none */

#endif
