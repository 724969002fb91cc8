#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/cli/cli.h"
#include "necoops/instance/cloud.h"
#include "necoops/instance/create.h"
#include "necoops/instance/find.h"
#include "necoops/instance/schedule.h"
#include "necoops/snapshot/manifest.h"

static struct {
    const char *recreate;
    const char *name;
    bool keep_failed;
    int64_t keep_ms;
    const char *evidence;
    bool follow;
    bool scheduled;
} options;

static const char *const recreate_names[] = {"failed", "changed", "always", "never"};
static const char *const outcome_names[] = {"ready", "joined", "created", "planned"};

static enum recreate recreate_choice(void)
{
    enum recreate choice = RECREATE_FAILED;
    for (size_t i = 0; options.recreate && i < ARRAY_LEN(recreate_names); i++) {
        if (strcmp(options.recreate, recreate_names[i]) == 0)
            choice = (enum recreate)i;
    }
    return choice;
}

static void print_end(const struct schedule *schedule, const char *label, int64_t end)
{
    if (end < 0)
        return;
    autofree char *when = schedule_time_text(schedule, end);
    printf("%s %s\n", label, when);
}

static int print_text(struct cli *cli, const struct create_result *result, struct err *err)
{
    autoschedule struct schedule schedule = {.up = -1};
    if (schedule_load(cli->conf, &schedule, err) < 0)
        return -1;
    const cJSON *instance = result->instance;
    const char *name = json_str_or(instance, "name", "");
    const char *zone = instance_zone(instance);
    const char *took = duration_format(result->total_ms).text;
    if (result->outcome == CREATE_WAS_READY)
        printf("%s is ready in %s\n", name, zone);
    else
        printf("%s is ready in %s: %s in %s (boot %s, setup %s)\n", name, zone,
               outcome_names[result->outcome], took, duration_format(result->boot_ms).text,
               duration_format(result->setup_ms).text);
    print_end(&schedule, "soft end (necoops-delete --expired):", instance_soft_end(instance));
    print_end(&schedule, "hard end (Compute Engine deletes it):", instance_hard_end(instance));
    return 0;
}

static void set_time(cJSON *object, const char *key, int64_t wall_ms)
{
    if (wall_ms >= 0)
        json_set_str(object, key, time_rfc3339(wall_ms).text);
}

static int print_json(const struct create_result *result, struct err *err)
{
    autojson cJSON *value = json_object();
    const cJSON *instance = result->instance;
    json_set_str(value, "outcome", outcome_names[result->outcome]);
    json_set_str(value, "name", json_str(instance, "name"));
    json_set_str(value, "id", json_str(instance, "id"));
    json_set_str(value, "zone", instance_zone(instance));
    json_set_str(value, "machineType", gce_basename(json_str_or(instance, "machineType", "")));
    set_time(value, "softEnd", instance_soft_end(instance));
    set_time(value, "hardEnd", instance_hard_end(instance));
    cJSON *times = json_set_object(value, "milliseconds");
    json_set_i64(times, "boot", result->boot_ms);
    json_set_i64(times, "setup", result->setup_ms);
    json_set_i64(times, "total", result->total_ms);
    return cli_print_json(value, err);
}

static int print_plan(const struct create_result *result, struct err *err)
{
    autojson cJSON *value = json_object();
    json_set_str(value, "outcome", "planned");
    json_set_str(value, "plan",
                 result->instance ? "insert this instance" : "wait for the setup that is running");
    if (result->instance)
        json_set(value, "request", json_copy(result->instance));
    return cli_print_json(value, err);
}

struct asking {
    struct cli *cli;
    struct cloud *cloud;
};

/* CI may be allowed to make the instance and not to read what that loads: then any platform will
 * do. */
static int saved_on(void *arg, char **platform, struct err *err)
{
    const struct asking *asking = arg;
    const struct run *run = &asking->cli->run;
    const char *source = conf_str(asking->cli->conf, "snapshot.source");
    autogcs struct gcs *gcs = NULL;
    if (!source || gcs_new(asking->cloud->http, asking->cloud->auth, &gcs, err) < 0)
        return source ? -1 : 0;
    if (manifest_cpu_platform(gcs, source, platform, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND) {
        err->code = ERR_USAGE;
        return err_prefix(err, "snapshot.source");
    }
    if (run_check(run, "the snapshot's manifest", err) < 0)
        return -1;
    log_warning(run->log, "which CPU platform the snapshot needs is not known: %s", err_text(err));
    err_clear(err);
    return 0;
}

static int create(struct cli *cli, const struct instance_spec *spec, struct err *err)
{
    autocloud struct cloud cloud = {.http = NULL};
    struct asking asking = {.cli = cli, .cloud = &cloud};
    const struct create_options how = {.recreate = recreate_choice(),
                                       .keep_failed = options.keep_failed || options.keep_ms,
                                       .keep_ms = options.keep_ms,
                                       .evidence = options.evidence,
                                       .follow = options.follow,
                                       .dry_run = cli->dry_run,
                                       .saved_on = saved_on,
                                       .arg = &asking};
    struct create_result result = {.instance = NULL};
    if (cloud_open(&cli->run, cli->conf, &cloud, err) < 0 ||
        instance_create(&cli->run, cloud.gce, spec, &how, &result, err) < 0)
        return -1;
    int printed = result.outcome == CREATE_PLANNED ? print_plan(&result, err)
                  : cli->json                      ? print_json(&result, err)
                                                   : print_text(cli, &result, err);
    create_result_clear(&result);
    return printed;
}

/* With --scheduled: is there to be a cluster now? Says so when not. */
static int is_due(struct cli *cli, bool *due, struct err *err)
{
    autoschedule struct schedule schedule = {.up = -1};
    int64_t now = run_wall_ms(&cli->run), next;
    if (conf_require(cli->conf, "schedule.up", err) < 0 ||
        schedule_load(cli->conf, &schedule, err) < 0)
        return -1;
    *due = schedule_is_up(&schedule, now);
    if (*due)
        return 0;
    autofree char *when = schedule_next_up(&schedule, now, &next)
                              ? schedule_time_text(&schedule, next)
                              : xstrdup("no day within a year");
    if (!cli->json) {
        printf("nothing to make: the schedule has it down until %s\n", when);
        return 0;
    }
    autojson cJSON *value = json_object();
    json_set_str(value, "outcome", "not scheduled");
    json_set_str(value, "until", when);
    return cli_print_json(value, err);
}

static int run(struct cli *cli, struct err *err)
{
    bool due = true;
    autospec struct instance_spec spec = {.name = NULL};
    if (options.scheduled && is_due(cli, &due, err) < 0)
        return -1;
    if (!due)
        return 0;
    if (instance_spec_load(&cli->run, cli->conf, &spec, err) < 0)
        return -1;
    return create(cli, &spec, err);
}

static const struct opt rows[] = {
    {OPT_CHOICE, 0, "recreate", "WHEN",
     "make an existing instance anew when it failed (default), when its\n"
     "specification changed, always, or never: failed|changed|always|never",
     &options.recreate, .choices = "failed|changed|always|never"},
    {OPT_STRING, 0, "name", "NAME", "the instance's name, for CI that makes one a build",
     &options.name},
    {OPT_FLAG, 'f', "follow", NULL, "print the instance's console while it is set up",
     &options.follow},
    {OPT_STRING, 0, "evidence", "DIR",
     "when the setup fails, save console, phases and the instance there first", &options.evidence},
    {OPT_FLAG, 0, "keep-failed", NULL, "leave an instance whose setup failed, to look at it",
     &options.keep_failed},
    {OPT_DURATION, 0, "keep-failed-for", "DURATION",
     "leave it, but only so long: its soft end is moved there", &options.keep_ms, .min = 1000},
    {OPT_FLAG, 0, "scheduled", NULL,
     "only within the configured schedule; outside it nothing is made, status 0",
     &options.scheduled},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_key keys[] = {{&options.name, "instance.name"}, {.value = NULL}};

static const struct cli_tool tool = {
    .name = "necoops-create",
    .synopsis = "[option ...]",
    .summary = "Brings the neco-ops instance to ready, whatever state it is in.",
    .description =
        "Absent, it is created and its setup followed to the end. Ready, nothing is done. Being "
        "set\n"
        "up, that is waited for. Failed or stopped, it is deleted and made anew. Next: deploy a\n"
        "commit with necoops-deploy; in the evening, necoops-delete --yes.",
    .opts = rows,
    .keys = keys,
    .examples = "  necoops-create --scheduled          every morning, from CI\n"
                "  necoops-create -o json | jq .zone   for scripts\n",
    .timeout_ms = INT64_C(60) * 60 * 1000,
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
