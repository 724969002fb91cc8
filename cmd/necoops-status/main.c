#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "necoops/cli/cli.h"
#include "necoops/instance/schedule.h"
#include "necoops/status/doctor.h"
#include "necoops/status/status.h"

#define WATCH_MS 2000

static struct {
    const char *name;
    bool doctor;
    bool watch;
    const char *html;
} options;

/* ---- one look ---- */

static int no_instance(struct cli *cli, struct err *err)
{
    autofree char *hint = schedule_hint(&cli->run, cli->conf);
    return err_set(err, ERR_NO_CLUSTER, "there is no instance '%s'%s",
                   conf_str(cli->conf, "instance.name"), hint);
}

static int look_once(struct cli *cli, struct status *status, const struct schedule *schedule,
                     struct err *err)
{
    autojson cJSON *value = NULL;
    if (status_look(status, &value, err) < 0)
        return -1;
    progress_done(cli->run.progress);
    if (options.html && status_write_page(value, schedule, options.html, err) < 0)
        return -1;
    if (!cli->json)
        status_print(value, schedule, stdout, cli->color);
    else if (cli_print_json(value, err) < 0)
        return -1;
    return cJSON_IsNull(json_at(value, "instance")) ? no_instance(cli, err) : 0;
}

/* ---- again and again ---- */

/* Draws a page over the one before it; what does not fit on the terminal is left out. */
static void redraw(const cJSON *value, const struct schedule *schedule, bool color)
{
    struct winsize size = {.ws_row = 0};
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (!stream)
        return;
    status_print(value, schedule, stream, color);
    fclose(stream);
    int rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
    fputs("\033[H", stdout);
    const char *line = text;
    for (int row = 1; row < rows && *line; row++) {
        size_t width = strcspn(line, "\n");
        printf("%.*s\033[K\n", (int)width, line);
        line += width + (line[width] == '\n');
    }
    fputs("\033[J", stdout);
    free(text);
}

/* Everything but the time of the look. */
static char *gist(const cJSON *value)
{
    autojson cJSON *copy = json_copy(value);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "time");
    return json_print(copy);
}

/* Without a terminal: only when something has changed, JSON as one line each. */
static void print_change(struct cli *cli, const cJSON *value, const struct schedule *schedule,
                         char **before)
{
    autofree char *now = gist(value);
    if (*before && strcmp(*before, now) == 0)
        return;
    bool first = *before == NULL;
    free(*before);
    *before = steal(now);
    if (cli->json) {
        autofree char *line = json_print(value);
        printf("%s\n", line);
        return;
    }
    if (!first)
        putchar('\n');
    status_print(value, schedule, stdout, cli->color);
}

static int watch(struct cli *cli, struct status *status, const struct schedule *schedule,
                 struct err *err)
{
    bool terminal = isatty(STDOUT_FILENO) && !cli->json;
    autofree char *before = NULL;
    if (terminal)
        fputs("\033[2J", stdout);
    for (;;) {
        autojson cJSON *value = NULL;
        if (status_look(status, &value, err) < 0 && err->code != ERR_UNREACHABLE)
            return -1;
        if (!value) {
            log_warning(cli->run.log, "%s", err_text(err));
            err_clear(err);
        } else if (terminal) {
            redraw(value, schedule, cli->color);
        } else {
            print_change(cli, value, schedule, &before);
        }
        if (fflush(stdout) != 0)
            return err_set(err, ERR_FAILED, "standard output cannot be written any more");
        if (run_sleep(&cli->run, WATCH_MS, "a change", err) < 0)
            return -1;
    }
}

/* ---- doctor ---- */

static int doctor(struct cli *cli, struct err *err)
{
    autojson cJSON *checks = NULL;
    if (doctor_examine(&cli->run, cli->conf, &checks, err) < 0)
        return -1;
    progress_done(cli->run.progress);
    if (!cli->json)
        doctor_print(checks, stdout, cli->color);
    else if (cli_print_json(checks, err) < 0)
        return -1;
    return doctor_verdict(checks, err);
}

static int run(struct cli *cli, struct err *err)
{
    struct run calm = cli->run;
    autoschedule struct schedule schedule = {.up = -1};
    autostatus struct status *status = NULL;
    if (options.doctor && options.watch)
        return err_set(err, ERR_USAGE, "--doctor and --watch exclude each other");
    if (options.html && (options.doctor || options.watch))
        return err_set(err, ERR_USAGE, "--html is of one look: it excludes --doctor and --watch");
    if (options.doctor)
        return doctor(cli, err);
    if (options.watch)
        calm.progress = NULL; /* the page is the progress */
    if (schedule_load(cli->conf, &schedule, err) < 0 ||
        status_open(&calm, cli->conf, &status, err) < 0)
        return -1;
    return options.watch ? watch(cli, status, &schedule, err)
                         : look_once(cli, status, &schedule, err);
}

static const struct opt rows[] = {
    {OPT_STRING, 0, "name", "NAME", "the instance's name, for CI that makes one a build",
     &options.name},
    {OPT_FLAG, 'w', "watch", NULL,
     "look again every two seconds: redrawn in place on a terminal, elsewhere\n"
     "printed when something has changed",
     &options.watch},
    {OPT_STRING, 0, "html", "FILE", "write it as a page for people, too", &options.html},
    {OPT_FLAG, 0, "doctor", NULL,
     "check all that a run needs, and tell what to do; status 1 when something\n"
     "needed is wrong",
     &options.doctor},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_key keys[] = {{&options.name, "instance.name"}, {.value = NULL}};

static const struct cli_tool tool = {
    .name = "necoops-status",
    .synopsis = "[option ...]",
    .summary = "Shows the instance, its cluster, every application and the day's timeline.",
    .description =
        "Status 0 when it can tell, 3 when there is no instance. What cannot be asked (a\n"
        "cluster that is coming up) is noted and is no failure. Nothing is changed.",
    .opts = rows,
    .keys = keys,
    .examples = "  necoops-status --watch                 look on\n"
                "  necoops-status --doctor                before the first day, and when it fails\n"
                "  necoops-status -o json | jq .apps      for scripts\n",
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
