/* What the files of the HTTP layer share. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <curl/curl.h>
#include "necoops/base/text.h"
#include "necoops/http/http.h"

enum transfer_state {
    QUEUED,   /* waits for `due` */
    STARTING, /* its credential is being fetched */
    RUNNING,  /* in the hands of libcurl */
    HELD,     /* its try has ended, but a credential is being fetched further up the stack */
    ENDED,    /* to be freed by the outermost drive */
};

/* Why a try was cut off by us. */
enum transfer_cut { CUT_NONE, CUT_TIMEOUT, CUT_STALL };

struct retry_cause {
    CURLcode code; /* CURLE_OK: it was answered */
    enum transfer_cut cut;
    long proxy_said; /* what a proxy answered to CONNECT; 0: nothing, or there is none */
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    enum transfer_state state;
    bool cancelled;           /* the owner is gone: nothing of its is touched any more */
    bool for_credential;      /* part of fetching a credential */
    bool multiplexed;         /* may be a stream among others on one connection */
    struct retry_cause cause; /* how the last try ended */

    struct http_request request; /* its strings live in `strings`, its headers in `headers` */
    struct strv strings;
    struct strv headers;
    struct url_parts url;
    struct http_handler handler;

    struct http_response response;
    size_t head_bytes;
    bool head_done;
    bool delivered;      /* a piece of the body was handed over */
    bool has_credential; /* this try carries one */
    bool renewed;        /* a 401 was answered with a fresh credential once */
    struct err err;      /* set: the transfer is given up */
    struct err last;     /* why the try before this one failed */

    int tries;
    int64_t first_start;
    int64_t due;
    int64_t try_start;
    int64_t last_moved;
    uint64_t trickle; /* bytes since, not enough yet to count as life */
    curl_off_t last_upload;
    bool want_pause;
    bool is_paused;
    int64_t paused_at;

    CURL *easy;
    struct curl_slist *lines;
    struct curl_slist *connect_to;
    char *proxy;        /* "host:port"; NULL: none */
    bool proxy_may_not; /* NO_PROXY may exclude this host: libcurl decides */
    char curl_error[CURL_ERROR_SIZE];
};

struct http {
    const struct run *run;
    CURLM *multi;
    CURL *spare; /* an easy handle to use again */
    struct http_transfer *first;
    struct http_transfer **tail;
    char *ca_fallback;    /* of CA certificates, where the system has none; or NULL */
    struct strv answered; /* "host:port" that answered once */
    int depth;            /* nested drives */
    bool in_curl;         /* libcurl is at work: nothing of it may be touched */
    bool authenticating;  /* a credential is being fetched */
    unsigned long moves;  /* counts what a drive returns early for */
};

/* ---- transfer.c: a try ---- */
/* Hands the transfer to libcurl; -1: `err` says why it cannot be. */
int transfer_begin(struct http_transfer *transfer, struct err *err);
/* Takes it out of libcurl's hands. */
void transfer_detach(struct http_transfer *transfer);
void transfer_free(struct http_transfer *transfer);
/* Makes what http_pause asked for true; not CURLE_OK: that ended the try. */
CURLcode transfer_apply_pause(struct http_transfer *transfer);
/* Cut off for taking too long? */
enum transfer_cut transfer_overdue(struct http_transfer *transfer, int64_t now);
/* Milliseconds until transfer_overdue may say otherwise. */
int64_t transfer_patience(const struct http_transfer *transfer, int64_t now);

/* ---- retry.c: what may be tried again, and when ---- */
/* True when another try was scheduled (`due` is set). */
bool retry_schedule(struct http_transfer *transfer);

/* ---- describe.c ---- */
/* Sets `last` to how the try ended, when it was no success; libcurl must still hold it. */
void describe_try(struct http_transfer *transfer);
/* The run is over: adds what this transfer was waiting for. */
void describe_run_end(const struct http_transfer *transfer, struct err *err);

/* ---- redact.c ---- */
/* A copy without secrets; caller frees. */
char *redact_text(const char *text, size_t len);

/* ---- trace.c ---- */
void trace_request(const struct http_transfer *transfer);
void trace_answer(const struct http_transfer *transfer);

/* ---- ca.c ---- */
/* The CA certificates that came with the programs, when the system has none; or NULL. */
char *ca_fallback(void);
/* CURL_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR, the system's, the fallback: the first that is there. */
void ca_set(const struct http *http, CURL *easy);

/* ---- proxy.c ---- */
struct proxy_choice {
    const char *url;     /* borrowed; "" : none */
    const char *exclude; /* hosts reached without it, as libcurl takes them */
};
struct proxy_choice proxy_choose(const struct run *run, const struct http_transfer *transfer);
/* "host:port" of a proxy's URL, without user and password; caller frees. */
char *proxy_name(const char *url);

#endif
