#include <stdio.h>
#include <stdlib.h>
#include "necoops/cli/cli.h"
#include "necoops/instance/cloud.h"
#include "necoops/instance/delete.h"

static struct {
    bool yes;
} options;

static void print_list(const cJSON *list, const char *what)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) printf("%s %s in %s is deleted\n", what,
                                          json_str_or(item, "name", ""),
                                          json_str_or(item, "zone", ""));
}

static int print_result(struct cli *cli, const char *name, const struct delete_result *result,
                        struct err *err)
{
    if (cli->json) {
        autojson cJSON *value = json_object();
        json_set_str(value, "name", name);
        json_set(value, "instances", json_copy(result->instances));
        json_set(value, "disks", json_copy(result->disks));
        return cli_print_json(value, err);
    }
    print_list(result->instances, "instance");
    print_list(result->disks, "leftover disk");
    if (cJSON_GetArraySize(result->instances) == 0)
        printf("there is no instance %s\n", name);
    return 0;
}

/* --dry-run: what would go. */
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
        if (!cli->json)
            printf("would delete instance %s (%s) in %s, %s\n", name, instance_id(list->items[i]),
                   instance_zone(list->items[i]), instance_status(list->items[i]));
    }
    int printed = cli->json || list->len == 0 ? print_result(cli, name, &plan, err) : 0;
    delete_result_clear(&plan);
    return printed;
}

static int delete_all(struct cli *cli, struct cloud *cloud, const char *name,
                      const struct strv *zones, struct err *err)
{
    struct delete_result result = {.instances = NULL};
    if (instance_delete(&cli->run, cloud->gce, name, zones, &result, err) < 0)
        return -1;
    int printed = print_result(cli, name, &result, err);
    delete_result_clear(&result);
    return printed;
}

static int run(struct cli *cli, struct err *err)
{
    autocloud struct cloud cloud = {.http = NULL};
    autoinstances struct instance_list list = {.items = NULL};
    autostrv struct strv zones = STRV_INIT;
    const char *name = conf_str(cli->conf, "instance.name");
    if (conf_require(cli->conf, "zones", err) < 0)
        return -1;
    conf_strs(cli->conf, "zones", &zones);
    if (!options.yes && !cli->terminal && !cli->dry_run)
        return cli_confirm(cli, false, "--yes", "delete the instance?", err);
    if (cloud_open(&cli->run, cli->conf, &cloud, err) < 0)
        return -1;
    if (cli->dry_run || !options.yes) {
        if (instance_find(cloud.gce, name, &zones, &list, err) < 0)
            return -1;
        if (cli->dry_run)
            return print_plan(cli, name, &list, err);
    }
    if (list.len > 0) {
        autofree char *question = xasprintf("delete instance %s (%s) in %s?", name,
                                            instance_id(list.items[0]),
                                            instance_zone(list.items[0]));
        if (cli_confirm(cli, options.yes, "--yes", question, err) < 0)
            return -1;
    }
    return delete_all(cli, &cloud, name, &zones, err);
}

static const struct opt rows[] = {
    {OPT_FLAG, 'y', "yes", NULL, "do not ask; needed where nobody is there to ask", &options.yes},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_tool tool = {
    .name = "necoops-delete",
    .synopsis = "[option ...]",
    .summary = "Deletes the neco-ops instance and the disks that belong to it.",
    .description =
        "Every instance of that name in the configured zones goes, by its id; the end of each\n"
        "deletion is waited for, and that nothing is left is verified. When there is none, that\n"
        "is fine too.",
    .opts = rows,
    .examples = "  necoops-delete --yes       every night, from CI\n"
                "  necoops-delete --dry-run   what would go\n",
    .timeout_ms = INT64_C(15) * 60 * 1000,
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
