/* Inside the configuration: what was set, by whom. */
#ifndef CONF_INTERNAL_H
#define CONF_INTERNAL_H

#include "conf/keys.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

struct setting {
    char *name; /* dotted */
    cJSON *value;
    char *origin;
};

struct conf {
    char *file;
    struct setting *settings;
    size_t count;
    cJSON *defaults; /* by row name, filled as they are asked for */
};

/* Takes `value`; replaces what was set before. */
void conf_put(struct conf *conf, const char *name, cJSON *value, const char *origin);
/* The effective value or NULL, and where it came from. */
const cJSON *conf_value(const struct conf *conf, const char *name, const char **origin);
/* Reads the file into `conf`. */
int conf_apply_file(const struct run *run, struct conf *conf, const char *file, struct err *err)
    MUST_CHECK;
int conf_unknown_key(const char *where, const char *name, struct err *err);

#endif
