/* The set of connections, and the plain way of asking: one request, wait for its answer. */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IDLE_CONNECTIONS 64L

int http_new(const struct run *run, struct http **out, struct err *err)
{
    struct http *http;
    CURLM *multi;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_FAILED, "cannot set up libcurl");
    multi = curl_multi_init();
    if (multi == NULL) {
        curl_global_cleanup();
        return err_set(err, ERR_FAILED, "cannot set up libcurl: out of memory");
    }
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    http = xcalloc(1, sizeof(*http));
    http->run = run;
    http->multi = multi;
    http->tail = &http->first;
    http->ca_fallback = ca_fallback();
    *out = http;
    return 0;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    while (http->first != NULL) {
        struct http_transfer *next = http->first->next;

        transfer_free(http->first);
        http->first = next;
    }
    curl_easy_cleanup(http->spare);
    curl_multi_cleanup(http->multi);
    strv_clear(&http->answered);
    free(http->ca_fallback);
    free(http);
    curl_global_cleanup();
}

void http_freep(struct http **http)
{
    http_free(*http);
}

const struct run *http_run(const struct http *http)
{
    return http->run;
}

/* ---- answers ---- */

void http_response_init(struct http_response *response, size_t cap)
{
    *response = (struct http_response){.headers = STRV_INIT, .body = BUF_INIT(cap)};
}

void http_response_clear(struct http_response *response)
{
    response->status = 0;
    strv_clear(&response->headers);
    buf_clear(&response->body);
}

const char *http_header(const struct http_response *response, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < response->headers.len; i++) {
        const char *line = response->headers.items[i];

        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

bool http_date(const struct http_response *response, int64_t *wall_ms)
{
    const char *value = http_header(response, "Date");
    time_t seconds = value != NULL ? curl_getdate(value, NULL) : -1;

    if (seconds < 0)
        return false;
    *wall_ms = (int64_t)seconds * 1000;
    return true;
}

/* ---- one request ---- */

struct single {
    struct http_response *response;
    struct err *err;
    bool ended;
    int result;
};

static void single_done(void *arg, struct http_response *response, struct err *err)
{
    struct single *single = arg;

    single->ended = true;
    if (err->code != ERR_NONE) {
        err_move(single->err, err);
        single->result = -1;
        return;
    }
    http_response_clear(single->response);
    *single->response = *response;
    http_response_init(response, response->body.cap);
}

int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *response, struct err *err)
{
    struct single single = {.response = response, .err = err};
    const struct http_handler handler = {.done = single_done, .arg = &single};
    struct http_request copy = *request;
    struct http_transfer *transfer;

    if (copy.cap == 0)
        copy.cap = response->body.cap;
    transfer = http_start(http, &copy, &handler);
    while (!single.ended) {
        if (http_drive(http, 1000, -1, transfer->request.what, err) == 0)
            continue;
        if (single.ended) /* ended in the same breath as the run */
            break;
        describe_run_end(transfer, err);
        http_cancel(transfer);
        return -1;
    }
    return single.result;
}
