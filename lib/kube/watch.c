#include "internal.h"

#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/kube/watch.h"

#define WATCH_SECONDS  240
#define PAUSE_FIRST_MS 250
#define PAUSE_MAX_MS   8000
/* A watch that the server ends sooner than this is taken up again only after a pause. */
#define WATCH_SHORT_MS 1000
/* A server that starts may say 403 or 404 for a while. */
#define STARTING_MS 30000

struct known {
    char *key; /* "namespace/name" */
    bool seen; /* in the list that is being read */
};

struct kube_watch {
    struct kube *kube;
    char *path, *selector, *what;
    struct kube_watch_handler handler;
    struct kube_lister *lister;
    struct http_transfer *transfer;
    struct kube_split split;
    char *version; /* where to go on; NULL: by a list */
    bool synced;   /* the first list was complete */
    bool ended;    /* `failed` was called */
    bool restart;  /* something is due at `due` */
    int64_t due;
    int64_t pause_ms;
    int64_t began;         /* of the watch that is running */
    int64_t trouble_since; /* 0: none */
    struct err trouble;
    struct known *known; /* sorted by key */
    size_t known_len, known_size;
};

static int64_t now_ms(const struct kube_watch *watch)
{
    return run_mono_ms(http_run(watch->kube->http));
}

/* ---- the objects that are there ---- */

static size_t known_slot(const struct kube_watch *watch, const char *key, bool *there)
{
    size_t low = 0, high = watch->known_len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(watch->known[mid].key, key);

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *there = false;
    return low;
}

static void known_add(struct kube_watch *watch, const char *key)
{
    bool there;
    size_t at = known_slot(watch, key, &there);

    if (!there) {
        if (watch->known_len == watch->known_size) {
            watch->known_size = watch->known_size ? watch->known_size * 2 : 64;
            watch->known = xrealloc(watch->known, watch->known_size * sizeof(*watch->known));
        }
        memmove(&watch->known[at + 1], &watch->known[at],
                (watch->known_len - at) * sizeof(*watch->known));
        watch->known[at].key = xstrdup(key);
        watch->known_len++;
    }
    watch->known[at].seen = true;
}

static void known_remove(struct kube_watch *watch, size_t at)
{
    free(watch->known[at].key);
    watch->known_len--;
    memmove(&watch->known[at], &watch->known[at + 1],
            (watch->known_len - at) * sizeof(*watch->known));
}

static void tell_deleted(struct kube_watch *watch, size_t at)
{
    autofree char *key = xstrdup(watch->known[at].key);
    char *slash = strchr(key, '/');

    known_remove(watch, at);
    *slash = '\0';
    watch->handler.deleted(watch->handler.arg, key, slash + 1);
}

static char *key_of(const cJSON *object)
{
    return xasprintf("%s/%s", json_str_or(object, "metadata.namespace", ""),
                     json_str_or(object, "metadata.name", ""));
}

static void take_object(struct kube_watch *watch, const cJSON *object)
{
    autofree char *key = key_of(object);

    known_add(watch, key);
    watch->handler.object(watch->handler.arg, object);
}

static void take_deletion(struct kube_watch *watch, const cJSON *object)
{
    autofree char *key = key_of(object);
    bool there;
    size_t at = known_slot(watch, key, &there);

    if (there) {
        tell_deleted(watch, at);
    }
}

/* ---- going on after an end ---- */

static void schedule(struct kube_watch *watch, int64_t in_ms)
{
    watch->restart = true;
    watch->due = now_ms(watch) + in_ms;
}

static void recovered(struct kube_watch *watch)
{
    err_clear(&watch->trouble);
    watch->trouble_since = 0;
    watch->pause_ms = 0;
}

static bool is_final(const struct kube_watch *watch, const struct err *err)
{
    if (err->code != ERR_DENIED && err->code != ERR_NOT_FOUND && err->code != ERR_INVALID) {
        return false;
    }
    return !watch->synced ||
           (watch->trouble_since && now_ms(watch) - watch->trouble_since > STARTING_MS);
}

/* Tries again after a pause that grows, or gives up. */
static void trouble(struct kube_watch *watch, struct err *err)
{
    if (is_final(watch, err)) {
        watch->ended = true;
        watch->handler.failed(watch->handler.arg, err);
        return;
    }
    if (!watch->trouble_since) {
        watch->trouble_since = now_ms(watch);
    }
    err_move(&watch->trouble, err);
    watch->pause_ms = watch->pause_ms ? watch->pause_ms * 2 : PAUSE_FIRST_MS;
    if (watch->pause_ms > PAUSE_MAX_MS) {
        watch->pause_ms = PAUSE_MAX_MS;
    }
    schedule(watch, watch->pause_ms / 2 + (int64_t)random_below((uint64_t)watch->pause_ms / 2 + 1));
}

static void list_again(struct kube_watch *watch)
{
    free(watch->version);
    watch->version = NULL;
}

/* ---- the watch ---- */

static void take_version(struct kube_watch *watch, const cJSON *object)
{
    const char *version = json_str(object, "metadata.resourceVersion");

    if (version) {
        free(watch->version);
        watch->version = xstrdup(version);
    }
}

static int event_error(struct kube_watch *watch, const cJSON *status, struct err *err)
{
    int64_t code = 0;

    (void)json_i64(status, "code", &code);
    return kube_status_error(status, (int)code, watch->what, err);
}

static int one_event(void *arg, const char *text, size_t len, struct err *err)
{
    struct kube_watch *watch = arg;
    autojson cJSON *event = NULL;
    const cJSON *object;
    const char *type;

    if (json_parse(text, len, "an event of the watch", &event, err) != 0) {
        return -1;
    }
    type = json_str_or(event, "type", "");
    object = json_at(event, "object");
    if (strcmp(type, "ERROR") == 0) {
        return event_error(watch, object, err);
    }
    recovered(watch);
    take_version(watch, object);
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        take_object(watch, object);
    } else if (strcmp(type, "DELETED") == 0) {
        take_deletion(watch, object);
    }
    return 0;
}

static int watch_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct kube_watch *watch = arg;

    return kube_split_feed(&watch->split, data, len, err);
}

static void watch_done(void *arg, struct http_response *response, struct err *err)
{
    struct kube_watch *watch = arg;

    watch->transfer = NULL;
    if (err->code == ERR_NONE && (response->status < 200 || response->status > 299)) {
        (void)kube_error(response, watch->what, err);
    }
    if (err->code == ERR_GONE) {
        list_again(watch);
        schedule(watch, 0);
    } else if (err->code == ERR_NONE) {
        schedule(watch, now_ms(watch) - watch->began < WATCH_SHORT_MS ? PAUSE_FIRST_MS : 0);
    } else {
        trouble(watch, err);
    }
}

static void start_watch(struct kube_watch *watch)
{
    autofree char *version = url_encode(watch->version);
    autofree char *query =
        xasprintf("%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%d%s%s",
                  watch->path, version, WATCH_SECONDS, watch->selector ? "&labelSelector=" : "",
                  watch->selector ? watch->selector : "");
    autofree char *url = kube_url(watch->kube, query);
    struct http_request request = kube_request(watch->kube, url, watch->what);
    struct http_handler handler = {.data = watch_data, .done = watch_done, .arg = watch};

    request.timeout_ms = (WATCH_SECONDS + 15) * 1000;
    request.stall_ms = -1;
    request.retry_ms = -1;
    request.http1 = true;
    kube_split_clear(&watch->split);
    kube_split_init(&watch->split, false, one_event, watch);
    watch->began = now_ms(watch);
    watch->transfer = http_start(watch->kube->http, &request, &handler);
}

/* ---- the list ---- */

static int listed_item(void *arg, const cJSON *item, struct err *err)
{
    (void)err;
    take_object(arg, item);
    return 0;
}

static void forget_unseen(struct kube_watch *watch)
{
    for (size_t i = watch->known_len; i-- > 0;) {
        if (!watch->known[i].seen) {
            tell_deleted(watch, i);
        }
    }
}

static void list_done(void *arg, const char *version, struct err *err)
{
    struct kube_watch *watch = arg;

    watch->lister = NULL;
    if (err->code == ERR_GONE) { /* the pages took too long */
        schedule(watch, PAUSE_FIRST_MS);
        return;
    }
    if (err->code != ERR_NONE) {
        trouble(watch, err);
        return;
    }
    watch->version = xstrdup(version);
    recovered(watch);
    forget_unseen(watch);
    if (!watch->synced) {
        watch->synced = true;
        watch->handler.synced(watch->handler.arg);
    }
    schedule(watch, 0);
}

static void start_list(struct kube_watch *watch)
{
    struct kube_lister_handler handler = {listed_item, list_done, watch};
    autofree char *path = watch->selector
                              ? xasprintf("%s?labelSelector=%s", watch->path, watch->selector)
                              : xstrdup(watch->path);

    for (size_t i = 0; i < watch->known_len; i++) {
        watch->known[i].seen = false;
    }
    watch->lister = kube_lister_start(watch->kube, path, watch->what, &handler);
}

/* ---- for the caller ---- */

struct kube_watch *kube_watch_start(struct kube *kube, const char *path, const char *selector,
                                    const char *what, const struct kube_watch_handler *handler)
{
    struct kube_watch *watch = xcalloc(1, sizeof(*watch));

    watch->kube = kube;
    watch->path = xstrdup(path);
    watch->selector = selector ? url_encode(selector) : NULL;
    watch->what = xstrdup(what);
    watch->handler = *handler;
    kube_split_init(&watch->split, false, one_event, watch);
    start_list(watch);
    return watch;
}

void kube_watch_free(struct kube_watch *watch)
{
    if (!watch) {
        return;
    }
    if (watch->lister) {
        kube_lister_cancel(watch->lister);
    }
    if (watch->transfer) {
        http_cancel(watch->transfer);
    }
    while (watch->known_len) {
        known_remove(watch, watch->known_len - 1);
    }
    free(watch->known);
    kube_split_clear(&watch->split);
    err_clear(&watch->trouble);
    free(watch->path);
    free(watch->selector);
    free(watch->what);
    free(watch->version);
    free(watch);
}

int64_t kube_watch_due_ms(const struct kube_watch *watch, int64_t at_most)
{
    int64_t left;

    if (!watch->restart) {
        return at_most;
    }
    left = watch->due - now_ms(watch);
    left = left > 0 ? left : 0;
    return left < at_most ? left : at_most;
}

void kube_watch_tick(struct kube_watch *watch)
{
    if (!watch->restart || watch->ended || now_ms(watch) < watch->due) {
        return;
    }
    watch->restart = false;
    if (watch->version) {
        start_watch(watch);
    } else {
        start_list(watch);
    }
}

const char *kube_watch_trouble(const struct kube_watch *watch)
{
    return watch->trouble_since ? err_text(&watch->trouble) : NULL;
}
