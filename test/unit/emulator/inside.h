/* What the tests of the emulator's parts share: a listener, and an HTTP client of a few lines. */
#ifndef TEST_UNIT_EMULATOR_INSIDE_H
#define TEST_UNIT_EMULATOR_INSIDE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "necoops/base/buf.h"
#include "necoops/base/json.h"

struct reply {
    int status;
    char *head; /* status line and headers */
    char *body;
    size_t len;
};

static inline void reply_clear(struct reply *reply)
{
    free(reply->head);
    free(reply->body);
    *reply = (struct reply){.status = 0};
}

/* Chunked bodies are put together; the reply is whole or the test fails. */
static inline char *unchunk(const char *in, size_t *len)
{
    struct buf out = BUF_INIT(BUF_LARGE);
    for (;;) {
        char *end;
        size_t size = strtoull(in, &end, 16);
        if (size == 0)
            break;
        buf_add(&out, end + 2, size);
        in = end + 2 + size + 2;
    }
    *len = out.len;
    return buf_steal(&out);
}

/* `headers`: "Name: value\r\n" each, or "". A head of NULL: the connection broke before any. */
static inline struct reply http_send(uint16_t port, const char *method, const char *target,
                                     const char *headers, const void *body, size_t len)
{
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct buf out = BUF_INIT(BUF_LARGE), in = BUF_INIT(BUF_LARGE);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&peer, sizeof peer), 0);
    buf_addf(&out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n", method, target,
             (unsigned int)port);
    buf_addf(&out, "Content-Length: %zu\r\n%s\r\n", len, headers);
    buf_add(&out, body, len);
    for (size_t done = 0; done < out.len;) {
        ssize_t n = send(fd, out.data + done, out.len - done, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    char block[65536];
    for (ssize_t n; (n = recv(fd, block, sizeof block, 0)) > 0;)
        buf_add(&in, block, (size_t)n);
    close(fd);
    struct reply reply = {.status = 0};
    char *end = strstr(in.data, "\r\n\r\n");
    if (end != NULL) {
        reply.head = xstrndup(in.data, (size_t)(end + 2 - in.data));
        reply.status = (int)strtol(in.data + strlen("HTTP/1.1 "), NULL, 10);
        end += 4;
        reply.len = in.len - (size_t)(end - in.data);
        if (strcasestr(reply.head, "Transfer-Encoding: chunked") != NULL) {
            reply.body = unchunk(end, &reply.len);
        } else {
            reply.body = xmalloc(reply.len + 1);
            memcpy(reply.body, end, reply.len);
            reply.body[reply.len] = '\0';
        }
    }
    buf_clear(&out);
    buf_clear(&in);
    return reply;
}

static inline struct reply http_call(uint16_t port, const char *method, const char *target,
                                     const char *headers, const char *body)
{
    return http_send(port, method, target, headers, body, strlen(body));
}

/* The header's value, or NULL; the caller frees. */
static inline char *reply_header(const struct reply *reply, const char *name)
{
    char *pattern = xasprintf("\r\n%s: ", name);
    const char *at = strcasestr(reply->head, pattern);
    at = at != NULL ? at + strlen(pattern) : NULL;
    free(pattern);
    return at != NULL ? xstrndup(at, strcspn(at, "\r")) : NULL;
}

static inline void assert_header(const struct reply *reply, const char *name, const char *value)
{
    char *actual = reply_header(reply, name);
    if (value == NULL) {
        assert_null(actual);
    } else {
        assert_non_null(actual);
        assert_string_equal(actual, value);
    }
    free(actual);
}

static inline cJSON *reply_json(const struct reply *reply)
{
    struct err err = ERR_INIT;
    cJSON *json = NULL;
    assert_int_equal(json_parse(reply->body, reply->len, "reply", &json, &err), 0);
    return json;
}

#endif
