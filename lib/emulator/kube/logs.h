/* What the simulated containers print. Internal; thread safe. */
#ifndef EMULATOR_KUBE_LOGS_H
#define EMULATOR_KUBE_LOGS_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/buf.h"
#include "necoops/base/mem.h"

struct pod_logs;
struct pod_logs *pod_logs_new(void);
void pod_logs_free(struct pod_logs *logs);

/* One line, with the time of now, to this container of the pod with this uid. */
void pod_logs_add(struct pod_logs *logs, const char *uid, const char *container, const char *format,
                  ...) PRINTF_LIKE(4, 5);
/* A new start: what was printed becomes the log of the previous one. */
void pod_logs_restart(struct pod_logs *logs, const char *uid, const char *container);
/* It ended, and waits to be started again: what was printed is the log of the previous run, and that
 * of the current one, too, for there is no other. */
void pod_logs_wait(struct pod_logs *logs, const char *uid, const char *container);
void pod_logs_forget(struct pod_logs *logs, const char *uid);

/* Lines from the byte `from` on, each led by its time and a space, to `out`; the byte behind them.
 * -1: there is no such log. */
int64_t pod_logs_read(struct pod_logs *logs, const char *uid, const char *container, bool previous,
                      int64_t from, struct buf *out);

#endif
