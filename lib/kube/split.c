#include "internal.h"

#include <string.h>

/* etcd takes objects of 1.5 MiB at most. */
#define PIECE_CAP BUF_MEDIUM
#define SHELL_CAP BUF_SMALL
#define KEY_CAP   64

void kube_split_init(struct kube_split *split, bool list,
                     int (*each)(void *arg, const char *text, size_t len, struct err *err),
                     void *arg)
{
    *split = (struct kube_split){.list = list, .each = each, .arg = arg};
    buf_init(&split->piece, PIECE_CAP);
    buf_init(&split->shell, SHELL_CAP);
    buf_init(&split->key, KEY_CAP);
}

void kube_split_clear(struct kube_split *split)
{
    buf_clear(&split->piece);
    buf_clear(&split->shell);
    buf_clear(&split->key);
}

/* Depth at which an object is a piece: inside `items`, or at the top of a stream. */
static int piece_depth(const struct kube_split *split)
{
    return split->list ? 2 : 0;
}

static bool in_piece(const struct kube_split *split)
{
    return split->list ? split->in_items && split->depth > 2 : split->depth > 0;
}

static int keep(struct kube_split *split, const char *data, size_t len, struct err *err)
{
    if (in_piece(split)) {
        if (buf_add(&split->piece, data, len) != 0) {
            return err_set(err, ERR_PROTOCOL, "the answer holds an object larger than %zu bytes",
                           split->piece.cap);
        }
        return 0;
    }
    if (split->list && !split->in_items && buf_add(&split->shell, data, len) != 0) {
        return err_set(err, ERR_PROTOCOL, "the answer is not a list of objects");
    }
    return 0;
}

/* The bytes of a string up to its end or the end of the data; returns how many. */
static size_t scan_string(struct kube_split *split, const char *data, size_t len)
{
    size_t i = 0;

    for (; i < len; i++) {
        if (split->escaped) {
            split->escaped = false;
        } else if (data[i] == '\\') {
            split->escaped = true;
        } else if (data[i] == '"') {
            split->in_string = false;
            i++;
            break;
        }
    }
    if (split->list && split->depth == 1 && !split->in_items) {
        /* a key that is too long for the buffer is not "items" */
        (void)buf_add(&split->key, data, i - (split->in_string ? 0 : 1));
    }
    return i;
}

static int opened(struct kube_split *split, char c, struct err *err)
{
    if (split->depth >= JSON_MAX_DEPTH) {
        return err_set(err, ERR_PROTOCOL, "the answer is nested too deeply");
    }
    if (split->list && split->depth == 1 && c == '[' && split->after_items_key) {
        if (buf_adds(&split->shell, "[") != 0) {
            return err_set(err, ERR_PROTOCOL, "the answer is not a list of objects");
        }
        split->in_items = true;
        split->depth++;
        return 0;
    }
    split->depth++;
    return keep(split, &c, 1, err);
}

static int closed(struct kube_split *split, char c, struct err *err)
{
    bool inside = in_piece(split);

    if (split->depth == 0) {
        return err_set(err, ERR_PROTOCOL, "the answer is no JSON");
    }
    if (split->in_items && split->depth == 2) {
        split->in_items = false;
        split->depth--;
        return keep(split, &c, 1, err);
    }
    if (keep(split, &c, 1, err) != 0) {
        return -1;
    }
    split->depth--;
    if (inside && split->depth == piece_depth(split)) {
        int rc = split->each(split->arg, split->piece.data, split->piece.len, err);

        buf_reset(&split->piece);
        return rc;
    }
    return 0;
}

static int structural(struct kube_split *split, char c, struct err *err)
{
    if (c == '{' || c == '[') {
        int rc = opened(split, c, err);

        split->after_items_key = false;
        return rc;
    }
    if (c == '}' || c == ']') {
        return closed(split, c, err);
    }
    if (split->list && split->depth == 1 && !split->in_items) {
        if (c == ':') {
            split->after_items_key =
                !split->key.overflowed && strcmp(split->key.data, "items") == 0;
        } else if (!strchr(" \t\r\n", c)) {
            split->after_items_key = false;
        }
    }
    if (c == '"') {
        split->in_string = true;
        buf_reset(&split->key);
    }
    return keep(split, &c, 1, err);
}

/* How many bytes from here on have no meaning for the cutting. */
static size_t plain_run(const char *data, size_t len)
{
    size_t i = 0;

    while (i < len && data[i] != '"' && data[i] != '{' && data[i] != '}' && data[i] != '[' &&
           data[i] != ']' && data[i] != ':') {
        i++;
    }
    return i;
}

int kube_split_feed(struct kube_split *split, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        size_t used = 0;

        if (split->in_string) {
            used = scan_string(split, data, len);
        } else if (in_piece(split)) {
            used = plain_run(data, len);
        }
        if (used > 0) {
            if (keep(split, data, used, err) != 0) {
                return -1;
            }
        } else {
            used = 1;
            if (structural(split, data[0], err) != 0) {
                return -1;
            }
        }
        data += used;
        len -= used;
    }
    return 0;
}
