/* The emulator's HTTP side over libmicrohttpd: listeners, requests, answers, faults, request log.
 * It knows no API. One thread a connection; a handler may block (long polls, watches).
 *
 * Kept for every request, before a handler sees it: loopback peers only; `Host` must name loopback
 * (or the listener's own name); a request with `Origin` is refused (403); a body larger than
 * `body_cap` is refused (413); a fault rule that matches is applied and logged.
 * After the answer one line goes to the request log: {"time","listener","method","path","query",
 * "headers":{"Content-Type","Range"},"body","status","response","fault"?}; `path` is raw (still
 * encoded), `query` an object of name to value or list of values; a JSON body is logged as JSON,
 * another one that is text as a string, else null; secrets (Authorization, assertion, tokens) never
 * are; `response` is the JSON of an answer below 64 KiB.
 */
#ifndef EMULATOR_CORE_SERVER_H
#define EMULATOR_CORE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"

struct server;   /* all listeners of one emulator, with its faults and log */
struct listener; /* one port */

struct request {
    const char *method;
    const char *path;  /* raw, percent-encoded, without the query: "/storage/v1/b/x/o/a%2Fb" */
    struct strv parts; /* the path's segments, decoded: "storage", "v1", "b", "x", "o", "a/b" */
    const char *body;  /* NUL-terminated; never NULL; a large one is a mapped file */
    size_t body_len;
    struct listener *listener;
    void *connection;   /* libmicrohttpd's */
    const char *hidden; /* a header that a fault rule takes away; or NULL */
    int lives;          /* of the listener when it came in */
    struct strv query;  /* name, value, name, value, …; decoded */
};

/* Borrowed; NULL when absent. The first one where a name is repeated. */
const char *request_query(const struct request *request, const char *name);
const char *request_header(const struct request *request, const char *name);
/* Adds name, value, … of "a=b&c=d" ('+' is a blank); -1 when malformed. */
int form_parse(struct strv *pairs, const char *text) MUST_CHECK;
bool request_flag(const struct request *request, const char *name); /* "true" or "1" */
bool request_is(const struct request *request, const char *method);

struct answer {
    int status;          /* 0 is an error of the handler and becomes 500 */
    struct strv headers; /* "Name: value" */
    struct buf body;
    /* Instead of a body: part of a file (closed afterwards). */
    int fd;          /* -1: none */
    uint64_t offset; /* first byte */
    uint64_t length;
    /* Instead of a body: a stream. Writes up to `max` bytes and returns how many; 0 ends it, -1
     * ends the connection. It may block, but for no more than a quarter of a second: then it
     * returns STREAM_IDLE and is called again, unless the peer is gone or the listener stops. */
    ssize_t (*stream)(void *arg, char *out, size_t max);
    void (*stream_end)(void *arg);
    void *stream_arg;
    const char *fault; /* the fault rule behind this answer, for the log; borrowed, or NULL */
};

#define STREAM_IDLE (-2)

void answer_header(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
void answer_text(struct answer *answer, int status, const char *type, const char *text);
/* Takes `value`; Content-Type is application/json. */
void answer_json(struct answer *answer, int status, cJSON *value);

typedef void (*server_handler)(void *service, const struct request *request, struct answer *answer);

struct server_config {
    const char *request_log;   /* file, or NULL */
    const struct strv *faults; /* rules, see fault.h */
    struct log *log;           /* or NULL */
};
int server_new(const struct server_config *config, struct server **out, struct err *err);
/* Stops every listener and waits for their connections, then the timers: afterwards no handler and
 * no timer runs, and parts can be freed (they still call listener_stop for their own listeners). */
void server_stop(struct server *server);
/* The same, and frees; after the parts. */
void server_free(struct server *server);
bool server_stopping(const struct server *server);
/* For a handler that waits: its listener stops, or the peer has closed the connection. */
bool request_abandoned(const struct request *request);

struct listener_spec {
    const char *name; /* "google", "metadata neco-ops", "kubernetes neco-ops": for log and faults */
    uint16_t port;    /* 0: any */
    server_handler handler;
    void *service;
    size_t body_cap; /* 0: 64 MiB */
    /* TLS with PEM texts; client certificates are asked for (not demanded) when ca_pem is given. As
     * with a real API server, one that does not verify against it leaves the handshake alone: the
     * handler finds out (request_client_certificate). */
    const char *cert_pem, *key_pem, *ca_pem;
    const char *extra_host; /* one more name allowed in `Host`, or NULL */
    /* Called when a fault (`down`) has ended the service and all its connections, before it is
     * there again; or NULL. */
    void (*restarted)(void *service);
};
int listener_start(struct server *server, const struct listener_spec *spec, struct listener **out,
                   struct err *err);
/* Ends its connections; afterwards the port refuses. Not to be called from one of its handlers. */
void listener_stop(struct listener *listener);
uint16_t listener_port(const struct listener *listener);
/* The verified client certificate's subject: common name, and organizations added to `groups`.
 * False without one. Caller frees `name`. */
bool request_client_certificate(const struct request *request, char **name, struct strv *groups);
/* True when there is a client certificate that does not verify (expired, of another CA). */
bool request_client_certificate_bad(const struct request *request);

/* Runs `fn(arg)` on the timer thread, once, `ms` from now, unless the server stops before. */
void server_after(struct server *server, int64_t ms, void (*fn)(void *arg), void *arg);

/* The fault rules, for parts that fault something other than a request; see fault.h. */
struct faults *server_faults(struct server *server);

#endif
