#include "instance/batch.h"

#include <stdlib.h>

#define PACE_MS                                                                                    \
    50 /* between two requests that change something: the API allows about 25 a second */

void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        cJSON_Delete(batch->items[i].entry);
        cJSON_Delete(batch->items[i].operation);
    }
    free(batch->items);
    batch->items = NULL;
    batch->count = 0;
}

void batch_add(struct batch *batch, cJSON *entry)
{
    batch->items = xrealloc(batch->items, (batch->count + 1) * sizeof *batch->items);
    batch->items[batch->count++] = (struct deletion){.entry = entry};
}

/* Files a deletion's entry under how it ended. */
static void settle(struct deletion *deletion, cJSON *deleted, cJSON *failed, struct err *err)
{
    bool gone = err->code == ERR_NONE || err->code == ERR_NOT_FOUND;
    if (!gone)
        json_set_str(deletion->entry, "why", err_text(err));
    json_push(gone ? deleted : failed, steal(deletion->entry));
    err_clear(err);
}

static void ask_all(struct batch *batch, const struct run *run, struct gce *gce, cJSON *deleted,
                    cJSON *failed)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct deletion *deletion = &batch->items[i];
        autoerr struct err err = ERR_INIT;
        int64_t begin = run_mono_ms(run);
        progress_phase(run->progress, "delete", "deleting %zu of %zu %ss", i + 1, batch->count,
                       batch->kind);
        if (batch->ask(gce, deletion->entry, &deletion->operation, &err) < 0)
            settle(deletion, deleted, failed, &err);
        int64_t left = begin + PACE_MS - run_mono_ms(run);
        if (left > 0 && i + 1 < batch->count && run_sleep(run, left, "the sweep", &err) < 0)
            return; /* what was not asked for fails in its turn */
    }
}

void batch_delete(struct batch *batch, const struct run *run, struct gce *gce, cJSON *deleted,
                  cJSON *failed)
{
    ask_all(batch, run, gce, deleted, failed);
    for (size_t i = 0; i < batch->count; i++) {
        struct deletion *deletion = &batch->items[i];
        autoerr struct err err = ERR_INIT;
        if (!deletion->entry)
            continue;
        autofree char *what =
            xasprintf("deletion of %s '%s'", batch->kind, json_str_or(deletion->entry, "name", ""));
        if (deletion->operation)
            (void)!gce_operation_wait(gce, deletion->operation, what, &err);
        else
            (void)!run_check(run, what, &err); /* the run has ended: it was not asked for */
        settle(deletion, deleted, failed, &err);
    }
}

void batch_plan(struct batch *batch, cJSON *deleted)
{
    for (size_t i = 0; i < batch->count; i++)
        json_push(deleted, steal(batch->items[i].entry));
}
