/* What may be tried again, and when: full-jitter exponential back-off, Retry-After obeyed. */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"

#define FIRST_MS 1000
#define MOST_MS  32000
/* For a host that never answered: when it cannot be connected to, and when it is silent. */
#define STRANGER_MS        5000
#define SILENT_STRANGER_MS 35000

static bool connection_failed(const struct http_transfer *transfer)
{
    switch (transfer->cause.code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT: /* only the connection has a limit of libcurl's own */
        return true;
    default:
        return false;
    }
}

static bool connection_lost(const struct http_transfer *transfer)
{
    if (transfer->cause.proxy_said >= 400 && transfer->cause.proxy_said < 500)
        return false; /* it was told not to */
    switch (transfer->cause.code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return transfer->cause.cut != CUT_NONE;
    }
}

static bool worth_it(const struct http_transfer *transfer)
{
    const struct http_request *request = &transfer->request;
    int status = transfer->response.status;

    if (transfer->delivered)
        return false;
    if (transfer->cause.code != CURLE_OK || transfer->cause.cut != CUT_NONE)
        return request->idempotent && (connection_failed(transfer) || connection_lost(transfer));
    if (request->again != NULL && status >= 300 && request->again(&transfer->response))
        return true;
    return request->idempotent &&
           (status == 408 || status == 429 || (status >= 500 && status <= 599 && status != 501));
}

static int64_t time_for_all(const struct http_transfer *transfer)
{
    int64_t most = transfer->request.retry_ms;
    int64_t for_strangers = INT64_MAX;
    autofree char *name = xasprintf("%s:%d", transfer->url.host, transfer->url.port);

    if (connection_failed(transfer))
        for_strangers = STRANGER_MS;
    else if (transfer->cause.cut != CUT_NONE)
        for_strangers = SILENT_STRANGER_MS;
    if (for_strangers < most && !strv_has(&transfer->http->answered, name))
        most = for_strangers;
    return most;
}

/* Milliseconds that the answer asks to wait: seconds or a date; -1: it says nothing. */
static int64_t asked_wait(const struct http_transfer *transfer)
{
    const char *value = http_header(&transfer->response, "Retry-After");
    int64_t wait;
    char *end;

    if (value == NULL || transfer->cause.code != CURLE_OK || transfer->cause.cut != CUT_NONE)
        return -1;
    if (*value >= '0' && *value <= '9') {
        long long seconds = strtoll(value, &end, 10);

        return *end == '\0' && seconds < INT64_MAX / 2000 ? seconds * 1000 : -1;
    }
    wait = (int64_t)curl_getdate(value, NULL);
    if (wait < 0)
        return -1;
    wait = wait * 1000 - run_wall_ms(transfer->http->run);
    return wait > 0 ? wait : 0;
}

static int64_t back_off(const struct http_transfer *transfer)
{
    int64_t most = MOST_MS;

    if (transfer->tries - 1 < 5) /* 1 s << 5 is the cap */
        most = (int64_t)FIRST_MS << (transfer->tries - 1);
    return (int64_t)random_below((uint64_t)most + 1);
}

bool retry_schedule(struct http_transfer *transfer)
{
    const struct run *run = transfer->http->run;
    int64_t now = run_mono_ms(run);
    int64_t asked;
    int64_t delay;

    if (transfer->request.retry_ms < 0 || !worth_it(transfer))
        return false;
    asked = asked_wait(transfer);
    /* Never sooner than asked, and not all clients at the same moment. */
    delay =
        asked >= 0 ? asked + (int64_t)random_below((uint64_t)(asked / 10 + 1)) : back_off(transfer);
    if (now - transfer->first_start + delay > time_for_all(transfer))
        return false;
    transfer->due = now + delay;
    log_debug(run->log, "%s; trying again in %lld ms", err_text(&transfer->last), (long long)delay);
    return true;
}
