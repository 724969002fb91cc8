#include <string.h>
#include "necoops/base/log.h"
#include "necoops/base/timefmt.h"
#include "snapshot/gate.h"

#define POLL_MS     100 /* at first; then more and more seldom */
#define POLL_MAX_MS 1000
#define TRY_MS      10000

struct waiting {
    const struct gate *gate;
    struct run *run; /* ends with the gate's time limit */
    struct kubeconfig config;
    struct kube *kube;
    int ready; /* nodes */
    int total;
    char *lagging; /* a node that is not ready, and why */
    cJSON *leases; /* name of a node: when it last renewed its lease */
};

static int64_t now_ms(const struct waiting *waiting)
{
    return run_wall_ms(waiting->run);
}

static int check_certificates(const struct waiting *waiting, struct err *err)
{
    const struct kubeconfig *config = &waiting->config;
    if (config->ca_pem && gate_check_certificate(config->ca_pem, "the cluster's CA certificate",
                                                 now_ms(waiting), err) != 0)
        return -1;
    if (config->cert_pem && gate_check_certificate(config->cert_pem, "the client certificate",
                                                   now_ms(waiting), err) != 0)
        return -1;
    return 0;
}

/* Asked without the client of the cluster, which hands out no headers; any answer has a date. */
static int check_clock(const struct waiting *waiting, struct err *err)
{
    const struct kubeconfig *config = &waiting->config;
    autofree char *url = xasprintf("%s/readyz", config->server);
    struct http_tls tls = {.ca_pem = config->ca_pem,
                           .cert_pem = config->cert_pem,
                           .key_pem = config->key_pem,
                           .server_name = config->server_name,
                           .insecure = config->insecure};
    struct http_request request = {.method = "GET",
                                   .url = url,
                                   .timeout_ms = TRY_MS,
                                   .retry_ms = -1,
                                   .tls = &tls,
                                   .proxy = config->proxy,
                                   .what = "the API server"};
    autoresponse struct http_response response;
    http_response_init(&response, BUF_SMALL);
    int64_t sent = now_ms(waiting);
    if (http_perform(waiting->gate->http, &request, &response, err) != 0)
        return -1;
    return gate_check_clock(http_header(&response, "Date"), sent, now_ms(waiting),
                            waiting->gate->max_skew_ms, err);
}

static int check_readyz(const struct waiting *waiting, struct err *err)
{
    struct kube_call call = {.method = "GET",
                             .path = "/readyz",
                             .plain = true,
                             .what = "/readyz",
                             .timeout_ms = TRY_MS,
                             .retry_ms = -1};
    return kube_call(waiting->kube, &call, NULL, err);
}

/* A node that reports at all renews a lease every few seconds. What a snapshot remembers is older
 * than the load. */
static bool is_alive(const struct waiting *waiting, const char *name)
{
    const cJSON *renewed = cJSON_GetObjectItemCaseSensitive(waiting->leases, name);
    CLEANUP(err_clear) struct err err = ERR_INIT;
    int64_t when = 0;
    if (!cJSON_IsString(renewed) || time_parse_rfc3339(renewed->valuestring, &when, &err) != 0)
        return true; /* a cluster without leases: its conditions are all there is */
    return when >= waiting->gate->loaded_at - waiting->gate->max_skew_ms;
}

static int on_lease(void *arg, const cJSON *lease, struct err *err)
{
    struct waiting *waiting = arg;
    (void)err;
    const char *name = json_str(lease, "metadata.name");
    if (name)
        json_set_str(waiting->leases, name, json_str(lease, "spec.renewTime"));
    return 0;
}

static int on_node(void *arg, const cJSON *node, struct err *err)
{
    struct waiting *waiting = arg;
    (void)err;
    const char *name = json_str_or(node, "metadata.name", "");
    const char *reason = "it has not reported since the load";
    waiting->total++;
    if (gate_node_is_ready(node, &reason)) {
        if (is_alive(waiting, name)) {
            waiting->ready++;
            return 0;
        }
        reason = "it has not reported since the load";
    }
    if (!waiting->lagging) {
        autofree char *text = xasprintf("%s: %s", name, reason);
        waiting->lagging = text_visible(text, strlen(text), false);
    }
    return 0;
}

static int list_nodes(struct waiting *waiting, struct err *err)
{
    CLEANUP(err_clear) struct err lease_err = ERR_INIT;
    cJSON_Delete(waiting->leases);
    waiting->leases = json_object();
    free(steal(waiting->lagging));
    waiting->ready = waiting->total = 0;
    /* Without leases the nodes' own conditions must do. */
    if (kube_list(waiting->kube, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                  "node leases", on_lease, waiting, NULL, &lease_err) != 0)
        log_debug(waiting->run->log, "%s", err_text(&lease_err));
    return kube_list(waiting->kube, "/api/v1/nodes", "nodes", on_node, waiting, NULL, err);
}

static int check_nodes(struct waiting *waiting, struct err *err)
{
    if (list_nodes(waiting, err) != 0)
        return -1;
    int wanted = waiting->gate->nodes > 0 ? waiting->gate->nodes : waiting->total;
    if (waiting->total > 0 && waiting->ready >= wanted)
        return 0;
    return err_set(err, ERR_FAILED, "%d of %d nodes are Ready%s%s", waiting->ready, wanted,
                   waiting->lagging ? ", not " : "", waiting->lagging ? waiting->lagging : "");
}

static int check_all(struct waiting *waiting, struct err *err)
{
    if (check_clock(waiting, err) != 0 || check_readyz(waiting, err) != 0)
        return -1;
    return check_nodes(waiting, err);
}

static bool ends_run(const struct waiting *waiting, const struct err *err)
{
    return err->code == ERR_INTERRUPTED || err->code == ERR_TERMINATED ||
           run_remaining_ms(waiting->run, 1) == 0;
}

static int wait_until_ready(struct waiting *waiting, struct err *err)
{
    int64_t pause = POLL_MS;
    for (;;) {
        CLEANUP(err_clear) struct err why = ERR_INIT;
        if (check_all(waiting, &why) == 0)
            return 0;
        if (why.code == ERR_INTERRUPTED || why.code == ERR_TERMINATED) {
            err_move(err, &why);
            return -1;
        }
        progress_update(waiting->run->progress, "%s", err_text(&why));
        if (!ends_run(waiting, &why) && run_sleep(waiting->run, pause, "the cluster", err) == 0) {
            pause = 2 * pause < POLL_MAX_MS ? 2 * pause : POLL_MAX_MS;
            continue;
        }
        if (err->code == ERR_INTERRUPTED || err->code == ERR_TERMINATED)
            return -1;
        return err_set(err, ERR_TIMEOUT, "timed out waiting for the cluster of '%s': %s",
                       waiting->gate->name, err_text(&why));
    }
}

static int connect_cluster(struct waiting *waiting, struct err *err)
{
    const struct gate *gate = waiting->gate;
    struct kubeconfig copy = {0};
    if (kubeconfig_parse(gate->kubeconfig, gate->kubeconfig_len, gate->name, ".", NULL,
                         &waiting->config, err) != 0 ||
        kubeconfig_parse(gate->kubeconfig, gate->kubeconfig_len, gate->name, ".", NULL, &copy,
                         err) != 0)
        return -1;
    return kube_new(gate->http, &copy, &waiting->kube, err);
}

int gate_wait(const struct gate *gate, int *ready, struct err *err)
{
    struct run limited = run_within(http_run(gate->http), gate->timeout_ms);
    struct waiting waiting = {.gate = gate, .run = &limited};
    int result = connect_cluster(&waiting, err);
    if (result == 0)
        result = check_certificates(&waiting, err);
    if (result == 0)
        result = wait_until_ready(&waiting, err);
    if (result == 0)
        *ready = waiting.ready;
    kube_free(waiting.kube);
    kubeconfig_clear(&waiting.config);
    cJSON_Delete(waiting.leases);
    free(waiting.lagging);
    return result;
}
