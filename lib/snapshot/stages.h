/* The stages of a load that run beside the download: decoding and unpacking, each on a thread. */
#ifndef SNAPSHOT_STAGES_H
#define SNAPSHOT_STAGES_H

#include "snapshot/flow.h"
#include "snapshot/unpack.h"

struct stages; /* opaque */

/* Both stages start; they take from `compressed` and unpack below `tree_fd`. All of it is borrowed
 * until stages_join. */
int stages_start(struct flow *flow, struct queue *compressed, int tree_fd,
                 const struct unpack_limits *limits, struct unpack_stats *stats,
                 struct stages **out, struct err *err) MUST_CHECK;
/* Have both come to their ends? */
bool stages_ended(struct stages *stages);
/* Makes both end soon, whatever they do. */
void stages_abort(struct stages *stages);
/* Waits for both and frees. A failure is in the flow. */
void stages_join(struct stages *stages);

#endif
