/* HTTP over libcurl's multi interface. It knows no API: who calls says what may be tried again.
 *
 * TLS is verified; HTTP/2 where offered; connections are reused; every try has a deadline and every
 * wait ends with the run. Tried again (full-jitter exponential back-off from 1 s, factor 2, at most
 * 32 s, `Retry-After` obeyed, until `retry_ms` or the run's deadline is used up): a request that is
 * `idempotent` and met a refused, lost or timed-out connection, 408, 429, or 5xx but 501, and
 * whatever `again` says of an answer. A 401 is tried once more with a fresh credential.
 * A host that never answered and cannot be connected to is given up after 5 s: there it is the
 * address that is wrong. Redirects are not followed. No header named Authorization, and no query
 * value or body that holds a token, is ever logged; -vv shows the rest. Proxies come from the
 * environment as curl(1) reads it, but loopback is never reached through one.
 */
#ifndef NECOOPS_HTTP_HTTP_H
#define NECOOPS_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

struct http; /* a set of connections; one for each run, not thread-safe */

int http_new(const struct run *run, struct http **out, struct err *err) MUST_CHECK;
void http_free(struct http *http);
const struct run *http_run(const struct http *http);
/* The file of the certificates that are trusted where a request names none, from the environment or
 * beside the programs; NULL: the system's. Borrowed. */
const char *http_ca_file(const struct http *http);
void http_freep(struct http **http);
#define autohttp CLEANUP(http_freep)

struct http_response {
    int status;
    struct strv headers; /* "Name: value" as received */
    struct buf body;
    int tries; /* how many it took; more than one: an earlier one may have been carried out */
};

/* The header's value, or NULL; names compare without case. */
const char *http_header(const struct http_response *response, const char *name);
/* When it was sent by the server's clock (wall_ms); false when it does not say. */
bool http_date(const struct http_response *response, int64_t *wall_ms);
/* What came, for an error: "answered 502 with an HTML page ('Bad Gateway')", "answered 500: text";
 * bounded and with control characters made visible. Caller frees. */
char *http_summary(const struct http_response *response);
void http_response_init(struct http_response *response, size_t cap);
void http_response_clear(struct http_response *response);
#define autoresponse CLEANUP(http_response_clear)

/* Where credentials come from. `header` adds the value of the Authorization header ("Bearer …") for
 * a request to `url`, or nothing when that URL must get none. `refused`: it was answered 401. */
struct http_auth {
    int (*header)(void *arg, const char *url, struct buf *value, struct err *err);
    void (*refused)(void *arg);
    void *arg;
    const char *extra; /* a further header, sent with the credential ("Name: value"); or NULL */
};

struct http_tls {
    const char *ca_pem;   /* the only CAs trusted; NULL: the system's */
    const char *cert_pem; /* client certificate and key, or NULL */
    const char *key_pem;
    const char *server_name; /* name to send and to verify, when not the URL's host */
    bool insecure;           /* verification off; only where a user's kubeconfig says so */
};

struct http_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body;           /* borrowed until the request has ended */
    size_t body_len;
    const char *content_type;
    size_t cap;         /* most bytes of an answer kept in memory; 0: the response's, BUF_MEDIUM */
    int64_t timeout_ms; /* of one try; 0: 60 s; -1: no limit (a stream) */
    int64_t stall_ms; /* a try without a byte for so long has failed; 0: 30 s; -1: may be silent */
    uint64_t stall_bytes; /* less of a body than this in that time is a stall, too; 0: no byte is */
    int64_t retry_ms;     /* time for all tries; 0: 2 minutes; -1: one try only */
    bool idempotent;      /* may be sent twice; GET and HEAD always are */
    bool secret;          /* its bodies are never logged */
    bool http1;           /* HTTP/1.1 on a connection of its own (parts of a download, a watch) */
    bool (*again)(const struct http_response *response); /* further answers worth another try */
    const struct http_auth *auth;
    const struct http_tls *tls;
    const char *proxy; /* NULL: from the environment; "" : none */
    const char *what;  /* for errors and logs: "instance 'neco-ops'"; NULL: the URL's host */
};

/* In both ways of asking, strings are copied; `body`, `auth` and `tls` are borrowed until the
 * request has ended. */

/* Waits for the answer, whatever its status: 0. -1: no answer (ERR_UNREACHABLE, ERR_TIMEOUT, …),
 * an answer beyond the cap (ERR_PROTOCOL), the run's end, or no credential. `response` was init by
 * http_response_init or is zeroed. */
int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *response, struct err *err) MUST_CHECK;

/* ---- many at once, and streams ---- */

struct http_transfer; /* belongs to the http; gone once `done` was called or it was cancelled */

/* `head` and `data` are called while libcurl is at work: they may start, pause and cancel
 * transfers, but not wait (http_perform, http_drive). `done` may do all of it. */
struct http_handler {
    /* Optional: the head of a 2xx answer, before its body; -1 gives the transfer up. */
    int (*head)(void *arg, const struct http_response *head, struct err *err);
    /* Optional: a piece of a 2xx body, which is then not kept; -1 gives the transfer up. Once a
     * piece was handed over, the transfer is not tried again by this layer. Bodies of other
     * statuses are kept in the response. */
    int (*data)(void *arg, const void *data, size_t len, struct err *err);
    /* Always called once, unless cancelled. `err` is set when there was no (whole) answer. */
    void (*done)(void *arg, struct http_response *response, struct err *err);
    void *arg;
};

struct http_transfer *http_start(struct http *http, const struct http_request *request,
                                 const struct http_handler *handler);
void http_cancel(struct http_transfer *transfer);
/* Flow control of a streamed body. */
void http_pause(struct http_transfer *transfer, bool paused);
/* Moves all transfers on for at most `ms`, returning early when one ended or moved. Handlers are
 * called from here. -1 when the run is to end; transfers stay as they are. `extra_fd` (-1: none)
 * being readable ends the wait as well. */
int http_drive(struct http *http, int64_t ms, int extra_fd, const char *what,
               struct err *err) MUST_CHECK;
size_t http_active(const struct http *http);

#endif
