/* A scripted HTTP server for unit tests: one thread a connection, on loopback. Each request takes
 * the next step of the script, and is kept to be looked at. */
#ifndef TEST_SUPPORT_HTTP_SERVER_H
#define TEST_SUPPORT_HTTP_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "necoops/base/buf.h"
#include "necoops/base/log.h"
#include "necoops/base/run.h"

#define SERVER_STEPS 32
#define SERVER_SEEN  64

struct step {
    int status;          /* 0: the connection is reset instead of an answer */
    const char *headers; /* "A: b\r\n…", or NULL */
    const char *body;    /* NULL: empty */
    size_t body_len;     /* 0: strlen(body) */
    bool raw;            /* `body` is all that is sent, status line included */
    bool close;          /* the connection is closed after it */
    int cut;             /* so many bytes of the body are kept back, then it is closed */
    int delay_ms;        /* before the answer */
    int silent_ms;       /* after the first half of the body */
};

struct seen {
    char *text; /* head and body as they came */
    const char *body;
    int connection;
};

struct server {
    int fd;
    int port;
    char url[64];
    pthread_t thread;
    pthread_mutex_t mutex;
    struct step steps[SERVER_STEPS];
    int steps_len;
    int next;
    struct seen seen[SERVER_SEEN];
    int seen_len;
    int connections;
    int open_fds[SERVER_SEEN];
    pthread_t threads[SERVER_SEEN];
};

struct server_connection {
    struct server *server;
    int fd;
    int number;
};

static void server_nap(int ms)
{
    usleep((useconds_t)ms * 1000);
}

static size_t server_content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");

    return at != NULL ? strtoul(at + 17, NULL, 10) : 0;
}

/* One request into `in`, or false when the peer is gone. */
static bool server_read(int fd, struct buf *in)
{
    for (;;) {
        char *end = strstr(in->data, "\r\n\r\n");
        char chunk[4096];
        ssize_t got;

        if (end != NULL &&
            in->len >= (size_t)(end + 4 - in->data) + server_content_length(in->data))
            return true;
        got = recv(fd, chunk, sizeof(chunk), 0);
        if (got <= 0 || buf_add(in, chunk, (size_t)got) < 0)
            return false;
    }
}

static void server_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        data += sent;
        len -= (size_t)sent;
    }
}

static void server_answer(int fd, const struct step *step, bool head_only)
{
    size_t len = step->body_len > 0 ? step->body_len : step->body != NULL ? strlen(step->body) : 0;
    size_t send_len = len - (size_t)step->cut;
    size_t half = step->silent_ms > 0 ? send_len / 2 : send_len;

    server_nap(step->delay_ms);
    if (!step->raw) {
        char head[2048];
        bool sized = step->headers != NULL && strcasestr(step->headers, "Content-Length") != NULL;
        int head_len = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n%s", step->status,
                                step->headers != NULL ? step->headers : "");

        if (!sized && step->status != 204)
            head_len += snprintf(head + head_len, sizeof(head) - (size_t)head_len,
                                 "Content-Length: %zu\r\n", len);
        head_len += snprintf(head + head_len, sizeof(head) - (size_t)head_len, "\r\n");
        server_send(fd, head, (size_t)head_len);
    }
    if (head_only)
        return;
    server_send(fd, step->body, half);
    if (half < send_len) {
        server_nap(step->silent_ms);
        server_send(fd, step->body + half, send_len - half);
    }
}

static bool server_take(struct server_connection *connection, const struct buf *in,
                        struct step *step)
{
    struct server *server = connection->server;
    bool some;

    pthread_mutex_lock(&server->mutex);
    if (server->seen_len < SERVER_SEEN) {
        struct seen *seen = &server->seen[server->seen_len++];

        seen->text = xstrndup(in->data, in->len);
        seen->body = strstr(seen->text, "\r\n\r\n") + 4;
        seen->connection = connection->number;
    }
    some = server->next < server->steps_len;
    if (some)
        *step = server->steps[server->next++];
    pthread_mutex_unlock(&server->mutex);
    return some;
}

static void *server_serve(void *arg)
{
    struct server_connection *connection = arg;
    struct buf in = BUF_INIT(BUF_MEDIUM);
    struct linger reset = {.l_onoff = 1};
    struct step step;

    while (server_read(connection->fd, &in) && server_take(connection, &in, &step)) {
        if (step.status == 0 && !step.raw) {
            server_nap(step.delay_ms);
            setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
            break;
        }
        server_answer(connection->fd, &step, strncmp(in.data, "HEAD ", 5) == 0);
        if (step.close || step.cut > 0)
            break;
        buf_reset(&in);
    }
    pthread_mutex_lock(&connection->server->mutex);
    connection->server->open_fds[connection->number] = -1;
    close(connection->fd);
    pthread_mutex_unlock(&connection->server->mutex);
    buf_clear(&in);
    free(connection);
    return NULL;
}

static void *server_accept(void *arg)
{
    struct server *server = arg;
    int fd;

    while ((fd = accept(server->fd, NULL, NULL)) >= 0 && server->connections < SERVER_SEEN) {
        struct server_connection *connection = xcalloc(1, sizeof(*connection));

        pthread_mutex_lock(&server->mutex);
        connection->server = server;
        connection->fd = fd;
        connection->number = server->connections++;
        server->open_fds[connection->number] = fd;
        pthread_create(&server->threads[connection->number], NULL, server_serve, connection);
        pthread_mutex_unlock(&server->mutex);
    }
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    memset(server, 0, sizeof(*server));
    pthread_mutex_init(&server->mutex, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->fd, (struct sockaddr *)&address, len) < 0 || listen(server->fd, 64) < 0)
        abort();
    getsockname(server->fd, (struct sockaddr *)&address, &len);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d", server->port);
    pthread_create(&server->thread, NULL, server_accept, server);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    pthread_mutex_lock(&server->mutex);
    for (int i = 0; i < server->connections; i++) {
        if (server->open_fds[i] >= 0)
            shutdown(server->open_fds[i], SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->mutex);
    for (int i = 0; i < server->connections; i++)
        pthread_join(server->threads[i], NULL);
    for (int i = 0; i < server->seen_len; i++)
        free(server->seen[i].text);
}

static void server_add(struct server *server, struct step step)
{
    server->steps[server->steps_len++] = step;
}

/* The value of a header of the n-th request, or NULL; static space. */
__attribute__((unused)) static const char *server_header(const struct server *server, int n,
                                                         const char *name)
{
    static char value[4096];
    char pattern[128];
    const char *at;
    size_t len;

    snprintf(pattern, sizeof(pattern), "\r\n%s: ", name);
    at = strcasestr(server->seen[n].text, pattern);
    if (at == NULL || at >= server->seen[n].body)
        return NULL;
    at += strlen(pattern);
    len = strcspn(at, "\r");
    snprintf(value, sizeof(value), "%.*s", (int)len, at);
    return value;
}

/* Method and target of the n-th request; static space. */
__attribute__((unused)) static const char *server_line(const struct server *server, int n)
{
    static char line[4096];
    const char *text = n < server->seen_len ? server->seen[n].text : "(none)";

    snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\r"), text);
    if (strlen(line) > 9 && strcmp(line + strlen(line) - 9, " HTTP/1.1") == 0)
        line[strlen(line) - 9] = '\0';
    return line;
}

#endif
