/* What the files of this module share. */
#ifndef REMOTE_INTERNAL_H
#define REMOTE_INTERNAL_H

#include <stdio.h>
#include "necoops/base/digest.h"
#include "necoops/instance/cloud.h"
#include "necoops/remote/remote.h"
#include "necoops/wire/wire.h"

#define RESULTS_MAX 4

/* A result on its way. */
struct piece {
    const char *name;
    struct buf data;
};

struct remote {
    const struct run *caller; /* as the tool has it */
    struct run run;           /* ours: later deadline, and none of the signal once we cancel */
    const struct conf *conf;
    const struct remote_work *work;
    struct remote_outcome *outcome;
    struct cloud cloud;
    cJSON *instance;       /* as first seen */
    const char *id, *zone; /* of it */
    struct uuid_text request;
    struct wire_reader reader;
    int64_t cursor;   /* of the serial port */
    bool agent_seen;  /* any frame at all */
    int64_t heard_at; /* the last sign of life for our request; mono */
    int64_t asked_at;
    int64_t beat, beat_at; /* ours */
    int64_t again;
    bool accepted, queued, ended, refused, cancelled;
    int status;
    char *error;  /* of the end; or NULL */
    char *holder; /* who is before us */
    char *phase;  /* last progress told */
    cJSON *end;   /* the frame */
    struct piece pieces[RESULTS_MAX];
    FILE *events;
    int64_t events_next;
    bool events_missing;
    uint64_t lost; /* bytes of the ring */
};

/* item.c: our member of the metadata item */
typedef void change_item(struct remote *remote, cJSON *all);
int item_change(struct remote *remote, change_item *change, struct err *err) MUST_CHECK;
/* The changes. */
void item_add(struct remote *remote, cJSON *all);
void item_beat(struct remote *remote, cJSON *all);
void item_cancel(struct remote *remote, cJSON *all);
void item_again(struct remote *remote, cJSON *all);
void item_remove(struct remote *remote, cJSON *all);

/* listen.c: what the agent says */
int listen_frame(void *arg, const struct wire_reader *reader, const cJSON *frame, struct err *err);
/* Which of the wanted results did not come whole. */
bool listen_incomplete(const struct remote *remote);

/* result.c: what it leaves behind */
/* The bytes of the result `name` of the end frame, from the bucket (deleted there) or the pieces.
 */
int result_get(struct remote *remote, const char *name, struct buf *out,
               struct err *err) MUST_CHECK;
/* Writes files and events, fills the outcome. */
int result_take_all(struct remote *remote, struct err *err) MUST_CHECK;

/* silence.c: why nothing comes; always -1 */
int explain_silence(struct remote *remote, struct err *err);
int explain_gone(struct remote *remote, struct err *err);
/* -1 with why, when the instance cannot serve: gone, not running, not set up, or (once) no agent.
 */
int check_ready(struct remote *remote, struct err *err) MUST_CHECK;

#endif
