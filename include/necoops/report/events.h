/* What happened, as JSON lines for machines: one object a line, flushed at once, so that the file
 * is complete however the run ends. Every line has `version` (1), `time` (RFC 3339, milliseconds)
 * and `type`; the other members depend on the type and are documented in the tool's manual. */
#ifndef NECOOPS_REPORT_EVENTS_H
#define NECOOPS_REPORT_EVENTS_H

#include "necoops/base/json.h"
#include "necoops/base/run.h"

struct events; /* opaque */

/* Creates or empties the file; NULL: nothing is written. */
int events_open(const struct run *run, const char *path, struct events **out,
                struct err *err) MUST_CHECK;
/* Says on the log, once, when a line could not be written. */
void events_close(struct events *events);
/* Takes `fields` (an object, or NULL). Nothing happens when `events` is NULL. */
void events_emit(struct events *events, const char *type, cJSON *fields);
/* From now on the first `most` of them are kept in memory, too. */
void events_keep(struct events *events, size_t most);
/* An array of the kept ones, as they are in the file; borrowed. NULL when none are kept. */
const cJSON *events_kept(const struct events *events);

#endif
