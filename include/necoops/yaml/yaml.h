/* YAML as Kubernetes reads it (YAML 1.1 scalars, through libyaml), turned into JSON values.
 *
 * Plain scalars: null (`~`, empty), booleans (`yes`, `off`, `True`, …), integers (decimal, 0x, 0o,
 * and a leading 0 is octal), floats; all else, and all that is quoted, is a string. Anchors, aliases
 * and merge keys (`<<`) are followed up to a cap on the expanded size; a duplicate key is an error.
 * Every value remembers where it stood, for messages that name file, line and column.
 */
#ifndef NECOOPS_YAML_YAML_H
#define NECOOPS_YAML_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

struct yaml_stream; /* the documents of one text; opaque */

/* ERR_INVALID with "name:line:column: what" when it is no YAML. Empty documents are left out. */
int yaml_parse(const char *text, size_t len, const char *name, struct yaml_stream **out,
               struct err *err) MUST_CHECK;
void yaml_stream_free(struct yaml_stream *stream);

size_t yaml_count(const struct yaml_stream *stream);
/* The document's value; borrowed. */
const cJSON *yaml_document(const struct yaml_stream *stream, size_t index);
/* The same, taken out of the stream (positions of it are lost). */
cJSON *yaml_take(struct yaml_stream *stream, size_t index);
/* Where a value of this stream begins (for a member of a mapping: its key); 1-based. */
bool yaml_position(const struct yaml_stream *stream, const cJSON *value, int *line, int *column);

/* One document only, no positions kept; more than one is an error. */
int yaml_parse_one(const char *text, size_t len, const char *name, cJSON **out, struct err *err)
    MUST_CHECK;

void yaml_freep(struct yaml_stream **stream);
#define autoyaml CLEANUP(yaml_freep)

#endif
