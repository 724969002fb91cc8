#include "tell.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/fs.h"

#define EXPLAIN_MS  15000
#define EVENTS_KEPT 5000
#define RELEASE_MS  5000
#define RESTORE_MS  30000

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

/* What one call does in a cluster: with --upgrade-from one revision after the other. */
struct work {
    struct plan *plan, *before; /* before: of --upgrade-from, or NULL */
    struct run *run;            /* the one that the cluster works in */
    struct reached *way;
    struct kube *kube;
    const struct argocd_install *install;
    struct events *events;
    struct deploy_result *result;
    struct kube_lock *lock;
    struct deploy_restore *restore;
};

static int sync_and_tell(struct work *work, struct plan *plan, struct engine *engine,
                         struct deploy_result *result, struct err *err)
{
    int rc;

    engine_init(engine, plan, work->kube, work->install, work->events);
    engine->way = work->way;
    engine->lock = work->lock;
    engine->restore = work->restore;
    restore_expect(work->restore, plan->commit);
    rc = engine_run(engine, err);
    if (plan->commit && !result->revision[0]) { /* Argo CD told the head of the branch */
        free(result->revision);
        result->revision = xstrdup(plan->commit);
    }
    result_take(result, engine, rc == 0);
    result->no_apps = engine->none_selected;
    if (rc != 0 && err->code != ERR_INTERRUPTED && err->code != ERR_TERMINATED) {
        *work->run = run_for_cleanup(work->run, EXPLAIN_MS); /* the time may be used up */
        engine->run = work->run;
        engine_halt(engine);
        render_learnt(plan);
        explain_failures(engine, result);
    }
    return rc;
}

static void emit_phase(const struct work *work, const char *phase, const char *revision)
{
    cJSON *fields = json_object();

    json_set_str(fields, "phase", phase);
    json_set_str(fields, "revision", revision);
    events_emit(work->events, "phase", fields);
}

/* The revision that is upgraded from. */
static int deploy_before(struct work *work, struct engine *engine, struct err *err)
{
    struct deploy_result *before = xcalloc(1, sizeof(*before));
    int64_t began = run_mono_ms(work->run);
    int rc;

    work->result->before = before;
    before->cluster = xstrdup(work->plan->cluster);
    before->revision = xstrdup(work->before->commit);
    before->started_ms = run_wall_ms(work->run);
    log_info(work->run->log, "upgrade: first %.12s, then %.12s", work->before->commit,
             work->plan->commit);
    emit_phase(work, "before", before->revision);
    rc = sync_and_tell(work, work->before, engine, before, err);
    before->ms = run_mono_ms(work->run) - began;
    if (rc != 0 && before->no_apps) {
        plan_note(work->plan, "'%.12s' has none of the applications that are selected",
                  work->before->commit);
        err_clear(err);
        rc = 0;
    }
    if (rc != 0) {
        return err_prefix(err, "before the upgrade, at '%.12s'", work->before->commit);
    }
    emit_phase(work, "upgrade", work->plan->commit);
    return 0;
}

/* What was changed is put back; that it could not be counts when nothing worse happened. */
static int restore_after(struct work *work, struct engine *engine, int rc, struct err *err)
{
    autoerr struct err restoring = ERR_INIT;

    *work->run = run_for_cleanup(work->run, RESTORE_MS);
    engine->run = work->run;
    if (restore_run(work->restore, engine, work->result, &restoring) == 0) {
        return rc;
    }
    if (rc != 0) {
        plan_note(work->plan, "%s", err_text(&restoring));
        return rc;
    }
    err_move(err, &restoring);
    return -1;
}

static int work_in_turn(struct work *work, struct err *err)
{
    autoengine struct engine first = {0};
    autoengine struct engine second = {0};
    struct engine *last = &second;
    int rc = 0;

    if (work->before) {
        last = &first;
        rc = deploy_before(work, &first, err);
    }
    if (rc == 0) {
        last = &second;
        rc = sync_and_tell(work, work->plan, &second, work->result, err);
    }
    return work->restore ? restore_after(work, last, rc, err) : rc;
}

static int bring_about(struct work *work, struct err *err)
{
    struct plan *plan = work->plan;
    int rc;

    if (plan->options->dry_run) {
        autoengine struct engine engine;

        engine_init(&engine, plan, work->kube, work->install, work->events);
        return engine_dry_run(&engine, work->result, err);
    }
    if (plan->options->restore) {
        work->restore = restore_new();
    }
    rc = plan->follow ? 0 : deploy_take(plan, work->kube, &work->lock, err);
    if (rc == 0) {
        rc = work_in_turn(work, err);
    }
    *work->run = run_for_cleanup(work->run, RELEASE_MS);
    kube_lock_release(work->lock);
    restore_free(work->restore);
    return rc;
}

static int deploy_to(struct plan *plan, struct plan *before, struct events *events,
                     struct deploy_result *result, struct err *err)
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
    struct work work = {plan, before, &run, &reached, reached.kube, &install, events, result};
    rc = bring_about(&work, err);
    tell_leaving(plan->tell, &run, reached.kube, plan->space, err);
    return rc;
}

/* The plan of the revision that is upgraded from, for the same applications. */
static int plan_before(const struct plan *plan, struct deploy_options *options, struct plan *before,
                       struct deploy_result *result, struct err *err)
{
    options->revision = options->upgrade_from;
    options->changed_since = NULL;
    if (plan_make(plan->run, plan->conf, options, &result->notes, before, err) != 0 ||
        (!options->no_check && plan_check(before, result, err) != 0)) {
        return err_prefix(err, "--upgrade-from");
    }
    options->changed_since = plan->options->changed_since;
    for (size_t i = 0; i < plan->changed.len; i++) {
        strv_add(&before->changed, plan->changed.items[i]);
    }
    before->root_changed = plan->root_changed;
    before->tell = plan->tell;
    return 0;
}

static int check_use(const struct plan *plan, struct err *err)
{
    const struct deploy_options *options = plan->options;

    if (plan->follow && (options->restore || options->upgrade_from)) {
        return err_set(
            err, ERR_USAGE, "%s is for clusters that run commits, and '%s' watches branch '%s'",
            options->restore ? "--restore" : "--upgrade-from", plan->cluster, plan->branch);
    }
    return 0;
}

static int work(const struct run *run, const struct conf *conf,
                const struct deploy_options *options, struct events *events, struct tell *tell,
                struct deploy_result *result, struct err *err)
{
    struct deploy_options before_options = *options;
    autoplan struct plan plan = {0};
    autoplan struct plan before = {0};
    bool upgrades;

    if (plan_make(run, conf, options, &result->notes, &plan, err) != 0) {
        return -1;
    }
    if (check_use(&plan, err) != 0) {
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
    if (options->upgrade_from && plan_before(&plan, &before_options, &before, result, err) != 0) {
        return -1;
    }
    upgrades = before.commit && strcmp(before.commit, plan.commit) != 0;
    if (before.commit && !upgrades) {
        plan_note(&plan, "--upgrade-from names the commit itself, so there is nothing to upgrade");
    }
    return deploy_to(&plan, upgrades ? &before : NULL, events, result, err);
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
