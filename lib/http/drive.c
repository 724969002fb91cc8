/* The loop that moves transfers on. Handlers and credentials may lead back into it, so nothing is
 * freed but by the outermost drive, and lists only grow at their end. */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_MS 1000 /* longest wait between two ticks of the progress */
/* Streams side by side, well below the 100 that servers allow at least. With more than the server
 * allows, libcurl (7.88, as Debian 12 has it) stops reading the connection, and all of them end in
 * their time-outs. */
#define STREAMS_MOST 32

static const char *own(struct http_transfer *transfer, const char *text)
{
    if (text == NULL)
        return NULL;
    strv_add(&transfer->strings, text);
    return transfer->strings.items[transfer->strings.len - 1];
}

static void set_defaults(struct http_request *request)
{
    if (request->cap == 0)
        request->cap = BUF_MEDIUM;
    if (request->timeout_ms == 0)
        request->timeout_ms = 60 * 1000;
    if (request->stall_ms == 0)
        request->stall_ms = 30 * 1000;
    if (request->retry_ms == 0)
        request->retry_ms = 120 * 1000;
    if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        request->idempotent = true;
}

/* Nothing is sent from here: it may be called from a handler, while libcurl is at work. */
struct http_transfer *http_start(struct http *http, const struct http_request *request,
                                 const struct http_handler *handler)
{
    struct http_transfer *transfer = xcalloc(1, sizeof(*transfer));
    struct http_request *copy = &transfer->request;

    transfer->http = http;
    transfer->for_credential = http->authenticating;
    transfer->handler = *handler;
    *copy = *request;
    set_defaults(copy);
    copy->method = own(transfer, request->method);
    copy->url = own(transfer, request->url);
    copy->content_type = own(transfer, request->content_type);
    copy->proxy = own(transfer, request->proxy);
    for (const char *const *at = request->headers; at != NULL && *at != NULL; at++)
        strv_add(&transfer->headers, *at);
    copy->headers = NULL;
    http_response_init(&transfer->response, copy->cap);
    if (!url_split(copy->url, &transfer->url))
        err_set(&transfer->err, ERR_USAGE, "'%s' is no http or https URL", copy->url);
    copy->what = own(transfer, request->what != NULL ? request->what : transfer->url.host);
    transfer->multiplexed = !copy->http1 && strcmp(transfer->url.scheme, "https") == 0;
    transfer->first_start = run_mono_ms(http->run);
    transfer->due = transfer->first_start;
    *http->tail = transfer;
    http->tail = &transfer->next;
    return transfer;
}

/* Frees what has ended; only where no caller up the stack holds a transfer. */
static void sweep(struct http *http)
{
    struct http_transfer **at = &http->first;

    while (*at != NULL) {
        struct http_transfer *transfer = *at;

        if (transfer->state == ENDED) {
            *at = transfer->next;
            transfer_free(transfer);
        } else {
            at = &transfer->next;
        }
    }
    http->tail = at;
}

void http_cancel(struct http_transfer *transfer)
{
    struct http *http = transfer->http;

    transfer->cancelled = true;
    if (http->in_curl || transfer->state == STARTING)
        return; /* noticed by drop_cancelled or start */
    transfer_detach(transfer);
    transfer->state = ENDED;
    if (http->depth == 0)
        sweep(http);
}

void http_pause(struct http_transfer *transfer, bool paused)
{
    transfer->want_pause = paused;
}

size_t http_active(const struct http *http)
{
    size_t count = 0;

    for (const struct http_transfer *at = http->first; at != NULL; at = at->next)
        count += at->state != ENDED && !at->cancelled;
    return count;
}

/* ---- the end of a try, the end of a transfer ---- */

static void deliver(struct http_transfer *transfer)
{
    transfer->http->moves++;
    transfer->state = ENDED;
    transfer->response.tries = transfer->tries;
    if (!transfer->cancelled)
        transfer->handler.done(transfer->handler.arg, &transfer->response, &transfer->err);
}

static bool renew_credential(struct http_transfer *transfer)
{
    const struct http_auth *auth = transfer->request.auth;

    if (transfer->response.status != 401 || !transfer->has_credential || transfer->renewed)
        return false;
    transfer->renewed = true;
    if (auth->refused != NULL)
        auth->refused(auth->arg);
    transfer->due = run_mono_ms(transfer->http->run);
    return true;
}

static void remember_host(struct http_transfer *transfer)
{
    autofree char *name = xasprintf("%s:%d", transfer->url.host, transfer->url.port);

    if (!strv_has(&transfer->http->answered, name))
        strv_add(&transfer->http->answered, name);
}

static bool whole_answer(const struct http_transfer *transfer)
{
    return transfer->cause.code == CURLE_OK && transfer->cause.cut == CUT_NONE;
}

static void give_up(struct http_transfer *transfer)
{
    err_move(&transfer->err, &transfer->last);
    if (transfer->tries > 1) {
        autofree char *text = xstrdup(err_text(&transfer->err));

        err_set(&transfer->err, transfer->err.code, "%s (%d tries)", text, transfer->tries);
    }
}

/* Tried again, given up, or answered. */
static void decide(struct http_transfer *transfer)
{
    if (!transfer->cancelled && transfer->err.code == ERR_NONE) {
        if ((whole_answer(transfer) && renew_credential(transfer)) || retry_schedule(transfer)) {
            transfer->state = QUEUED;
            return;
        }
        if (!whole_answer(transfer))
            give_up(transfer);
    }
    deliver(transfer);
}

/* While a credential is being fetched, owners of other transfers are left in peace: what they do
 * next may need that credential. */
static bool must_wait(const struct http *http, const struct http_transfer *transfer)
{
    return http->authenticating && !transfer->for_credential;
}

static void end_try(struct http_transfer *transfer, CURLcode code, enum transfer_cut cut)
{
    transfer->cause = (struct retry_cause){.code = code, .cut = cut};
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &transfer->cause.proxy_said);
    describe_try(transfer);
    transfer_detach(transfer);
    if (transfer->response.status != 0)
        remember_host(transfer);
    if (!transfer->cancelled)
        trace_answer(transfer);
    transfer->state = HELD;
    if (!must_wait(transfer->http, transfer))
        decide(transfer);
}

/* ---- the steps of a turn ---- */

static int add_credential(struct http_transfer *transfer, struct buf *value, struct err *err)
{
    struct http *http = transfer->http;
    const struct http_auth *auth = transfer->request.auth;
    int result;

    transfer->has_credential = false;
    if (auth == NULL)
        return 0;
    http->authenticating = true;
    result = auth->header(auth->arg, transfer->request.url, value, err);
    http->authenticating = false;
    if (result < 0)
        return -1;
    if (value->len > 0) {
        autofree char *line = xasprintf("Authorization: %s", value->data);

        transfer->has_credential = true;
        transfer->lines = curl_slist_append(transfer->lines, line);
        if (auth->extra != NULL)
            transfer->lines = curl_slist_append(transfer->lines, auth->extra);
    }
    return 0;
}

static void start(struct http_transfer *transfer)
{
    autobuf struct buf value = BUF_INIT(BUF_SMALL);

    transfer->state = STARTING;
    http_response_clear(&transfer->response);
    transfer->head_bytes = 0;
    transfer->head_done = false;
    if (transfer->err.code == ERR_NONE && add_credential(transfer, &value, &transfer->err) == 0 &&
        !transfer->cancelled && transfer_begin(transfer, &transfer->err) == 0) {
        transfer->state = RUNNING;
        return;
    }
    transfer_detach(transfer);
    deliver(transfer);
}

/* As many streams as there may be are under way. */
static bool is_full(const struct http *http)
{
    size_t count = 0;

    for (const struct http_transfer *at = http->first; at != NULL; at = at->next)
        count += at->multiplexed && at->state == RUNNING;
    return count >= STREAMS_MOST;
}

static struct http_transfer *find_due(const struct http *http, int64_t now)
{
    struct http_transfer *at = http->first;
    bool full = is_full(http);

    while (at != NULL && (at->state != QUEUED || at->cancelled || at->due > now ||
                          must_wait(http, at) || (full && at->multiplexed)))
        at = at->next;
    return at;
}

static void start_due(struct http *http)
{
    struct http_transfer *transfer;

    while ((transfer = find_due(http, run_mono_ms(http->run))) != NULL)
        start(transfer);
}

static void decide_held(struct http *http)
{
    for (struct http_transfer *at = http->first; at != NULL; at = at->next) {
        if (at->state == HELD && !must_wait(http, at))
            decide(at);
    }
}

static void drop_cancelled(struct http *http)
{
    for (struct http_transfer *at = http->first; at != NULL; at = at->next) {
        if (at->cancelled && at->state != STARTING && at->state != ENDED) {
            transfer_detach(at);
            at->state = ENDED;
        }
    }
}

/* What a handler does with a piece of one answer (write it to a slow disk) is no silence of the
 * others. */
static void forgive(struct http *http, int64_t since)
{
    int64_t took = run_mono_ms(http->run) - since;

    for (struct http_transfer *at = http->first; at != NULL && took > 0; at = at->next) {
        if (at->state == RUNNING && at->last_moved <= since)
            at->last_moved += took;
    }
}

static int move(struct http *http, struct err *err)
{
    CURLMcode code;
    int64_t before;
    int running;

    for (struct http_transfer *at = http->first; at != NULL; at = at->next) {
        CURLcode ended = at->state == RUNNING ? transfer_apply_pause(at) : CURLE_OK;

        if (ended != CURLE_OK)
            end_try(at, ended, CUT_NONE);
    }
    before = run_mono_ms(http->run);
    http->in_curl = true;
    code = curl_multi_perform(http->multi, &running);
    http->in_curl = false;
    forgive(http, before);
    if (code != CURLM_OK)
        return err_set(err, ERR_FAILED, "cannot move transfers: %s", curl_multi_strerror(code));
    return 0;
}

static void collect(struct http *http)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        end_try(transfer, code, CUT_NONE);
    }
}

static void cut_overdue(struct http *http)
{
    int64_t now = run_mono_ms(http->run);

    for (struct http_transfer *at = http->first; at != NULL; at = at->next) {
        enum transfer_cut cut = at->state == RUNNING ? transfer_overdue(at, now) : CUT_NONE;

        if (cut != CUT_NONE)
            end_try(at, CURLE_OK, cut);
    }
}

static int64_t next_wait(const struct http *http, int64_t most)
{
    int64_t now = run_mono_ms(http->run);
    int64_t wait = most < SLICE_MS ? most : SLICE_MS;
    bool full = is_full(http);

    for (const struct http_transfer *at = http->first; at != NULL; at = at->next) {
        int64_t until = wait;

        if (at->state == QUEUED && !must_wait(http, at) && !(full && at->multiplexed))
            until = at->due - now;
        else if (at->state == RUNNING)
            until = transfer_patience(at, now);
        if (until < wait)
            wait = until > 0 ? until : 0;
    }
    return run_remaining_ms(http->run, wait);
}

/* 1 when `extra_fd` is readable. A wake-up that ends nothing is listened to only once, so that it
 * does not become a busy loop. */
static int wait_for_news(struct http *http, int extra_fd, bool *listen, int64_t ms, struct err *err)
{
    struct curl_waitfd fds[2];
    struct curl_waitfd *extra = NULL;
    struct curl_waitfd *wake = NULL;
    unsigned count = 0;
    CURLMcode code;

    if (*listen && http->run->wake_fd >= 0) {
        wake = &fds[count++];
        *wake = (struct curl_waitfd){.fd = http->run->wake_fd, .events = CURL_WAIT_POLLIN};
    }
    if (extra_fd >= 0) {
        extra = &fds[count++];
        *extra = (struct curl_waitfd){.fd = extra_fd, .events = CURL_WAIT_POLLIN};
    }
    code = curl_multi_poll(http->multi, fds, count, (int)ms, NULL);
    if (code != CURLM_OK)
        return err_set(err, ERR_FAILED, "cannot wait: %s", curl_multi_strerror(code));
    if (wake != NULL && wake->revents != 0)
        *listen = false;
    return extra != NULL && extra->revents != 0;
}

static int turns(struct http *http, int64_t end, int extra_fd, const char *what, struct err *err)
{
    unsigned long moves = http->moves;
    bool listen = true;

    for (;;) {
        int64_t left;
        int news;

        if (run_check(http->run, what, err) < 0)
            return -1;
        progress_tick(http->run->progress);
        decide_held(http);
        start_due(http);
        if (move(http, err) < 0)
            return -1;
        drop_cancelled(http);
        collect(http);
        cut_overdue(http);
        left = end - run_mono_ms(http->run);
        if (http->moves != moves || left <= 0)
            return 0;
        news = wait_for_news(http, extra_fd, &listen, next_wait(http, left), err);
        if (news != 0)
            return news < 0 ? -1 : 0;
    }
}

int http_drive(struct http *http, int64_t ms, int extra_fd, const char *what, struct err *err)
{
    int64_t end;
    int result;

    if (__builtin_add_overflow(run_mono_ms(http->run), ms, &end))
        end = INT64_MAX;
    http->depth++;
    result = turns(http, end, extra_fd, what, err);
    http->depth--;
    if (http->depth == 0)
        sweep(http);
    return result;
}
