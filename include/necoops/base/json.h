/* JSON over cJSON, with what cJSON lacks: exact 64-bit integers, caps, paths, positions.
 *
 * Numbers of more than 15 digits, or beyond the range of a double, stay exact: they become
 * cJSON_Raw items (which print as they were read). Google's JSON has 64-bit integers as strings;
 * json_i64 and json_u64 take either. A path is keys joined with '.', an index as [n]:
 * "status.conditions[0].type".
 */
#ifndef NECOOPS_BASE_JSON_H
#define NECOOPS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"

#define JSON_MAX_DEPTH 200

/* Parses a whole text (nothing but white space may follow). Refused with ERR_PROTOCOL and `name`,
 * line and column: bad syntax, deeper than JSON_MAX_DEPTH, a NUL byte, invalid UTF-8. */
int json_parse(const char *text, size_t len, const char *name, cJSON **out,
               struct err *err) MUST_CHECK;

/* Borrowed; NULL when there is none. */
const cJSON *json_at(const cJSON *value, const char *path);
/* The string at the path, or NULL when missing or no string. */
const char *json_str(const cJSON *value, const char *path);
/* The string at the path, or `fallback`. */
const char *json_str_or(const cJSON *value, const char *path, const char *fallback);
bool json_bool(const cJSON *value, const char *path, bool fallback);
/* True when there is an integer (number, raw number, or decimal string) that fits. */
bool json_i64(const cJSON *value, const char *path, int64_t *out);
bool json_u64(const cJSON *value, const char *path, uint64_t *out);

/* Building; each ends the process when memory ends. `json_set_*` replace an existing key. */
cJSON *json_object(void);
cJSON *json_array(void);
cJSON *json_set(cJSON *object, const char *key, cJSON *value);        /* takes value; returns it */
void json_set_str(cJSON *object, const char *key, const char *value); /* NULL: no key is set */
void json_set_bool(cJSON *object, const char *key, bool value);
void json_set_i64(cJSON *object, const char *key, int64_t value);     /* a number, exact */
void json_set_i64_str(cJSON *object, const char *key, int64_t value); /* Google's string form */
cJSON *json_set_object(cJSON *object, const char *key);               /* new {}, borrowed */
cJSON *json_set_array(cJSON *object, const char *key);                /* new [], borrowed */
void json_push(cJSON *array, cJSON *value);
void json_push_str(cJSON *array, const char *value);
cJSON *json_copy(const cJSON *value);
/* A number item from its decimal text, exact whatever its size; NULL when it is no JSON number. */
cJSON *json_number_from_text(const char *text);

/* Compact, and pretty with two spaces; caller frees. */
char *json_print(const cJSON *value);
char *json_print_pretty(const cJSON *value);
/* Same value, whatever the order of keys. */
bool json_equal(const cJSON *a, const cJSON *b);
/* RFC 7386 merge patch applied in place; null removes. */
void json_merge(cJSON *target, const cJSON *patch);
/* The merge patch that makes `from` into `to` (objects without nulls in `to`); {} when they are
 * equal. Caller deletes. */
cJSON *json_merge_diff(const cJSON *from, const cJSON *to);

void json_freep(cJSON **value);
#define autojson CLEANUP(json_freep)

#endif
