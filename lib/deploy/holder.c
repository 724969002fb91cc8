#include "necoops/deploy/holder.h"

#include <string.h>
#include "necoops/base/json.h"
#include "necoops/deploy/reach.h"
#include "necoops/kube/lock.h"
#include "necoops/remote/remote.h"

#define REACH_MS 10000
#define DEAD_MS  15000 /* a lease that is not renewed for so long is nobody's */
#define LOOK_MS  2000

/* The lease while somebody has it; NULL: nobody, or there is nobody to ask. Caller deletes. */
static cJSON *look(const struct run *run, const struct conf *conf, const char *cluster)
{
    const struct run brief = run_within(run, REACH_MS);
    autohttp struct http *http = NULL;
    autoerr struct err err = ERR_INIT;
    cJSON *lease = NULL;
    struct reached reached = {.kube = NULL};

    if (http_new(&brief, &http, &err) != 0) {
        return NULL;
    }
    if (cluster_reach(&brief, conf, cluster, http, &reached, &err) != 0 ||
        kube_lock_look(reached.kube, conf_str(conf, "argocd.namespace"), DEPLOY_LEASE, &lease,
                       &err) != 0) {
        log_debug(run->log, "who works on cluster '%s' is not known: %s", cluster, err_text(&err));
    }
    cluster_leave(&reached);
    if (lease && !json_at(lease, "holder")) {
        cJSON_Delete(lease);
        lease = NULL;
    }
    return lease;
}

static int busy(const char *cluster, const cJSON *lease, struct err *err)
{
    const char *commit = json_str(lease, "holder.commit");

    return err_set(err, ERR_BUSY, "cluster '%s' is in use: %s holds it%s%.12s since %s", cluster,
                   json_str_or(lease, "holder.name", "somebody"), commit ? " for commit " : "",
                   commit ? commit : "", json_str_or(lease, "since", "?"));
}

static int await_lease(const struct run *run, const struct conf *conf, const char *cluster,
                       int64_t timeout_ms, struct err *err)
{
    int64_t started = run_mono_ms(run), renewed_at = started;
    autofree char *renewed = NULL;

    for (;;) {
        autojson cJSON *lease = look(run, conf, cluster);
        int64_t now = run_mono_ms(run);

        if (run_check(run, "the cluster's holder", err) != 0) {
            return -1;
        }
        if (!lease) {
            return 0;
        }
        autofree char *seen = xasprintf("%s %s", json_str_or(lease, "holder.name", ""),
                                        json_str_or(lease, "renewed", ""));
        bool alive = renewed && strcmp(renewed, seen) != 0;
        if (alive && now - started >= timeout_ms) {
            return busy(cluster, lease, err);
        }
        if (alive || !renewed) {
            renewed_at = now;
            progress_phase(run->progress, "lock", "waiting for %s, who holds cluster '%s'",
                           json_str_or(lease, "holder.name", "somebody"), cluster);
        } else if (now - renewed_at >= DEAD_MS) {
            log_info(run->log, "the lease of %s was not renewed for %d s: nobody holds the cluster",
                     json_str_or(lease, "holder.name", "somebody"), DEAD_MS / 1000);
            return 0;
        }
        free(renewed);
        renewed = steal(seen);
        if (run_sleep(run, LOOK_MS, "the cluster's holder", err) != 0) {
            return -1;
        }
    }
}

/* ---- a cluster that only its instance reaches: who asks the agent there ---- */

/* NULL: nobody, or there is nobody to ask. Caller deletes. */
static cJSON *look_at_agent(const struct run *run, const struct conf *conf)
{
    const struct run brief = run_within(run, REACH_MS);
    autoerr struct err err = ERR_INIT;
    cJSON *request = NULL;

    if (remote_look(&brief, conf, conf_str(conf, "instance.name"), &request, &err) != 0) {
        log_debug(run->log, "who works on the instance is not known: %s", err_text(&err));
    }
    return request;
}

static int await_agent(const struct run *run, const struct conf *conf, const char *cluster,
                       int64_t timeout_ms, struct err *err)
{
    int64_t started = run_mono_ms(run);

    for (;;) {
        autojson cJSON *request = look_at_agent(run, conf);
        const char *who = json_str_or(request, "caller", "somebody");

        if (run_check(run, "the cluster's holder", err) != 0) {
            return -1;
        }
        if (!request) {
            return 0;
        }
        if (run_mono_ms(run) - started >= timeout_ms) {
            return err_set(err, ERR_BUSY,
                           "cluster '%s' is in use: %s of %s is with the agent since %s", cluster,
                           json_str_or(request, "tool", "a tool"), who,
                           json_str_or(request, "time", "?"));
        }
        progress_phase(run->progress, "lock", "waiting for %s, who holds cluster '%s'", who,
                       cluster);
        if (run_sleep(run, LOOK_MS, "the cluster's holder", err) != 0) {
            return -1;
        }
    }
}

static bool is_inside(const struct conf *conf, const char *cluster)
{
    autofree char *key = xasprintf("clusters.%s.via", cluster);

    return strcmp(conf_str(conf, key), "instance") == 0;
}

int deploy_await_idle(const struct run *run, const struct conf *conf, const char *cluster,
                      int64_t timeout_ms, struct err *err)
{
    if (is_inside(conf, cluster)) {
        return await_agent(run, conf, cluster, timeout_ms, err);
    }
    return await_lease(run, conf, cluster, timeout_ms, err);
}
