#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <cmocka.h>
#include "../support/http_server.h"
#include "necoops/http/http.h"

struct world {
    struct server server;
    struct run run;
    const char *environ[8];
    struct http *http;
    char *log_text;
    size_t log_len;
    FILE *log_stream;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    autoerr struct err err = ERR_INIT;

    server_start(&w->server);
    w->log_stream = open_memstream(&w->log_text, &w->log_len);
    w->run = (struct run){.clock = &clock_system,
                          .wake_fd = -1,
                          .deadline = RUN_NO_DEADLINE,
                          .environ = w->environ,
                          .log = log_new(w->log_stream, "test", LOG_TEXT, LOG_TRACE)};
    assert_int_equal(http_new(&w->run, &w->http, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    http_free(w->http);
    server_stop(&w->server);
    log_free(w->run.log);
    fclose(w->log_stream);
    free(w->log_text);
    free(w);
    return 0;
}

static const char *log_so_far(struct world *w)
{
    fflush(w->log_stream);
    return w->log_text;
}

static struct http_request get_request(struct world *w)
{
    return (struct http_request){.method = "GET", .url = w->server.url, .what = "thing 'x'"};
}

/* ---- one request ---- */

static void test_answer(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *url = xasprintf("%s/a%%2Fb?c=d", w->server.url);
    const char *headers[] = {"X-One: 1", NULL};
    const struct http_request request = {
        .method = "GET", .url = url, .headers = headers, .what = "thing 'x'"};

    server_add(&w->server,
               (struct step){.status = 200, .headers = "ETag: \"e\"\r\n", .body = "yes"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "yes");
    assert_string_equal(http_header(&response, "etag"), "\"e\"");
    assert_null(http_header(&response, "eta"));
    assert_string_equal(server_line(&w->server, 0), "GET /a%2Fb?c=d");
    assert_string_equal(server_header(&w->server, 0, "X-One"), "1");
    assert_non_null(strstr(server_header(&w->server, 0, "User-Agent"), "necoops/"));
    assert_int_equal(http_active(w->http), 0);
}

static void test_methods_and_bodies(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    static const struct {
        const char *method, *body, *type, *length;
    } rows[] = {{"POST", "{}", "application/json", "2"},
                {"POST", "", NULL, "0"},
                {"PUT", "x", "text/plain", "1"},
                {"PATCH", "abc", "application/merge-patch+json", "3"},
                {"DELETE", "", NULL, NULL},
                {"DELETE", "{}", "application/json", "2"},
                {"HEAD", "", NULL, NULL}};

    for (int i = 0; i < (int)ARRAY_LEN(rows); i++) {
        autoresponse struct http_response response = {0};
        const struct http_request request = {.method = rows[i].method,
                                             .url = w->server.url,
                                             .body = rows[i].body,
                                             .body_len = strlen(rows[i].body),
                                             .content_type = rows[i].type};
        autofree char *line = xasprintf("%s /", rows[i].method);

        server_add(&w->server, (struct step){.status = 200, .body = "ok"});
        assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
        assert_string_equal(server_line(&w->server, i), line);
        assert_string_equal(w->server.seen[i].body, rows[i].body);
        for (int k = 0; k < 2; k++) {
            const char *want = k == 0 ? rows[i].type : rows[i].length;
            const char *got =
                server_header(&w->server, i, k == 0 ? "Content-Type" : "Content-Length");

            if (want == NULL)
                assert_null(got);
            else
                assert_string_equal(got, want);
        }
    }
    assert_int_equal(w->server.connections, 1); /* kept alive */
}

static void test_chunked(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server,
               (struct step){.raw = true,
                             .body = "HTTP/1.1 100 Continue\r\n\r\n"
                                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                     "X-A: 1\r\n\r\n"
                                     "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "abcde");
    assert_string_equal(http_header(&response, "X-A"), "1");
}

static void test_cap(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);

    request.cap = 10;
    server_add(&w->server, (struct step){.status = 200, .body = "0123456789"});
    server_add(&w->server, (struct step){.status = 200, .body = "0123456789a"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.body.len, 10);
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_string_equal(err_text(&err), "thing 'x': the answer is longer than 10 bytes");
    assert_int_equal(w->server.seen_len, 2);
}

static void test_head_cap(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    struct buf text = BUF_INIT(BUF_MEDIUM);

    buf_adds(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 3000; i++)
        buf_addf(&text, "X-%d: %0100d\r\n", i, i);
    buf_adds(&text, "\r\n");
    server_add(&w->server, (struct step){.raw = true, .body = text.data, .close = true});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_non_null(strstr(err_text(&err), "head is longer than 256 KiB"));
    server_stop(&w->server); /* before the text goes */
    server_start(&w->server);
    buf_clear(&text);
}

static void test_not_a_url(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);

    request.url = "ftp://x/";
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_string_equal(err_text(&err), "'ftp://x/' is no http or https URL");
}

static void test_redirects_are_not_followed(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server,
               (struct step){.status = 302, .headers = "Location: http://127.0.0.1:1/\r\n"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 302);
    assert_int_equal(w->server.seen_len, 1);
}

/* ---- tried again ---- */

static void test_retry_after_seconds(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    int64_t start = run_mono_ms(&w->run);

    server_add(&w->server,
               (struct step){.status = 429, .headers = "Retry-After: 1\r\n", .body = "slow"});
    server_add(&w->server, (struct step){.status = 200, .body = "ok"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "ok");
    assert_true(run_mono_ms(&w->run) - start >= 1000);
    assert_non_null(strstr(log_so_far(w), "answered 429: slow; trying again in 1"));
}

static void test_retry_after_date(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    int64_t start = run_wall_ms(&w->run);
    time_t then = (time_t)(start / 1000) + 2;
    struct tm parts;
    char headers[128];

    gmtime_r(&then, &parts);
    strftime(headers, sizeof(headers), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    server_add(&w->server, (struct step){.status = 503, .headers = headers});
    server_add(&w->server, (struct step){.status = 200});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_true(run_wall_ms(&w->run) >= (int64_t)then * 1000);
}

static void test_retry_after_beyond_the_budget(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server,
               (struct step){.status = 503, .headers = "Retry-After: 3600\r\n", .body = "no"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 503);
    assert_string_equal(response.body.data, "no");
}

static void test_what_is_tried_again(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    static const struct {
        int status;
        bool idempotent, again;
    } rows[] = {{500, true, true},  {502, true, true},  {408, true, true},   {501, true, false},
                {404, true, false}, {412, true, false}, {503, false, false}, {429, false, false}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autoresponse struct http_response response = {0};
        struct http_request request = get_request(w);
        int before = w->server.seen_len;

        request.method = "POST";
        request.idempotent = rows[i].idempotent;
        server_add(&w->server, (struct step){.status = rows[i].status});
        if (rows[i].again)
            server_add(&w->server, (struct step){.status = 200});
        assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
        assert_int_equal(response.status, rows[i].again ? 200 : rows[i].status);
        assert_int_equal(w->server.seen_len - before, rows[i].again ? 2 : 1);
    }
}

static bool says_again(const struct http_response *response)
{
    return strcmp(response->body.data, "again") == 0;
}

static void test_again_callback(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);

    request.method = "POST";
    request.again = says_again;
    server_add(&w->server, (struct step){.status = 403, .body = "again"});
    server_add(&w->server, (struct step){.status = 403, .body = "never"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 403);
    assert_string_equal(response.body.data, "never");
}

static void test_reset_then_answer(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.status = 0});
    server_add(&w->server, (struct step){.status = 200, .body = "truncated", .cut = 3});
    server_add(&w->server, (struct step){.status = 200, .body = "whole"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_string_equal(response.body.data, "whole");
    assert_int_equal(w->server.seen_len, 3);
}

static void test_lost_answer_of_a_mutation(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);

    request.method = "POST";
    server_add(&w->server, (struct step){.status = 200, .body = "truncated", .cut = 3});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(err_text(&err), "thing 'x': lost the connection to 'http://127.0.0.1:"));
    assert_int_equal(w->server.seen_len, 1);
    assert_int_equal(response.status, 0); /* untouched */
}

static void test_refused(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);
    int64_t start = run_mono_ms(&w->run);

    request.url = "http://127.0.0.1:1/path?token=abc";
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(
        err_text(&err), "thing 'x': cannot connect to 'http://127.0.0.1:1': connection refused ("));
    assert_null(strstr(err_text(&err), "path"));
    assert_true(run_mono_ms(&w->run) - start < 30000);
    request.retry_ms = -1;
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_string_equal(err_text(&err),
                        "thing 'x': cannot connect to 'http://127.0.0.1:1': connection refused");
}

static void test_silence(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);

    request.retry_ms = -1;
    request.stall_ms = 700;
    server_add(&w->server, (struct step){.status = 200, .body = "late", .delay_ms = 1500});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err_text(&err), "thing 'x': 'http://127.0.0.1:"));
    assert_non_null(strstr(err_text(&err), "was silent for 1 s"));
    request.stall_bytes = 100;
    server_add(&w->server, (struct step){.status = 200, .body = "a trickle", .silent_ms = 1500});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err_text(&err), "sent only 4 bytes in 1 s"));
    request.stall_ms = -1;
    request.timeout_ms = 150;
    server_add(&w->server, (struct step){.status = 200, .body = "late", .delay_ms = 600});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err_text(&err), "no whole answer from"));
    request.timeout_ms = -1;
    server_add(&w->server, (struct step){.status = 200, .body = "late", .delay_ms = 300});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
}

static void test_not_http(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.raw = true, .body = "SSH-2.0-x\r\n", .close = true});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_non_null(strstr(err_text(&err), "cannot speak HTTP with"));
    assert_int_equal(w->server.seen_len, 1);
}

static void test_run_deadline(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    int64_t start = run_mono_ms(&w->run);

    w->run.deadline = start + 1500;
    server_add(&w->server,
               (struct step){.status = 503, .headers = "Retry-After: 30\r\n", .body = "busy"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err_text(&err), "timed out waiting for thing 'x': the last try ended"));
    assert_non_null(strstr(err_text(&err), "answered 503: busy"));
    assert_true(run_mono_ms(&w->run) - start < 25000); /* not after the 30 s it was told */
    assert_int_equal(http_active(w->http), 0);
}

static void test_run_deadline_names_who_is_silent(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    autofree char *want =
        xasprintf("timed out waiting for thing 'x': no answer from '%s' for 1 s", w->server.url);

    w->run.deadline = run_mono_ms(&w->run) + 1400;
    server_add(&w->server, (struct step){.status = 200, .delay_ms = 2500});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err_text(&err), want);
}

struct late_signal {
    atomic_int number;
    int fd;
};

static void *send_late_signal(void *arg)
{
    struct late_signal *late = arg;

    server_nap(200);
    late->number = SIGTERM;
    return write(late->fd, "x", 1) == 1 ? NULL : late;
}

/* How long it took until the signal ended a request that is not answered. */
static int64_t time_to_wake(struct world *w)
{
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);
    int64_t start = run_mono_ms(&w->run), took;
    struct late_signal late = {0};
    pthread_t thread;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    late.fd = fds[1];
    w->run.signal = &late.number;
    w->run.wake_fd = fds[0];
    server_add(&w->server, (struct step){.status = 200, .delay_ms = 2000});
    pthread_create(&thread, NULL, send_late_signal, &late);
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_TERMINATED);
    took = run_mono_ms(&w->run) - start;
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    return took;
}

/* At once, not at the end of a slice; on a machine that has other things to do, at least once. */
static void test_signal_wakes(void **state)
{
    int tries = 0;

    while (time_to_wake(*state) >= 900)
        assert_true(++tries < 5);
}

/* ---- credentials ---- */

struct purse {
    int asked, refused;
    const char *fails;
};

static int purse_header(void *arg, const char *url, struct buf *value, struct err *err)
{
    struct purse *purse = arg;

    (void)url;
    if (purse->fails != NULL)
        return err_set(err, ERR_DENIED, "%s", purse->fails);
    return buf_addf(value, "Bearer secret%d", ++purse->asked);
}

static void purse_refused(void *arg)
{
    ((struct purse *)arg)->refused++;
}

static void test_401_once(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);
    struct purse purse = {0};
    const struct http_auth auth = {.header = purse_header,
                                   .refused = purse_refused,
                                   .arg = &purse,
                                   .extra = "X-Goog-User-Project: p"};

    request.method = "POST"; /* refused means not done: safe even so */
    request.auth = &auth;
    server_add(&w->server, (struct step){.status = 401});
    server_add(&w->server, (struct step){.status = 200});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(server_header(&w->server, 1, "Authorization"), "Bearer secret2");
    assert_string_equal(server_header(&w->server, 1, "X-Goog-User-Project"), "p");
    server_add(&w->server, (struct step){.status = 401});
    server_add(&w->server, (struct step){.status = 401});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_int_equal(response.status, 401);
    assert_int_equal(purse.refused, 2);
    assert_int_equal(w->server.seen_len, 4);
    assert_null(strstr(log_so_far(w), "secret"));
}

static void test_no_credential(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);
    struct purse purse = {.fails = "no key"};
    const struct http_auth auth = {.header = purse_header, .arg = &purse};

    request.auth = &auth;
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err_text(&err), "no key");
    assert_int_equal(w->server.seen_len, 0);
}

/* A credential that is fetched over the same http, while others are under way. */
struct fetcher {
    struct http *http;
    const char *url;
    char *token;
    int fetched;
};

static int fetcher_header(void *arg, const char *url, struct buf *value, struct err *err)
{
    struct fetcher *fetcher = arg;
    autoresponse struct http_response response = {0};
    const struct http_request request = {.method = "POST", .url = fetcher->url, .idempotent = true};

    (void)url;
    if (fetcher->token == NULL) {
        fetcher->fetched++;
        if (http_perform(fetcher->http, &request, &response, err) < 0)
            return -1;
        fetcher->token = xstrdup(response.body.data);
    }
    return buf_addf(value, "Bearer %s", fetcher->token);
}

struct count {
    struct http *http;
    const struct http_request *next; /* performed when the first ends */
    int done, failed, bytes, heads;
    bool pause_first, cancel_self, refuse_head;
    struct http_transfer *transfer;
    char text[128];
};

static void count_done(void *arg, struct http_response *response, struct err *err)
{
    struct count *count = arg;

    count->done++;
    if (err->code != ERR_NONE) {
        count->failed++;
        snprintf(count->text, sizeof(count->text), "%s", err_text(err));
    } else if (response->status != 200) {
        count->failed++;
    }
    if (count->next != NULL) {
        autoresponse struct http_response own = {0};
        autoerr struct err own_err = ERR_INIT;
        const struct http_request *next = count->next;

        count->next = NULL;
        assert_int_equal(http_perform(count->http, next, &own, &own_err), 0);
        assert_int_equal(own.status, 200);
    }
}

static void drive_until(struct world *w, const struct count *count, int done)
{
    autoerr struct err err = ERR_INIT;

    for (int i = 0; count->done < done && i < 10000; i++)
        assert_int_equal(http_drive(w->http, 1000, -1, "tests", &err), 0);
    assert_int_equal(count->done, done);
}

static void test_many_with_one_credential(void **state)
{
    struct world *w = *state;
    autofree char *url = xasprintf("%s/token", w->server.url);
    struct fetcher fetcher = {.http = w->http, .url = url};
    const struct http_auth auth = {.header = fetcher_header, .arg = &fetcher};
    struct http_request request = get_request(w);
    struct count count = {.http = w->http, .next = &request};
    const struct http_handler handler = {.done = count_done, .arg = &count};

    request.auth = &auth;
    for (int i = 0; i < 10; i++)
        server_add(&w->server, (struct step){.status = 200, .body = "tok"});
    for (int i = 0; i < 8; i++)
        http_start(w->http, &request, &handler);
    assert_int_equal(http_active(w->http), 8);
    drive_until(w, &count, 8);
    assert_int_equal(count.failed, 0);
    assert_int_equal(fetcher.fetched, 1);
    assert_int_equal(w->server.seen_len, 10); /* token, eight, and the one made from `done` */
    assert_string_equal(server_line(&w->server, 0), "POST /token");
    assert_string_equal(server_header(&w->server, 9, "Authorization"), "Bearer tok");
    assert_int_equal(http_active(w->http), 0);
    free(fetcher.token);
}

/* ---- streams ---- */

static int count_head(void *arg, const struct http_response *head, struct err *err)
{
    struct count *count = arg;

    count->heads++;
    if (count->refuse_head)
        return err_set(err, ERR_PROTOCOL, "not %d", head->status);
    return 0;
}

static int count_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct count *count = arg;

    (void)data;
    (void)err;
    if (count->cancel_self) {
        http_cancel(count->transfer);
        return 0;
    }
    if (count->pause_first && count->bytes == 0)
        http_pause(count->transfer, true);
    count->bytes += (int)len;
    return 0;
}

static void test_stream(void **state)
{
    struct world *w = *state;
    struct count count = {.http = w->http};
    const struct http_handler handler = {
        .head = count_head, .data = count_data, .done = count_done, .arg = &count};
    struct http_request request = get_request(w);
    size_t len = 3 << 20;
    autofree char *body = xcalloc(1, len);

    request.http1 = true;
    request.cap = 100; /* what is streamed is not bounded by it */
    server_add(&w->server, (struct step){.status = 503, .body = "no"});
    server_add(&w->server, (struct step){.status = 200, .body = body, .body_len = len});
    count.transfer = http_start(w->http, &request, &handler);
    drive_until(w, &count, 1);
    assert_int_equal(count.failed, 0);
    assert_int_equal(count.bytes, len);
    assert_int_equal(count.heads, 1);
}

static void test_stream_is_not_tried_again(void **state)
{
    struct world *w = *state;
    struct count count = {.http = w->http};
    const struct http_handler handler = {.data = count_data, .done = count_done, .arg = &count};
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.status = 200, .body = "0123456789", .cut = 2});
    http_start(w->http, &request, &handler);
    drive_until(w, &count, 1);
    assert_int_equal(count.failed, 1);
    assert_int_equal(count.bytes, 8);
    assert_non_null(strstr(count.text, "lost the connection"));
    assert_int_equal(w->server.seen_len, 1);
}

static void test_stream_refused_by_head(void **state)
{
    struct world *w = *state;
    struct count count = {.http = w->http, .refuse_head = true};
    const struct http_handler handler = {
        .head = count_head, .data = count_data, .done = count_done, .arg = &count};
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.status = 200, .body = "0123456789"});
    http_start(w->http, &request, &handler);
    drive_until(w, &count, 1);
    assert_string_equal(count.text, "not 200");
    assert_int_equal(count.bytes, 0);
    assert_int_equal(w->server.seen_len, 1);
}

static void test_pause(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    struct count count = {.http = w->http, .pause_first = true};
    const struct http_handler handler = {.data = count_data, .done = count_done, .arg = &count};
    struct http_request request = get_request(w);
    size_t len = 1 << 20;
    autofree char *body = xcalloc(1, len);
    int64_t end = run_mono_ms(&w->run) + 1600;

    request.stall_ms = 1000; /* a pause of ours is no silence */
    request.timeout_ms = 1500;
    server_add(&w->server, (struct step){.status = 200, .body = body, .body_len = len});
    count.transfer = http_start(w->http, &request, &handler);
    while (run_mono_ms(&w->run) < end)
        assert_int_equal(http_drive(w->http, end - run_mono_ms(&w->run), -1, "tests", &err), 0);
    assert_true(count.bytes > 0 && count.bytes < (int)len);
    assert_int_equal(count.done, 0);
    http_pause(count.transfer, false);
    drive_until(w, &count, 1);
    assert_int_equal(count.failed, 0);
    assert_int_equal(count.bytes, len);
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    struct count count = {.http = w->http, .cancel_self = true};
    struct count other = {.http = w->http};
    const struct http_handler handler = {.data = count_data, .done = count_done, .arg = &count};
    const struct http_handler plain = {.done = count_done, .arg = &other};
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.status = 200, .body = "x"});
    server_add(&w->server, (struct step){.status = 200, .body = "x"});
    count.transfer = http_start(w->http, &request, &handler);
    while (http_active(w->http) > 0)
        assert_int_equal(http_drive(w->http, 1000, -1, "tests", &err), 0);
    http_cancel(http_start(w->http, &request, &plain));
    assert_int_equal(http_active(w->http), 0);
    http_start(w->http, &request, &plain);
    drive_until(w, &other, 1);
    assert_int_equal(count.done, 0);
    assert_int_equal(count.bytes, 0);
    assert_int_equal(other.failed, 0);
}

static void test_extra_fd_ends_the_wait(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    int64_t start = run_mono_ms(&w->run);
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(http_drive(w->http, 5000, fds[0], "tests", &err), 0);
    assert_true(run_mono_ms(&w->run) - start < 4500);
    close(fds[0]);
    close(fds[1]);
}

/* ---- words ---- */

static void expect_summary(int status, const char *type, const char *body, const char *want)
{
    autoresponse struct http_response response = {0};

    http_response_init(&response, BUF_SMALL);
    response.status = status;
    if (type != NULL)
        strv_addf(&response.headers, "Content-Type: %s", type);
    buf_adds(&response.body, body);
    autofree char *got = http_summary(&response);

    assert_string_equal(got, want);
}

static void test_summary(void **state)
{
    autofree char *lots = xmalloc(2000);

    (void)state;
    memset(lots, 'a', 1999);
    lots[1999] = '\0';
    expect_summary(502, "text/html; charset=x", "<html><title> Bad\n Gateway </title>",
                   "answered 502 with an HTML page ('Bad\\x0a Gateway')");
    expect_summary(502, NULL, "  <!DOCTYPE html><p>", "answered 502 with an HTML page");
    expect_summary(500, NULL, "", "answered 500 without a word");
    expect_summary(500, NULL, "a\x1b[31m\n  b\n", "answered 500: a\\x1b[31m b");
    expect_summary(400, NULL, "{\"access_token\":\"ya29.secret\"}",
                   "answered 400: {\"access_token\":[redacted]}");
    autoresponse struct http_response response = {0};

    http_response_init(&response, BUF_SMALL);
    response.status = 500;
    buf_adds(&response.body, lots);
    autofree char *text = http_summary(&response);

    assert_int_equal(strlen(text), strlen("answered 500: ") + 300 + strlen("…"));
}

static void test_html_answer_in_the_log(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server, (struct step){.status = 502,
                                         .headers = "Content-Type: text/html\r\n",
                                         .body = "<html><title>Oops</title>"});
    server_add(&w->server, (struct step){.status = 200});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_non_null(strstr(log_so_far(w), "answered 502 with an HTML page ('Oops')"));
}

static void test_log_hides_secrets(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *url = xasprintf("%s/u?upload_id=hush1&name=shown", w->server.url);
    const char *headers[] = {"Authorization: Bearer hush2", "X-Shown: yes", NULL};
    static const char body[] =
        "grant_type=shown2&assertion=hush3&client_secret=hush4&refresh_token=hush5&x=shown3";
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .body = body,
                                         .body_len = sizeof(body) - 1,
                                         .content_type = "application/x-www-form-urlencoded"};
    const char *log;

    server_add(
        &w->server,
        (struct step){.status = 200,
                      .headers = "Location: http://x/?upload_id=hush6\r\nSet-Cookie: hush7\r\n",
                      .body = "{\"access_token\" : \"hush8\\\"hush\", \"private_key\":\"-----BEGIN "
                              "PRIVATE KEY-----\\nhush9\\n-----END PRIVATE KEY-----\\n\", "
                              "\"a\":\"eyJhbGciOiJSUzI1NiJ9.hushA.hushB\",\"b\":\"shown4\"}"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    log = log_so_far(w);
    assert_null(strstr(log, "hush"));
    assert_non_null(strstr(log, "name=shown"));
    assert_non_null(strstr(log, "X-Shown: yes"));
    assert_non_null(strstr(log, "shown2"));
    assert_non_null(strstr(log, "x=shown3"));
    assert_non_null(strstr(log, "shown4"));
    assert_non_null(strstr(log, "[redacted]"));
}

static void test_log_hides_kubernetes_secrets(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    const struct http_request request = get_request(w);

    server_add(&w->server,
               (struct step){.status = 200,
                             .body = "{\"kind\":\"Secret\",\"data\":{\"a\":\"aHVzaA==\"}}"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_null(strstr(log_so_far(w), "aHVzaA"));
}

/* ---- proxies ---- */

static void test_proxy(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);
    autofree char *variable = xasprintf("http_proxy=http://me:hush@127.0.0.1:%d", w->server.port);

    w->environ[0] = variable;
    request.url = "http://storage.example/o";
    request.retry_ms = -1;
    server_add(&w->server, (struct step){.status = 200, .body = "by proxy"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_string_equal(response.body.data, "by proxy");
    assert_string_equal(server_line(&w->server, 0), "GET http://storage.example/o");
    assert_null(strstr(log_so_far(w), "hush"));

    w->environ[0] = "http_proxy=http://127.0.0.1:1";
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_non_null(strstr(err_text(&err), "(through the proxy '127.0.0.1:1')"));
    request.url = w->server.url; /* loopback: not by proxy */
    server_add(&w->server, (struct step){.status = 200, .body = "direct"});
    assert_int_equal(http_perform(w->http, &request, &response, &err), 0);
    assert_string_equal(server_line(&w->server, 1), "GET /");
}

static void test_proxy_that_refuses(void **state)
{
    struct world *w = *state;
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http_request request = get_request(w);
    autofree char *variable = xasprintf("HTTPS_PROXY=127.0.0.1:%d", w->server.port);
    autofree char *want = xasprintf("thing 'x': cannot connect to 'https://storage.example:443' "
                                    "(through the proxy '127.0.0.1:%d'): the proxy answered 407; "
                                    "check HTTPS_PROXY and NO_PROXY",
                                    w->server.port);

    w->environ[0] = variable;
    request.url = "https://storage.example/o";
    server_add(&w->server, (struct step){.status = 407, .close = true});
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err_text(&err), want);
    assert_string_equal(server_line(&w->server, 0), "CONNECT storage.example:443");
    w->environ[1] = "NO_PROXY=.example";
    request.retry_ms = -1;
    assert_int_equal(http_perform(w->http, &request, &response, &err), -1);
    assert_string_equal(err_text(&err),
                        "thing 'x': cannot connect to 'https://storage.example:443': "
                        "no address is known for that name");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answer),
        TEST(test_methods_and_bodies),
        TEST(test_chunked),
        TEST(test_cap),
        TEST(test_head_cap),
        TEST(test_not_a_url),
        TEST(test_redirects_are_not_followed),
        TEST(test_retry_after_seconds),
        TEST(test_retry_after_date),
        TEST(test_retry_after_beyond_the_budget),
        TEST(test_what_is_tried_again),
        TEST(test_again_callback),
        TEST(test_reset_then_answer),
        TEST(test_lost_answer_of_a_mutation),
        TEST(test_refused),
        TEST(test_silence),
        TEST(test_not_http),
        TEST(test_run_deadline),
        TEST(test_run_deadline_names_who_is_silent),
        TEST(test_signal_wakes),
        TEST(test_401_once),
        TEST(test_no_credential),
        TEST(test_many_with_one_credential),
        TEST(test_stream),
        TEST(test_stream_is_not_tried_again),
        TEST(test_stream_refused_by_head),
        TEST(test_pause),
        TEST(test_cancel),
        TEST(test_extra_fd_ends_the_wait),
        cmocka_unit_test(test_summary),
        TEST(test_html_answer_in_the_log),
        TEST(test_log_hides_secrets),
        TEST(test_log_hides_kubernetes_secrets),
        TEST(test_proxy),
        TEST(test_proxy_that_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
