/* Partial responses: the `fields` parameter of Google's APIs,
 * "items(name,disks/source),nextPageToken". A list is transparent (a selection applies to each
 * element), "*" is any member of an object. */
#ifndef EMULATOR_GOOGLE_FIELDS_H
#define EMULATOR_GOOGLE_FIELDS_H

#include "necoops/base/err.h"
#include "necoops/base/json.h"

struct fields; /* a parsed selection */
/* ERR_INVALID "Invalid field selection …" when it is malformed. */
int fields_parse(const char *text, struct fields **out, struct err *err) MUST_CHECK;
void fields_free(struct fields *fields);
/* Takes out of `value` what is not selected. NULL fields: everything stays. */
void fields_apply(const struct fields *fields, cJSON *value);
/* A copy of what is selected (borrowed parts of a shared value stay whole). NULL fields: all of it.
 */
cJSON *fields_copy(const struct fields *fields, const cJSON *value);
/* Whether a member of the top value would stay; for lists that are built selectively. */
bool fields_has(const struct fields *fields, const char *name);
/* The selection below a member of the top value; NULL: all of it (or none, see fields_has). */
const struct fields *fields_below(const struct fields *fields, const char *name);

void fields_freep(struct fields **fields);
#define autofields CLEANUP(fields_freep)

#endif
