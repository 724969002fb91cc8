/* One try of a request: libcurl's handle, its settings and its callbacks. */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_MS   10000L
#define HEAD_MAX     ((size_t)256 << 10)
#define STREAM_CHUNK 262144L

/* ---- callbacks: what they return short of everything ends the try with CURLE_WRITE_ERROR ---- */

static void moved(struct http_transfer *transfer)
{
    transfer->last_moved = run_mono_ms(transfer->http->run);
    transfer->trickle = 0;
}

/* A body that only trickles is as good as none. */
static void note_body(struct http_transfer *transfer, size_t len)
{
    transfer->trickle += len;
    if (transfer->trickle >= transfer->request.stall_bytes)
        moved(transfer);
}

static bool is_success(const struct http_transfer *transfer)
{
    return transfer->response.status >= 200 && transfer->response.status <= 299;
}

static int end_of_head(struct http_transfer *transfer)
{
    const struct http_handler *handler = &transfer->handler;

    if (transfer->response.status < 200)
        return 0; /* 100 and its like: the answer's own head follows */
    transfer->head_done = true;
    if (!is_success(transfer) || handler->head == NULL)
        return 0;
    transfer->http->moves++;
    return handler->head(handler->arg, &transfer->response, &transfer->err);
}

static void status_line(struct http_transfer *transfer, const char *line)
{
    const char *space = strchr(line, ' ');

    strv_clear(&transfer->response.headers);
    transfer->response.status = space != NULL ? (int)strtol(space, NULL, 10) : 0;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    autofree char *line = xstrndup(data, len);

    moved(transfer);
    if (transfer->cancelled)
        return 0;
    if (transfer->head_done)
        return len; /* trailers */
    transfer->head_bytes += len;
    if (transfer->head_bytes > HEAD_MAX) {
        err_set(&transfer->err, ERR_PROTOCOL, "%s: the answer's head is longer than %zu KiB",
                transfer->request.what, HEAD_MAX >> 10);
        return 0;
    }
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0')
        return end_of_head(transfer) == 0 ? len : 0;
    if (strncasecmp(line, "HTTP/", 5) == 0 &&
        (transfer->response.headers.len == 0 || transfer->response.status < 200))
        status_line(transfer, line);
    else
        strv_take(&transfer->response.headers, steal(line));
    return len;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    const struct http_handler *handler = &transfer->handler;
    size_t len = size * count;

    note_body(transfer, len);
    if (transfer->cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (handler->data != NULL && is_success(transfer)) {
        if (transfer->want_pause) {
            transfer->is_paused = true;
            transfer->paused_at = run_mono_ms(transfer->http->run);
            return CURL_WRITEFUNC_PAUSE;
        }
        transfer->delivered = true;
        transfer->http->moves++;
        return handler->data(handler->arg, data, len, &transfer->err) == 0 ? len
                                                                           : CURL_WRITEFUNC_ERROR;
    }
    if (buf_add(&transfer->response.body, data, len) < 0) {
        err_set(&transfer->err, ERR_PROTOCOL, "%s: the answer is longer than %zu bytes",
                transfer->request.what, transfer->response.body.cap);
        return CURL_WRITEFUNC_ERROR;
    }
    return len;
}

/* ---- settings ---- */

static void add_line(struct http_transfer *transfer, const char *line)
{
    transfer->lines = curl_slist_append(transfer->lines, line);
}

static void set_method(struct http_transfer *transfer)
{
    const struct http_request *request = &transfer->request;
    CURL *easy = transfer->easy;
    const char *method = request->method;
    bool takes_body =
        strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;

    if (request->body_len > 0 || takes_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body_len > 0 ? request->body : "");
        add_line(transfer, "Expect:");
        if (request->content_type == NULL)
            add_line(transfer, "Content-Type:");
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, "GET") != 0 || request->body_len > 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_headers(struct http_transfer *transfer)
{
    if (transfer->request.content_type != NULL) {
        autofree char *line = xasprintf("Content-Type: %s", transfer->request.content_type);

        add_line(transfer, line);
    }
    for (size_t i = 0; i < transfer->headers.len; i++)
        add_line(transfer, transfer->headers.items[i]);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
    curl_easy_setopt(transfer->easy, CURLOPT_USERAGENT, "necoops/" NECOOPS_VERSION);
}

/* For another name to be sent and verified, that name takes the host's place in the URL; the
 * connection goes where it went before, and so does the Host header. */
static void set_url(struct http_transfer *transfer)
{
    const struct url_parts *url = &transfer->url;
    const struct http_tls *tls = transfer->request.tls;
    const char *bracket = strchr(url->host, ':') != NULL ? "[" : "";
    const char *close = bracket[0] != '\0' ? "]" : "";

    if (tls == NULL || tls->server_name == NULL || strcmp(url->scheme, "https") != 0) {
        curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->request.url);
        return;
    }
    autofree char *text = xasprintf("https://%s:%d%s", tls->server_name, url->port, url->path);
    autofree char *route = xasprintf("%s:%d:%s%s%s:%d", tls->server_name, url->port, bracket,
                                     url->host, close, url->port);
    autofree char *host = xasprintf("Host: %s%s%s:%d", bracket, url->host, close, url->port);

    transfer->connect_to = curl_slist_append(NULL, route);
    curl_easy_setopt(transfer->easy, CURLOPT_URL, text);
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->connect_to);
    add_line(transfer, host);
}

/* Borrowed by libcurl until the handle is reset. */
static void set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {.data = (char *)pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};

    curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_transfer *transfer)
{
    const struct http_tls *tls = transfer->request.tls;
    CURL *easy = transfer->easy;

    if (strcmp(transfer->url.scheme, "https") != 0)
        return;
    if (tls != NULL && tls->ca_pem != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
    } else {
        ca_set(transfer->http, easy);
    }
    if (tls == NULL)
        return;
    if (tls->cert_pem != NULL && tls->key_pem != NULL) {
        set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert_pem);
        set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem);
        curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
        curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
    }
    if (tls->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_proxy(struct http_transfer *transfer)
{
    struct proxy_choice choice = proxy_choose(transfer->http->run, transfer);

    curl_easy_setopt(transfer->easy, CURLOPT_PROXY, choice.url);
    curl_easy_setopt(transfer->easy, CURLOPT_NOPROXY, choice.exclude);
    curl_easy_setopt(transfer->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    free(transfer->proxy);
    transfer->proxy = choice.url[0] != '\0' ? proxy_name(choice.url) : NULL;
    transfer->proxy_may_not = choice.exclude[0] != '\0';
}

static void set_connection(struct http_transfer *transfer)
{
    const struct http_request *request = &transfer->request;
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(
        easy, CURLOPT_HTTP_VERSION,
        (long)(transfer->multiplexed ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)transfer->multiplexed);
    if (request->http1 && transfer->handler.data != NULL)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, STREAM_CHUNK);
}

static void set_callbacks(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

int transfer_begin(struct http_transfer *transfer, struct err *err)
{
    struct http *http = transfer->http;
    CURLMcode code;

    transfer->easy = http->spare != NULL ? steal(http->spare) : curl_easy_init();
    if (transfer->easy == NULL)
        return err_set(err, ERR_FAILED, "%s: out of memory", transfer->request.what);
    transfer->curl_error[0] = '\0';
    set_callbacks(transfer);
    set_connection(transfer);
    set_url(transfer);
    set_tls(transfer);
    set_proxy(transfer);
    set_method(transfer);
    set_headers(transfer);
    transfer->tries++;
    transfer->try_start = run_mono_ms(http->run);
    transfer->last_moved = transfer->try_start;
    transfer->trickle = 0;
    transfer->last_upload = 0;
    transfer->is_paused = false;
    trace_request(transfer);
    code = curl_multi_add_handle(http->multi, transfer->easy);
    if (code != CURLM_OK)
        return err_set(err, ERR_FAILED, "%s: cannot start: %s", transfer->request.what,
                       curl_multi_strerror(code));
    return 0;
}

void transfer_detach(struct http_transfer *transfer)
{
    struct http *http = transfer->http;

    if (transfer->easy != NULL) {
        curl_multi_remove_handle(http->multi, transfer->easy);
        if (http->spare == NULL) {
            curl_easy_reset(transfer->easy);
            http->spare = transfer->easy;
        } else {
            curl_easy_cleanup(transfer->easy);
        }
        transfer->easy = NULL;
    }
    curl_slist_free_all(transfer->lines);
    transfer->lines = NULL;
    curl_slist_free_all(transfer->connect_to);
    transfer->connect_to = NULL;
}

void transfer_free(struct http_transfer *transfer)
{
    transfer_detach(transfer);
    strv_clear(&transfer->strings);
    strv_clear(&transfer->headers);
    http_response_clear(&transfer->response);
    err_clear(&transfer->err);
    err_clear(&transfer->last);
    free(transfer->proxy);
    free(transfer);
}

/* ---- time ---- */

/* Only ever continues: pausing happens in on_data, where libcurl keeps the piece it offered. */
CURLcode transfer_apply_pause(struct http_transfer *transfer)
{
    CURLcode code;
    int64_t now;

    if (!transfer->is_paused || transfer->want_pause)
        return CURLE_OK;
    now = run_mono_ms(transfer->http->run);
    transfer->is_paused = false;
    transfer->try_start += now - transfer->paused_at;
    transfer->last_moved = now;
    transfer->http->in_curl = true;
    code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    transfer->http->in_curl = false;
    return code;
}

/* What was sent counts as life, too. */
static void note_upload(struct http_transfer *transfer, int64_t now)
{
    curl_off_t sent = 0;

    if (transfer->request.body_len == 0)
        return;
    curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent > transfer->last_upload) {
        transfer->last_upload = sent;
        transfer->last_moved = now;
    }
}

enum transfer_cut transfer_overdue(struct http_transfer *transfer, int64_t now)
{
    const struct http_request *request = &transfer->request;

    if (transfer->is_paused)
        return CUT_NONE;
    if (request->timeout_ms > 0 && now - transfer->try_start >= request->timeout_ms)
        return CUT_TIMEOUT;
    if (request->stall_ms <= 0 || now - transfer->last_moved < request->stall_ms)
        return CUT_NONE;
    note_upload(transfer, now);
    return now - transfer->last_moved < request->stall_ms ? CUT_NONE : CUT_STALL;
}

int64_t transfer_patience(const struct http_transfer *transfer, int64_t now)
{
    const struct http_request *request = &transfer->request;
    int64_t patience = INT64_MAX;

    if (transfer->is_paused)
        return patience;
    if (request->timeout_ms > 0)
        patience = transfer->try_start + request->timeout_ms - now;
    if (request->stall_ms > 0 && transfer->last_moved + request->stall_ms - now < patience)
        patience = transfer->last_moved + request->stall_ms - now;
    return patience;
}
