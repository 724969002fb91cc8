/* What the files of the HTTP side share; see server.h. */
#ifndef EMULATOR_CORE_INTERNAL_H
#define EMULATOR_CORE_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include "emulator/core/body.h"
#include "emulator/core/fault.h"
#include "emulator/core/server.h"
#include "necoops/base/log.h"

struct request_log;
struct timers;

struct server {
    struct log *log;
    struct request_log *request_log; /* NULL: none */
    struct faults *faults;
    struct timers *timers;
    pthread_mutex_t lock;   /* over `listeners` and each one's `daemon` and `state` */
    pthread_cond_t stopped; /* a listener became LISTENER_STOPPED */
    struct listener *listeners;
    atomic_bool stopping;
};

enum listener_state { LISTENER_RUNNING, LISTENER_STOPPING, LISTENER_STOPPED };

struct listener {
    struct server *server;
    struct listener *next;
    char *name;
    char *extra_host;
    server_handler handler;
    void *service;
    size_t body_cap;
    char *ca_pem;
    struct MHD_Daemon *daemon;
    enum listener_state state;
    uint16_t port;
    atomic_bool stopping;
    void (*restarted)(void *service);
    atomic_int lives;           /* one more each time that it went down */
    _Atomic int64_t down_until; /* monotonic ms */
};

/* One request as it comes in, from its first line to its end. */
struct exchange {
    struct request request;
    char *path;   /* request.path */
    char *search; /* the raw query, "" when there is none */
    struct body body;
    bool malformed; /* bad percent-encoding */
    struct fault_action fault;
};

/* request.c */
struct exchange *exchange_new(const char *uri);
void exchange_free(struct exchange *exchange);
/* 0, or the answer of a request that may not reach a handler is filled in and -1. */
int exchange_check(const struct exchange *exchange, struct answer *answer);

/* answer.c */
void answer_init(struct answer *answer);
void answer_clear(struct answer *answer);
/* Hands the answer (with what its fault does to it) to libmicrohttpd; the answer is empty after. */
enum MHD_Result answer_send(struct answer *answer, struct exchange *exchange,
                            struct MHD_Connection *connection);
/* Ends a connection with a RST. */
void connection_reset(struct MHD_Connection *connection);

/* request_log.c */
int request_log_new(const char *path, struct request_log **out, struct err *err);
void request_log_free(struct request_log *log);
void request_log_write(struct request_log *log, const struct exchange *exchange,
                       const struct answer *answer);

/* timers.c */
struct timers *timers_new(void);
/* Waits for what is running; what is not due yet never runs. NULL is fine. */
void timers_stop(struct timers *timers);
void timers_free(struct timers *timers);
void timers_add(struct timers *timers, int64_t ms, void (*fn)(void *arg), void *arg);

#endif
