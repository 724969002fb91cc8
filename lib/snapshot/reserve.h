/* Room on the disk that is held for what a load is going to write.
 *
 * A file without a name in the work folder is as large as all that is still to come, and is cut as
 * that comes: where the holes will be is not known beforehand, so that it cannot be the files' own
 * blocks that are reserved. It is gone with the process, however that ends. Where a file system has
 * no such thing, nothing is held; nor on tmpfs, which would have to find the memory twice.
 */
#ifndef SNAPSHOT_RESERVE_H
#define SNAPSHOT_RESERVE_H

#include <stdint.h>
#include "necoops/base/err.h"

struct reserve; /* opaque; one thread at a time */

/* Holds `total` less what is `written` of it already, below the folder. -1: there is no such room,
 * and `err` has the system's error. */
int reserve_new(int dir_fd, uint64_t total, uint64_t written, struct reserve **out,
                struct err *err) MUST_CHECK;
void reserve_free(struct reserve *reserve); /* NULL is nothing */
/* So much of the total will have been written in a moment. */
void reserve_yield(struct reserve *reserve, uint64_t written);
/* Bytes that are held now. */
uint64_t reserve_held(const struct reserve *reserve);

#endif
