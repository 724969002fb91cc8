/* The stages of a load that run beside the download: decoding and unpacking, each on a thread. */
#ifndef SNAPSHOT_STAGES_H
#define SNAPSHOT_STAGES_H

#include "snapshot/flow.h"
#include "snapshot/unpack.h"

struct stages; /* opaque */

/* Both stages start: what comes from `compressed`, which begins at `from` in the object, is
 * unpacked as `job` says. All of it is borrowed until stages_join. */
int stages_start(struct flow *flow, struct queue *compressed, struct mark from,
                 const struct unpack_job *job, struct stages **out, struct err *err) MUST_CHECK;
/* Have both come to their ends? */
bool stages_ended(struct stages *stages);
/* Makes both end soon, whatever they do. */
void stages_abort(struct stages *stages);
/* Waits for both and frees. A failure is in the flow. */
void stages_join(struct stages *stages);

#endif
