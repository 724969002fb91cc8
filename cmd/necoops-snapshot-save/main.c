#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/cli/cli.h"
#include "necoops/gce/metadata.h"
#include "necoops/snapshot/save.h"

static struct {
    const char *from;
    const char *name;
    struct strv tags;
    struct strv exclude;
    int64_t connections;
    int64_t level;
    int64_t keep;
    int64_t keep_for;
    bool no_current;
    bool prune;
} given = {.keep = -1, .keep_for = -1};

/* What the options and the configuration say; the lists are held here. */
struct settings {
    struct save_options options;
    struct strv tags, exclude, certificates;
    char *from;
};

static void settings_clear(struct settings *settings)
{
    strv_clear(&settings->tags);
    strv_clear(&settings->exclude);
    strv_clear(&settings->certificates);
    free(settings->from);
}

static void add_all(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->len; i++)
        strv_add(to, from->items[i]);
}

static int find_from(struct cli *cli, struct settings *settings, struct err *err)
{
    const struct conf *conf = cli->conf;
    const char *key = conf_has(conf, "snapshot.save.from") ? "snapshot.save.from" : "snapshot.to";
    if (given.prune)
        return 0;
    if (!given.from && conf_require(conf, key, err) != 0)
        return -1;
    settings->from = given.from ? xstrdup(given.from) : conf_path(&cli->run, conf, key);
    return 0;
}

/* Where a load looks is where a save goes, when that is a pointer. */
static int find_to(struct cli *cli, const char **to, struct err *err)
{
    const struct conf *conf = cli->conf;
    const char *source = conf_str(conf, "snapshot.source");
    bool usable = source && text_ends(source, ".json");
    if (cli->operands.len > 0) {
        *to = cli->operands.items[0];
        return 0;
    }
    if (!conf_has(conf, "snapshot.save.to") && usable) {
        *to = source;
        return 0;
    }
    if (conf_require(conf, "snapshot.save.to", err) != 0)
        return -1;
    *to = conf_str(conf, "snapshot.save.to");
    return 0;
}

static void find_lists(struct cli *cli, struct settings *settings)
{
    const struct conf *conf = cli->conf;
    add_all(&settings->tags, &given.tags);
    if (settings->tags.len == 0)
        strv_add(&settings->tags, conf_str(conf, "snapshot.tag"));
    conf_strs(conf, "snapshot.save.exclude", &settings->exclude);
    add_all(&settings->exclude, &given.exclude);
    conf_places(&cli->run, conf, "snapshot.save.certificates", &settings->certificates);
}

static int settings_load(struct cli *cli, struct settings *settings, struct err *err)
{
    const struct conf *conf = cli->conf;
    const char *to = NULL;
    if (find_from(cli, settings, err) != 0 || find_to(cli, &to, err) != 0)
        return -1;
    find_lists(cli, settings);
    settings->options = (struct save_options){
        .from = settings->from,
        .to = to,
        .name = given.name,
        .tags = &settings->tags,
        .exclude = &settings->exclude,
        .certificates = &settings->certificates,
        .before = conf_json(conf, "snapshot.save.before"),
        .after = conf_json(conf, "snapshot.save.after"),
        .nodes = (int)conf_int(conf, "snapshot.nodes", 0),
        .connections = (int)(given.connections ? given.connections
                                               : conf_int(conf, "snapshot.connections", 8)),
        .part_size = (uint64_t)conf_int(conf, "snapshot.partSize", 8 << 20),
        .level = (int)(given.level ? given.level : conf_int(conf, "snapshot.save.level", 3)),
        .no_current = given.no_current,
        .prune_only = given.prune,
        .keep = (int)(given.keep >= 0 ? given.keep : conf_int(conf, "snapshot.save.keep", 0)),
        .keep_ms = given.keep_for >= 0 ? given.keep_for
                                       : conf_duration_ms(conf, "snapshot.save.keepFor", 0),
        .cpu_platform = metadata_cpu_platform,
    };
    return 0;
}

static int64_t ms_of(const struct save_result *result, const char *phase)
{
    for (size_t i = 0; i < result->phase_count; i++) {
        if (strcmp(result->phases[i].name, phase) == 0 && result->phases[i].ms > 0)
            return result->phases[i].ms;
    }
    return 1;
}

static void print_set(const struct settings *settings, const struct save_result *result)
{
    int64_t ms = ms_of(result, "upload");
    double mib = (double)result->disk_bytes / (1 << 20);
    printf("saved '%s' as set '%s': %" PRIu64 " files of %.1f MiB, %.1f MiB of them not holes\n",
           settings->options.from, result->set, result->files,
           (double)result->unpacked_bytes / (1 << 20), mib);
    printf("packed to %.1f MiB and uploaded in %s (%.0f MiB/s of content)\n",
           (double)result->bytes / (1 << 20), duration_format(ms).text, mib * 1000 / (double)ms);
    if (result->reused > 0)
        printf("%.1f MiB of them were there already\n", (double)result->reused / (1 << 20));
    if (result->current)
        printf("'%s' names it now\n", settings->options.to);
    else
        printf("its manifest is '%s'\n", result->manifest);
}

static void print_result(const struct settings *settings, const struct save_result *result)
{
    if (result->saved)
        print_set(settings, result);
    for (size_t i = 0; i < result->pruned.len; i++)
        printf("deleted the set '%s'\n", result->pruned.items[i]);
    if (!result->saved && result->pruned.len == 0)
        printf("there is no set to delete\n");
    printf("phases:");
    for (size_t i = 0; i < result->phase_count; i++)
        printf(" %s %s", result->phases[i].name, duration_format(result->phases[i].ms).text);
    printf("\n");
}

static int plan(struct cli *cli, struct run *run, struct http *http, struct gcs *gcs,
                const struct settings *settings, struct err *err)
{
    autostrv struct strv lines = STRV_INIT;
    if (save_plan(run, http, gcs, &settings->options, &lines, err) != 0)
        return -1;
    return cli_print_plan(cli, &lines, err);
}

static int print(struct cli *cli, const struct settings *settings, const struct save_result *result,
                 struct err *err)
{
    progress_done(cli->run.progress);
    if (cli->json) {
        autojson cJSON *json = save_result_json(&settings->options, result);
        return cli_print_json(json, err);
    }
    print_result(settings, result);
    return 0;
}

static int save(struct cli *cli, const struct settings *settings, struct err *err)
{
    autohttp struct http *http = NULL;
    autoauth struct auth *auth = NULL;
    autogcs struct gcs *gcs = NULL;
    struct run run = cli->run;
    if (http_new(&run, &http, err) != 0 || auth_find(http, &auth, err) != 0 ||
        gcs_new(http, auth, &gcs, err) != 0)
        return -1;
    if (cli->dry_run)
        return plan(cli, &run, http, gcs, settings, err);
    struct save_result result = {0};
    int status = snapshot_save(&run, http, gcs, &settings->options, &result, err);
    if (status == 0)
        status = print(cli, settings, &result, err);
    save_result_clear(&result);
    return status;
}

static int run_tool(struct cli *cli, struct err *err)
{
    CLEANUP(settings_clear) struct settings settings = {0};
    if (settings_load(cli, &settings, err) != 0)
        return -1;
    return save(cli, &settings, err);
}

static const struct opt rows[] = {
    {OPT_STRING, 0, "from", "DIR", "folder that is saved (snapshot.save.from)", &given.from},
    {OPT_STRING, 0, "name", "NAME", "name of the set; by default the time", &given.name},
    {OPT_STRINGS, 0, "tag", "NAME", "name of a snapshot inside, repeatable (snapshot.tag)",
     &given.tags},
    {OPT_STRINGS, 0, "exclude", "GLOB", "leave out what matches, repeatable", &given.exclude},
    {OPT_INT, 0, "connections", "N", "requests side by side (snapshot.connections)",
     &given.connections, .min = 1, .max = 64},
    {OPT_INT, 0, "level", "N", "compression level (snapshot.save.level)", &given.level, .min = 1,
     .max = 19},
    {OPT_FLAG, 0, "no-current", NULL, "leave the pointer as it is", &given.no_current},
    {OPT_INT, 0, "keep", "N", "then delete all but the newest N sets (snapshot.save.keep)",
     &given.keep, .min = 0, .max = 10000},
    {OPT_DURATION, 0, "keep-for", "D", "then delete sets older than this (snapshot.save.keepFor)",
     &given.keep_for},
    {OPT_FLAG, 0, "prune", NULL, "only delete old sets, save nothing", &given.prune},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_tool tool = {
    .name = "necoops-snapshot-save",
    .synopsis = "[option ...] [gs://BUCKET/[FOLDER/]current.json]",
    .summary =
        "Packs a folder of VMs and uploads it, so that necoops-snapshot-load is fast with it.",
    .description =
        "The folder is packed and uploaded at once; then a manifest says what there is, and the\n"
        "pointer names the new set first, in one step. The VMs must be stopped, or their "
        "snapshots\n"
        "be taken and nothing else written: what changes meanwhile is told, and nothing is made\n"
        "current. Next: necoops-snapshot-load with the same configuration.",
    .opts = rows,
    .examples = "  necoops-snapshot-save                       as the configuration says\n"
                "  necoops-snapshot-save --from /var/scratch/placemat gs://b/current.json\n"
                "  necoops-snapshot-save --prune --keep 3\n",
    .operands_max = 1,
    .timeout_ms = INT64_C(120) * 60 * 1000,
    .run = run_tool,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
