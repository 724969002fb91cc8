/* get and list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/api.h"

void read_get(struct call *call)
{
    struct stored *stored =
        store_get(call->api->store, &call->type->resource, call->space, call->name);

    if (stored == NULL) {
        respond_fail(call, 404, "NotFound", "%s \"%s\" not found",
                     group_resource(&call->type->resource).text, call->name);
        return;
    }
    respond_object(call, 200, stored->object);
    stored_unref(stored);
}

/* ---- pages: a continue token says where the last page ended, and of which version the list is
 * ---- */

struct page {
    int64_t limit; /* 0: none */
    uint64_t version;
    char *space, *name; /* the last one before; NULL: from the beginning */
};

static void page_clear(struct page *page)
{
    free(page->space);
    free(page->name);
}

static char *page_token(uint64_t version, const cJSON *last)
{
    autojson cJSON *token = json_object();
    autofree char *text = NULL;

    json_set_i64(token, "rv", (int64_t)version);
    json_set_str(token, "space", json_str_or(last, "metadata.namespace", ""));
    json_set_str(token, "name", json_str(last, "metadata.name"));
    text = json_print(token);
    return base64url_encode(text, strlen(text));
}

static int page_parse(const char *text, struct page *page)
{
    autobuf struct buf json = BUF_INIT(BUF_SMALL);
    autoerr struct err err = ERR_INIT;
    autojson cJSON *token = NULL;
    int64_t version;

    if (base64_decode(text, strlen(text), &json) < 0 ||
        json_parse(json.data, json.len, "continue", &token, &err) < 0 ||
        !json_i64(token, "rv", &version) || json_str(token, "name") == NULL)
        return -1;
    page->version = (uint64_t)version;
    page->space = xstrdup(json_str_or(token, "space", ""));
    page->name = xstrdup(json_str(token, "name"));
    return 0;
}

static bool read_page(struct call *call, struct page *page)
{
    const char *limit = request_query(call->request, "limit");
    const char *token = request_query(call->request, "continue");

    if (limit != NULL)
        page->limit = strtoll(limit, NULL, 10);
    if (token == NULL || token[0] == '\0')
        return true;
    if (page_parse(token, page) < 0) {
        respond_fail(call, 400, "BadRequest", "continue key is not valid");
        return false;
    }
    if (store_check_version(call->api->store, page->version) < 0) {
        respond_fail(call, 410, "Expired",
                     "The provided continue parameter is too old to display a consistent list "
                     "result. You can start a new list without the continue parameter.");
        return false;
    }
    return true;
}

/* A list asked at a version from the future, or exactly at one that is gone. */
static bool version_is_fine(struct call *call)
{
    const char *text = request_query(call->request, "resourceVersion");
    const char *match = request_query(call->request, "resourceVersionMatch");
    uint64_t version;
    char *end;

    if (text == NULL || text[0] == '\0')
        return true;
    version = strtoull(text, &end, 10);
    if (*end != '\0') {
        respond_fail(call, 400, "BadRequest", "Invalid value: \"%s\": strconv.ParseUint", text);
        return false;
    }
    if (version > store_version(call->api->store)) {
        respond_fail(call, 504, "Timeout",
                     "Too large resource version: %" PRIu64 ", current: %" PRIu64, version,
                     store_version(call->api->store));
        return false;
    }
    if (match != NULL && strcmp(match, "Exact") == 0 &&
        store_check_version(call->api->store, version) < 0) {
        respond_fail(call, 410, "Expired", "The resourceVersion for the provided list is too old.");
        return false;
    }
    return true;
}

/* ---- the list ---- */

struct listing {
    struct call *call;
    struct selector *selector;
    struct page page;
    struct stored **items;
    size_t len;
    uint64_t version;
    cJSON *table;
    int64_t count; /* that went out */
    const struct stored *last;
    int64_t remaining;
};

static const char *list_kind(const struct type *type, char *space, size_t size)
{
    if (type->list_kind != NULL)
        return type->list_kind;
    snprintf(space, size, "%sList", type->resource.kind);
    return space;
}

static void add_item(struct listing *listing, const cJSON *object)
{
    struct call *call = listing->call;
    struct buf *body = &call->answer->body;
    autofree char *text = NULL;

    if (call->form == FORM_TABLE) {
        table_add(listing->table, call->type, object,
                  request_query(call->request, "includeObject"));
        return;
    }
    if (call->form == FORM_METADATA) {
        autojson cJSON *partial = metadata_only(object);

        text = json_print(partial);
    } else {
        text = print_item(call->type, object);
    }
    buf_adds(body, listing->count > 0 ? "," : "");
    buf_adds(body, text);
}

static void add_items(struct listing *listing)
{
    for (size_t i = 0; i < listing->len; i++) {
        autojson cJSON *owned = NULL;
        const cJSON *object = view_of(listing->call->type, listing->items[i], &owned);

        if (!selector_matches(listing->selector, object))
            continue;
        if (listing->page.limit > 0 && listing->count == listing->page.limit) {
            listing->remaining++;
            continue;
        }
        add_item(listing, object);
        listing->count++;
        listing->last = listing->items[i];
    }
}

static cJSON *list_metadata(const struct listing *listing)
{
    cJSON *meta = json_object();
    uint64_t version = listing->page.version > 0 ? listing->page.version : listing->version;

    json_set_i64_str(meta, "resourceVersion", (int64_t)version);
    if (listing->remaining > 0) {
        autofree char *token = page_token(version, listing->last->object);

        json_set_str(meta, "continue", token);
        json_set_i64(meta, "remainingItemCount", listing->remaining);
    }
    return meta;
}

/* kind and apiVersion stand first; `metadata` is known last and stands last. */
static void write_list(struct listing *listing)
{
    struct call *call = listing->call;
    struct buf *body = &call->answer->body;
    char space[256];
    autofree char *api_version = api_version_of(&call->type->resource);
    autojson cJSON *meta = NULL;
    autofree char *text = NULL;
    bool partial = call->form == FORM_METADATA;

    buf_addf(body, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"items\":[",
             partial ? "PartialObjectMetadataList" : list_kind(call->type, space, sizeof(space)),
             partial ? "meta.k8s.io/v1" : api_version);
    add_items(listing);
    meta = list_metadata(listing);
    text = json_print(meta);
    buf_addf(body, "],\"metadata\":%s}\n", text);
}

static void write_table(struct listing *listing)
{
    autofree char *text = NULL;

    listing->table = table_new(listing->call->type, true);
    add_items(listing);
    json_set(listing->table, "metadata", list_metadata(listing));
    text = json_print(listing->table);
    buf_adds(&listing->call->answer->body, text);
    buf_addc(&listing->call->answer->body, '\n');
    cJSON_Delete(listing->table);
}

static void run_list(struct listing *listing)
{
    struct call *call = listing->call;
    struct list_range range = {
        .space = call->space, .after_space = listing->page.space, .after_name = listing->page.name};

    listing->items =
        store_range(call->api->store, call->type, &range, &listing->len, &listing->version);
    call->answer->status = 200;
    answer_header(call->answer, "Content-Type: application/json");
    answer_header(call->answer, "Cache-Control: no-cache, private");
    if (call->form == FORM_TABLE)
        write_table(listing);
    else
        write_list(listing);
    store_list_free(listing->items);
}

void read_list(struct call *call)
{
    struct listing listing = {.call = call};

    if (version_is_fine(call) && read_page(call, &listing.page)) {
        if (selector_parse(request_query(call->request, "labelSelector"),
                           request_query(call->request, "fieldSelector"), call->type->resource.kind,
                           (call->type->flags & TYPE_CUSTOM) != 0, &listing.selector,
                           &call->err) < 0)
            respond_error(call);
        else
            run_list(&listing);
    }
    selector_free(listing.selector);
    page_clear(&listing.page);
}
