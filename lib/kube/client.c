#include "internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

/* A plugin's credential is renewed this long before it ends. */
#define RENEW_MS 60000

/* ---- credentials ---- */

static int token_of_file(const char *path, struct buf *token, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);

    if (fs_read(path, &text, err) != 0) {
        err->code = ERR_DENIED;
        return err_prefix(err, "token file");
    }
    while (text.len && strchr("\r\n\t ", text.data[text.len - 1])) {
        text.data[--text.len] = '\0';
    }
    return buf_adds(token, text.data);
}

static int add_basic(const struct kubeconfig *config, struct buf *value)
{
    autofree char *both =
        xasprintf("%s:%s", config->username, config->password ? config->password : "");
    autofree char *coded = base64_encode(both, strlen(both));

    return buf_addf(value, "Basic %s", coded);
}

static int add_header(void *arg, const char *url, struct buf *value, struct err *err)
{
    struct kube *kube = arg;
    const struct kubeconfig *config = &kube->config;

    (void)url;
    if (config->token_file) {
        autobuf struct buf token = BUF_INIT(BUF_SMALL);

        if (token_of_file(config->token_file, &token, err) != 0) {
            return -1;
        }
        return buf_addf(value, "Bearer %s", token.data);
    }
    if (config->token) {
        return buf_addf(value, "Bearer %s", config->token);
    }
    if (config->username) {
        return add_basic(config, value);
    }
    if (kube_prepare(kube, err) != 0) {
        return -1;
    }
    return kube->plugin.token ? buf_addf(value, "Bearer %s", kube->plugin.token) : 0;
}

static void credential_refused(void *arg)
{
    struct kube *kube = arg;

    kube->have_plugin = false;
}

int kube_prepare(struct kube *kube, struct err *err)
{
    const struct run *run = http_run(kube->http);
    struct kube_credential fresh = {0};

    if (!kube->config.exec.command) {
        return 0;
    }
    if (kube->have_plugin &&
        (kube->plugin.expires_ms == 0 || run_wall_ms(run) + RENEW_MS < kube->plugin.expires_ms)) {
        return 0;
    }
    if (kube_exec_run(run, &kube->config, &fresh, err) != 0) {
        return -1;
    }
    if (kube->plugin.cert_pem) {
        /* transfers under way may still read the certificate before */
        strv_take(&kube->old_pems, steal(kube->plugin.cert_pem));
        strv_take(&kube->old_pems, steal(kube->plugin.key_pem));
    }
    kube_credential_clear(&kube->plugin);
    kube->plugin = fresh;
    kube->have_plugin = true;
    if (fresh.cert_pem) {
        kube->tls.cert_pem = fresh.cert_pem;
        kube->tls.key_pem = fresh.key_pem;
    }
    return 0;
}

/* ---- the cluster ---- */

int kube_new(struct http *http, struct kubeconfig *config, struct kube **out, struct err *err)
{
    struct kube *kube;
    struct url_parts parts;

    if (!url_split(config->server, &parts)) {
        return err_set(err, ERR_USAGE, "server '%s' is no URL", config->server);
    }
    if (strcmp(parts.scheme, "https") != 0 && !host_is_loopback(parts.host) &&
        (config->token || config->token_file || config->username || config->exec.command)) {
        return err_set(err, ERR_USAGE,
                       "server '%s' would get credentials without TLS; its address must be https",
                       config->server);
    }
    kube = xcalloc(1, sizeof(*kube));
    kube->http = http;
    kube->config = *config;
    *config = (struct kubeconfig){0};
    kube->tls = (struct http_tls){
        .ca_pem = kube->config.ca_pem,
        .cert_pem = kube->config.cert_pem,
        .key_pem = kube->config.key_pem,
        .server_name = kube->config.server_name,
        .insecure = kube->config.insecure,
    };
    kube->auth = (struct http_auth){add_header, credential_refused, kube};
    strv_add(&kube->headers, "Accept: application/json");
    if (kube->config.impersonate) {
        strv_addf(&kube->headers, "Impersonate-User: %s", kube->config.impersonate);
    }
    for (size_t i = 0; i < kube->config.impersonate_groups.len; i++) {
        strv_addf(&kube->headers, "Impersonate-Group: %s",
                  kube->config.impersonate_groups.items[i]);
    }
    *out = kube;
    return 0;
}

void kube_free(struct kube *kube)
{
    if (!kube) {
        return;
    }
    kubeconfig_clear(&kube->config);
    kube_credential_clear(&kube->plugin);
    strv_clear(&kube->headers);
    strv_clear(&kube->old_pems);
    free(kube);
}

void kube_freep(struct kube **kube)
{
    kube_free(*kube);
}

struct http *kube_http(struct kube *kube)
{
    return kube->http;
}

const char *kube_server(const struct kube *kube)
{
    return kube->config.server;
}

const char *kube_source(const struct kube *kube)
{
    return kube->config.source;
}

char *kube_url(const struct kube *kube, const char *path)
{
    return xasprintf("%s%s", kube->config.server, path);
}

/* ---- requests ---- */

/* The server is overloaded and did nothing: safe to try again whatever was asked. */
static bool too_many(const struct http_response *response)
{
    return response->status == 429;
}

struct http_request kube_request(const struct kube *kube, const char *url, const char *what)
{
    return (struct http_request){
        .method = "GET",
        .url = url,
        .headers = (const char *const *)kube->headers.items,
        .auth = &kube->auth,
        .tls = &kube->tls,
        .proxy = kube->config.proxy,
        .again = too_many,
        .what = what,
    };
}

static const char *content_type(const struct kube_call *call)
{
    switch (call->patch) {
    case KUBE_PATCH_MERGE:
        return "application/merge-patch+json";
    case KUBE_PATCH_JSON:
        return "application/json-patch+json";
    case KUBE_PATCH_APPLY:
        return "application/apply-patch+yaml";
    default:
        return "application/json";
    }
}

/* The request of a call; `url` and `body` are the caller's and must live as long as it does. */
static struct http_request call_request(const struct kube *kube, const struct kube_call *call,
                                        const char *url, const char *body)
{
    struct http_request request = kube_request(kube, url, call->what);

    request.method = call->method;
    request.idempotent = call->idempotent;
    request.timeout_ms = call->timeout_ms;
    request.retry_ms = call->retry_ms;
    request.cap = call->cap;
    if (body) {
        request.body = body;
        request.body_len = strlen(body);
        request.content_type = content_type(call);
    }
    return request;
}

static char *call_body(const struct kube_call *call)
{
    if (call->body) {
        return json_print(call->body);
    }
    return call->text ? xstrdup(call->text) : NULL;
}

/* What the answer says: the parsed body, or the error. */
static int read_answer(const struct http_response *response, const char *what, bool plain,
                       cJSON **out, struct err *err)
{
    if (response->status < 200 || response->status > 299) {
        return kube_error(response, what, err);
    }
    if (plain) {
        *out = cJSON_CreateString(response->body.data);
        return 0;
    }
    if (json_parse(response->body.data, response->body.len, "answer", out, err) != 0) {
        return err_prefix(err, "%s", what);
    }
    return 0;
}

int kube_call(struct kube *kube, const struct kube_call *call, cJSON **out, struct err *err)
{
    autofree char *url = kube_url(kube, call->path);
    autofree char *body = call_body(call);
    autoresponse struct http_response response = {0};
    autojson cJSON *answer = NULL;

    if (kube_prepare(kube, err) != 0) {
        return -1;
    }
    struct http_request request = call_request(kube, call, url, body);
    if (http_perform(kube->http, &request, &response, err) != 0 ||
        read_answer(&response, call->what, call->plain, &answer, err) != 0) {
        return -1;
    }
    if (out) {
        *out = steal(answer);
    }
    return 0;
}

int kube_get(struct kube *kube, const char *path, const char *what, cJSON **out, struct err *err)
{
    struct kube_call call = {.method = "GET", .path = path, .what = what, .idempotent = true};

    return kube_call(kube, &call, out, err);
}

/* ---- several at once ---- */

struct kube_pending {
    struct http_transfer *transfer;
    kube_done done;
    void *arg;
    char *body, *what;
    bool plain;
};

static void pending_free(struct kube_pending *pending)
{
    free(pending->body);
    free(pending->what);
    free(pending);
}

static void pending_done(void *arg, struct http_response *response, struct err *err)
{
    struct kube_pending *pending = arg;
    cJSON *answer = NULL;

    if (err->code == ERR_NONE) {
        (void)read_answer(response, pending->what, pending->plain, &answer, err);
    }
    pending->done(pending->arg, answer, err);
    pending_free(pending);
}

struct kube_pending *kube_start(struct kube *kube, const struct kube_call *call, kube_done done,
                                void *arg)
{
    autofree char *url = kube_url(kube, call->path);
    struct kube_pending *pending = xcalloc(1, sizeof(*pending));
    struct http_handler handler = {.done = pending_done, .arg = pending};

    pending->done = done;
    pending->arg = arg;
    pending->body = call_body(call);
    pending->what = xstrdup(call->what);
    pending->plain = call->plain;
    struct http_request request = call_request(kube, call, url, pending->body);
    pending->transfer = http_start(kube->http, &request, &handler);
    return pending;
}

void kube_cancel(struct kube_pending *pending)
{
    http_cancel(pending->transfer);
    pending_free(pending);
}
