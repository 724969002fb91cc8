/* Progress of long work: one redrawn line on a terminal; elsewhere one line a phase and at least
 * one a minute, because CI systems end a job that is silent for ten.
 *
 * Where a progress is NULL, nothing happens. It is freed before its log.
 *
 * progress_tick is called from every wait (run_sleep and the HTTP loop do); it prints only when
 * due.
 */
#ifndef NECOOPS_BASE_PROGRESS_H
#define NECOOPS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "necoops/base/mem.h"

struct log;
struct progress; /* opaque */

/* Quiet when `enabled` is false (-q). `terminal`: redraw in place; the tool checked isatty. */
struct progress *progress_new(FILE *stream, struct log *log, bool terminal, bool enabled);
/* From now on phases go to the log as states (log_state) for whoever shows them elsewhere; texts
 * within a phase too, at most one a second. */
void progress_relay(struct progress *progress);
void progress_free(struct progress *progress);

/* A new phase: its name is a stable word (`boot`, `download`), the text is for people. */
void progress_phase(struct progress *progress, const char *phase, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A new text within the phase. */
void progress_update(struct progress *progress, const char *format, ...) PRINTF_LIKE(2, 3);
void progress_tick(struct progress *progress);
/* Clears the line; nothing is drawn until the next phase. */
void progress_done(struct progress *progress);

#endif
