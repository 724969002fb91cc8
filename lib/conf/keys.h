/* The table of configuration keys: everything that is known of a key stands in one row. */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

enum key_type {
    KEY_STRING,
    KEY_PATH,     /* a file: relative to the configuration's folder */
    KEY_BOOL,
    KEY_INT,      /* within [min, max] */
    KEY_DURATION, /* "90s" */
    KEY_CLOCK,    /* "07:30" */
    KEY_CHOICE,   /* one of `choices` */
    KEY_STRINGS,  /* a list */
    KEY_COMMANDS, /* a list of commands, each a list of words */
    KEY_MAP,      /* any names, values are text */
};

struct key {
    const char *name; /* dotted; a part "*" is any name of letters, digits, '-' and '_' */
    enum key_type type;
    const char *fallback; /* as one would write it after --set KEY=; NULL: none */
    const char *choices;  /* KEY_CHOICE: "a|b" */
    int64_t min, max;     /* KEY_INT; KEY_DURATION: the least, in milliseconds */
    const char *help;
};

extern const struct key conf_keys[];
extern const size_t conf_key_count;

/* The row for a dotted key, or NULL. */
const struct key *key_find(const char *name);
/* True when rows below this dotted name exist. */
bool key_is_group(const char *name);
/* The nearest row's name for an unknown one, or NULL; caller frees. */
char *key_suggest(const char *name);

/* Checks a value from YAML against the row and gives it in its stored form (a new value). The error
 * says what the key wants; the caller prefixes where. */
int key_check(const struct key *key, const cJSON *value, cJSON **out, struct err *err) MUST_CHECK;
/* The same from text, as --set and the environment give it. */
int key_parse(const struct key *key, const char *text, cJSON **out, struct err *err) MUST_CHECK;

#endif
