#include "emulator/kube/cluster.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "emulator/argocd/argocd.h"
#include "emulator/kube/api.h"
#include "emulator/kube/bootstrap.h"
#include "emulator/kube/certificates.h"
#include "emulator/kube/controllers.h"
#include "emulator/kube/kubeconfig.h"

#define DEFAULT_VERSION "v1.27.16"
#define DEFAULT_ARGOCD  "v2.14.21"
#define YEAR_S          ((int64_t)365 * 24 * 3600)
#define BODY_CAP        ((size_t)16 << 20)
#define SEED_MS         30000
#define SERVER_NAMES                                                                               \
    "IP:127.0.0.1,IP:::1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,"        \
    "DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"

struct cluster {
    struct cluster *next;
    struct clusters *owner;
    char *name, *version;
    struct certificate authority;
    struct api api;
    struct listener *listener;
    struct controllers *controllers;
    struct argocd *argocd;
};

struct clusters {
    struct emu *emu;
    pthread_mutex_t lock;
    struct cluster *first;
};

int clusters_new(struct emu *emu, struct clusters **out, struct err *err)
{
    struct clusters *clusters = xcalloc(1, sizeof(*clusters));

    (void)err;
    clusters->emu = emu;
    pthread_mutex_init(&clusters->lock, NULL);
    *out = clusters;
    return 0;
}

void clusters_free(struct clusters *clusters)
{
    if (clusters == NULL)
        return;
    while (clusters->first != NULL)
        cluster_stop(clusters->first);
    pthread_mutex_destroy(&clusters->lock);
    free(clusters);
}

/* ---- one cluster ---- */

/* The N of v1.N.P; -1 when it is no such version. */
static int minor_of(const char *version)
{
    char *end;
    long minor;

    if (!text_starts(version, "v1."))
        return -1;
    minor = strtol(version + 3, &end, 10);
    return (*end == '.' || *end == '\0') && minor > 0 && minor < 1000 ? (int)minor : -1;
}

static int make_authority(struct cluster *cluster, const struct cluster_spec *spec, struct err *err)
{
    if (spec->ca_cert_pem == NULL || spec->ca_key_pem == NULL)
        return certificate_make_authority("kubernetes", &cluster->authority, err);
    cluster->authority.cert_pem = xstrdup(spec->ca_cert_pem);
    cluster->authority.key_pem = xstrdup(spec->ca_key_pem);
    return 0;
}

static void restarted(void *service)
{
    struct api *api = service;

    api->oldest = store_version(api->store);
}

static int listen_on(struct cluster *cluster, struct err *err)
{
    struct certificate certificate = {0};
    struct certificate_spec names = {
        .common_name = "kube-apiserver", .names = SERVER_NAMES, .lifetime_s = YEAR_S};
    autofree char *name = xasprintf("kubernetes %s", cluster->name);
    struct listener_spec spec = {
        .name = name,
        .handler = api_handle,
        .service = &cluster->api,
        .body_cap = BODY_CAP,
        .ca_pem = cluster->authority.cert_pem,
        .extra_host = "kubernetes.default.svc",
        .restarted = restarted,
    };
    int result;

    if (certificate_issue(&cluster->authority, &names, &certificate, err) < 0)
        return -1;
    spec.cert_pem = certificate.cert_pem;
    spec.key_pem = certificate.key_pem;
    result = listener_start(emu_server(cluster->owner->emu), &spec, &cluster->listener, err);
    certificate_clear(&certificate);
    return result;
}

static int start_control_plane(struct cluster *cluster, const struct cluster_spec *spec,
                               struct err *err)
{
    const struct emu_timing *timing = &emu_config(cluster->owner->emu)->timing;
    struct controllers_spec control = {
        .store = cluster->api.store,
        .logs = cluster->api.logs,
        .tokens = cluster->api.tokens,
        .reconcile_ms = timing->reconcile,
        .rollout_ms = timing->rollout,
        .ready_at = cluster->api.ready_at,
        .ca_pem = cluster->authority.cert_pem,
    };

    if (bootstrap(cluster->api.store, cluster->version, spec->nodes, err) < 0 ||
        controllers_start(&control, &cluster->controllers, err) < 0 || listen_on(cluster, err) < 0)
        return -1;
    if (spec->argocd_version == NULL)
        return 0;
    return argocd_start(cluster, spec->argocd_version, &cluster->argocd, err);
}

static void add_to_list(struct cluster *cluster)
{
    pthread_mutex_lock(&cluster->owner->lock);
    cluster->next = cluster->owner->first;
    cluster->owner->first = cluster;
    pthread_mutex_unlock(&cluster->owner->lock);
}

static void take_from_list(struct cluster *cluster)
{
    struct cluster **link;

    pthread_mutex_lock(&cluster->owner->lock);
    link = &cluster->owner->first;
    while (*link != NULL && *link != cluster)
        link = &(*link)->next;
    if (*link != NULL)
        *link = cluster->next;
    pthread_mutex_unlock(&cluster->owner->lock);
}

int cluster_start(struct clusters *clusters, const struct cluster_spec *spec, struct cluster **out,
                  struct err *err)
{
    const char *version = spec->version != NULL ? spec->version : DEFAULT_VERSION;
    int minor = minor_of(version);
    struct cluster *cluster;

    if (minor < 0)
        return err_set(err, ERR_INVALID, "cluster '%s': '%s' is no Kubernetes version (v1.27.16)",
                       spec->name, version);
    cluster = xcalloc(1, sizeof(*cluster));
    cluster->owner = clusters;
    cluster->name = xstrdup(spec->name);
    cluster->version = xstrdup(version);
    cluster->api.store = store_new_for(minor);
    cluster->api.tokens = tokens_new();
    cluster->api.logs = pod_logs_new();
    cluster->api.version = cluster->version;
    cluster->api.ready_at = mono_ms() + emu_config(clusters->emu)->timing.cluster_boot;
    text_copy(cluster->api.run, sizeof(cluster->api.run), uuid_random().text);
    add_to_list(cluster);
    if (make_authority(cluster, spec, err) < 0 || start_control_plane(cluster, spec, err) < 0) {
        cluster_stop(cluster);
        return err_prefix(err, "cluster '%s'", spec->name);
    }
    if (out != NULL)
        *out = cluster;
    return 0;
}

void cluster_stop(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    take_from_list(cluster);
    store_close(cluster->api.store);
    if (cluster->argocd != NULL)
        argocd_stop(cluster->argocd);
    if (cluster->listener != NULL)
        listener_stop(cluster->listener);
    controllers_stop(cluster->controllers);
    pod_logs_free(cluster->api.logs);
    tokens_free(cluster->api.tokens);
    store_free(cluster->api.store);
    certificate_clear(&cluster->authority);
    free(cluster->name);
    free(cluster->version);
    free(cluster);
}

const char *cluster_name(const struct cluster *cluster)
{
    return cluster->name;
}

struct emu *cluster_emu(const struct cluster *cluster)
{
    return cluster->owner->emu;
}

struct store *cluster_store(struct cluster *cluster)
{
    return cluster->api.store;
}

uint16_t cluster_port(const struct cluster *cluster)
{
    return listener_port(cluster->listener);
}

char *cluster_kubeconfig(struct cluster *cluster)
{
    CLEANUP(strv_clear) struct strv groups = STRV_INIT;
    struct certificate certificate = {0};
    struct certificate_spec spec = {
        .common_name = "kubernetes-admin", .organizations = &groups, .lifetime_s = YEAR_S};
    autofree char *server = xasprintf("https://127.0.0.1:%" PRIu16, cluster_port(cluster));
    struct kubeconfig config = {
        .name = cluster->name, .server = server, .ca_pem = cluster->authority.cert_pem};
    autoerr struct err err = ERR_INIT;
    char *text;

    strv_add(&groups, "system:masters");
    /* The authority was able to sign when the cluster was started. */
    if (certificate_issue(&cluster->authority, &spec, &certificate, &err) < 0)
        return xstrdup("");
    config.cert_pem = certificate.cert_pem;
    config.key_pem = certificate.key_pem;
    text = kubeconfig_text(&config);
    certificate_clear(&certificate);
    return text;
}

/* ---- the seed ---- */

static void read_nodes(const cJSON *nodes, struct strv *names)
{
    const cJSON *item;
    int count = cJSON_IsNumber(nodes) ? nodes->valueint : 1;

    cJSON_ArrayForEach(item, nodes)
    {
        if (cJSON_IsString(item))
            strv_add(names, item->valuestring);
    }
    for (int i = 0; !cJSON_IsArray(nodes) && i < count; i++)
        strv_addf(names, "node%d", i + 1);
}

/* {"TOKEN": {"user": …, "groups": […]}} */
static void read_tokens(struct cluster *cluster, const cJSON *list)
{
    const cJSON *item;
    const cJSON *group;

    cJSON_ArrayForEach(item, list)
    {
        struct identity identity = {.user = xstrdup(json_str_or(item, "user", item->string))};

        cJSON_ArrayForEach(group, json_get(item, "groups"))
        {
            if (cJSON_IsString(group))
                strv_add(&identity.groups, group->valuestring);
        }
        tokens_add(cluster->api.tokens, item->string, &identity);
        identity_clear(&identity);
    }
}

static int put_objects(struct cluster *cluster, const cJSON *objects, struct err *err)
{
    const cJSON *object;

    cJSON_ArrayForEach(object, objects)
    {
        if (store_put(cluster->api.store, json_copy(object), err) < 0)
            return -1;
    }
    return 0;
}

static bool serves_applications(struct cluster *cluster)
{
    const struct resource *resource =
        store_resource(cluster->api.store, "argoproj.io", "applications");

    return resource != NULL && type_of(resource)->established;
}

/* Who is told that the emulator is ready finds an Argo CD that serves its kinds. */
static int await_argocd(struct cluster *cluster, struct err *err)
{
    int64_t until = mono_ms() + SEED_MS;

    while (cluster->argocd != NULL && !serves_applications(cluster)) {
        if (mono_ms() >= until)
            return err_set(err, ERR_TIMEOUT, "Argo CD's kinds are not served");
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return 0;
}

static int seed_one(struct clusters *clusters, const cJSON *seed, struct err *err)
{
    CLEANUP(strv_clear) struct strv nodes = STRV_INIT;
    const cJSON *argocd = json_get(seed, "argocd");
    const char *path = json_str(seed, "kubeconfig");
    struct cluster_spec spec = {
        .name = seed->string,
        .version = json_str(seed, "version"),
        .nodes = &nodes,
        .argocd_version = cJSON_IsString(argocd) ? argocd->valuestring
                          : cJSON_IsTrue(argocd) ? DEFAULT_ARGOCD
                                                 : NULL,
    };
    autofree char *text = NULL;
    struct cluster *cluster;

    read_nodes(json_get(seed, "nodes"), &nodes);
    if (cluster_start(clusters, &spec, &cluster, err) < 0)
        return -1;
    read_tokens(cluster, json_get(seed, "tokens"));
    if (await_argocd(cluster, err) < 0 || put_objects(cluster, json_get(seed, "objects"), err) < 0)
        return -1;
    if (path == NULL)
        return 0;
    text = cluster_kubeconfig(cluster);
    return fs_write(path, text, strlen(text), 0600, err);
}

int clusters_seed(struct clusters *clusters, const cJSON *seed, struct err *err)
{
    const cJSON *item;

    if (!cJSON_IsObject(seed))
        return err_set(err, ERR_INVALID, "seed: 'clusters' is no mapping of names to clusters");
    cJSON_ArrayForEach(item, seed)
    {
        if (seed_one(clusters, item, err) < 0)
            return err_prefix(err, "seed: cluster '%s'", item->string);
    }
    return 0;
}
