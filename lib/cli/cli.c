#include "necoops/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/text.h"

extern char **environ;

/* What the common options say. */
struct common {
    const char *config;
    struct strv sets;
    bool print_config;
    const char *output;
    int64_t timeout_ms;
    bool dry_run;
    int verbose;
    bool quiet;
    const char *log_format;
    bool help;
    bool version;
};

static size_t count_rows(const struct opt *opts)
{
    size_t count = 0;
    while (opts && (opts[count].name || opts[count].type == OPT_HEADING))
        count++;
    return count;
}

/* The tool's rows, then the common ones; caller frees. */
static struct opt *all_options(const struct cli_tool *tool, struct common *common)
{
    const struct opt rows[] = {
        {OPT_HEADING, .help = "Common options"},
        {OPT_STRING, 'c', "config", "FILE", "configuration; default: necoops.yaml here or above",
         &common->config},
        {OPT_STRINGS, 0, "set", "KEY=VALUE",
         "set one configuration key, as necoops.yaml(5) names it", &common->sets},
        {OPT_FLAG, 0, "print-config", NULL, "print every value and where it came from, and end",
         &common->print_config},
        {OPT_CHOICE, 'o', "output", "text|json", "form of the result on standard output",
         &common->output, .choices = "text|json"},
        {OPT_DURATION, 0, "timeout", "DURATION", "give up after so long, such as 90s or 1h30m",
         &common->timeout_ms, .min = 1},
        {OPT_FLAG, 0, "dry-run", NULL, "print the plan, change nothing", &common->dry_run},
        {OPT_COUNT, 'v', "verbose", NULL, "say more; twice: every request", &common->verbose},
        {OPT_FLAG, 'q', "quiet", NULL, "only warnings and errors", &common->quiet},
        {OPT_CHOICE, 0, "log-format", "text|json", "form of the messages on standard error",
         &common->log_format, .choices = "text|json"},
        {OPT_FLAG, 'h', "help", NULL, "print this", &common->help},
        {OPT_FLAG, 0, "version", NULL, "print the version", &common->version},
        {OPT_FLAG, .name = NULL},
    };
    size_t own = count_rows(tool->opts);
    struct opt *all = xcalloc(own + ARRAY_LEN(rows), sizeof *all);
    if (own)
        memcpy(all, tool->opts, own * sizeof *all);
    memcpy(all + own, rows, sizeof rows);
    return all;
}

static void print_help(const struct cli_tool *tool, const struct opt *opts)
{
    printf("usage: %s %s\n\n%s\n\n%s\n\n", tool->name, tool->synopsis, tool->summary,
           tool->description);
    if (count_rows(tool->opts))
        printf("Options:\n");
    opt_help(opts, stdout);
    if (tool->examples)
        printf("\nExamples:\n%s", tool->examples);
    printf("\nThe manual: %s(1), necoops(7) for the exit statuses, necoops.yaml(5).\n", tool->name);
}

static enum log_level level_of(const struct common *common)
{
    if (common->quiet)
        return LOG_WARNING;
    return common->verbose >= 2 ? LOG_TRACE : common->verbose ? LOG_DEBUG : LOG_INFO;
}

static void start(const struct cli_tool *tool, const struct common *common, struct cli *cli)
{
    bool json_log = common->log_format && strcmp(common->log_format, "json") == 0;
    bool redraw = isatty(STDERR_FILENO) && !json_log && common->verbose < 2;
    cli->quiet = common->quiet;
    cli->verbose = common->verbose;
    cli->dry_run = common->dry_run;
    cli->json = common->output && strcmp(common->output, "json") == 0;
    cli->terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    cli->run.environ = (const char *const *)environ;
    const char *term = run_env(&cli->run, "TERM");
    cli->color = isatty(STDOUT_FILENO) && !run_env(&cli->run, "NO_COLOR") && term &&
                 strcmp(term, "dumb") != 0;
    if (run_env(&cli->run, "CLICOLOR_FORCE"))
        cli->color = true;
    cli->run.log = log_new(stderr, tool->name, json_log ? LOG_JSON : LOG_TEXT, level_of(common));
    cli->run.clock = &clock_system;
    cli->run.progress = progress_new(stderr, cli->run.log, redraw, !common->quiet);
    if (run_env(&cli->run, "NECOOPS_RELAY")) /* set by necoops-agent */
        progress_relay(cli->run.progress);
    cli->run.wake_fd = -1;
    int64_t timeout = common->timeout_ms ? common->timeout_ms : tool->timeout_ms;
    cli->run.deadline = timeout ? run_mono_ms(&cli->run) + timeout : RUN_NO_DEADLINE;
}

static void take_keys(const struct cli_tool *tool, struct common *common)
{
    for (const struct cli_key *key = tool->keys; key && key->value; key++) {
        if (*key->value)
            strv_addf(&common->sets, "%s=%s", key->key, *key->value);
    }
}

static int work(const struct cli_tool *tool, const struct common *common, struct cli *cli,
                struct err *err)
{
    if (cli->operands.len > tool->operands_max)
        return err_set(err, ERR_USAGE, "unexpected argument '%s'; see %s --help",
                       cli->operands.items[tool->operands_max], tool->name);
    if (run_catch_signals(&cli->run, err) < 0 ||
        conf_load(&cli->run, common->config, &common->sets, &cli->conf, err) < 0)
        return -1;
    if (!common->print_config)
        return tool->run(cli, err);
    if (!cli->json) {
        conf_print(cli->conf, stdout);
        return 0;
    }
    autojson cJSON *all = conf_to_json(cli->conf);
    return cli_print_json(all, err);
}

/* Standard output is where data goes: what could not be written there is a failure. */
static int flush_output(struct err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return err_set_errno(err, ERR_FAILED, errno, "writing standard output");
}

static int finish(struct cli *cli, struct err *err)
{
    struct err flush_err = ERR_INIT;
    progress_done(cli->run.progress);
    if (flush_output(&flush_err) < 0 && err->code == ERR_NONE)
        err_move(err, &flush_err);
    err_clear(&flush_err);
    int status = err_exit_status(err);
    if (status)
        log_error(cli->run.log, "%s", err_text(err));
    conf_free(cli->conf);
    progress_free(cli->run.progress);
    log_free(cli->run.log);
    return status;
}

/* Options were wrong: there is no log yet. */
static int refuse(const struct cli_tool *tool, const struct err *err)
{
    autofree char *text = text_visible(err_text(err), strlen(err_text(err)), false);
    fprintf(stderr, "%s: error: %s; see %s --help\n", tool->name, text, tool->name);
    return err_exit_status(err);
}

static int run_tool(const struct cli_tool *tool, const struct common *common, struct cli *cli)
{
    autoerr struct err err = ERR_INIT;
    start(tool, common, cli);
    if (work(tool, common, cli, &err) < 0 && err.code == ERR_NONE)
        err_set(&err, ERR_FAILED, "failed without a reason, which is a defect of %s", tool->name);
    return finish(cli, &err);
}

static int answer(const struct cli_tool *tool, const struct common *common, const struct opt *opts)
{
    autoerr struct err err = ERR_INIT;
    if (common->help)
        print_help(tool, opts);
    else
        printf("%s %s\n", tool->name, NECOOPS_VERSION);
    if (flush_output(&err) == 0)
        return 0;
    fprintf(stderr, "%s: error: %s\n", tool->name, err_text(&err));
    return err_exit_status(&err);
}

int cli_main(const struct cli_tool *tool, int argc, char **argv)
{
    struct common common = {.config = NULL};
    struct cli cli = {.conf = NULL};
    autoerr struct err err = ERR_INIT;
    struct opt *opts = all_options(tool, &common);
    int status;
    if (opt_parse(opts, argc, argv, &cli.operands, &err) < 0)
        status = refuse(tool, &err);
    else if (common.help || common.version)
        status = answer(tool, &common, opts);
    else {
        take_keys(tool, &common);
        status = run_tool(tool, &common, &cli);
    }
    strv_clear(&common.sets);
    strv_clear(&cli.operands);
    free(opts);
    return status;
}

int cli_confirm(struct cli *cli, bool yes, const char *flag, const char *question, struct err *err)
{
    if (yes)
        return 0;
    if (!cli->terminal)
        return err_set(err, ERR_USAGE, "nobody is here to ask '%s'; give %s to go on", question,
                       flag);
    progress_done(cli->run.progress);
    char answer_line[64];
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    if (!fgets(answer_line, sizeof answer_line, stdin))
        answer_line[0] = '\0';
    if (run_check(&cli->run, "the answer", err) < 0)
        return -1;
    if (answer_line[0] == 'y' || answer_line[0] == 'Y')
        return 0;
    return err_set(err, ERR_FAILED, "not confirmed; nothing was changed");
}

int cli_print_json(const cJSON *value, struct err *err)
{
    autofree char *text = json_print_pretty(value);
    if (puts(text) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "writing standard output");
    return 0;
}

int cli_print_plan(const struct cli *cli, const struct strv *lines, struct err *err)
{
    if (!cli->json) {
        for (size_t i = 0; i < lines->len; i++)
            printf("%s\n", lines->items[i]);
        return 0;
    }
    autojson cJSON *json = json_object();
    cJSON *array = json_set_array(json, "plan");
    for (size_t i = 0; i < lines->len; i++)
        json_push_str(array, lines->items[i]);
    return cli_print_json(json, err);
}
