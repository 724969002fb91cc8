/* How long each phase of a load or a save took; what a person sees of it goes to the progress. */
#ifndef SNAPSHOT_PHASES_H
#define SNAPSHOT_PHASES_H

#include "necoops/base/run.h"
#include "necoops/snapshot/snapshot.h"

struct phases {
    const struct run *run;
    struct snapshot_phase *list; /* SNAPSHOT_PHASES of them, in the result */
    size_t *count;
    int64_t start;
};

void phases_begin(struct phases *phases, const char *name, const char *text);
void phases_end(struct phases *phases);
void phases_json(cJSON *json, const struct snapshot_phase *list, size_t count);

#endif
