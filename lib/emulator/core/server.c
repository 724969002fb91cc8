/* Listeners and the way of a request through them; see server.h. */
#include "emulator/core/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>

#define DEFAULT_BODY_CAP  ((size_t)64 << 20)
#define CONNECTION_MEMORY ((size_t)256 << 10)

int server_new(const struct server_config *config, struct server **out, struct err *err)
{
    struct server *server = xcalloc(1, sizeof *server);
    server->log = config->log;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->stopped, NULL);
    if (faults_new(config->faults, &server->faults, err) < 0 ||
        (config->request_log != NULL &&
         request_log_new(config->request_log, &server->request_log, err) < 0)) {
        server_free(server);
        return -1;
    }
    server->timers = timers_new();
    if (server->timers == NULL) {
        server_free(server);
        return err_set(err, ERR_FAILED, "the timer thread cannot be started");
    }
    *out = server;
    return 0;
}

/* Returns once no handler of it runs, whoever stops it. */
static void stop_daemon(struct listener *listener)
{
    struct server *server = listener->server;
    atomic_store(&listener->stopping, true);
    pthread_mutex_lock(&server->lock);
    if (listener->state == LISTENER_RUNNING) {
        listener->state = LISTENER_STOPPING;
        pthread_mutex_unlock(&server->lock);
        MHD_stop_daemon(listener->daemon);
        pthread_mutex_lock(&server->lock);
        listener->state = LISTENER_STOPPED;
        pthread_cond_broadcast(&server->stopped);
    }
    while (listener->state != LISTENER_STOPPED)
        pthread_cond_wait(&server->stopped, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static struct listener *next_running(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    struct listener *listener = server->listeners;
    while (listener != NULL && listener->state != LISTENER_RUNNING)
        listener = listener->next;
    pthread_mutex_unlock(&server->lock);
    return listener;
}

void server_stop(struct server *server)
{
    atomic_store(&server->stopping, true);
    timers_stop(server->timers);
    for (struct listener *one; (one = next_running(server)) != NULL;)
        stop_daemon(one);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    server_stop(server);
    while (server->listeners != NULL)
        listener_stop(server->listeners);
    timers_free(server->timers);
    request_log_free(server->request_log);
    faults_free(server->faults);
    pthread_cond_destroy(&server->stopped);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

bool server_stopping(const struct server *server)
{
    return atomic_load(&((struct server *)server)->stopping);
}

void server_after(struct server *server, int64_t ms, void (*fn)(void *arg), void *arg)
{
    timers_add(server->timers, ms, fn, arg);
}

struct faults *server_faults(struct server *server)
{
    return server->faults;
}

/* ---- one request ---- */

static void answer_fault(const struct fault_action *fault, struct answer *answer)
{
    if (fault->retry_after != NULL)
        answer_header(answer, "Retry-After: %s", fault->retry_after);
    if (fault->kind == FAULT_HTML) {
        answer_text(answer, fault->status, "text/html; charset=UTF-8",
                    "<!DOCTYPE html>\n<html lang=en><title>Error (Server Error)!!1</title>"
                    "<p>The server encountered a temporary error and could not complete your "
                    "request.</html>\n");
    } else if (fault->kind == FAULT_BADJSON) {
        answer_text(answer, 200, "application/json; charset=UTF-8", "{\"kind\": \"compute#");
    } else if (fault->body != NULL) {
        answer_text(answer, fault->status, "text/plain; charset=UTF-8", fault->body);
    } else {
        cJSON *envelope = json_object();
        cJSON *error = json_set_object(envelope, "error");
        json_set_i64(error, "code", fault->status);
        json_set_str(error, "message", fault->message);
        cJSON *item = json_object();
        json_set_str(item, "message", fault->message);
        json_set_str(item, "domain", "global");
        json_set_str(item, "reason", fault->reason);
        json_push(json_set_array(error, "errors"), item);
        answer_json(answer, fault->status, envelope);
    }
}

static bool hides_answer(const struct fault_action *fault)
{
    switch (fault->kind) {
    case FAULT_STATUS:
    case FAULT_HTML:
    case FAULT_BADJSON:
    case FAULT_RESET:
    case FAULT_CLOSE:
    case FAULT_DOWN:
        return true;
    default:
        return false;
    }
}

static void find_fault(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    struct fault_subject subject = {.listener = request->listener->name,
                                    .method = request->method,
                                    .path = exchange->path,
                                    .query = exchange->search};
    struct server *server = request->listener->server;
    if (!faults_request(server->faults, &subject, &exchange->fault))
        return;
    if (exchange->fault.kind == FAULT_DROP)
        exchange->request.hidden = exchange->fault.header;
    if (server->log != NULL)
        log_info(server->log, "fault '%s' hits %s %s", exchange->fault.rule, request->method,
                 exchange->path);
}

static void handle(struct exchange *exchange, struct answer *answer)
{
    struct listener *listener = exchange->request.listener;
    if (exchange_check(exchange, answer) < 0)
        return;
    find_fault(exchange);
    bool hidden = hides_answer(&exchange->fault);
    if (!hidden || exchange->fault.after) {
        listener->handler(listener->service, &exchange->request, answer);
        if (answer->status == 0) {
            answer_clear(answer);
            answer_text(answer, 500, "text/plain", "the emulator has no answer to this\n");
        }
    }
    if (hidden) {
        answer_clear(answer);
        answer_fault(&exchange->fault, answer);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void go_down(struct listener *listener, int64_t ms)
{
    atomic_store(&listener->down_until, now_ms() + ms);
    if (listener->restarted != NULL)
        listener->restarted(listener->service);
    atomic_fetch_add(&listener->lives, 1);
}

static bool is_down(struct listener *listener)
{
    return now_ms() < atomic_load(&listener->down_until);
}

static bool ends_connection(enum fault_kind kind)
{
    return kind == FAULT_RESET || kind == FAULT_CLOSE || kind == FAULT_DOWN;
}

static enum MHD_Result finish(struct exchange *exchange, struct MHD_Connection *connection)
{
    struct answer answer;
    if (is_down(exchange->request.listener)) {
        connection_reset(connection);
        return MHD_NO;
    }
    answer_init(&answer);
    const char *body = body_finish(&exchange->body);
    if (body != NULL) {
        exchange->request.body = body;
        exchange->request.body_len = exchange->body.len;
    }
    handle(exchange, &answer);
    bool gone = ends_connection(exchange->fault.kind);
    if (gone)
        answer_clear(&answer);
    struct request_log *log = exchange->request.listener->server->request_log;
    if (log != NULL)
        request_log_write(log, exchange, &answer);
    if (!gone)
        return answer_send(&answer, exchange, connection);
    if (exchange->fault.kind == FAULT_DOWN)
        go_down(exchange->request.listener, exchange->fault.number);
    if (exchange->fault.kind != FAULT_CLOSE)
        connection_reset(connection);
    return MHD_NO;
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct listener *listener = arg;
    struct exchange *exchange = exchange_new(uri);
    exchange->request.listener = listener;
    exchange->request.connection = connection;
    exchange->request.lives = atomic_load(&listener->lives);
    body_init(&exchange->body, listener->body_cap);
    return exchange;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context)
{
    (void)arg;
    (void)url;
    (void)version;
    struct exchange *exchange = *context;
    if (exchange->request.method == NULL) {
        /* Headers are read; the body comes with the next calls. */
        exchange->request.method = method;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        body_add(&exchange->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return finish(exchange, connection);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    exchange_free(*context);
    *context = NULL;
}

static enum MHD_Result on_accept(void *arg, const struct sockaddr *address, socklen_t len)
{
    (void)arg;
    if (address->sa_family != AF_INET || len < sizeof(struct sockaddr_in))
        return MHD_NO;
    const struct sockaddr_in *peer = (const struct sockaddr_in *)(const void *)address;
    return ntohl(peer->sin_addr.s_addr) >> 24 == 127 ? MHD_YES : MHD_NO;
}

/* ---- listeners ---- */

static void listener_free(struct listener *listener)
{
    free(listener->name);
    free(listener->extra_host);
    free(listener->ca_pem);
    free(listener);
}

static struct MHD_Daemon *start_daemon(struct listener *listener, const struct listener_spec *spec)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(spec->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_OptionItem tls[4];
    size_t n = 0;
    unsigned int flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                         MHD_USE_POLL | MHD_USE_ITC;
    if (spec->cert_pem != NULL) {
        flags |= MHD_USE_TLS;
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                           (void *)(uintptr_t)spec->cert_pem};
        tls[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)spec->key_pem};
        if (spec->ca_pem != NULL)
            tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
                                               (void *)(uintptr_t)spec->ca_pem};
    }
    tls[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, on_accept, NULL, on_access, NULL, MHD_OPTION_URI_LOG_CALLBACK,
                            on_uri, listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                            MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, 4096u, MHD_OPTION_ARRAY,
                            tls, MHD_OPTION_END);
}

int listener_start(struct server *server, const struct listener_spec *spec, struct listener **out,
                   struct err *err)
{
    struct listener *listener = xcalloc(1, sizeof *listener);
    listener->server = server;
    listener->name = xstrdup(spec->name);
    listener->extra_host = spec->extra_host != NULL ? xstrdup(spec->extra_host) : NULL;
    listener->ca_pem = spec->ca_pem != NULL ? xstrdup(spec->ca_pem) : NULL;
    listener->handler = spec->handler;
    listener->service = spec->service;
    listener->restarted = spec->restarted;
    listener->body_cap = spec->body_cap != 0 ? spec->body_cap : DEFAULT_BODY_CAP;
    errno = 0;
    listener->daemon = start_daemon(listener, spec);
    if (listener->daemon == NULL) {
        int error = errno;
        listener_free(listener);
        return err_set_errno(err, ERR_FAILED, error, "'%s' cannot listen on 127.0.0.1:%d",
                             spec->name, spec->port);
    }
    listener->port = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    pthread_mutex_lock(&server->lock);
    listener->next = server->listeners;
    server->listeners = listener;
    pthread_mutex_unlock(&server->lock);
    *out = listener;
    return 0;
}

void listener_stop(struct listener *listener)
{
    if (listener == NULL)
        return;
    struct server *server = listener->server;
    stop_daemon(listener);
    pthread_mutex_lock(&server->lock);
    for (struct listener **at = &server->listeners; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    pthread_mutex_unlock(&server->lock);
    listener_free(listener);
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}
