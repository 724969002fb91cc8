/* Lists in pages, one item in memory at a time. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define PAGE_ITEMS 500

struct kube_lister {
    struct kube *kube;
    char *path, *what;
    struct kube_lister_handler handler;
    struct http_transfer *transfer;
    struct kube_split split;
};

static void lister_free(struct kube_lister *lister)
{
    kube_split_clear(&lister->split);
    free(lister->path);
    free(lister->what);
    free(lister);
}

static void end(struct kube_lister *lister, const char *version, struct err *err)
{
    struct kube_lister_handler handler = lister->handler;

    lister_free(lister);
    handler.done(handler.arg, version, err);
}

static int one_item(void *arg, const char *text, size_t len, struct err *err)
{
    struct kube_lister *lister = arg;
    autojson cJSON *item = NULL;

    if (json_parse(text, len, "an item of the list", &item, err) != 0) {
        return -1;
    }
    return lister->handler.each(lister->handler.arg, item, err);
}

static int page_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct kube_lister *lister = arg;

    return kube_split_feed(&lister->split, data, len, err);
}

static void start_page(struct kube_lister *lister, const char *next);

/* What stands around the items: the version, and how to go on. */
static int read_shell(struct kube_lister *lister, cJSON **out, struct err *err)
{
    const struct kube_split *split = &lister->split;

    if (json_parse(split->shell.data, split->shell.len, "the list", out, err) != 0) {
        return -1;
    }
    if (!text_ends(json_str_or(*out, "kind", ""), "List")) {
        json_freep(out);
        return err_set(err, ERR_PROTOCOL, "the answer is not a list of objects");
    }
    return 0;
}

static void page_done(void *arg, struct http_response *response, struct err *err)
{
    struct kube_lister *lister = arg;
    autofree char *what = xstrdup(lister->what);
    autojson cJSON *shell = NULL;
    const char *next;

    lister->transfer = NULL;
    if (err->code == ERR_NONE && (response->status < 200 || response->status > 299)) {
        (void)kube_error(response, what, err);
    } else if (err->code == ERR_NONE && read_shell(lister, &shell, err) != 0) {
        err_prefix(err, "%s", what);
    }
    if (err->code != ERR_NONE) {
        end(lister, NULL, err);
        return;
    }
    next = json_str_or(shell, "metadata.continue", "");
    if (next[0]) {
        start_page(lister, next);
    } else {
        end(lister, json_str_or(shell, "metadata.resourceVersion", ""), err);
    }
}

static void start_page(struct kube_lister *lister, const char *next)
{
    const char *joint = strchr(lister->path, '?') ? "&" : "?";
    autofree char *token = next ? url_encode(next) : NULL;
    autofree char *path = xasprintf("%s%slimit=%d%s%s", lister->path, joint, PAGE_ITEMS,
                                    token ? "&continue=" : "", token ? token : "");
    autofree char *url = kube_url(lister->kube, path);
    struct http_request request = kube_request(lister->kube, url, lister->what);
    struct http_handler handler = {.data = page_data, .done = page_done, .arg = lister};

    kube_split_clear(&lister->split);
    kube_split_init(&lister->split, true, one_item, lister);
    request.retry_ms = -1; /* who waits for the list tries again */
    lister->transfer = http_start(lister->kube->http, &request, &handler);
}

struct kube_lister *kube_lister_start(struct kube *kube, const char *path, const char *what,
                                      const struct kube_lister_handler *handler)
{
    struct kube_lister *lister = xcalloc(1, sizeof(*lister));

    lister->kube = kube;
    lister->path = xstrdup(path);
    lister->what = xstrdup(what);
    lister->handler = *handler;
    start_page(lister, NULL);
    return lister;
}

void kube_lister_cancel(struct kube_lister *lister)
{
    if (lister->transfer) {
        http_cancel(lister->transfer);
    }
    lister_free(lister);
}

/* ---- a list that is waited for ---- */

struct waiting {
    int (*each)(void *arg, const cJSON *item, struct err *err);
    void *arg;
    size_t delivered;
    bool ended;
    char *version;
    struct err err;
};

static int waiting_each(void *arg, const cJSON *item, struct err *err)
{
    struct waiting *waiting = arg;

    waiting->delivered++;
    return waiting->each(waiting->arg, item, err);
}

static void waiting_done(void *arg, const char *version, struct err *err)
{
    struct waiting *waiting = arg;

    waiting->ended = true;
    if (err->code != ERR_NONE) {
        err_move(&waiting->err, err);
    } else {
        waiting->version = xstrdup(version);
    }
}

static int list_once(struct kube *kube, const char *path, const char *what, struct waiting *waiting,
                     struct err *err)
{
    struct kube_lister_handler handler = {waiting_each, waiting_done, waiting};
    struct kube_lister *lister;

    waiting->ended = false;
    if (kube_prepare(kube, err) != 0) {
        return -1;
    }
    lister = kube_lister_start(kube, path, what, &handler);
    while (!waiting->ended) {
        if (http_drive(kube->http, 1000, -1, what, err) != 0) {
            if (!waiting->ended) {
                kube_lister_cancel(lister);
            }
            return -1;
        }
    }
    if (waiting->err.code != ERR_NONE) {
        err_move(err, &waiting->err);
        return -1;
    }
    return 0;
}

int kube_list(struct kube *kube, const char *path, const char *what,
              int (*each)(void *arg, const cJSON *item, struct err *err), void *arg, char **version,
              struct err *err)
{
    struct waiting waiting = {.each = each, .arg = arg};
    const struct run *run = http_run(kube->http);

    for (int64_t pause_ms = 250;; pause_ms *= 2) {
        if (list_once(kube, path, what, &waiting, err) == 0) {
            break;
        }
        /* items that were handed over cannot be taken back */
        bool again = err->code == ERR_UNREACHABLE && waiting.delivered == 0 && pause_ms <= 8000;
        if (!again || run_sleep(run, pause_ms, what, err) != 0) {
            return -1;
        }
        err_clear(err);
    }
    if (version) {
        *version = waiting.version;
    } else {
        free(waiting.version);
    }
    return 0;
}
