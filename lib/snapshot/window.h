/* Where parts land that the next stage takes in order: a fixed set of buffers, whatever the size of
 * the object. A part gets one when it begins and the stage behind gives it back; a part that is
 * whole waits there for those before it. */
#ifndef SNAPSHOT_WINDOW_H
#define SNAPSHOT_WINDOW_H

#include "snapshot/fetch.h"

struct window; /* opaque */

/* `buffers` of `part_size` bytes; parts go to `queue` (which holds as many) and it is ended after
 * the last of `parts`. The first one begins at `from` in the object. NULL when there is no memory.
 */
struct window *window_new(struct flow *flow, struct queue *queue, size_t buffers, size_t part_size,
                          size_t parts, struct mark from);
/* Not before the queue's reader was closed. */
void window_free(struct window *window);
struct fetch_sink window_sink(struct window *window);

#endif
