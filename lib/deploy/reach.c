/* The cluster: whether there is one, and the way to its API server. */
#include "internal.h"

#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"
#include "necoops/gce/gce.h"
#include "necoops/gcs/gcs.h"
#include "necoops/instance/schedule.h"

#define KUBECONFIG_CAP  BUF_MEDIUM
#define ANSWER_MS       20000
#define TUNNEL_PAUSE_MS 200
#define TUNNEL_MS       30000
#define TUNNEL_GRACE_MS 2000
#define TUNNEL_AGAIN_MS 1000
#define TUNNELS_MOST    6

/* In this file, so that who only looks at a cluster needs nothing of Git. */
char *plan_key(const struct plan *plan, const char *key)
{
    return xasprintf("clusters.%s.%s", plan->cluster, key);
}

/* ---- the instance ---- */

static bool lives_on_instance(const struct plan *plan)
{
    const char *name = conf_str(plan->conf, "instance.name");
    autofree char *via = plan_key(plan, "via");

    /* where we run on it ourselves, it is there */
    return name && strcmp(plan->cluster, name) == 0 && conf_str(plan->conf, "project") &&
           strcmp(conf_str(plan->conf, via), "here") != 0;
}

static int no_cluster(const struct plan *plan, struct err *err, const char *why)
{
    autofree char *hint = schedule_hint(plan->run, plan->conf);

    return err_set(err, ERR_NO_CLUSTER, "there is no cluster '%s': %s%s", plan->cluster, why, hint);
}

/* The zone that has the instance, and its status. ERR_NOT_FOUND when none has. */
static int find_instance(const struct plan *plan, struct gce *gce, char **zone, char **status,
                         struct err *err)
{
    const char *name = conf_str(plan->conf, "instance.name");
    autostrv struct strv zones = STRV_INIT;

    if (conf_require(plan->conf, "zones", err) != 0) {
        return -1;
    }
    conf_strs(plan->conf, "zones", &zones);
    for (size_t i = 0; i < zones.len; i++) {
        autojson cJSON *instance = NULL;

        if (gce_instance_get(gce, zones.items[i], name, "status", &instance, err) == 0) {
            *zone = xstrdup(zones.items[i]);
            *status = xstrdup(json_str_or(instance, "status", ""));
            return 0;
        }
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err);
    }
    return err_set(err, ERR_NOT_FOUND, "instance '%s' does not exist", name);
}

/* What the instance last said of its setup, as "phase 'snapshot' (loading …)"; NULL when nothing.
 */
static char *setup_phase(const struct plan *plan, struct gce *gce, const char *zone, bool *ready)
{
    autoerr struct err ignored = ERR_INIT;
    autofree char *value = NULL;
    autojson cJSON *phase = NULL;

    *ready = false;
    if (gce_guest_attribute(gce, zone, conf_str(plan->conf, "instance.name"), "necoops", "phase",
                            &value, &ignored) != 0 ||
        json_parse(value, strlen(value), "phase", &phase, &ignored) != 0) {
        return NULL;
    }
    *ready = strcmp(json_str_or(phase, "phase", ""), "ready") == 0;
    return xasprintf("phase '%s'%s%s", json_str_or(phase, "phase", ""),
                     json_str(phase, "message") ? ": " : "", json_str_or(phase, "message", ""));
}

struct instance {
    struct auth *auth; /* NULL: the cluster lives elsewhere */
    struct gce *gce;
    char *zone;
};

static void instance_clear(struct instance *instance)
{
    gce_free(instance->gce);
    auth_free(instance->auth);
    free(instance->zone);
}

static int need_auth(struct instance *instance, struct http *http, struct err *err)
{
    return instance->auth ? 0 : auth_find(http, &instance->auth, err);
}

static int check_instance(const struct plan *plan, struct http *http, struct instance *instance,
                          struct err *err)
{
    autofree char *status = NULL;

    if (need_auth(instance, http, err) != 0 ||
        gce_new(http, instance->auth, conf_str(plan->conf, "project"), &instance->gce, err) != 0) {
        return -1;
    }
    if (find_instance(plan, instance->gce, &instance->zone, &status, err) != 0) {
        autofree char *why = xstrdup(err_text(err));

        return err->code == ERR_NOT_FOUND ? no_cluster(plan, err, why) : -1;
    }
    if (strcmp(status, "PROVISIONING") == 0 || strcmp(status, "STAGING") == 0) {
        return err_set(err, ERR_NO_CLUSTER,
                       "cluster '%s' is still coming up: its instance is %s; wait for it with "
                       "necoops-create",
                       plan->cluster, status);
    }
    if (strcmp(status, "RUNNING") != 0) {
        autofree char *why =
            xasprintf("instance '%s' is %s", conf_str(plan->conf, "instance.name"), status);

        return no_cluster(plan, err, why);
    }
    return 0;
}

/* The cluster does not answer (or has no kubeconfig yet): is it that its setup has not ended? */
static int explain_silence(const struct plan *plan, const struct instance *instance,
                           struct err *err)
{
    bool ready;
    autofree char *phase = NULL;
    autofree char *before = xstrdup(err_text(err));

    if (!instance->gce) {
        return -1;
    }
    phase = setup_phase(plan, instance->gce, instance->zone, &ready);
    if (ready) {
        return err_prefix(err, "instance '%s' says it is ready, but",
                          conf_str(plan->conf, "instance.name"));
    }
    return err_set(err, ERR_NO_CLUSTER,
                   "cluster '%s' is still coming up (%s): %s; wait for it with necoops-create",
                   plan->cluster, phase ? phase : "its instance has said nothing yet", before);
}

/* ---- kubeconfig ---- */

static int kubeconfig_of_object(const struct plan *plan, struct http *http,
                                struct instance *instance, const char *url, const char *context,
                                struct kubeconfig *out, struct err *err)
{
    autofree char *bucket = NULL;
    autofree char *object = NULL;
    autogcs struct gcs *gcs = NULL;
    autobuf struct buf text = BUF_INIT(KUBECONFIG_CAP);
    autogcsobject struct gcs_object meta = {0};

    if (gcs_split_url(url, &bucket, &object, err) != 0 || need_auth(instance, http, err) != 0 ||
        gcs_new(http, instance->auth, &gcs, err) != 0) {
        return -1;
    }
    if (gcs_read(gcs, bucket, object, 0, &text, &meta, err) != 0) {
        if (err->code == ERR_NOT_FOUND) {
            err_set(err, ERR_UNREACHABLE, "there is no kubeconfig '%s'", url);
            return explain_silence(plan, instance, err);
        }
        return err_prefix(err, "kubeconfig");
    }
    return kubeconfig_parse(text.data, text.len, url, ".", context, out, err);
}

static int load_kubeconfig(const struct plan *plan, struct http *http, struct instance *instance,
                           struct kubeconfig *out, struct err *err)
{
    autofree char *key = plan_key(plan, "kubeconfig");
    autofree char *context_key = plan_key(plan, "context");
    const char *where = conf_str(plan->conf, key);
    const char *context = conf_str(plan->conf, context_key);
    autofree char *path = NULL;

    if (where && text_starts(where, "gs://")) {
        return kubeconfig_of_object(plan, http, instance, where, context, out, err);
    }
    if (where && strcmp(where, "in-cluster") == 0) {
        if (kubeconfig_in_cluster(plan->run, out, err) == 0) {
            return 0;
        }
        err->code = ERR_USAGE;
        return err_prefix(err, "%s: in-cluster", key);
    }
    path = where ? conf_path(plan->run, plan->conf, key) : NULL;
    if (kubeconfig_load(plan->run, path, context, out, err) != 0) {
        if (err->code == ERR_NOT_FOUND && instance->gce) {
            return explain_silence(plan, instance, err);
        }
        if (err->code == ERR_NOT_FOUND) {
            err->code = ERR_USAGE;
            return err_prefix(err, "cluster '%s'", plan->cluster);
        }
        return -1;
    }
    return 0;
}

/* ---- the way there ---- */

static int start_tunnel(const struct plan *plan, struct reached *reached, struct err *err)
{
    autofree char *key = plan_key(plan, "tunnel");
    autostrv struct strv argv = STRV_INIT;

    conf_strs(plan->conf, key, &argv);
    if (argv.len == 0) {
        return 0;
    }
    struct proc_spec spec = {.argv = (const char *const *)argv.items};
    if (proc_start(&spec, &reached->tunnel, err) != 0) {
        return err_prefix(err, "tunnel of cluster '%s'", plan->cluster);
    }
    reached->tunnels++;
    reached->tunnel_since = run_mono_ms(plan->run);
    return 0;
}

/* A command that ends well may have left the tunnel behind, as ssh -f does. */
static bool tunnel_broke(const struct reached *reached, int *status)
{
    return reached->tunnel > 0 && proc_ended(reached->tunnel, status) && *status != 0;
}

static int fail_of_tunnel(const struct plan *plan, int status, struct err *err)
{
    autofree char *key = plan_key(plan, "tunnel");
    autostrv struct strv argv = STRV_INIT;

    conf_strs(plan->conf, key, &argv);
    autofree char *command = strv_join(&argv, " ");
    return err_set(err, ERR_UNREACHABLE,
                   "its tunnel ended with status %d: '%s'; see what it printed, or run it by hand (%s)",
                   status, command, key);
}

int reach_tend(const struct plan *plan, struct reached *reached, struct err *err)
{
    int status;

    if (!tunnel_broke(reached, &status) ||
        run_mono_ms(plan->run) - reached->tunnel_since < TUNNEL_AGAIN_MS) {
        return 0;
    }
    if (reached->tunnels == TUNNELS_MOST) {
        return fail_of_tunnel(plan, status, err);
    }
    log_warning(plan->run->log, "the tunnel of cluster '%s' ended with status %d; starting it again",
                plan->cluster, status);
    proc_stop(reached->tunnel, 0);
    reached->tunnel = 0;
    return start_tunnel(plan, reached, err);
}

static int ask_version(struct kube *kube, int64_t retry_ms, struct err *err)
{
    struct kube_call call = {
        .method = "GET",
        .path = "/version",
        .what = "the API server",
        .idempotent = true,
        .timeout_ms = ANSWER_MS,
        .retry_ms = retry_ms,
    };

    return kube_call(kube, &call, NULL, err);
}

/* Until the tunnel carries, or has had its time. */
static int wait_for_tunnel(const struct plan *plan, const struct reached *reached, struct err *err)
{
    int64_t until = run_mono_ms(plan->run) + TUNNEL_MS;
    int status;

    while (ask_version(reached->kube, -1, err) != 0) {
        if (err->code != ERR_UNREACHABLE) {
            return -1;
        }
        if (run_mono_ms(plan->run) > until) {
            return err_prefix(err, "its tunnel carries nothing after %d s", TUNNEL_MS / 1000);
        }
        if (tunnel_broke(reached, &status)) {
            return fail_of_tunnel(plan, status, err);
        }
        err_clear(err);
        if (run_sleep(plan->run, TUNNEL_PAUSE_MS, "the tunnel", err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int ask_cluster(const struct plan *plan, const struct reached *reached, struct err *err)
{
    int rc = reached->tunnel > 0 ? wait_for_tunnel(plan, reached, err)
                                 : ask_version(reached->kube, ANSWER_MS, err);

    if (rc == 0) {
        return 0;
    }
    if (err->code == ERR_DENIED) {
        return err_prefix(err, "cluster '%s' refuses us (%s)", plan->cluster,
                          kube_source(reached->kube));
    }
    return err_prefix(err, "cluster '%s' does not answer at '%s'", plan->cluster,
                      kube_server(reached->kube));
}

static int connect_cluster(const struct plan *plan, struct http *http, struct instance *instance,
                           struct reached *reached, struct err *err)
{
    autokubeconfig struct kubeconfig config = {0};
    autofree char *via_key = plan_key(plan, "via");

    if (strcmp(conf_str(plan->conf, via_key), "instance") == 0) {
        return err_set(err, ERR_UNREACHABLE,
                       "cluster '%s' is not reached from here, only through the agent on its "
                       "instance ('%s')",
                       plan->cluster, via_key);
    }
    if (load_kubeconfig(plan, http, instance, &config, err) != 0 ||
        start_tunnel(plan, reached, err) != 0 ||
        kube_new(http, &config, &reached->kube, err) != 0) {
        return -1;
    }
    if (ask_cluster(plan, reached, err) != 0) {
        bool silent = err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT;

        return silent && run_remaining_ms(plan->run, 1) > 0 ? explain_silence(plan, instance, err)
                                                            : -1;
    }
    return 0;
}

int deploy_reach(const struct plan *plan, struct http *http, struct reached *out, struct err *err)
{
    CLEANUP(instance_clear) struct instance instance = {0};
    struct reached reached = {0};

    progress_phase(plan->run->progress, "reach", "looking for cluster '%s'", plan->cluster);
    if (lives_on_instance(plan) && check_instance(plan, http, &instance, err) != 0) {
        return -1;
    }
    if (connect_cluster(plan, http, &instance, &reached, err) != 0) {
        cluster_leave(&reached);
        return -1;
    }
    *out = reached;
    return 0;
}

int cluster_reach(const struct run *run, const struct conf *conf, const char *cluster,
                  struct http *http, struct reached *out, struct err *err)
{
    const struct plan plan = {.run = run, .conf = conf, .cluster = cluster};

    return deploy_reach(&plan, http, out, err);
}

void cluster_leave(struct reached *reached)
{
    kube_free(reached->kube);
    reached->kube = NULL;
    proc_stop(reached->tunnel, TUNNEL_GRACE_MS);
    reached->tunnel = 0;
}
