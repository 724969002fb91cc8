/* Many deletions side by side, within what the API allows a second. */
#ifndef INSTANCE_BATCH_H
#define INSTANCE_BATCH_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"

/* One deletion under way. */
struct deletion {
    cJSON *entry;     /* tells name and zone; of the list it will go to */
    cJSON *operation; /* NULL: it is gone already */
};

struct batch {
    const char *kind; /* "expired instance" */
    int (*ask)(struct gce *gce, const cJSON *entry, cJSON **operation, struct err *err);
    struct deletion *items;
    size_t count;
};
void batch_clear(struct batch *batch);
#define autobatch CLEANUP(batch_clear)

void batch_add(struct batch *batch, cJSON *entry);
/* Asks for all, then waits for all; each entry goes to one of the two arrays, to `failed` with its
 * `why`. What the run's end kept from being asked for has failed. */
void batch_delete(struct batch *batch, const struct run *run, struct gce *gce, cJSON *deleted,
                  cJSON *failed);
/* Moves the entries to `deleted` and does nothing. */
void batch_plan(struct batch *batch, cJSON *deleted);

#endif
