/* Command-line options from one table: parsing, usage, --help and the check of the manual page come
 * from the same rows. GNU manners: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, bundled flags,
 * "--" ends options. An unknown option is ERR_USAGE with the nearest one suggested. */
#ifndef NECOOPS_BASE_OPT_H
#define NECOOPS_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "necoops/base/err.h"
#include "necoops/base/strv.h"

enum opt_type {
    OPT_FLAG,     /* bool */
    OPT_COUNT,    /* int, one up each time */
    OPT_STRING,   /* const char *, borrowed from argv */
    OPT_STRINGS,  /* struct strv, repeatable */
    OPT_INT,      /* int64_t within [min, max] */
    OPT_DURATION, /* int64_t, milliseconds */
    OPT_CHOICE,   /* const char *, one of `choices` ("a|b|c") */
    OPT_HEADING,  /* no option: a heading in --help */
};

struct opt {
    enum opt_type type;
    char letter;      /* 0: none */
    const char *name; /* without dashes */
    const char *arg;  /* what --help calls the value: "FILE" */
    const char *help; /* one sentence; newlines wrap by hand */
    void *value;
    const char *choices; /* OPT_CHOICE */
    int64_t min, max;    /* OPT_INT, both 0: any; OPT_DURATION: the least, in milliseconds */
};

/* argv[0] is passed over. `opts` ends with a row whose name is NULL and type is not OPT_HEADING; a
 * heading's text is its `help`. Operands may stand anywhere and go to `rest` (NULL: there are
 * none).
 */
int opt_parse(const struct opt *opts, int argc, char **argv, struct strv *rest,
              struct err *err) MUST_CHECK;
void opt_help(const struct opt *opts, FILE *stream);

#endif
