#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/timefmt.h"
#include "necoops/cli/cli.h"
#include "necoops/gce/metadata.h"
#include "necoops/remote/remote.h"
#include "necoops/snapshot/snapshot.h"

static struct {
    const char *to;
    const char *tag;
    const char *loader;
    int64_t connections;
    bool replace;
    bool if_needed;
    bool no_gate;
    const char *instance;
} given;

/* What the options and the configuration say; the lists are held here. */
struct settings {
    struct snapshot_options options;
    struct strv load, verify, issue, sockets;
    char *to;
};

static void settings_clear(struct settings *settings)
{
    strv_clear(&settings->load);
    strv_clear(&settings->verify);
    strv_clear(&settings->issue);
    strv_clear(&settings->sockets);
    free(settings->to);
}

static enum snapshot_loader loader_of(const char *name)
{
    if (strcmp(name, "none") == 0)
        return SNAPSHOT_LOADER_NONE;
    return strcmp(name, "qmp") == 0 ? SNAPSHOT_LOADER_QMP : SNAPSHOT_LOADER_COMMAND;
}

static int settings_load(struct cli *cli, struct settings *settings, struct err *err)
{
    const struct conf *conf = cli->conf;
    struct snapshot_options *options = &settings->options;
    if (cli->operands.len == 0 && conf_require(conf, "snapshot.source", err) != 0)
        return -1;
    if (!given.to && conf_require(conf, "snapshot.to", err) != 0)
        return -1;
    settings->to = given.to ? xstrdup(given.to) : conf_path(&cli->run, conf, "snapshot.to");
    conf_strs(conf, "snapshot.load", &settings->load);
    conf_strs(conf, "snapshot.verify", &settings->verify);
    conf_strs(conf, "snapshot.kubeconfig.issue", &settings->issue);
    conf_strs(conf, "snapshot.qmp.sockets", &settings->sockets);
    *options = (struct snapshot_options){
        .source =
            cli->operands.len > 0 ? cli->operands.items[0] : conf_str(conf, "snapshot.source"),
        .to = settings->to,
        .tag = given.tag ? given.tag : conf_str(conf, "snapshot.tag"),
        .connections = (int)(given.connections ? given.connections
                                               : conf_int(conf, "snapshot.connections", 8)),
        .part_size = (uint64_t)conf_int(conf, "snapshot.partSize", 8 << 20),
        .stall_ms = conf_duration_ms(conf, "snapshot.stallTimeout", 10000),
        .replace = given.replace,
        .if_needed = given.if_needed,
        .loader = loader_of(given.loader ? given.loader : conf_str(conf, "snapshot.loader")),
        .load = &settings->load,
        .verify = &settings->verify,
        .qmp_sockets = &settings->sockets,
        .before = conf_json(conf, "snapshot.before"),
        .after = conf_json(conf, "snapshot.after"),
        .kubeconfig_issue = &settings->issue,
        .kubeconfig_to = conf_str(conf, "snapshot.kubeconfig.to"),
        .nodes = (int)conf_int(conf, "snapshot.nodes", 0),
        .gate = !given.no_gate,
        .gate_timeout_ms = conf_duration_ms(conf, "snapshot.gateTimeout", 600000),
        .max_clock_skew_ms = conf_duration_ms(conf, "snapshot.maxClockSkew", 5000),
        .cpu_platform = metadata_cpu_platform,
    };
    return 0;
}

static void print_download(const struct snapshot_result *result)
{
    double mib = (double)result->bytes / (1 << 20);
    int64_t ms = 1;
    for (size_t i = 0; i < result->phase_count; i++) {
        if (strcmp(result->phases[i].name, "download") == 0 && result->phases[i].ms > 0)
            ms = result->phases[i].ms;
    }
    printf("downloaded %.1f MiB in %s (%.0f MiB/s), checksum right: %" PRIu64
           " files of %.1f MiB, %.1f MiB on disk\n",
           mib, duration_format(ms).text, mib * 1000 / (double)ms, result->files,
           (double)result->unpacked_bytes / (1 << 20), (double)result->disk_bytes / (1 << 20));
}

static void print_result(const struct settings *settings, const struct snapshot_result *result)
{
    const struct snapshot_options *options = &settings->options;
    if (result->downloaded)
        print_download(result);
    else
        printf("'%s' was in '%s' already\n", result->url, options->to);
    if (result->loaded)
        printf("loaded snapshot '%s'\n", options->tag);
    if (result->nodes > 0)
        printf("the cluster is ready: %d nodes\n", result->nodes);
    printf("phases:");
    for (size_t i = 0; i < result->phase_count; i++)
        printf(" %s %s", result->phases[i].name, duration_format(result->phases[i].ms).text);
    printf("\n");
}

static int plan(struct cli *cli, struct http *http, struct gcs *gcs,
                const struct settings *settings, struct err *err)
{
    autostrv struct strv lines = STRV_INIT;
    if (snapshot_plan(http, gcs, &settings->options, &lines, err) != 0)
        return -1;
    return cli_print_plan(cli, &lines, err);
}

static int print(struct cli *cli, const struct settings *settings,
                 const struct snapshot_result *result, struct err *err)
{
    progress_done(cli->run.progress);
    if (cli->json) {
        autojson cJSON *json = snapshot_result_json(&settings->options, result);
        return cli_print_json(json, err);
    }
    print_result(settings, result);
    return 0;
}

static int load(struct cli *cli, const struct settings *settings, struct err *err)
{
    autohttp struct http *http = NULL;
    autoauth struct auth *auth = NULL;
    autogcs struct gcs *gcs = NULL;
    if (http_new(&cli->run, &http, err) != 0 || auth_find(http, &auth, err) != 0 ||
        gcs_new(http, auth, &gcs, err) != 0)
        return -1;
    if (cli->dry_run)
        return plan(cli, http, gcs, settings, err);
    struct snapshot_result result = {0};
    int status = snapshot_load(http, gcs, &settings->options, &result, err);
    if (status == 0)
        status = print(cli, settings, &result, err);
    snapshot_result_clear(&result);
    return status;
}

/* ---- on the instance, from elsewhere ---- */

static void make_options(const struct cli *cli, cJSON *out)
{
    json_set_str(out, "tag", given.tag);
    json_set_str(out, "loader", given.loader);
    json_set_str(out, "output", cli->json ? "json" : NULL);
    json_set_str(out, "", cli->operands.len > 0 ? cli->operands.items[0] : NULL);
    if (given.connections)
        json_set_i64(out, "connections", given.connections);
    if (cli->verbose)
        json_set_i64(out, "verbose", cli->verbose);
    const struct {
        const char *name;
        bool value;
    } flags[] = {{"if-needed", given.if_needed},
                 {"replace", given.replace},
                 {"no-gate", given.no_gate},
                 {"dry-run", cli->dry_run},
                 {"quiet", cli->quiet}};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (flags[i].value)
            json_set_bool(out, flags[i].name, true);
    }
}

static int load_remotely(struct cli *cli, struct err *err)
{
    autojson cJSON *options = json_object();
    autoremote struct remote_outcome outcome = {.ran = false};
    const struct remote_work work = {
        .tool = "necoops-snapshot-load", .instance = given.instance, .options = options};
    if (given.to)
        return err_set(err, ERR_USAGE,
                       "--to is the instance's own matter (snapshot.to); leave it out with "
                       "--instance");
    make_options(cli, options);
    int status = remote_run(&cli->run, cli->conf, &work, &outcome, err);
    progress_done(cli->run.progress);
    if (outcome.output)
        fputs(outcome.output, stdout);
    return status;
}

static int run(struct cli *cli, struct err *err)
{
    if (given.instance)
        return load_remotely(cli, err);
    CLEANUP(settings_clear) struct settings settings = {0};
    if (settings_load(cli, &settings, err) != 0)
        return -1;
    return load(cli, &settings, err);
}

static const struct opt rows[] = {
    {OPT_STRING, 0, "to", "DIR", "folder that will hold the snapshot (snapshot.to)", &given.to},
    {OPT_STRING, 0, "tag", "NAME", "name of the snapshot inside (snapshot.tag)", &given.tag},
    {OPT_CHOICE, 0, "loader", "command|qmp|none", "how the VMs are restored (snapshot.loader)",
     &given.loader, .choices = "command|qmp|none"},
    {OPT_INT, 0, "connections", "N", "requests side by side (snapshot.connections)",
     &given.connections, .min = 1, .max = 64},
    {OPT_FLAG, 0, "replace", NULL, "replace a folder that no snapshot made", &given.replace},
    {OPT_FLAG, 0, "if-needed", NULL, "do nothing when this very snapshot is there and is loaded",
     &given.if_needed},
    {OPT_FLAG, 0, "no-gate", NULL, "do not wait for the cluster after the load", &given.no_gate},
    {OPT_STRING, 0, "instance", "NAME", "have the agent on this instance do it", &given.instance},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_tool tool = {
    .name = "necoops-snapshot-load",
    .synopsis = "[option ...] [gs://BUCKET/OBJECT]",
    .summary =
        "Downloads, verifies, unpacks and loads a snapshot of VMs, and waits for its cluster.",
    .description =
        "The object is unpacked while it comes, into a new folder beside the destination; the two\n"
        "are exchanged once the checksum of the whole object is right. What is there already is\n"
        "not downloaded again, but loaded again. Next: deploy a commit with necoops-deploy.",
    .opts = rows,
    .examples = "  necoops-snapshot-load                       as the configuration says\n"
                "  necoops-snapshot-load --instance neco-ops   from CI\n"
                "  necoops-snapshot-load --loader none --to /var/scratch/x gs://b/x.tar.zst\n",
    .operands_max = 1,
    .timeout_ms = INT64_C(60) * 60 * 1000,
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
