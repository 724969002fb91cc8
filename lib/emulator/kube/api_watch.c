/* watch: a stream of events, one JSON value after the other. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "emulator/kube/api.h"

#define TICK_MS     200
#define BOOKMARK_MS 10000
#define DEFAULT_S   1800

struct watch {
    struct store *store;
    const struct type *type;
    char *space;
    enum form form;
    char *include;
    struct selector *selector;
    char *only; /* a single name, or NULL */
    uint64_t version;
    int64_t ends_at;
    int64_t bookmark_at; /* INT64_MAX: none are wanted */
    bool initial_end;    /* a bookmark ends the synthetic events */
    bool table_begun;
    bool over;
    struct stored **initial; /* objects that were there, not sent yet */
    size_t initial_next;
    struct buf out;
    size_t sent;
};

static void end(void *arg)
{
    struct watch *watch = arg;

    for (size_t i = watch->initial_next; watch->initial != NULL && watch->initial[i] != NULL; i++)
        stored_unref(watch->initial[i]);
    free(watch->initial);
    selector_free(watch->selector);
    free(watch->space);
    free(watch->include);
    free(watch->only);
    buf_clear(&watch->out);
    free(watch);
}

/* Takes `object`. */
static void add_event(struct watch *watch, const char *type, cJSON *object)
{
    autojson cJSON *event = json_object();
    autofree char *text = NULL;

    json_set_str(event, "type", type);
    json_set(event, "object", object);
    text = json_print(event);
    buf_adds(&watch->out, text);
    buf_addc(&watch->out, '\n');
}

static void add_object(struct watch *watch, const char *type, const cJSON *object)
{
    cJSON *value;

    if (watch->form == FORM_TABLE) {
        value = table_new(watch->type, !watch->table_begun);
        watch->table_begun = true;
        table_add(value, watch->type, object, watch->include);
        json_set_str(json_need_object(value, "metadata"), "resourceVersion",
                     json_str(object, "metadata.resourceVersion"));
    } else {
        value = watch->form == FORM_METADATA ? metadata_only(object) : json_copy(object);
    }
    add_event(watch, type, value);
}

static void add_bookmark(struct watch *watch, bool initial_end)
{
    cJSON *object = json_object();
    autofree char *api_version = api_version_of(&watch->type->resource);
    bool table = watch->form == FORM_TABLE;
    cJSON *meta;

    json_set_str(object, "kind", table ? "Table" : watch->type->resource.kind);
    json_set_str(object, "apiVersion", table ? "meta.k8s.io/v1" : api_version);
    meta = json_set_object(object, "metadata");
    json_set_i64_str(meta, "resourceVersion", (int64_t)watch->version);
    if (table) {
        json_set_array(object, "columnDefinitions");
        json_set_array(object, "rows");
    } else {
        json_set(meta, "creationTimestamp", cJSON_CreateNull());
    }
    if (initial_end)
        json_set_str(json_set_object(meta, "annotations"), "k8s.io/initial-events-end", "true");
    add_event(watch, "BOOKMARK", object);
    watch->bookmark_at = mono_ms() + BOOKMARK_MS;
}

static void add_gone(struct watch *watch)
{
    cJSON *status = json_object();
    autofree char *message = xasprintf("too old resource version: %" PRIu64 " (%" PRIu64 ")",
                                       watch->version, store_version(watch->store));

    json_set_str(status, "kind", "Status");
    json_set_str(status, "apiVersion", "v1");
    json_set_object(status, "metadata");
    json_set_str(status, "status", "Failure");
    json_set_str(status, "message", message);
    json_set_str(status, "reason", "Expired");
    json_set_i64(status, "code", 410);
    add_event(watch, "ERROR", status);
    watch->over = true;
}

static bool wants(const struct watch *watch, const struct stored *stored)
{
    autojson cJSON *owned = NULL;
    const cJSON *object;

    if (stored == NULL)
        return false;
    object = view_of(watch->type, stored, &owned);
    if (watch->only != NULL && !str_equal(json_str(object, "metadata.name"), watch->only))
        return false;
    return selector_matches(watch->selector, object);
}

static void add_stored(struct watch *watch, const char *type, const struct stored *stored)
{
    autojson cJSON *owned = NULL;

    add_object(watch, type, view_of(watch->type, stored, &owned));
}

/* An object that leaves the selection is deleted, for who watches it; one that enters is added. */
static void add_change(struct watch *watch, const struct store_change_event *event)
{
    bool before = wants(watch, event->before);
    bool now = event->type != STORE_DELETED && wants(watch, event->now);
    autojson cJSON *last = NULL;

    if (now) {
        add_stored(watch, before ? "MODIFIED" : "ADDED", event->now);
        return;
    }
    if (!before)
        return;
    if (event->type == STORE_DELETED) {
        add_stored(watch, "DELETED", event->now);
        return;
    }
    /* As it was when it was last seen, with the version at which it left. */
    last = json_copy(event->before->object);
    json_set_i64_str(json_get(last, "metadata"), "resourceVersion", (int64_t)event->now->version);
    add_object(watch, "DELETED", last);
}

static void add_initial(struct watch *watch)
{
    while (watch->initial[watch->initial_next] != NULL && watch->out.len < (1U << 16)) {
        struct stored *stored = watch->initial[watch->initial_next++];

        if (wants(watch, stored))
            add_stored(watch, "ADDED", stored);
        stored_unref(stored);
    }
    if (watch->initial[watch->initial_next] != NULL)
        return;
    free(watch->initial);
    watch->initial = NULL;
    if (watch->initial_end)
        add_bookmark(watch, true);
}

/* At most a quarter of a second. */
static void add_next(struct watch *watch)
{
    struct store_change_event event;
    int found;

    found = store_next_change(watch->store, watch->version, watch->type->storage, watch->space,
                              TICK_MS, &event);
    if (found < 0) {
        add_gone(watch);
    } else if (found > 0) {
        watch->version = event.now->version;
        add_change(watch, &event);
        stored_unref(event.now);
        stored_unref(event.before);
    } else if (mono_ms() >= watch->bookmark_at) {
        uint64_t newest = store_version(watch->store);
        struct store_change_event between;

        /* Nothing of this kind happened up to `newest`, unless it just did. */
        if (store_next_change(watch->store, watch->version, watch->type->storage, watch->space, 0,
                              &between) > 0) {
            stored_unref(between.now);
            stored_unref(between.before);
            return;
        }
        watch->version = newest;
        add_bookmark(watch, false);
    }
}

static ssize_t stream(void *arg, char *out, size_t max)
{
    struct watch *watch = arg;
    size_t len;

    if (watch->sent == watch->out.len) {
        buf_reset(&watch->out);
        watch->sent = 0;
        if (watch->over || store_closed(watch->store) || mono_ms() >= watch->ends_at)
            return 0;
        if (watch->initial != NULL)
            add_initial(watch);
        else
            add_next(watch);
    }
    len = watch->out.len - watch->sent;
    if (len == 0)
        return STREAM_IDLE;
    len = len < max ? len : max;
    memcpy(out, watch->out.data + watch->sent, len);
    watch->sent += len;
    return (ssize_t)len;
}

/* ---- the beginning ---- */

static int64_t duration_ms(const struct request *request)
{
    const char *text = request_query(request, "timeoutSeconds");
    int64_t seconds = text != NULL ? strtoll(text, NULL, 10) : 0;

    /* A server without a wish of the client's ends watches at a random time. */
    if (seconds <= 0)
        seconds = DEFAULT_S + (int64_t)random_below(DEFAULT_S);
    return (seconds > 86400 ? 86400 : seconds) * 1000;
}

static void take_initial(struct watch *watch)
{
    struct list_range range = {.space = watch->space};
    size_t len;

    watch->initial = store_range(watch->store, watch->type, &range, &len, &watch->version);
}

/* Where to begin: unset and "0" with what is there, a version with what came after it. */
static bool start_version(struct call *call, struct watch *watch)
{
    const char *text = request_query(call->request, "resourceVersion");
    uint64_t version = 0;
    char *end_of = NULL;

    if (request_flag(call->request, "sendInitialEvents")) {
        watch->initial_end = true;
        take_initial(watch);
        return true;
    }
    if (text != NULL && text[0] != '\0') {
        version = strtoull(text, &end_of, 10);
        if (*end_of != '\0') {
            respond_fail(call, 400, "BadRequest", "Invalid value: \"%s\": strconv.ParseUint", text);
            return false;
        }
    }
    if (version == 0) {
        take_initial(watch);
        return true;
    }
    if (version > store_version(watch->store)) {
        respond_fail(call, 504, "Timeout",
                     "Too large resource version: %" PRIu64 ", current: %" PRIu64, version,
                     store_version(watch->store));
        return false;
    }
    /* One that is too old is told by an ERROR event, as the watch cache does. */
    watch->version = version;
    if (version < call->api->oldest)
        add_gone(watch);
    return true;
}

void watch_start(struct call *call)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));
    const char *include = request_query(call->request, "includeObject");

    watch->store = call->api->store;
    watch->type = call->type;
    watch->space = xstrdup(call->space);
    watch->form = call->form;
    watch->include = include != NULL ? xstrdup(include) : NULL;
    watch->only = call->name[0] != '\0' ? xstrdup(call->name) : NULL;
    watch->ends_at = mono_ms() + duration_ms(call->request);
    watch->bookmark_at =
        request_flag(call->request, "allowWatchBookmarks") ? mono_ms() + BOOKMARK_MS : INT64_MAX;
    buf_init(&watch->out, BUF_LARGE);
    if (selector_parse(request_query(call->request, "labelSelector"),
                       request_query(call->request, "fieldSelector"), call->type->resource.kind,
                       (call->type->flags & TYPE_CUSTOM) != 0, &watch->selector, &call->err) < 0) {
        respond_error(call);
        end(watch);
        return;
    }
    if (!start_version(call, watch)) {
        end(watch);
        return;
    }
    call->answer->status = 200;
    answer_header(call->answer, "Content-Type: application/json");
    answer_header(call->answer, "Cache-Control: no-cache, private");
    call->answer->stream = stream;
    call->answer->stream_end = end;
    call->answer->stream_arg = watch;
}
