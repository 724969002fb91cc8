/* Listeners, requests, answers, streams, timers and the request log, over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>
#include "emulator/core/server.h"
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"

struct fixture {
    struct server *server;
    struct listener *listener;
    char *log;
};

/* ---- what is served ---- */

static ssize_t count_down(void *arg, char *out, size_t max)
{
    int *left = arg;
    (void)max;
    if (*left == 0)
        return 0;
    if ((*left)-- == 2)
        return STREAM_IDLE;
    out[0] = 'x';
    return 1;
}

static void handle(void *service, const struct request *request, struct answer *answer)
{
    static int left;
    (void)service;
    if (strcmp(request->path, "/stream") == 0) {
        left = 4;
        answer->status = 200;
        answer->stream = count_down;
        answer->stream_arg = &left;
        return;
    }
    if (strcmp(request->path, "/nothing") == 0)
        return;
    if (strcmp(request->path, "/length") == 0) {
        cJSON *length = json_object();
        json_set_i64(length, "length", (int64_t)request->body_len);
        json_set_i64(length, "strlen", (int64_t)strlen(request->body));
        json_set_i64(length, "crc", crc32c(0, request->body, request->body_len));
        answer_json(answer, 200, length);
        return;
    }
    cJSON *value = json_object();
    json_set_str(value, "path", request->path);
    cJSON *parts = json_set_array(value, "parts");
    for (size_t i = 0; i < request->parts.len; i++)
        json_push_str(parts, request->parts.items[i]);
    json_set_str(value, "q", request_query(request, "q"));
    json_set_str(value, "body", request->body);
    json_set_str(value, "header", request_header(request, "x-test"));
    answer_json(answer, 200, value);
}

static void start(struct fixture *fixture, const char *fault)
{
    autoerr struct err err = ERR_INIT;
    autostrv struct strv faults = STRV_INIT;
    if (fault != NULL)
        strv_add(&faults, fault);
    fixture->log = xasprintf("/tmp/necoops-test-server-%d.jsonl", (int)getpid());
    (void)unlink(fixture->log);
    struct server_config config = {.request_log = fixture->log, .faults = &faults};
    struct listener_spec spec = {.name = "google", .handler = handle, .body_cap = 8 << 20};
    if (server_new(&config, &fixture->server, &err) < 0 ||
        listener_start(fixture->server, &spec, &fixture->listener, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static void stop(struct fixture *fixture)
{
    server_free(fixture->server);
    (void)unlink(fixture->log);
    free(fixture->log);
}

/* ---- a client ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Everything the server says to one request, until it closes; NULL: the connection broke. */
static char *talk(const struct fixture *fixture, const char *method, const char *target,
                  const char *headers, const char *body)
{
    autobuf struct buf answer = BUF_INIT(BUF_MEDIUM);
    autofree char *text =
        xasprintf("%s %s HTTP/1.1\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
                  target, headers, strlen(body), body);
    autoclose int fd = dial(listener_port(fixture->listener));
    assert_true(fd >= 0);
    size_t len = strlen(text);
    for (size_t sent = 0; sent < len;) {
        ssize_t written = write(fd, text + sent, len - sent);
        assert_true(written > 0);
        sent += (size_t)written;
    }
    for (;;) {
        char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0)
            return NULL;
        if (got == 0)
            return buf_steal(&answer);
        assert_int_equal(buf_add(&answer, chunk, (size_t)got), 0);
    }
}

#define LOCAL "Host: localhost:1\r\n"

static int status_of(const char *answer)
{
    return answer != NULL && strlen(answer) > 12 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static cJSON *body_of(const char *answer)
{
    cJSON *value = NULL;
    autoerr struct err err = ERR_INIT;
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    assert_int_equal(json_parse(body, strlen(body), "answer", &value, &err), 0);
    return value;
}

static cJSON *last_log_line(const struct fixture *fixture)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    autoerr struct err err = ERR_INIT;
    cJSON *value = NULL;
    assert_int_equal(fs_read(fixture->log, &text, &err), 0);
    assert_true(text.len > 1);
    text.data[text.len - 1] = '\0';
    const char *newline = strrchr(text.data, '\n');
    const char *line = newline != NULL ? newline + 1 : text.data;
    assert_int_equal(json_parse(line, strlen(line), "log", &value, &err), 0);
    return value;
}

/* ---- tests ---- */

static void test_a_request_as_the_handler_sees_it(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    autofree char *answer = talk(&fixture, "POST", "/b/x%20y/o/a%2Fb//c?q=1+2%203&q=4",
                                 LOCAL "X-Test: yes\r\n", "hello");
    assert_int_equal(status_of(answer), 200);
    autojson cJSON *value = body_of(answer);
    assert_string_equal(json_str(value, "path"), "/b/x%20y/o/a%2Fb//c");
    assert_string_equal(json_str(value, "parts[1]"), "x y");
    assert_string_equal(json_str(value, "parts[3]"), "a/b");
    assert_string_equal(json_str(value, "parts[4]"), "c");
    assert_string_equal(json_str(value, "q"), "1 2 3");
    assert_string_equal(json_str(value, "body"), "hello");
    assert_string_equal(json_str(value, "header"), "yes");
    stop(&fixture);
}

static char *text_of(size_t len)
{
    char *text = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 23);
    text[len] = '\0';
    return text;
}

static void check_refused(const struct fixture *fixture, const char *target, const char *headers,
                          int status)
{
    autofree char *answer = talk(fixture, "GET", target, headers, "");
    assert_int_equal(status_of(answer), status);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    check_refused(&fixture, "/", "Host: evil.example\r\n", 403);
    check_refused(&fixture, "/", "Host: metadata.google.internal\r\n", 403);
    check_refused(&fixture, "/", "Host: localhost.evil.example\r\n", 403);
    check_refused(&fixture, "/", LOCAL "Origin: http://evil.example\r\n", 403);
    check_refused(&fixture, "/%zz", LOCAL, 400);
    check_refused(&fixture, "/a%00b", LOCAL, 400);
    check_refused(&fixture, "/", "Host: [::1]:80\r\n", 200);
    check_refused(&fixture, "/", "Host: 127.0.0.1\r\n", 200);
    check_refused(&fixture, "/nothing", LOCAL, 500);
    autofree char *large = text_of((8 << 20) + 1);
    autofree char *answer = talk(&fixture, "POST", "/", LOCAL, large);
    assert_int_equal(status_of(answer), 413);
    stop(&fixture);
}

/* Beyond some megabytes a body waits in a file. */
static void test_bodies_of_all_sizes(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 5000, 4 << 20, (4 << 20) + 1, 8 << 20};
    struct fixture fixture;
    start(&fixture, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        autofree char *body = text_of((size_t)sizes[i]);
        autofree char *answer = talk(&fixture, "POST", "/length", LOCAL, body);
        assert_int_equal(status_of(answer), 200);
        autojson cJSON *value = body_of(answer);
        int64_t length = -1, as_text = -1, crc = -1;
        assert_true(json_i64(value, "length", &length) && json_i64(value, "strlen", &as_text) &&
                    json_i64(value, "crc", &crc));
        assert_int_equal(length, sizes[i]);
        assert_int_equal(as_text, sizes[i]);
        assert_int_equal(crc, crc32c(0, body, (size_t)sizes[i]));
    }
    stop(&fixture);
}

static void test_a_stream(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    autofree char *answer = talk(&fixture, "GET", "/stream", LOCAL, "");
    assert_int_equal(status_of(answer), 200);
    int count = 0;
    for (const char *p = strstr(answer, "\r\n\r\n"); *p != '\0'; p++)
        count += *p == 'x';
    assert_int_equal(count, 3); /* the fourth call was idle */
    stop(&fixture);
}

static void test_the_log(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    autofree char *first =
        talk(&fixture, "POST", "/x%2Fy?a=1&a=2&b=3",
             LOCAL "Content-Type: application/json\r\nAuthorization: Bearer secret-1\r\n",
             "{\"name\":\"n\",\"access_token\":\"secret-2\",\"size\":9007199254740993}");
    assert_int_equal(status_of(first), 200);
    autojson cJSON *line = last_log_line(&fixture);
    assert_string_equal(json_str(line, "listener"), "google");
    assert_string_equal(json_str(line, "method"), "POST");
    assert_string_equal(json_str(line, "path"), "/x%2Fy");
    assert_string_equal(json_str(line, "query.a[1]"), "2");
    assert_string_equal(json_str(line, "query.b"), "3");
    assert_string_equal(json_str(line, "headers.Content-Type"), "application/json");
    assert_string_equal(json_str(line, "body.access_token"), "REDACTED");
    int64_t size = 0;
    assert_true(json_i64(line, "body.size", &size));
    assert_true(size == 9007199254740993);
    assert_string_equal(json_str(line, "response.path"), "/x%2Fy");
    autofree char *all = json_print(line);
    assert_null(strstr(all, "secret-1"));
    autofree char *second = talk(&fixture, "POST", "/token",
                                 LOCAL "Content-Type: application/x-www-form-urlencoded\r\n",
                                 "grant_type=x&assertion=secret-3&scope=y");
    assert_int_equal(status_of(second), 200);
    autojson cJSON *form = last_log_line(&fixture);
    assert_string_equal(json_str(form, "body"), "grant_type=x&assertion=REDACTED&scope=y");
    stop(&fixture);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int status;
        const char *contains;
    } rows[] = {
        {"status=503,retry-after=7", 503, "Retry-After: 7"},
        {"status=403,reason=quotaExceeded", 403, "\"reason\":\"quotaExceeded\""},
        {"status=418,body=tea", 418, "tea"},
        {"html", 502, "<!DOCTYPE html>"},
        {"html=503", 503, "<!DOCTYPE html>"},
        {"badjson", 200, "{\"kind\": \"compute#"},
        {"flip=2", 200, "{\"qath\":"},
        {"truncate=7", 200, "{\"path\""},
        {"stall=100ms", 200, "\"body\":\"\"}"},
        {"delay=100ms", 200, "\"body\":\"\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture fixture;
        start(&fixture, rows[i].rule);
        autofree char *answer = talk(&fixture, "GET", "/x", LOCAL, "");
        assert_int_equal(status_of(answer), rows[i].status);
        if (strstr(answer, rows[i].contains) == NULL)
            fail_msg("%s: %s", rows[i].rule, answer);
        autojson cJSON *line = last_log_line(&fixture);
        assert_string_equal(json_str(line, "fault"), rows[i].rule);
        autofree char *next = talk(&fixture, "GET", "/x", LOCAL, "");
        assert_int_equal(status_of(next), 200);
        stop(&fixture);
    }
}

static void test_a_truncated_body_ends_there(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, "truncate=7");
    autofree char *answer = talk(&fixture, "GET", "/x", LOCAL, "");
    assert_non_null(answer);
    assert_string_equal(strstr(answer, "\r\n\r\n") + 4, "{\"path\"");
    stop(&fixture);
}

static void test_connections_that_break(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, "reset");
    autofree char *reset = talk(&fixture, "GET", "/x", LOCAL, "");
    assert_null(reset);
    stop(&fixture);
    start(&fixture, "close");
    autofree char *closed = talk(&fixture, "GET", "/x", LOCAL, "");
    assert_non_null(closed);
    assert_string_equal(closed, "");
    autojson cJSON *line = last_log_line(&fixture);
    int64_t status = -1;
    assert_true(json_i64(line, "status", &status));
    assert_int_equal(status, 0);
    stop(&fixture);
}

/* ---- timers, stopping ---- */

static struct {
    pthread_mutex_t lock;
    char order[8];
} ran = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(void *arg)
{
    pthread_mutex_lock(&ran.lock);
    size_t len = strlen(ran.order);
    ran.order[len] = *(const char *)arg;
    ran.order[len + 1] = '\0';
    pthread_mutex_unlock(&ran.lock);
}

static bool has_run(size_t count)
{
    pthread_mutex_lock(&ran.lock);
    bool enough = strlen(ran.order) >= count;
    pthread_mutex_unlock(&ran.lock);
    return enough;
}

static void test_timers(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    static char names[] = "abcd";
    server_after(fixture.server, 60, note, &names[2]);
    server_after(fixture.server, 20, note, &names[0]);
    server_after(fixture.server, 20, note, &names[1]);
    server_after(fixture.server, 60000, note, &names[3]);
    while (!has_run(3))
        usleep(5000);
    stop(&fixture);
    assert_string_equal(ran.order, "abc");
}

static void test_a_stopped_listener_refuses(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, NULL);
    uint16_t port = listener_port(fixture.listener);
    autoclose int idle = dial(port);
    assert_true(idle >= 0);
    listener_stop(fixture.listener);
    assert_int_equal(dial(port), -1);
    char byte;
    assert_true(read(idle, &byte, 1) <= 0); /* closed, or reset when it was not accepted yet */
    stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_as_the_handler_sees_it),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_bodies_of_all_sizes),
        cmocka_unit_test(test_a_stream),
        cmocka_unit_test(test_the_log),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_truncated_body_ends_there),
        cmocka_unit_test(test_connections_that_break),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_a_stopped_listener_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
