/* What a Lease with tickets says, and what to write into it next: pure functions. */
#ifndef KUBE_LOCK_STATE_H
#define KUBE_LOCK_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/json.h"

#define LOCK_HOLD_MS   15000 /* after so long without a renewal, others may take it */
#define LOCK_TICKET_MS 20000 /* after so long without a beat, a ticket is void */
#define LOCK_BEAT_MS   5000
#define LOCK_LABEL     "necoops.io/lock"
#define LOCK_QUEUE     "necoops.io/queue"
#define LOCK_HOLDER    "necoops.io/holder"

struct lock_me {
    char *id;                     /* unique to this run */
    char *name, *commit, *branch; /* commit and branch may be NULL */
    bool queued;                  /* our ticket was seen in the queue */
    int64_t beat;
};
void lock_me_clear(struct lock_me *me);

/* Since when, by our own clock, what others must renew has not changed. */
struct lock_memory {
    char *holder; /* identity and time of its renewal */
    int64_t holder_since;
    cJSON *tickets; /* id → {beat, since} */
};
void lock_remember(struct lock_memory *memory, const cJSON *lease, int64_t now);
void lock_memory_clear(struct lock_memory *memory);

enum lock_move {
    LOCK_WAIT,
    LOCK_WRITE,      /* a ticket, or its beat */
    LOCK_TAKE,       /* become the holder */
    LOCK_SUPERSEDED, /* a newer commit of our branch took our ticket's place */
};

/* `lease` NULL: there is none. `next` is what to write for LOCK_WRITE and LOCK_TAKE. */
enum lock_move lock_decide(const cJSON *lease, const struct lock_memory *memory, struct lock_me *me,
                           bool beat_due, int64_t now, int64_t wall_ms, cJSON **next);
/* The Lease renewed by its holder; given back; without our ticket. */
cJSON *lock_renewed(const cJSON *lease, int64_t wall_ms);
cJSON *lock_released(const cJSON *lease, const struct lock_me *me);

/* "alice@laptop (commit 0123456789ab, branch x)"; caller frees. */
char *lock_holder_text(const cJSON *lease);
/* Our place among the living tickets, from 1; 0: none. `of` is their number. */
size_t lock_place(const cJSON *lease, const struct lock_memory *memory, const struct lock_me *me,
                  int64_t now, size_t *of);

#endif
