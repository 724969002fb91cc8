/* What every tool's main() shares: common options, configuration, signals, output, exit status.
 *
 *     int main(int argc, char **argv) { return cli_main(&tool, argc, argv); }
 *
 * A tool fills one table of options, one `run` function that calls the library, and prints its
 * result on standard output through cli_result.
 */
#ifndef NECOOPS_CLI_CLI_H
#define NECOOPS_CLI_CLI_H

#include "necoops/base/json.h"
#include "necoops/base/opt.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

struct cli {
    struct run run;
    struct conf *conf;
    struct strv operands;
    bool json;    /* -o json */
    bool dry_run;
    bool quiet;
    int verbose;   /* how many -v */
    bool terminal; /* a person is at standard input and standard error */
    bool color;    /* for standard output */
};

/* An option that is a configuration key by another name: given, it wins over --set. */
struct cli_key {
    const char **value; /* of an OPT_STRING; NULL ends the list */
    const char *key;
};

struct cli_tool {
    const char *name;        /* "necoops-create" */
    const char *synopsis;    /* what follows the name in the usage line */
    const char *summary;     /* one sentence */
    const char *description; /* paragraphs of --help: what it does, what next */
    const struct opt *opts;  /* the tool's own, ended by an empty row; may be NULL */
    const struct cli_key *keys; /* may be NULL */
    const char *examples;    /* for --help */
    size_t operands_max;
    int64_t timeout_ms; /* default of --timeout; 0: none */
    /* Does the work; the result goes to standard output in here. */
    int (*run)(struct cli *cli, struct err *err);
};

int cli_main(const struct cli_tool *tool, int argc, char **argv);

/* Asks a person on the terminal; without one, ERR_USAGE that names `flag` as the way out. False
 * answer: ERR_FAILED "not confirmed". */
int cli_confirm(struct cli *cli, bool yes, const char *flag, const char *question, struct err *err)
    MUST_CHECK;

/* Prints `value` as pretty JSON on standard output; -1 when it cannot be written. */
int cli_print_json(const cJSON *value, struct err *err) MUST_CHECK;
/* Prints what --dry-run found: a line each, or {"plan": [line, …]}. */
int cli_print_plan(const struct cli *cli, const struct strv *lines, struct err *err) MUST_CHECK;

#endif
