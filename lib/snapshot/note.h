/* What the destination holds, as the note beside it says. */
#ifndef SNAPSHOT_NOTE_H
#define SNAPSHOT_NOTE_H

#include "necoops/gcs/gcs.h"
#include "snapshot/place.h"

/* Names this start of the machine; "" when it cannot be told. Caller frees. */
char *note_boot_id(void);
/* A new note: what lies at this URL in this generation, unpacked in this boot, not loaded. `files`:
 * names to look for. */
cJSON *note_new(const char *url, const struct gcs_object *named, const struct strv *files);
/* Is this the same, whole? What was written before the machine last started, and not synced since,
 * is doubted. */
bool note_is(const cJSON *note, const char *url, const struct gcs_object *named);
/* Were VMs restored from it, with this tag, since the machine started? */
bool note_is_loaded(const cJSON *note, const char *tag);
/* NULL: nothing is loaded (any more). */
void note_set_loaded(cJSON *note, const char *tag);
void note_set_synced(cJSON *note);

#endif
