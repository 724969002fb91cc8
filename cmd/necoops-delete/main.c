#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/timefmt.h"
#include "necoops/cli/cli.h"
#include "necoops/deploy/holder.h"
#include "necoops/instance/cloud.h"
#include "necoops/instance/delete.h"
#include "necoops/instance/evidence.h"
#include "necoops/instance/extend.h"
#include "necoops/instance/schedule.h"
#include "necoops/instance/sweep.h"
#include "necoops/status/status.h"

static struct {
    const char *name;
    const char *evidence;
    bool yes;
    bool force;
    int64_t lock_timeout_ms; /* -1: as configured */
    bool expired;
    bool audit;
    int64_t extend_ms; /* -1: not asked for */
    struct strv exclude_names;
    struct strv exclude_labels;
} options = {.lock_timeout_ms = -1, .extend_ms = -1};

/* ---- the one instance ---- */

static void print_item(const cJSON *item, const char *what, const char *verb)
{
    const char *why = json_str(item, "why");
    printf("%s %s in %s %s%s%s\n", what, json_str_or(item, "name", ""),
           json_str_or(item, "zone", ""), verb, why ? ": " : "", why ? why : "");
}

static void print_list(const cJSON *list, const char *what, const char *verb)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) print_item(item, what, verb);
}

static int print_deleted(struct cli *cli, const char *name, const struct delete_result *result,
                         struct err *err)
{
    if (cli->json) {
        autojson cJSON *value = json_object();
        json_set_str(value, "name", name);
        json_set_bool(value, "dryRun", cli->dry_run);
        json_set(value, "instances", json_copy(result->instances));
        json_set(value, "disks", json_copy(result->disks));
        return cli_print_json(value, err);
    }
    print_list(result->instances, "instance", cli->dry_run ? "would be deleted" : "is deleted");
    print_list(result->disks, "leftover disk", "is deleted");
    if (cJSON_GetArraySize(result->instances) == 0)
        printf("there is no instance %s\n", name);
    return 0;
}

static int print_plan(struct cli *cli, const char *name, const struct instance_list *list,
                      struct err *err)
{
    struct delete_result plan = {.instances = json_array(), .disks = json_array()};
    for (size_t i = 0; i < list->len; i++) {
        cJSON *entry = json_object();
        json_set_str(entry, "id", instance_id(list->items[i]));
        json_set_str(entry, "name", name);
        json_set_str(entry, "zone", instance_zone(list->items[i]));
        json_set_str(entry, "status", instance_status(list->items[i]));
        json_push(plan.instances, entry);
    }
    int printed = print_deleted(cli, name, &plan, err);
    delete_result_clear(&plan);
    return printed;
}

static int delete_all(struct cli *cli, struct cloud *cloud, const char *name,
                      const struct strv *zones, struct err *err)
{
    struct delete_result result = {.instances = NULL};
    if (instance_delete(&cli->run, cloud->gce, name, zones, &result, err) < 0)
        return -1;
    int printed = print_deleted(cli, name, &result, err);
    delete_result_clear(&result);
    return printed;
}

/* What there is of the instance and its applications; whatever fails in here is only told. */
static void save_evidence(struct cli *cli, const cJSON *instance)
{
    autoerr struct err err = ERR_INIT;
    autostatus struct status *status = NULL;
    autojson cJSON *value = NULL;
    const struct run limited = run_within(&cli->run, EVIDENCE_MS);
    autofree char *dir = evidence_dir(instance, options.evidence);
    autofree char *path = path_join(dir, "status.json");
    evidence_save(&cli->run, cli->conf, instance, options.evidence);
    int saved = status_open(&limited, cli->conf, &status, &err);
    if (saved == 0)
        saved = status_look(status, &value, &err);
    if (saved == 0) {
        autofree char *text = json_print_pretty(value);
        saved = fs_write(path, text, strlen(text), 0644, &err);
    }
    if (saved < 0)
        log_warning(cli->run.log, "evidence: the status could not be saved: %s", err_text(&err));
}

static bool has_cluster(struct cli *cli, const char *name)
{
    autostrv struct strv clusters = STRV_INIT;
    conf_names(cli->conf, "clusters", &clusters);
    return strv_has(&clusters, name);
}

/* A deployment that is under way is not robbed of its cluster. */
static int await_idle(struct cli *cli, const struct instance_list *list, struct err *err)
{
    const char *name = conf_str(cli->conf, "instance.name");
    int64_t timeout = options.lock_timeout_ms >= 0
                          ? options.lock_timeout_ms
                          : conf_duration_ms(cli->conf, "deploy.lockTimeout", 0);
    bool running = list->len && strcmp(instance_status(list->items[0]), "RUNNING") == 0;
    if (options.force || !running || !has_cluster(cli, name))
        return 0;
    if (deploy_await_idle(&cli->run, cli->conf, name, timeout, err) == 0)
        return 0;
    if (err->code != ERR_BUSY)
        return -1;
    autofree char *why = xstrdup(err_text(err));
    return err_set(err, ERR_BUSY, "%s; --force deletes it all the same", why);
}

static int ask(struct cli *cli, const struct instance_list *list, struct err *err)
{
    if (list->len == 0)
        return 0;
    autofree char *question =
        xasprintf("delete instance %s (%s) in %s?", conf_str(cli->conf, "instance.name"),
                  instance_id(list->items[0]), instance_zone(list->items[0]));
    return cli_confirm(cli, options.yes, "--yes", question, err);
}

static int delete_one(struct cli *cli, struct cloud *cloud, const struct strv *zones,
                      struct err *err)
{
    autoinstances struct instance_list list = {.items = NULL};
    const char *name = conf_str(cli->conf, "instance.name");
    bool look = cli->dry_run || !options.yes || options.evidence ||
                (!options.force && has_cluster(cli, name));
    if (look && instance_find(cloud->gce, name, zones, &list, err) < 0)
        return -1;
    if (cli->dry_run)
        return print_plan(cli, name, &list, err);
    if (ask(cli, &list, err) < 0 || await_idle(cli, &list, err) < 0)
        return -1;
    for (size_t i = 0; options.evidence && i < list.len; i++)
        save_evidence(cli, list.items[i]);
    return delete_all(cli, cloud, name, zones, err);
}

/* ---- all of ours ---- */

/* For people as it comes, for machines into the object that is printed at the end. */
static void take_kept(void *arg, const cJSON *instance)
{
    if (arg)
        json_push(arg, json_copy(instance));
    else
        print_item(instance, "instance", "is kept");
}

static int print_sweep(struct cli *cli, const struct sweep_result *result, const cJSON *kept,
                       struct err *err)
{
    if (cli->json) {
        autojson cJSON *value = json_object();
        json_set_bool(value, "dryRun", cli->dry_run);
        json_set(value, "deleted", json_copy(result->deleted));
        json_set(value, "kept", json_copy(kept));
        json_set(value, "failed", json_copy(result->failed));
        json_set(value, "disks", json_copy(result->disks));
        json_set(value, "failedDisks", json_copy(result->failed_disks));
        cJSON *zones = json_set_array(value, "unreachable");
        for (size_t i = 0; i < result->unreachable.len; i++)
            json_push_str(zones, result->unreachable.items[i]);
        return cli_print_json(value, err);
    }
    print_list(result->deleted, "instance", cli->dry_run ? "would be deleted" : "is deleted");
    print_list(result->failed, "instance", "could not be deleted");
    print_list(result->disks, "leftover disk", cli->dry_run ? "would be deleted" : "is deleted");
    print_list(result->failed_disks, "leftover disk", "could not be deleted");
    if (cJSON_GetArraySize(result->deleted) == 0 && cJSON_GetArraySize(result->failed) == 0)
        printf("no instance is past its soft end\n");
    return 0;
}

static int sweep(struct cli *cli, struct cloud *cloud, struct err *err)
{
    autojson cJSON *kept = cli->json ? json_array() : NULL;
    const struct sweep_options how = {.exclude_names = &options.exclude_names,
                                      .exclude_labels = &options.exclude_labels,
                                      .dry_run = cli->dry_run,
                                      .kept = take_kept,
                                      .arg = kept};
    struct sweep_result result;
    autoerr struct err print_err = ERR_INIT;
    int swept = instance_sweep(&cli->run, cloud->gce, &how, &result, err);
    int printed = print_sweep(cli, &result, kept, &print_err);
    sweep_result_clear(&result);
    if (swept == 0 && printed < 0)
        err_move(err, &print_err);
    return swept < 0 || printed < 0 ? -1 : 0;
}

static int audit(struct cli *cli, struct cloud *cloud, struct err *err)
{
    autojson cJSON *value = json_object();
    cJSON *instances, *disks;
    if (instance_audit(cloud->gce, &instances, &disks, err) < 0)
        return -1;
    json_set(value, "instances", instances);
    json_set(value, "disks", disks);
    int left = cJSON_GetArraySize(instances) + cJSON_GetArraySize(disks);
    if (cli->json) {
        if (cli_print_json(value, err) < 0)
            return -1;
    } else {
        print_list(instances, "instance", "is there");
        print_list(disks, "disk", "is there");
        if (left == 0)
            printf("nothing of ours is left\n");
    }
    if (left == 0)
        return 0;
    return err_set(err, ERR_FAILED,
                   "%d of ours are left over: necoops-delete removes the instance, "
                   "--expired what is past its end",
                   left);
}

static int extend(struct cli *cli, struct cloud *cloud, const struct strv *zones, struct err *err)
{
    autoschedule struct schedule schedule = {.up = -1};
    struct extend_result result;
    const char *name = conf_str(cli->conf, "instance.name");
    if (schedule_load(cli->conf, &schedule, err) < 0 ||
        instance_extend(&cli->run, cloud->gce, name, zones, options.extend_ms, cli->dry_run,
                        &result, err) < 0)
        return -1;
    autofree char *soft = schedule_time_text(&schedule, result.soft_end);
    autofree char *hard =
        result.hard_end < 0 ? xstrdup("none") : schedule_time_text(&schedule, result.hard_end);
    if (result.bounded)
        log_warning(cli->run.log, "the hard end bounds it: it cannot be moved while %s runs", name);
    if (!cli->json) {
        printf("soft end of %s: %s\nhard end: %s\n", name, soft, hard);
        return 0;
    }
    autojson cJSON *value = json_object();
    json_set_str(value, "name", name);
    json_set_str(value, "softEnd", time_rfc3339(result.soft_end).text);
    if (result.hard_end >= 0)
        json_set_str(value, "hardEnd", time_rfc3339(result.hard_end).text);
    json_set_bool(value, "bounded", result.bounded);
    return cli_print_json(value, err);
}

static int check_options(struct cli *cli, struct err *err)
{
    int modes = options.expired + options.audit + (options.extend_ms >= 0);
    if (modes > 1)
        return err_set(err, ERR_USAGE, "--expired, --audit and --extend exclude each other");
    if (!options.expired && (options.exclude_names.len || options.exclude_labels.len))
        return err_set(err, ERR_USAGE, "--exclude and --exclude-label go with --expired");
    if ((options.expired || options.audit) && options.name)
        return err_set(err, ERR_USAGE, "--name does not go with --expired and --audit");
    if (modes > 0 && options.evidence)
        return err_set(err, ERR_USAGE, "--evidence goes with the deletion of one instance");
    bool deletes = !options.audit && options.extend_ms < 0 && !cli->dry_run;
    if (deletes && !options.yes && !cli->terminal)
        return cli_confirm(
            cli, false, "--yes",
            options.expired ? "delete all expired instances?" : "delete the instance?", err);
    return conf_require(cli->conf, "zones", err);
}

static int run(struct cli *cli, struct err *err)
{
    autocloud struct cloud cloud = {.http = NULL};
    autostrv struct strv zones = STRV_INIT;
    if (check_options(cli, err) < 0 || cloud_open(&cli->run, cli->conf, &cloud, err) < 0)
        return -1;
    conf_strs(cli->conf, "zones", &zones);
    if (options.extend_ms >= 0)
        return extend(cli, &cloud, &zones, err);
    if (options.audit)
        return audit(cli, &cloud, err);
    if (!options.expired)
        return delete_one(cli, &cloud, &zones, err);
    if (!cli->dry_run &&
        cli_confirm(cli, options.yes, "--yes", "delete all expired instances?", err) < 0)
        return -1;
    return sweep(cli, &cloud, err);
}

static const struct opt rows[] = {
    {OPT_FLAG, 'y', "yes", NULL, "do not ask; needed where nobody is there to ask", &options.yes},
    {OPT_STRING, 0, "name", "NAME", "the instance's name, for CI that makes one a build",
     &options.name},
    {OPT_STRING, 0, "evidence", "DIR",
     "first save console, phases and applications there, within a minute", &options.evidence},
    {OPT_DURATION, 0, "lock-timeout", "DURATION",
     "how long to wait for a deployment that is under way", &options.lock_timeout_ms},
    {OPT_FLAG, 0, "force", NULL, "do not ask the cluster whether one is under way", &options.force},
    {OPT_FLAG, 0, "expired", NULL,
     "delete every instance of ours, in every zone, whose soft end has passed, and\n"
     "the disks that are left over",
     &options.expired},
    {OPT_STRINGS, 0, "exclude", "PATTERN", "with --expired: leave instances of such a name",
     &options.exclude_names},
    {OPT_STRINGS, 0, "exclude-label", "KEY[=VALUE]",
     "with --expired: leave instances with this label", &options.exclude_labels},
    {OPT_FLAG, 0, "audit", NULL, "change nothing; status 1 when anything of ours is there",
     &options.audit},
    {OPT_DURATION, 0, "extend", "DURATION",
     "move the soft end, at most to the hard end; delete nothing", &options.extend_ms, .min = 1000},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_key keys[] = {{&options.name, "instance.name"}, {.value = NULL}};

static const struct cli_tool tool = {
    .name = "necoops-delete",
    .synopsis = "[option ...]",
    .summary = "Deletes the neco-ops instance and the disks that belong to it.",
    .description =
        "Every instance of that name in the configured zones goes, by its id; the end of each\n"
        "deletion is waited for, and that nothing is left is verified. When there is none, that\n"
        "is fine too.",
    .opts = rows,
    .keys = keys,
    .examples = "  necoops-delete --yes             every night, from CI\n"
                "  necoops-delete --expired --yes   what every forgotten run left behind\n"
                "  necoops-delete --extend 2h       somebody works late\n"
                "  necoops-delete --dry-run         what would go\n",
    .timeout_ms = INT64_C(15) * 60 * 1000,
    .run = run,
};

int main(int argc, char **argv)
{
    int status = cli_main(&tool, argc, argv);
    strv_clear(&options.exclude_names);
    strv_clear(&options.exclude_labels);
    return status;
}
