#include "tell.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/fs.h"

#define EXPLAIN_MS  15000
#define EVENTS_KEPT 5000
#define RELEASE_MS  5000

static void describe(struct deploy_result *result, const struct plan *plan)
{
    result->cluster = xstrdup(plan->cluster);
    result->repo_url = xstrdup(plan->repo_url);
    result->root = xstrdup(plan->root);
    result->path = xstrdup(plan->path);
    result->revision = xstrdup(plan->commit ? plan->commit : "");
}

static void emit_start(struct events *events, const struct deploy_result *result)
{
    cJSON *fields = json_object();

    json_set_str(fields, "cluster", result->cluster);
    json_set_str(fields, "repoURL", result->repo_url);
    json_set_str(fields, "revision", result->revision);
    json_set_str(fields, "path", result->path);
    events_emit(events, "start", fields);
}

static void emit_end(struct events *events, const struct deploy_result *result,
                     const struct err *how)
{
    events_emit(events, "end", deploy_json(result, how));
}

static int find_argocd(const struct plan *plan, struct kube *kube, struct argocd_install *install,
                       struct deploy_result *result, struct err *err)
{
    if (argocd_install_find(kube, plan->space, install, err) != 0) {
        return -1;
    }
    /* definitions without workloads are an installation that was not finished */
    if ((!install->present || !install->image) && plan->options->bootstrap &&
        !plan->options->dry_run) {
        argocd_install_clear(install);
        if (deploy_bootstrap(plan, kube, err) != 0 ||
            argocd_install_find(kube, plan->space, install, err) != 0) {
            return -1;
        }
    }
    if (!install->present) {
        return err_set(err, ERR_FAILED,
                       "Argo CD is not in cluster '%s' ('%s'): it serves no Applications; "
                       "--bootstrap installs it",
                       plan->cluster, kube_server(kube));
    }
    if (plan->options->bootstrap && !plan->options->dry_run &&
        deploy_bootstrap_more(plan, kube, err) != 0) {
        return -1;
    }
    result->argocd = xstrdup(install->image ? install->image : "");
    return 0;
}

/* The commit that only Argo CD could tell: its manifests are wanted for the explanation. */
static void render_learnt(struct plan *plan)
{
    autoerr struct err ignored = ERR_INIT;

    if (!plan->manifests && plan->commit && plan_render(plan, &ignored) != 0) {
        log_debug(plan->run->log, "%s", err_text(&ignored));
    }
}

/* `run` is the one that the engine's cluster works in. */
static int sync_and_tell(struct engine *engine, struct run *run, struct deploy_result *result,
                         struct err *err)
{
    struct plan *plan = engine->plan;
    int rc = engine_run(engine, err);

    if (plan->commit && !result->revision[0]) { /* Argo CD told the head of the branch */
        free(result->revision);
        result->revision = xstrdup(plan->commit);
    }
    result_take(result, engine);
    result->no_apps = engine->none_selected;
    if (rc != 0 && err->code != ERR_INTERRUPTED && err->code != ERR_TERMINATED) {
        *run = run_for_cleanup(run, EXPLAIN_MS); /* the time may be used up */
        engine->run = run;
        render_learnt(plan);
        explain_failures(engine, result);
    }
    return rc;
}

/* `run` is the one that `kube` works in. */
static int bring_about(struct plan *plan, struct run *run, struct kube *kube,
                       const struct argocd_install *install, struct events *events,
                       struct deploy_result *result, struct err *err)
{
    struct kube_lock *lock = NULL;
    autoengine struct engine engine;
    bool alone = !plan->options->dry_run && !plan->follow;
    int rc;

    engine_init(&engine, plan, kube, install, events);
    rc = alone ? deploy_take(plan, kube, &lock, err) : 0;
    engine.lock = lock;
    if (rc == 0 && plan->options->dry_run) {
        rc = engine_dry_run(&engine, result, err);
    } else if (rc == 0) {
        rc = sync_and_tell(&engine, run, result, err);
    }
    *run = run_for_cleanup(run, RELEASE_MS);
    kube_lock_release(lock);
    return rc;
}

static int deploy_to(struct plan *plan, struct events *events, struct deploy_result *result,
                     struct err *err)
{
    autohttp struct http *http = NULL;
    autoreached struct reached reached = {0};
    CLEANUP(argocd_install_clear) struct argocd_install install = {0};
    struct run run = *plan->run;
    int rc;

    if (http_new(&run, &http, err) != 0) {
        return -1;
    }
    if (deploy_reach(plan, http, &reached, err) != 0) {
        result->no_cluster = err->code == ERR_NO_CLUSTER;
        return -1;
    }
    result->server = xstrdup(kube_server(reached.kube));
    log_info(plan->run->log, "cluster '%s' at '%s' (%s)", plan->cluster, kube_server(reached.kube),
             kube_source(reached.kube));
    if (find_argocd(plan, reached.kube, &install, result, err) != 0) {
        return -1;
    }
    tell_reached(plan->tell, reached.kube);
    rc = bring_about(plan, &run, reached.kube, &install, events, result, err);
    tell_leaving(plan->tell, &run, reached.kube, plan->space, err);
    return rc;
}

static int work(const struct run *run, const struct conf *conf,
                const struct deploy_options *options, struct events *events, struct tell *tell,
                struct deploy_result *result, struct err *err)
{
    autoplan struct plan plan = {0};

    if (plan_make(run, conf, options, &result->notes, &plan, err) != 0) {
        return -1;
    }
    describe(result, &plan);
    plan.tell = tell;
    tell_plan(tell, &plan);
    emit_start(events, result);
    if (plan.commit) {
        log_info(run->log, "commit %.12s of '%s'%s", plan.commit, plan.repo_url,
                 plan.follow ? " is the head of its branch" : "");
    }
    if (!options->no_check && plan_check(&plan, result, err) != 0) {
        return -1;
    }
    if (options->check_only) {
        return plan.manifests ? 0
                              : err_set(err, ERR_USAGE,
                                        "the commit is not in a repository here, so there is "
                                        "nothing to check");
    }
    if (plan_selects_none(&plan)) {
        result->no_apps = true;
        return plan_fail_without_apps(&plan, err);
    }
    if (deploy_is_remote(conf, options)) {
        return deploy_remotely(&plan, result, err);
    }
    return deploy_to(&plan, events, result, err);
}

static bool is_skipped(const struct deploy_options *options, const struct deploy_result *result)
{
    return (result->no_cluster && options->skip_without_cluster) ||
           (result->no_apps && options->skip_without_apps);
}

/* Reports are written however the work ended; that one cannot be written counts when nothing worse
 * happened. */
static int write_reports(const struct tell *tell, struct events *events, const struct err *how,
                         struct err *err)
{
    const struct deploy_options *options = tell->options;

    if (tell->result->output) { /* they came from the instance */
        return 0;
    }
    emit_end(events, tell->result, how);
    if ((!options->junit || result_write_junit(tell->result, options->junit, how, err) == 0) &&
        (!options->report || tell_write_page(tell, events, options->report, how, err) == 0)) {
        return 0;
    }
    if (how->code != ERR_NONE) {
        log_warning(tell->run->log, "%s", err_text(err));
        err_clear(err);
        return 0;
    }
    return -1;
}

/* A report that cannot be written is told before anything is touched. */
static int prepare_output(const char *path, struct err *err)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    autofree char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;

    if (path && !*path) {
        return err_set(err, ERR_USAGE, "a report wants the name of a file");
    }
    if (dir && *dir && fs_mkdirs(dir, 0777, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    if (path && fs_is_dir(path)) {
        return err_set(err, ERR_USAGE, "'%s' cannot be written: it is a folder", path);
    }
    if (path &&
        access(dir && *dir ? dir
               : slash     ? "/"
                           : ".",
               W_OK) != 0 &&
        access(path, W_OK) != 0) {
        return err_set_errno(err, ERR_USAGE, errno, "'%s' cannot be written", path);
    }
    return 0;
}

static int open_events(const struct run *run, const struct deploy_options *options,
                       struct events **events, struct err *err)
{
    if (!options->events && !options->report) {
        return 0;
    }
    if (events_open(run, options->events, events, err) != 0) {
        return -1;
    }
    if (options->report) {
        events_keep(*events, EVENTS_KEPT);
    }
    return 0;
}

int deploy_run(const struct run *run, const struct conf *conf, const struct deploy_options *options,
               struct deploy_result *result, struct err *err)
{
    struct events *events = NULL;
    autotell struct tell tell = {0};
    autoerr struct err report = ERR_INIT;
    int64_t began = run_mono_ms(run);
    int rc;

    *result = (struct deploy_result){
        .started_ms = run_wall_ms(run),
        .dry_run = options->dry_run,
        .check_only = options->check_only,
    };
    if (prepare_output(options->junit, err) != 0 || prepare_output(options->report, err) != 0 ||
        prepare_output(options->events, err) != 0 || open_events(run, options, &events, err) != 0) {
        return -1;
    }
    tell_init(&tell, run, conf, options, result);
    rc = work(run, conf, options, events, &tell, result, err);
    result->ms = run_mono_ms(run) - began;
    progress_done(run->progress);
    if (rc != 0 && is_skipped(options, result)) {
        log_info(run->log, "%s; skipped", err_text(err));
        err_clear(err);
        rc = 0;
    }
    tell_ended(&tell, err);
    if (write_reports(&tell, events, err, &report) != 0) {
        err_move(err, &report);
        rc = -1;
    }
    events_close(events);
    return rc;
}
