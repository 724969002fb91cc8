/* The place that a snapshot is unpacked into, and the exchange that puts it there.
 *
 * Beside the destination DIR/NAME there are DIR/.NAME.necoops (work folder: `tree` is what is being
 * unpacked; it is there only while a load runs or after one was killed) and DIR/.NAME.necoops.json
 * (what the destination holds). The work folder is locked while it is used.
 */
#ifndef SNAPSHOT_PLACE_H
#define SNAPSHOT_PLACE_H

#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/run.h"

struct place; /* opaque */

/* Finds the destination (made absolute) and refuses what cannot be exchanged: the root, a mount
 * point, the home folder, what is no folder. Nothing is written. */
int place_find(const struct run *run, const char *to, struct place **out,
               struct err *err) MUST_CHECK;
void place_free(struct place *place); /* unlocks; removes nothing */
void place_freep(struct place **place);
#define autoplace CLEANUP(place_freep)

const char *place_path(const struct place *place); /* of the destination, absolute */
const char *place_work(const struct place *place); /* of the work folder */
bool place_exists(const struct place *place);

/* What place_note wrote about the folder that is there now, or NULL: nothing was written, or it is
 * about another folder, or files that it names are missing. Caller's. */
cJSON *place_read_note(const struct place *place);
/* Writes what the folder behind `dir_fd` (the destination, or the tree that will be) holds; the
 * note gets the folder's identity, and for the tree that of the folder it will replace. */
int place_note(const struct place *place, int dir_fd, cJSON *note, struct err *err) MUST_CHECK;

/* ERR_USAGE when the destination holds something that no load put there: no note, written before or
 * after an exchange, knows the folder. An empty one is nobody's. */
int place_refuse_foreign(const struct place *place, struct err *err) MUST_CHECK;

/* Adds `inode` and `born`, which tell the folder from any other. */
int place_identify(int dir_fd, cJSON *json, struct err *err) MUST_CHECK;

/* Makes and locks the work folder, or takes over the one that a killed run left. ERR_BUSY: another
 * run is loading into the same destination. */
int place_lock(struct place *place, struct err *err) MUST_CHECK;
int place_work_fd(const struct place *place); /* once locked */
/* A new, empty tree in it; what lay there is removed. The descriptor is the place's. */
int place_new_tree(struct place *place, int *tree_fd, struct err *err) MUST_CHECK;
/* The tree that a killed run left, or -1. */
int place_old_tree(struct place *place);
/* Puts the tree where the destination is; what was there is in the work folder then. */
int place_exchange(struct place *place, struct err *err) MUST_CHECK;
/* Removes what lies in the work folder; it stays locked. */
int place_remove_trees(struct place *place, struct err *err) MUST_CHECK;
/* Removes the work folder and all in it, and unlocks. */
int place_clean(struct place *place, struct err *err) MUST_CHECK;
/* Bytes and files that may still be written there. */
int place_room(const struct place *place, uint64_t *bytes, struct err *err) MUST_CHECK;

#endif
