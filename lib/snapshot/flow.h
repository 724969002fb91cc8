/* What the stages of a load or a save share: the first failure, and a descriptor that wakes the thread that
 * drives HTTP. */
#ifndef SNAPSHOT_FLOW_H
#define SNAPSHOT_FLOW_H

#include "necoops/base/err.h"
#include "snapshot/queue.h"

struct flow; /* opaque */

int flow_new(struct flow **out, struct err *err) MUST_CHECK;
void flow_free(struct flow *flow);

/* Any thread: this stage failed. The first one's error is kept (and taken), later ones are dropped.
 */
void flow_fail(struct flow *flow, struct err *err);
/* Any thread: something moved that the main thread waits for. */
void flow_wake(struct flow *flow);
/* Main thread: readable after flow_wake and flow_fail. */
int flow_fd(const struct flow *flow);
/* Main thread: 0 while all is well, else -1 with the failure, which moves into `err`. Takes the
 * wake-ups in. */
int flow_check(struct flow *flow, struct err *err) MUST_CHECK;
/* Starts the thread of a stage; signals stay the main thread's. 0, or an error number. */
int flow_thread(pthread_t *thread, void *(*run)(void *), void *arg) MUST_CHECK;

#endif
