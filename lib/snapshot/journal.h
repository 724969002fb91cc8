/* The record of what a load has finished, from which a run that follows a killed one goes on.
 *
 * One line of JSON each, appended to a file in the work folder: the first says which objects into
 * which folder in which boot of the machine (what is not synced does not outlive that); then, for
 * each object, parts of a file that are whole, or folders, names and places of an archive that is
 * being unpacked. A last line that is cut off is not there. A journal that cannot be written is
 * given up: the next run starts over.
 */
#ifndef SNAPSHOT_JOURNAL_H
#define SNAPSHOT_JOURNAL_H

#include "necoops/base/json.h"
#include "snapshot/unpack.h"

struct journal; /* opaque */

struct journal_part {
    size_t index;
    uint32_t crc;
};

/* What a killed run left. */
struct journal_past {
    size_t object; /* that was being brought; all before it are done */
    bool has_place;
    struct unpack_place place;
    struct tar_entry *dirs;
    size_t dir_count;
    struct strv names; /* of all that was unpacked, folders left out; sorted */
    uint64_t entries, files, apparent_bytes, disk_bytes;
    struct journal_part *parts;
    size_t part_count, part_room;
};
void journal_past_clear(struct journal_past *past);

/* Begins a journal in `dir_fd` whose first line is `head`; an older one is gone then. NULL when it
 * cannot be written. */
struct journal *journal_new(int dir_fd, const cJSON *head);
/* Goes on with the journal that is there, when its first line equals `head`: then `past` (empty
 * before) is what it says. NULL when there is none that fits. */
struct journal *journal_resume(int dir_fd, const cJSON *head, struct journal_past *past);
void journal_free(struct journal *journal); /* the file stays */

/* The object of this number begins; those before it are done, and came to this. */
void journal_object(struct journal *journal, size_t number, const struct unpack_stats *stats);
/* An entry begins. */
void journal_entry(struct journal *journal, const struct tar_entry *entry);
/* All before this place is written to its files. One in a few hundred kilobytes is kept. */
void journal_place(struct journal *journal, const struct unpack_place *place,
                   const struct unpack_stats *stats);
void journal_part(struct journal *journal, size_t index, uint32_t crc);

#endif
