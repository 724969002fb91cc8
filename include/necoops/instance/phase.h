/* How far the instance's setup is, as it reports it itself: one JSON value in the guest attribute
 * necoops/phase, {"phase","message","time","bootId"}, and the same after "necoops-phase: " in a line
 * of its console. Both are hints of the instance, never proof of anything that matters. */
#ifndef NECOOPS_INSTANCE_PHASE_H
#define NECOOPS_INSTANCE_PHASE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"

#define PHASE_SPACE  "necoops"
#define PHASE_KEY    "phase"
#define PHASE_MARKER "necoops-phase: "

enum phase { PHASE_NONE, PHASE_BOOT, PHASE_SETUP, PHASE_SNAPSHOT, PHASE_READY, PHASE_FAILED };

struct phase_report {
    enum phase phase;
    char message[512];
    char time[40];    /* RFC 3339, the instance's clock */
    char boot_id[64];
};

const char *phase_name(enum phase phase);
/* ERR_PROTOCOL when it is none. */
int phase_parse(const char *json, struct phase_report *out, struct err *err) MUST_CHECK;
/* The next report among the whole lines of a console from *from on; moves *from behind its line.
 * False when there is none, *from is behind the last whole line then. */
bool phase_next(const struct buf *console, size_t *from, struct phase_report *out);
/* The newest report among the lines of a console, starting at *from; moves *from behind the last
 * whole line. False when there is none. */
bool phase_from_console(const struct buf *console, size_t *from, struct phase_report *out);

#endif
