/* The Kubernetes cluster on the instance, and Argo CD's applications in it. */
#include "internal.h"

#include <string.h>
#include "necoops/argocd/application.h"
#include "necoops/argocd/install.h"
#include "necoops/base/text.h"
#include "necoops/kube/lock.h"

/* ---- nodes ---- */

static const char *condition(const cJSON *object, const char *type)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(object, "status.conditions"))
    {
        if (strcmp(json_str_or(item, "type", ""), type) == 0)
            return json_str_or(item, "status", "Unknown");
    }
    return "Unknown";
}

static int add_node(void *arg, const cJSON *node, struct err *err)
{
    cJSON *entry = json_object();
    (void)err;
    json_set_str(entry, "name", json_str(node, "metadata.name"));
    json_set_bool(entry, "ready", strcmp(condition(node, "Ready"), "True") == 0);
    json_set_bool(entry, "cordoned", json_bool(node, "spec.unschedulable", false));
    json_set_str(entry, "version", json_str(node, "status.nodeInfo.kubeletVersion"));
    json_push(arg, entry);
    return 0;
}

static int look_at_nodes(struct kube *kube, cJSON *cluster, struct err *err)
{
    autojson cJSON *version = NULL;
    if (kube_get(kube, "/version", "the API server's version", &version, err) < 0)
        return -1;
    json_set_str(cluster, "version", json_str(version, "gitVersion"));
    return kube_list(kube, "/api/v1/nodes", "nodes", add_node, json_set_array(cluster, "nodes"),
                     NULL, err);
}

/* ---- applications ---- */

/* The first resource whose health is the application's, in its own words. Caller frees. */
static char *why_of_resource(const struct argocd_app *app)
{
    for (size_t i = 0; i < app->resources_len; i++) {
        const struct argocd_resource *resource = &app->resources[i];
        if (!resource->of_operation && strcmp(resource->health, app->health) == 0 &&
            strcmp(resource->health, "Healthy") != 0)
            return xasprintf("%s %s%s%s", resource->kind, resource->name,
                             resource->message[0] ? ": " : "", resource->message);
    }
    return xstrdup("");
}

/* What keeps it from being fine, or "". Caller frees. */
static char *why(const struct argocd_app *app)
{
    const char *told = app->health_message;

    if (app->conditions_len)
        told = app->conditions[0].message;
    else if (app->has_state && strcmp(app->phase, "Succeeded") != 0)
        told = app->state_message;
    return told[0] ? xstrdup(told) : why_of_resource(app);
}

struct listing {
    cJSON *apps;
    const char *repo_url;
};

static int add_app(void *arg, const cJSON *object, struct err *err)
{
    const struct listing *listing = arg;
    autoapp struct argocd_app app = {0};
    if (argocd_app_parse(object, &app, err) < 0)
        return -1;
    cJSON *entry = json_object();
    autofree char *message = why(&app);
    bool fine = strcmp(app.sync_status, "Synced") == 0 && strcmp(app.health, "Healthy") == 0;
    json_set_str(entry, "name", app.name);
    json_set_str(entry, "revision", argocd_app_revision(&app, listing->repo_url));
    json_set_str(entry, "sync", app.sync_status);
    json_set_str(entry, "health", app.health);
    json_set_str(entry, "operation", argocd_app_busy(&app) ? "Running" : app.phase);
    if (!fine && message[0])
        json_set_str(entry, "message", message);
    json_push(listing->apps, entry);
    return 0;
}

static int look_at_apps(struct status *status, cJSON *value, struct err *err)
{
    const char *space = conf_str(status->conf, "argocd.namespace");
    autofree char *encoded = url_encode(space);
    autofree char *path = xasprintf(ARGOCD_API "/namespaces/%s/applications", encoded);
    struct argocd_install install = {.present = false};
    if (argocd_install_find(status->reached.kube, space, &install, err) < 0)
        return -1;
    bool present = install.present;
    if (present)
        json_set_str(json_set_object(value, "argocd"), "image", install.image);
    argocd_install_clear(&install);
    if (!present)
        return err_set(
            err, ERR_NOT_FOUND,
            "there is no Argo CD in the cluster: necoops-deploy --bootstrap installs it");
    const char *repo_url = conf_str(status->conf, "apps.repoURL");
    struct listing listing = {.apps = json_set_array(value, "apps"),
                              .repo_url = repo_url ? repo_url : ""};
    return kube_list(status->reached.kube, path, "applications", add_app, &listing, NULL, err);
}

static int look_at_lease(struct status *status, cJSON *value, struct err *err)
{
    cJSON *lease = NULL;
    if (kube_lock_look(status->reached.kube, conf_str(status->conf, "argocd.namespace"),
                       DEPLOY_LEASE, &lease, err) < 0)
        return -1;
    json_set(value, "lease", lease ? lease : cJSON_CreateNull());
    return 0;
}

/* ---- the whole ---- */

static int reach(struct status *status, struct err *err)
{
    autostrv struct strv names = STRV_INIT;
    if (status->reached.kube)
        return 0;
    conf_names(status->conf, "clusters", &names);
    if (!strv_has(&names, status->name))
        return err_set(err, ERR_USAGE, "the cluster is not asked: clusters.%s is not configured",
                       status->name);
    return cluster_reach(status->run, status->conf, status->name, status->cloud.http,
                         &status->reached, err);
}

void status_cluster(struct status *status, cJSON *value)
{
    autoerr struct err err = ERR_INIT;
    if (reach(status, &err) < 0) {
        status_problem(value, &err);
        return;
    }
    cJSON *cluster = json_set_object(value, "cluster");
    json_set_str(cluster, "server", kube_server(status->reached.kube));
    if (look_at_nodes(status->reached.kube, cluster, &err) < 0) {
        status_problem(value, &err);
        cluster_leave(&status->reached); /* its kubeconfig may have been issued anew */
        return;
    }
    if (look_at_apps(status, value, &err) < 0)
        status_problem(value, &err);
    if (look_at_lease(status, value, &err) < 0)
        status_problem(value, &err);
}
