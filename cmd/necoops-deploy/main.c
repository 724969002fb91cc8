/* necoops-deploy(1): options in, library call, result out. */
#include <string.h>
#include "necoops/cli/cli.h"
#include "necoops/deploy/deploy.h"

#define TIMEOUT_MS ((int64_t)30 * 60 * 1000)

static struct deploy_options options = {.stable_ms = -1, .lock_timeout_ms = -1};
static struct strv apps, cluster_options;
static const char *if_no_cluster;
static const char *if_no_apps;
static const char *in_progress;

static const struct opt opts[] = {
    {OPT_STRINGS, 0, "cluster", "NAME",
     "cluster of the configuration; default: the instance's; several\n"
     "(repeated, or with commas) come one after the other",
     &cluster_options},
    {OPT_STRING, 'r', "revision", "REV", "commit to deploy; default: what CI says, else HEAD",
     &options.revision},
    {OPT_STRINGS, 0, "apps", "PATTERN",
     "only applications of this name (* and ?) or label (KEY=VALUE); repeatable", &apps},
    {OPT_STRING, 0, "changed-since", "REV", "only applications that the changes since REV reach",
     &options.changed_since},
    {OPT_STRING, 0, "upgrade-from", "REV", "deploy REV first and wait, then the commit",
     &options.upgrade_from},
    {OPT_DURATION, 0, "stable-for", "DURATION", "how long all must stay healthy",
     &options.stable_ms},
    {OPT_CHOICE, 0, "in-progress", "WHAT",
     "a sync in progress: supersede one of ours for another commit\n(default), only wait, or "
     "terminate any",
     &in_progress, .choices = "wait|supersede|terminate"},
    {OPT_DURATION, 0, "lock-timeout", "DURATION", "how long to wait for another run on the cluster",
     &options.lock_timeout_ms},
    {OPT_FLAG, 0, "prune", NULL, "delete what the commit no longer has", &options.prune},
    {OPT_FLAG, 0, "restore", NULL,
     "put revisions and sync policies back at the end, however it comes", &options.restore},
    {OPT_FLAG, 0, "bootstrap", NULL,
     "install Argo CD (argocd.install) when it is missing, and apply\n"
     "argocd.manifests",
     &options.bootstrap},
    {OPT_FLAG, 0, "check", NULL, "only check the manifests of the commit", &options.check_only},
    {OPT_FLAG, 0, "no-check", NULL, "do not check the manifests first; Argo CD judges them",
     &options.no_check},
    {OPT_CHOICE, 0, "if-no-cluster", "WHAT", "when there is no cluster: fail (status 3) or skip",
     &if_no_cluster, .choices = "fail|skip"},
    {OPT_CHOICE, 0, "if-no-apps", "WHAT",
     "when no application is selected: fail (status 2) or skip", &if_no_apps,
     .choices = "fail|skip"},
    {OPT_STRING, 0, "mirror", "DIR",
     "fetch the repository of the apps into DIR and read the commit there", &options.mirror},
    {OPT_STRING, 0, "junit", "FILE", "write a JUnit report", &options.junit},
    {OPT_STRING, 0, "events", "FILE", "write what happens as JSON lines", &options.events},
    {OPT_STRING, 0, "report", "FILE", "write an HTML page to open in a browser", &options.report},
    {OPT_FLAG, .name = NULL},
};

static bool says(const char *value, const char *word)
{
    return value && strcmp(value, word) == 0;
}

/* Prints the JSON (taken); the run's own error comes before one of the output. */
static int print_json(cJSON *taken, int rc, struct err *err)
{
    autojson cJSON *json = taken;
    autoerr struct err output = ERR_INIT;

    if (cli_print_json(json, &output) != 0 && rc == 0) {
        err_move(err, &output);
        return -1;
    }
    return rc;
}

static int run_one(struct cli *cli, struct err *err)
{
    autodeploy struct deploy_result result = {0};
    int rc = deploy_run(&cli->run, cli->conf, &options, &result, err);

    if (cli->json && !result.output) {
        return print_json(deploy_json(&result, err), rc, err);
    }
    deploy_print(&result, stdout, cli->color);
    return rc;
}

static int run_several(struct cli *cli, const struct strv *names, struct err *err)
{
    autoclusters struct deploy_clusters clusters = {0};
    int rc = deploy_run_clusters(&cli->run, cli->conf, &options, names, &clusters, err);

    if (cli->json) {
        return print_json(deploy_clusters_json(&clusters, err), rc, err);
    }
    deploy_clusters_print(&clusters, stdout, cli->color);
    return rc;
}

static void take_choices(const struct cli *cli)
{
    options.apps = apps;
    options.dry_run = cli->dry_run;
    options.skip_without_cluster = says(if_no_cluster, "skip");
    options.skip_without_apps = says(if_no_apps, "skip");
    options.in_progress = says(in_progress, "terminate") ? DEPLOY_TERMINATE
                          : says(in_progress, "wait")    ? DEPLOY_WAIT
                                                         : DEPLOY_SUPERSEDE;
    options.json = cli->json;
    options.color = cli->color;
    options.quiet = cli->quiet;
    options.verbose = cli->verbose;
}

static int run(struct cli *cli, struct err *err)
{
    autostrv struct strv names = STRV_INIT;
    int rc;

    for (size_t i = 0; i < cluster_options.len; i++) {
        strv_split(&names, cluster_options.items[i], ',');
    }
    take_choices(cli);
    if (names.len > 1) {
        rc = run_several(cli, &names, err);
    } else {
        options.cluster = names.len ? names.items[0] : cluster_options.len ? "" : NULL;
        rc = run_one(cli, err);
    }
    strv_clear(&apps);
    strv_clear(&cluster_options);
    return rc;
}

static const struct cli_tool tool = {
    .name = "necoops-deploy",
    .synopsis = "[options]",
    .summary = "Deploy a commit through Argo CD and wait until it is live, or say why not.",
    .description =
        "The root application of the cluster is made or pointed at the commit and synced, then "
        "its\n"
        "children, in the order of their sync waves or of app-sync-order.txt. It ends when all of\n"
        "them run the commit and stay healthy. A cluster that watches a branch (sync: automated) "
        "is\n"
        "made to watch it, and its head is waited for.\n"
        "Manifests are checked before anything is touched.",
    .opts = opts,
    .examples = "  necoops-deploy\n"
                "  necoops-deploy --revision HEAD~1 --apps 'monitoring*' --junit deploy.xml\n"
                "  necoops-deploy --cluster stage,prod --timeout 20m\n"
                "  necoops-deploy --check --changed-since origin/master\n",
    .timeout_ms = TIMEOUT_MS,
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
