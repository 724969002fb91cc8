/* necoops-emulator(1): options in, emu_start, wait, emu_stop. Under the names pmctl and ckecli it
 * is what controls the virtual data centre inside an instance. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include "emulator/core/emulator.h"
#include "emulator/machine/machine.h"
#include "necoops/base/opt.h"

struct options {
    int64_t port;
    const char *port_file, *data, *seed, *request_log, *credentials;
    struct strv git_mirrors, faults, timings;
    bool run_startup_scripts;
    const char *write_snapshot, *tag, *kubernetes_version, *argocd_version, *image_size;
    int64_t nodes;
    int verbose;
    bool quiet, help, version;
    const char *log_format;
};

static void options_clear(struct options *options)
{
    strv_clear(&options->git_mirrors);
    strv_clear(&options->faults);
    strv_clear(&options->timings);
}

#define OPTION_ROWS 26

static void option_table(struct options *o, struct opt *rows)
{
    const struct opt table[OPTION_ROWS] = {
        {OPT_HEADING, .help = "Serving"},
        {OPT_INT, 'p', "port", "N", "listen on this port of 127.0.0.1 (0: any; default 0)",
         &o->port, .max = 65535},
        {OPT_STRING, 0, "port-file", "FILE", "write the port there once everything listens",
         &o->port_file},
        {OPT_STRING, 0, "data", "DIR",
         "keep objects and machines there (default: a temporary folder)", &o->data},
        {OPT_STRING, 0, "seed", "FILE", "what is there at the start (YAML or JSON)", &o->seed},
        {OPT_STRINGS, 0, "git-mirror", "URL=DIR", "serve this repository from a folder; repeatable",
         &o->git_mirrors},
        {OPT_STRING, 0, "credentials", "FILE", "write the service account key for clients there",
         &o->credentials},
        {OPT_FLAG, 0, "run-startup-scripts", NULL, "instances really run their startup script",
         &o->run_startup_scripts},
        {OPT_HEADING, .help = "Testing"},
        {OPT_STRING, 0, "request-log", "FILE", "append one JSON object a request", &o->request_log},
        {OPT_STRINGS, 0, "fault", "RULE", "spoil what matches (path=…,status=503); repeatable",
         &o->faults},
        {OPT_STRINGS, 0, "timing", "NAME=DURATION", "how long something takes; repeatable",
         &o->timings},
        {OPT_HEADING, .help = "Making a snapshot"},
        {OPT_STRING, 0, "write-snapshot", "DIR", "write a small real snapshot there and end",
         &o->write_snapshot},
        {OPT_STRING, 0, "tag", "NAME", "its tag (default init)", &o->tag},
        {OPT_INT, 0, "nodes", "N", "its VMs (default 3)", &o->nodes, .min = 1, .max = 100},
        {OPT_STRING, 0, "kubernetes-version", "V", "its Kubernetes (default v1.27.16)",
         &o->kubernetes_version},
        {OPT_STRING, 0, "argocd-version", "V", "its Argo CD, or none (default v2.14.21)",
         &o->argocd_version},
        {OPT_STRING, 0, "image-size", "SIZE", "apparent size of each image, as 64M (default 16M)",
         &o->image_size},
        {OPT_HEADING, .help = "Common"},
        {OPT_COUNT, 'v', "verbose", NULL, "say more; twice: everything", &o->verbose},
        {OPT_FLAG, 'q', "quiet", NULL, "only warnings and errors", &o->quiet},
        {OPT_CHOICE, 0, "log-format", "FORMAT", "text or json", &o->log_format,
         .choices = "text|json"},
        {OPT_FLAG, 'h', "help", NULL, "show this", &o->help},
        {OPT_FLAG, 0, "version", NULL, "show the version", &o->version},
        {OPT_FLAG},
    };
    memcpy(rows, table, sizeof table);
}

static void print_help(const struct opt *rows)
{
    printf("usage: necoops-emulator [options]\n\n"
           "A small cloud on this machine: Compute Engine, Cloud Storage, tokens, Kubernetes and\n"
           "Argo CD, on loopback only.\n\n");
    opt_help(rows, stdout);
}

static struct log *make_log(const struct options *options)
{
    enum log_level level = LOG_INFO;
    if (options->quiet)
        level = LOG_WARNING;
    else if (options->verbose > 0)
        level = options->verbose > 1 ? LOG_TRACE : LOG_DEBUG;
    enum log_format format = strcmp(options->log_format, "json") == 0 ? LOG_JSON : LOG_TEXT;
    return log_new(stderr, "necoops-emulator", format, level);
}

static int parse_size(const char *text, uint64_t *out, struct err *err)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    unsigned int shift = unit != NULL ? 10 * (unsigned int)(unit - units + 1) : 0;
    if (errno != 0 || end == text || (*end != '\0' && (unit == NULL || end[1] != '\0')) ||
        value == 0 || value > (UINT64_MAX >> shift))
        return err_set(err, ERR_USAGE, "'%s' is no size (16M, 2G)", text);
    *out = (uint64_t)value << shift;
    return 0;
}

static int write_snapshot(const struct options *options, struct err *err)
{
    bool argocd = strcmp(options->argocd_version, "none") != 0;
    struct snapshot_spec spec = {.dir = options->write_snapshot,
                                 .tag = options->tag,
                                 .nodes = (int)options->nodes,
                                 .kubernetes_version = options->kubernetes_version,
                                 .argocd_version = argocd ? options->argocd_version : NULL};
    if (parse_size(options->image_size, &spec.image_bytes, err) < 0)
        return err_prefix(err, "--image-size");
    return placemat_write_snapshot(&spec, err);
}

static char *own_path(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    return len > 0 ? xstrndup(path, (size_t)len) : NULL;
}

/* A value as a shell takes it back. */
static void print_export(const char *name, const char *value)
{
    printf("export %s='", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*p);
    }
    puts("'");
}

static void wait_for_signal(const struct run *run)
{
    struct pollfd wake = {.fd = run->wake_fd, .events = POLLIN};
    while (*run->signal == 0)
        (void)poll(&wake, 1, -1);
}

static int serve(const struct options *options, struct run *run, struct err *err)
{
    autofree char *program = own_path();
    struct emu *emu = NULL;
    struct emu_config config = {.port = (uint16_t)options->port,
                                .port_file = options->port_file,
                                .data_dir = options->data,
                                .seed = options->seed,
                                .request_log = options->request_log,
                                .credentials = options->credentials,
                                .faults = &options->faults,
                                .git_mirrors = &options->git_mirrors,
                                .run_startup_scripts = options->run_startup_scripts,
                                .program = program,
                                .timing = emu_timing_default(),
                                .log = run->log};
    for (size_t i = 0; i < options->timings.len; i++) {
        if (emu_timing_set(&config.timing, options->timings.items[i], err) < 0)
            return -1;
    }
    if (run_catch_signals(run, err) < 0 || emu_start(&config, &emu, err) < 0)
        return -1;
    print_export("NECOOPS_EMULATOR", emu_url(emu));
    print_export("GOOGLE_APPLICATION_CREDENTIALS", emu_credentials(emu));
    (void)fflush(stdout);
    wait_for_signal(run);
    emu_stop(emu);
    return 0;
}

static int run_tool(const struct options *options, struct run *run, struct err *err)
{
    if (options->write_snapshot != NULL)
        return write_snapshot(options, err);
    return serve(options, run, err);
}

static int emulator_main(int argc, char **argv, struct options *options)
{
    struct opt rows[OPTION_ROWS];
    autoerr struct err err = ERR_INIT;
    autostrv struct strv rest = STRV_INIT;
    option_table(options, rows);
    if (opt_parse(rows, argc, argv, &rest, &err) < 0 ||
        (rest.len > 0 && err_set(&err, ERR_USAGE, "unexpected argument '%s'", rest.items[0]) < 0)) {
        (void)fprintf(stderr, "necoops-emulator: error: %s; see necoops-emulator --help\n",
                      err_text(&err));
        return err_exit_status(&err);
    }
    if (options->help) {
        print_help(rows);
        return 0;
    }
    if (options->version) {
        puts("necoops-emulator " NECOOPS_VERSION);
        return 0;
    }
    struct run run = {.log = make_log(options),
                      .clock = &clock_system,
                      .wake_fd = -1,
                      .deadline = RUN_NO_DEADLINE,
                      .environ = (const char *const *)environ};
    if (run_tool(options, &run, &err) < 0)
        log_error(run.log, "%s", err_text(&err));
    log_free(run.log);
    return err_exit_status(&err);
}

int main(int argc, char **argv)
{
    if (placemat_is_command(argc > 0 ? argv[0] : NULL))
        return placemat_command_main(argc, argv);
    struct options options = {.log_format = "text",
                              .tag = "init",
                              .nodes = 3,
                              .kubernetes_version = "v1.27.16",
                              .argocd_version = "v2.14.21",
                              .image_size = "16M"};
    int status = emulator_main(argc, argv, &options);
    options_clear(&options);
    return status;
}
