#include "snapshot/crew.h"

#include <stdlib.h>

#define SHOW_MS  1000
#define DRAIN_MS ((int64_t)10 * 1000)

struct work {
    const struct crew *crew;
    struct lane *lanes;
    int active;
    bool failed;
    struct err failure;
};

struct lane {
    struct crew_lane lane;
    struct work *work;
};

static void on_done(void *arg, struct gcs_object *object, struct err *err)
{
    struct lane *lane = arg;
    struct work *work = lane->work;
    const struct crew *crew = work->crew;
    lane->lane.pending = NULL;
    work->active--;
    if (err->code == ERR_NONE) {
        if (crew->ended)
            crew->ended(crew->arg, lane->lane.item, object);
        return;
    }
    if (!work->failed)
        err_move(&work->failure, err);
    work->failed = true;
}

/* Gives idle lanes something to do; false when nothing more will come. */
static bool start_lanes(struct work *work)
{
    const struct crew *crew = work->crew;
    for (int i = 0; i < crew->lanes; i++) {
        struct lane *lane = &work->lanes[i];
        if (lane->lane.pending)
            continue;
        switch (crew->next(crew->arg, &lane->lane)) {
        case CREW_STARTED:
            work->active++;
            break;
        case CREW_LATER:
            return true;
        case CREW_END:
            return false;
        }
    }
    return true;
}

static int work_on(struct work *work, struct err *err)
{
    const struct crew *crew = work->crew;
    for (bool more = true; more || work->active > 0;) {
        if (more)
            more = start_lanes(work);
        if (!more && work->active == 0)
            break;
        int fd = crew->flow ? flow_fd(crew->flow) : -1;
        if (http_drive(crew->http, SHOW_MS, fd, crew->what, err) != 0 ||
            (crew->flow && flow_check(crew->flow, err) != 0))
            return -1;
        if (work->failed && !crew->go_on)
            break;
        if (crew->show)
            crew->show(crew->arg);
    }
    if (!work->failed)
        return 0;
    err_move(err, &work->failure);
    return -1;
}

static void drain(struct work *work)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    *work->crew->run = run_for_cleanup(work->crew->run, DRAIN_MS);
    while (work->active > 0 &&
           http_drive(work->crew->http, SHOW_MS, -1, work->crew->what, &err) == 0)
        progress_tick(work->crew->run->progress);
}

int crew_run(const struct crew *crew, struct err *err)
{
    struct work work = {.crew = crew};
    work.lanes = xcalloc((size_t)crew->lanes, sizeof(*work.lanes));
    for (int i = 0; i < crew->lanes; i++)
        work.lanes[i] =
            (struct lane){.work = &work, .lane.done = {.call = on_done, .arg = &work.lanes[i]}};
    int result = work_on(&work, err);
    if (result != 0)
        drain(&work);
    for (int i = 0; i < crew->lanes; i++) {
        if (work.lanes[i].lane.pending)
            gcs_pending_cancel(work.lanes[i].lane.pending);
    }
    err_clear(&work.failure);
    free(work.lanes);
    return result;
}
