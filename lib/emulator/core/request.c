/* A request as handlers see it, and what is refused before they see it. */
#include "emulator/core/internal.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <strings.h>
#include "necoops/base/text.h"

/* Decodes %XX, and '+' as a blank as forms and Google's and Kubernetes' servers do. */
static char *query_decode(const char *text, size_t len)
{
    autofree char *copy = xstrndup(text, len);
    for (char *p = copy; *p != '\0'; p++) {
        if (*p == '+')
            *p = ' ';
    }
    return url_decode(copy, len);
}

static int query_add(struct strv *query, const char *pair, size_t len)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair) : len;
    char *name = query_decode(pair, name_len);
    if (name == NULL)
        return -1;
    char *value = equals != NULL ? query_decode(equals + 1, len - name_len - 1) : xstrdup("");
    if (value == NULL) {
        free(name);
        return -1;
    }
    strv_take(query, name);
    strv_take(query, value);
    return 0;
}

int form_parse(struct strv *query, const char *search)
{
    for (const char *p = search; *p != '\0';) {
        size_t len = strcspn(p, "&");
        if (len > 0 && query_add(query, p, len) < 0)
            return -1;
        p += len + (p[len] == '&');
    }
    return 0;
}

static int path_parse(struct strv *parts, const char *path)
{
    for (const char *p = path; *p != '\0';) {
        size_t len = strcspn(p, "/");
        if (len > 0) {
            char *part = url_decode(p, len);
            if (part == NULL)
                return -1;
            strv_take(parts, part);
        }
        p += len + (p[len] == '/');
    }
    return 0;
}

struct exchange *exchange_new(const char *uri)
{
    struct exchange *exchange = xcalloc(1, sizeof *exchange);
    const char *question = strchr(uri, '?');
    size_t path_len = question != NULL ? (size_t)(question - uri) : strlen(uri);
    exchange->path = xstrndup(uri, path_len);
    exchange->search = xstrdup(question != NULL ? question + 1 : "");
    exchange->malformed = uri[0] != '/' ||
                          path_parse(&exchange->request.parts, exchange->path) < 0 ||
                          form_parse(&exchange->request.query, exchange->search) < 0;
    exchange->request.path = exchange->path;
    exchange->request.body = "";
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    strv_clear(&exchange->request.parts);
    strv_clear(&exchange->request.query);
    body_clear(&exchange->body);
    free(exchange->path);
    free(exchange->search);
    free(exchange);
}

const char *request_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i + 1 < request->query.len; i += 2) {
        if (strcmp(request->query.items[i], name) == 0)
            return request->query.items[i + 1];
    }
    return NULL;
}

const char *request_header(const struct request *request, const char *name)
{
    if (request->hidden != NULL && strcasecmp(request->hidden, name) == 0)
        return NULL;
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool request_flag(const struct request *request, const char *name)
{
    const char *value = request_query(request, name);
    return value != NULL && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

bool request_is(const struct request *request, const char *method)
{
    return strcmp(request->method, method) == 0;
}

bool request_abandoned(const struct request *request)
{
    if (atomic_load(&request->listener->stopping) || server_stopping(request->listener->server) ||
        atomic_load(&request->listener->lives) != request->lives)
        return true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd peer = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* "localhost:8080", "[::1]:8080" → the host alone. */
static char *host_without_port(const char *value)
{
    if (value[0] == '[') {
        const char *end = strchr(value, ']');
        return end != NULL ? xstrndup(value + 1, (size_t)(end - value - 1)) : xstrdup("");
    }
    return xstrndup(value, strcspn(value, ":"));
}

static bool host_allowed(const struct listener *listener, const char *value)
{
    if (value == NULL)
        return false;
    autofree char *host = host_without_port(value);
    if (host_is_loopback(host))
        return true;
    if (strncmp(listener->name, "metadata", 8) == 0 &&
        (strcasecmp(host, "metadata.google.internal") == 0 || strcmp(host, "169.254.169.254") == 0))
        return true;
    return listener->extra_host != NULL && strcasecmp(host, listener->extra_host) == 0;
}

int exchange_check(const struct exchange *exchange, struct answer *answer)
{
    const struct request *request = &exchange->request;
    if (!host_allowed(request->listener, request_header(request, "Host"))) {
        answer_text(answer, 403, "text/plain", "this Host is not served here\n");
        return -1;
    }
    if (request_header(request, "Origin") != NULL) {
        answer_text(answer, 403, "text/plain", "requests of web pages are refused\n");
        return -1;
    }
    if (exchange->malformed) {
        answer_text(answer, 400, "text/plain", "malformed request target\n");
        return -1;
    }
    if (exchange->body.refused) {
        answer_text(answer, 413, "text/plain", "the request's body is too large\n");
        return -1;
    }
    return 0;
}

/* 1: verified, 0: none given, -1: given and not to be trusted. */
static int client_certificate_state(const struct request *request, gnutls_session_t *session)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == NULL || request->listener->ca_pem == NULL)
        return 0;
    unsigned int count = 0, status = 0;
    *session = info->tls_session;
    if (gnutls_certificate_get_peers(*session, &count) == NULL || count == 0)
        return 0;
    return gnutls_certificate_verify_peers2(*session, &status) == 0 && status == 0 ? 1 : -1;
}

static char *subject_value(gnutls_x509_crt_t cert, const char *oid, unsigned int index)
{
    char value[256];
    size_t size = sizeof value;
    if (gnutls_x509_crt_get_dn_by_oid(cert, oid, index, 0, value, &size) < 0)
        return NULL;
    return xstrndup(value, size);
}

bool request_client_certificate(const struct request *request, char **name, struct strv *groups)
{
    gnutls_session_t session = NULL;
    if (client_certificate_state(request, &session) != 1)
        return false;
    unsigned int count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t cert;
    if (gnutls_x509_crt_init(&cert) < 0)
        return false;
    char *found = NULL;
    if (gnutls_x509_crt_import(cert, &chain[0], GNUTLS_X509_FMT_DER) == 0)
        found = subject_value(cert, GNUTLS_OID_X520_COMMON_NAME, 0);
    for (unsigned int i = 0; found != NULL; i++) {
        char *group = subject_value(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, i);
        if (group == NULL)
            break;
        strv_take(groups, group);
    }
    gnutls_x509_crt_deinit(cert);
    if (found == NULL)
        return false;
    *name = found;
    return true;
}

bool request_client_certificate_bad(const struct request *request)
{
    gnutls_session_t session = NULL;
    return client_certificate_state(request, &session) < 0;
}
