/* What -v and -vv show of the traffic. */
#include "http/internal.h"

#include <string.h>

#define BODY_MAX 4096

static void trace_line(struct log *log, const char *mark, const char *line)
{
    autofree char *clean = redact_text(line, strlen(line));

    log_trace(log, "%s %s", mark, clean);
}

static void trace_body(struct log *log, const char *mark, const char *data, size_t len)
{
    autofree char *clean = NULL;

    if (len == 0)
        return;
    clean = redact_text(data, len < BODY_MAX ? len : BODY_MAX);
    log_trace(log, "%s %s%s", mark, clean, len > BODY_MAX ? " …" : "");
}

void trace_request(const struct http_transfer *transfer)
{
    struct log *log = transfer->http->run->log;
    const struct http_request *request = &transfer->request;

    if (!log_wants(log, LOG_TRACE))
        return;
    autofree char *url = redact_text(request->url, strlen(request->url));

    log_trace(log, "> %s %s", request->method, url);
    if (transfer->proxy != NULL)
        log_trace(log, "> (proxy '%s'%s)", transfer->proxy,
                  transfer->proxy_may_not ? ", unless NO_PROXY has the host" : "");
    for (const struct curl_slist *at = transfer->lines; at != NULL; at = at->next)
        trace_line(log, ">", at->data);
    if (!request->secret)
        trace_body(log, ">", request->body, request->body_len);
}

void trace_answer(const struct http_transfer *transfer)
{
    struct log *log = transfer->http->run->log;
    const struct http_response *response = &transfer->response;
    int64_t took = run_mono_ms(transfer->http->run) - transfer->try_start;

    if (!log_wants(log, LOG_DEBUG))
        return;
    autofree char *url = redact_text(transfer->request.url, strlen(transfer->request.url));

    if (response->status != 0)
        log_debug(log, "%s %s: %d (%lld ms)", transfer->request.method, url, response->status,
                  (long long)took);
    else
        log_debug(log, "%s %s: no answer (%lld ms)", transfer->request.method, url,
                  (long long)took);
    if (!log_wants(log, LOG_TRACE))
        return;
    for (size_t i = 0; i < response->headers.len; i++)
        trace_line(log, "<", response->headers.items[i]);
    if (!transfer->request.secret)
        trace_body(log, "<", response->body.data, response->body.len);
}
