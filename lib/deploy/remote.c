/* A cluster that only its instance reaches: the agent there does the deploy. */
#include "internal.h"

#include <string.h>
#include "necoops/remote/remote.h"

bool deploy_is_remote(const struct conf *conf, const struct deploy_options *options)
{
    const char *cluster = options->cluster ? options->cluster : conf_str(conf, "instance.name");
    autofree char *key = xasprintf("clusters.%s.via", cluster);

    return !options->check_only && strcmp(conf_str(conf, key), "instance") == 0;
}

/* A commit must be named in full: the agent's copy of the repository has no branches of ours. */
static int add_commit(const struct plan *plan, const char *name, const char *from, cJSON *options,
                      struct err *err)
{
    struct git_id id;

    if (!from) {
        return 0;
    }
    if (plan->git && git_resolve(plan->git, from, &id, err) != 0) {
        return -1;
    }
    if (!plan->git && !git_is_id(from)) {
        return err_set(err, ERR_USAGE, "--%s '%s' can only be resolved inside the Git repository",
                       name, from);
    }
    json_set_str(options, name, plan->git ? id.hex : from);
    return 0;
}

static void set_flag(cJSON *options, const char *name, bool value)
{
    if (value) {
        json_set_bool(options, name, true);
    }
}

static void add_times(const struct plan *plan, cJSON *options)
{
    if (plan->options->stable_ms >= 0) {
        json_set_i64(options, "stable-for", plan->options->stable_ms);
    }
    if (plan->options->lock_timeout_ms >= 0) {
        json_set_i64(options, "lock-timeout", plan->options->lock_timeout_ms);
    }
}

static int make_options(const struct plan *plan, cJSON *out, struct err *err)
{
    static const char *const progress[] = {"wait", "supersede", "terminate"};
    const struct deploy_options *options = plan->options;

    json_set_str(out, "cluster", plan->cluster);
    json_set_str(out, "revision", plan->commit);
    json_set_str(out, "in-progress", progress[options->in_progress]);
    json_set_str(out, "output", options->json ? "json" : NULL);
    add_times(plan, out);
    set_flag(out, "prune", options->prune);
    set_flag(out, "restore", options->restore);
    set_flag(out, "bootstrap", options->bootstrap);
    set_flag(out, "dry-run", options->dry_run);
    set_flag(out, "quiet", options->quiet);
    /* what was checked here need not be checked there */
    set_flag(out, "no-check", options->no_check || plan->manifests);
    if (options->verbose) {
        json_set_i64(out, "verbose", options->verbose);
    }
    if (options->skip_without_cluster) {
        json_set_str(out, "if-no-cluster", "skip");
    }
    if (options->skip_without_apps) {
        json_set_str(out, "if-no-apps", "skip");
    }
    if (options->apps.len) {
        cJSON *apps = json_set_array(out, "apps");

        for (size_t i = 0; i < options->apps.len; i++) {
            json_push_str(apps, options->apps.items[i]);
        }
    }
    if (add_commit(plan, "upgrade-from", options->upgrade_from, out, err) != 0) {
        return -1;
    }
    return add_commit(plan, "changed-since", options->changed_since, out, err);
}

int deploy_remotely(struct plan *plan, struct deploy_result *result, struct err *err)
{
    const struct deploy_options *options = plan->options;
    autojson cJSON *asked = json_object();
    autoremote struct remote_outcome outcome = {.ran = false};
    const struct remote_file files[] = {{"junit", options->junit}, {"report", options->report}};
    const struct remote_work work = {
        .tool = "necoops-deploy",
        .instance = conf_str(plan->conf, "instance.name"),
        .options = asked,
        .files = files,
        .files_len = ARRAY_LEN(files),
        .events = options->events,
        .color = options->color,
        .turn_ms = options->lock_timeout_ms >= 0
                       ? options->lock_timeout_ms
                       : conf_duration_ms(plan->conf, "deploy.lockTimeout", 0),
    };
    int rc;

    if (conf_require(plan->conf, "instance.name", err) != 0 ||
        make_options(plan, asked, err) != 0) {
        return -1;
    }
    rc = remote_run(plan->run, plan->conf, &work, &outcome, err);
    if (outcome.last && strcmp(json_str_or(outcome.last, "type", ""), "end") == 0) {
        result_from_json(result, outcome.last);
    }
    result->output = steal(outcome.output);
    result->no_cluster |= rc != 0 && err->code == ERR_NO_CLUSTER;
    return rc;
}
