#ifndef SNAPSHOT_JOURNAL_READ_H
#define SNAPSHOT_JOURNAL_READ_H

#include "snapshot/journal.h"

/* What the text of a journal with this head says. `*whole`: bytes up to the end of its last place
 * or part; what follows did not come to be. -1 when it is another's, or makes no sense. */
int journal_parse(const struct buf *text, const cJSON *head, struct journal_past *past,
                  size_t *whole);

#endif
