/* An error is a value: a code that callers branch on and a line that people read.
 *
 * It lives on the caller's stack (`struct err err = ERR_INIT;`), is the last parameter of every
 * function that can fail, and is never NULL. Such a function returns 0, or -1 with the error set;
 * its other outputs are then untouched. Setting an error again frees the text before.
 *
 * Texts follow one form: lower case, no full stop, what failed first, the subject in single quotes,
 * and where there is one the way out. The layer above adds context with err_prefix.
 */
#ifndef NECOOPS_BASE_ERR_H
#define NECOOPS_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include "necoops/base/mem.h"

enum err_code {
    ERR_NONE = 0,
    /* one for each exit status of necoops(7) */
    ERR_FAILED,      /* 1: the work was tried and failed */
    ERR_USAGE,       /* 2: wrong use, bad configuration, bad manifest */
    ERR_NO_CLUSTER,  /* 3 */
    ERR_DENIED,      /* 4: no credentials, expired, permission denied */
    ERR_BUSY,        /* 5: another run holds the cluster */
    ERR_TIMEOUT,     /* 6 */
    ERR_CAPACITY,    /* 7: stock-out, quota, rate limit to the end */
    ERR_INTERRUPTED, /* 130: SIGINT */
    ERR_TERMINATED,  /* 143: SIGTERM */
    /* finer ones for callers; status 1 when they reach the top, ERR_INVALID 2 */
    ERR_NOT_FOUND,   /* HTTP 404 */
    ERR_EXISTS,      /* HTTP 409 alreadyExists */
    ERR_CONFLICT,    /* HTTP 409, 412: somebody wrote in between; read again */
    ERR_GONE,        /* HTTP 410: a resourceVersion or a session too old */
    ERR_INVALID,     /* HTTP 400, 422: the service calls the request invalid */
    ERR_UNREACHABLE, /* no connection, no answer, TLS failed */
    ERR_PROTOCOL,    /* an answer that makes no sense (not JSON, wrong range) */
};

struct err {
    enum err_code code;
    int http_status; /* of the answer behind it, or 0 */
    int errnum;      /* of the system's error behind it, or 0 */
    char reason[64]; /* the service's own word (`quotaExceeded`, `FieldManagerConflict`), or "" */
    char *text;      /* never NULL once set */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .code = ERR_NONE                                                                           \
    }

/* Both return -1, so that `return err_set(…)` ends the function that failed. */
int err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);
int err_set_errno(struct err *err, enum err_code code, int errnum, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* "context: text"; returns -1. */
int err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text, or "" when no error is set. */
const char *err_text(const struct err *err);
/* The exit status of necoops(7) for this error; 0 when none is set. */
int err_exit_status(const struct err *err);

void err_clear(struct err *err);
/* Moves `from` into `to` (freeing what was there) and leaves `from` empty. */
void err_move(struct err *to, struct err *from);

#define autoerr CLEANUP(err_clear)

#endif
