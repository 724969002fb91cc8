/* Requests to Cloud Storage side by side, so many at a time, driven by the main thread. */
#ifndef SNAPSHOT_CREW_H
#define SNAPSHOT_CREW_H

#include "necoops/gcs/gcs.h"
#include "snapshot/flow.h"

struct crew_lane {
    struct gcs_pending *pending; /* what `next` started */
    void *item;                  /* of the caller */
    struct gcs_done done;        /* for what `next` starts */
};

enum crew_next {
    CREW_STARTED, /* a request is under way in the lane */
    CREW_LATER,   /* nothing now: asked again when the flow was woken or a request ended */
    CREW_END,     /* nothing more will come */
};

struct crew {
    struct http *http;
    struct run *run;   /* that `http` works in */
    struct flow *flow; /* or NULL */
    int lanes;
    const char *what; /* is waited for */
    bool go_on; /* when a request failed: with the others, and the first error comes at the end */
    enum crew_next (*next)(void *arg, struct crew_lane *lane);
    /* A request was carried out. */
    void (*ended)(void *arg, void *item, struct gcs_object *object); /* or NULL */
    void (*show)(void *arg);                                         /* progress; or NULL */
    void *arg;
};

/* Until nothing more comes and all has ended. -1: a request, the flow or the run; `run` is then one
 * for cleaning up, in which what was under way came to its end or, after some seconds, was
 * cancelled: what is cancelled may still be carried out. */
int crew_run(const struct crew *crew, struct err *err) MUST_CHECK;

#endif
