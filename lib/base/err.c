#include "necoops/base/err.h"

#include <stdlib.h>
#include <string.h>

/* Takes `text`; what was there is freed last, because the new text may have been made of it. */
static void replace(struct err *err, enum err_code code, char *text)
{
    free(err->text);
    err->code = code;
    err->http_status = 0;
    err->errnum = 0;
    err->reason[0] = '\0';
    err->text = text;
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    replace(err, code, text);
    return -1;
}

int err_set_errno(struct err *err, enum err_code code, int errnum, const char *format, ...)
{
    char space[128];
    va_list args;
    autofree char *what = NULL;

    va_start(args, format);
    what = xvasprintf(format, args);
    va_end(args);
    replace(err, code, xasprintf("%s: %s", what, strerror_r(errnum, space, sizeof(space))));
    err->errnum = errnum;
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    va_list args;
    autofree char *context = NULL;
    char *text;

    va_start(args, format);
    context = xvasprintf(format, args);
    va_end(args);
    text = err->text != NULL ? xasprintf("%s: %s", context, err->text) : steal(context);
    free(err->text);
    err->text = text;
    if (err->code == ERR_NONE)
        err->code = ERR_FAILED;
    return -1;
}

const char *err_text(const struct err *err)
{
    return err->text != NULL ? err->text : "";
}

int err_exit_status(const struct err *err)
{
    switch (err->code) {
    case ERR_NONE:
        return 0;
    case ERR_USAGE:
    case ERR_INVALID:
        return 2;
    case ERR_NO_CLUSTER:
        return 3;
    case ERR_DENIED:
        return 4;
    case ERR_BUSY:
        return 5;
    case ERR_TIMEOUT:
        return 6;
    case ERR_CAPACITY:
        return 7;
    case ERR_INTERRUPTED:
        return 130;
    case ERR_TERMINATED:
        return 143;
    case ERR_FAILED:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_GONE:
    case ERR_UNREACHABLE:
    case ERR_PROTOCOL:
        break;
    }
    return 1;
}

void err_clear(struct err *err)
{
    replace(err, ERR_NONE, NULL);
}

void err_move(struct err *to, struct err *from)
{
    if (to == from)
        return;
    free(to->text);
    *to = *from;
    *from = (struct err)ERR_INIT;
}
