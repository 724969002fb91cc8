/* services/NAME/proxy: the request goes on to a server on this machine, the one that the Service
 * names in its annotation `necoops.dev/emulator-backend` (http:// and loopback only). */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

#define BACKEND    "necoops.dev/emulator-backend"
#define ANSWER_CAP ((size_t)64 << 20)
#define TIMEOUT_S  30

/* "name", "name:port", "scheme:name:port" */
static char *service_name(const char *text)
{
    CLEANUP(strv_clear) struct strv parts = STRV_INIT;

    strv_split(&parts, text, ':');
    if (parts.len == 0)
        return xstrdup("");
    return xstrdup(parts.items[parts.len == 3 ? 1 : 0]);
}

/* The raw path behind ".../proxy", "/" when there is none. */
static const char *path_behind(const struct call *call)
{
    const char *path = call->request->path;

    for (size_t i = 0; i < call->rest && path != NULL; i++)
        path = strchr(path + 1, '/');
    return path != NULL ? path : "/";
}

static int dial(const struct url_parts *url, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    autofree char *port = xasprintf("%d", url->port);
    int fd = -1;

    if (getaddrinfo(url->host, port, &hints, &found) != 0)
        return kube_fail(err, 502, "", "no address for '%s'", url->host);
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, at->ai_addr, at->ai_addrlen) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return kube_fail(err, 503, "ServiceUnavailable",
                         "error trying to reach service: dial tcp %s:%d: connect: connection "
                         "refused",
                         url->host, url->port);
    return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        data += sent;
        len -= (size_t)sent;
    }
    return 0;
}

static void add_query(struct buf *out, const struct request *request)
{
    for (size_t i = 0; i + 1 < request->query.len; i += 2) {
        autofree char *name = url_encode(request->query.items[i]);
        autofree char *value = url_encode(request->query.items[i + 1]);

        buf_addf(out, "%c%s=%s", i == 0 ? '?' : '&', name, value);
    }
}

static int send_request(const struct call *call, int fd, const struct url_parts *url)
{
    const struct request *request = call->request;
    autobuf struct buf head = BUF_INIT(BUF_SMALL);
    const char *type = request_header(request, "Content-Type");
    const char *accept = request_header(request, "Accept");
    const char *base = url->path;
    size_t base_len = strlen(base);

    if (base_len > 0 && base[base_len - 1] == '/')
        base_len--;
    buf_addf(&head, "%s %.*s%s", request->method, (int)base_len, base, path_behind(call));
    add_query(&head, request);
    buf_addf(&head, " HTTP/1.0\r\nHost: %s:%d\r\nConnection: close\r\nContent-Length: %zu\r\n",
             url->host, url->port, request->body_len);
    if (type != NULL)
        buf_addf(&head, "Content-Type: %s\r\n", type);
    if (accept != NULL)
        buf_addf(&head, "Accept: %s\r\n", accept);
    buf_adds(&head, "\r\n");
    if (head.overflowed || send_all(fd, head.data, head.len) < 0)
        return -1;
    return send_all(fd, request->body, request->body_len);
}

static int receive(int fd, struct buf *out)
{
    char block[16384];

    for (;;) {
        ssize_t len = recv(fd, block, sizeof(block), 0);

        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return len < 0 ? -1 : 0;
        if (buf_add(out, block, (size_t)len) < 0)
            return -1;
    }
}

/* Chunks put together; a server may send them although HTTP/1.0 was asked for. */
static void unchunk(const char *at, const char *end, struct buf *out)
{
    while (at < end) {
        char *line_end;
        unsigned long size = strtoul(at, &line_end, 16);
        const char *data = strstr(line_end, "\r\n");

        if (size == 0 || data == NULL || (size_t)(end - data - 2) < size)
            return;
        buf_add(out, data + 2, size);
        at = data + 2 + size + 2;
    }
}

/* The value of a header in the head of an answer, copied; NULL when there is none. */
static char *header_of(const char *head, const char *body, const char *name)
{
    size_t len = strlen(name);
    const char *line = strstr(head, "\r\n");

    while (line != NULL && line + 2 < body) {
        const char *end = strstr(line + 2, "\r\n");

        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *value = line + len + 1 + strspn(line + len + 1, " ");

            return xstrndup(value, (size_t)(end - value));
        }
        line = end;
    }
    return NULL;
}

static int relay(const struct buf *received, struct answer *answer)
{
    const char *body = strstr(received->data, "\r\n\r\n");
    autofree char *type = NULL;
    autofree char *coding = NULL;
    int status;

    if (body == NULL || sscanf(received->data, "HTTP/%*s %d", &status) != 1 || status < 200)
        return -1;
    body += 4;
    type = header_of(received->data, body, "Content-Type");
    coding = header_of(received->data, body, "Transfer-Encoding");
    answer->status = status;
    if (type != NULL)
        answer_header(answer, "Content-Type: %s", type);
    if (coding != NULL && strcasecmp(coding, "chunked") == 0)
        unchunk(body, received->data + received->len, &answer->body);
    else
        buf_add(&answer->body, body, (size_t)(received->data + received->len - body));
    return 0;
}

static int forward(const struct call *call, const char *backend, struct answer *answer,
                   struct err *err)
{
    autobuf struct buf received = BUF_INIT(ANSWER_CAP);
    struct url_parts url;
    autoclose int fd = -1;

    if (!url_split(backend, &url) || strcmp(url.scheme, "http") != 0 || !host_is_loopback(url.host))
        return kube_fail(err, 502, "", "annotation %s '%s' is no http URL of this machine", BACKEND,
                         backend);
    fd = dial(&url, err);
    if (fd < 0)
        return -1;
    if (send_request(call, fd, &url) < 0 || receive(fd, &received) < 0 ||
        relay(&received, answer) < 0)
        return kube_fail(err, 502, "", "error trying to reach service: '%s' gave no answer",
                         backend);
    return 0;
}

void service_proxy(struct call *call)
{
    autofree char *name = service_name(call->name);
    struct stored *service = store_get(call->api->store, &call->type->resource, call->space, name);
    const char *backend;

    if (service == NULL) {
        respond_fail(call, 404, "NotFound", "services \"%s\" not found", name);
        return;
    }
    backend = json_key_str(json_at(service->object, "metadata.annotations"), BACKEND);
    if (backend == NULL)
        respond_fail(call, 503, "ServiceUnavailable", "no endpoints available for service \"%s\"",
                     name);
    else if (forward(call, backend, call->answer, &call->err) < 0)
        respond_error(call);
    stored_unref(service);
}
