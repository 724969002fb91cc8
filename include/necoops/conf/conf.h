/* The configuration, necoops.yaml(5): one table of keys (lib/conf/keys.c) gives type, default and
 * help; it validates, prints, and is held against the manual page.
 *
 * Precedence: --set, environment (NECOOPS_ + key in capitals, dots as '_'), file, default.
 * Keys are dotted; `clusters.*.path` in the table stands for any name. `${VAR}` is expanded in
 * values of the file (an unset variable is an error; `$${` is a literal `${`).
 */
#ifndef NECOOPS_CONF_CONF_H
#define NECOOPS_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

struct conf; /* opaque */

/* `file`: -c, or NULL to look for necoops.yaml here and in every parent ($NECOOPS_CONFIG first).
 * No file at all is no error: the defaults and the environment may do. `sets`: KEY=VALUE items.
 * ERR_USAGE with file:line:column. */
int conf_load(const struct run *run, const char *file, const struct strv *sets, struct conf **out,
              struct err *err) MUST_CHECK;
void conf_free(struct conf *conf);

/* The file that was read, or NULL; paths in it are relative to its folder. */
const char *conf_file(const struct conf *conf);

/* Values; borrowed; NULL, false or `fallback` when neither set nor defaulted. A key that the table
 * does not have is a defect and ends the process. */
const char *conf_str(const struct conf *conf, const char *key);
bool conf_bool(const struct conf *conf, const char *key);
int64_t conf_int(const struct conf *conf, const char *key, int64_t fallback);
int64_t conf_duration_ms(const struct conf *conf, const char *key, int64_t fallback);
/* The array or object at the key, or NULL. */
const cJSON *conf_json(const struct conf *conf, const char *key);
/* The items of an array of strings; an absent key adds nothing. */
void conf_strs(const struct conf *conf, const char *key, struct strv *out);
bool conf_has(const struct conf *conf, const char *key);
/* The names given below a group ("clusters"), in the order of the file, added to `out`. */
void conf_names(const struct conf *conf, const char *group, struct strv *out);
/* A path relative to the file's folder, "~/" expanded; caller frees. NULL when not set. */
char *conf_path(const struct run *run, const struct conf *conf, const char *key);
/* The same for each item of a list, added to `out`; gs:// objects stay as they are. */
void conf_places(const struct run *run, const struct conf *conf, const char *key,
                 struct strv *out);

/* ERR_USAGE that names the key, the file and how to set it, when it has no value. */
int conf_require(const struct conf *conf, const char *key, struct err *err) MUST_CHECK;

/* Every effective value with its origin, as YAML with comments, or as JSON. */
void conf_print(const struct conf *conf, FILE *stream);
cJSON *conf_to_json(const struct conf *conf);

#endif
