/* storage.objects.list: names in the order of their bytes, folded at the delimiter, page by page.
 */
#include "emulator/google/storage_internal.h"

#include <fnmatch.h>
#include "necoops/base/text.h"

#define PAGE_MAX 1000

struct listing {
    const char *prefix, *delimiter, *start, *end, *glob;
    char *after;   /* what the page before ended with; names up to it (or below it) are left out */
    bool trailing; /* includeTrailingDelimiter */
    int64_t max;
};

static void listing_clear(struct listing *listing)
{
    free(listing->after);
}

static int page_token(const char *token, char **after, struct err *err)
{
    if (token == NULL || token[0] == '\0')
        return 0;
    autobuf struct buf name = BUF_INIT(BUF_SMALL);
    if (base64_decode(token, strlen(token), &name) < 0 || name.len == 0 ||
        memchr(name.data, '\0', name.len) != NULL)
        return storage_fail(err, 400, "invalidParameter", "Invalid Value");
    *after = buf_steal(&name);
    return 0;
}

static int listing_parse(const struct request *request, struct listing *out, struct err *err)
{
    const char *prefix = request_query(request, "prefix");
    *out = (struct listing){.prefix = prefix != NULL ? prefix : "",
                            .delimiter = request_query(request, "delimiter"),
                            .start = request_query(request, "startOffset"),
                            .end = request_query(request, "endOffset"),
                            .glob = request_query(request, "matchGlob"),
                            .trailing = request_flag(request, "includeTrailingDelimiter"),
                            .max = PAGE_MAX};
    if (query_i64(request, "maxResults", &out->max, err) < 0)
        return -1;
    if (out->max == 0 || out->max > PAGE_MAX)
        out->max = PAGE_MAX;
    return page_token(request_query(request, "pageToken"), &out->after, err);
}

/* The common prefix that stands for this name, or NULL when it is an item of its own. */
static char *folded(const struct listing *listing, const char *name)
{
    if (listing->delimiter == NULL || listing->delimiter[0] == '\0')
        return NULL;
    const char *found = strstr(name + strlen(listing->prefix), listing->delimiter);
    if (found == NULL)
        return NULL;
    return xstrndup(name, (size_t)(found - name) + strlen(listing->delimiter));
}

/* Only "**" goes across "/". */
static bool glob_admits(const char *glob, const char *name)
{
    return fnmatch(glob, name, strstr(glob, "**") != NULL ? 0 : FNM_PATHNAME) == 0;
}

static bool chosen(const struct listing *listing, const char *name)
{
    return text_starts(name, listing->prefix) &&
           (listing->start == NULL || strcmp(name, listing->start) >= 0) &&
           (listing->end == NULL || strcmp(name, listing->end) < 0) &&
           (listing->glob == NULL || glob_admits(listing->glob, name));
}

struct page {
    cJSON *items, *prefixes;
    char *last; /* item or prefix that was shown last */
    int64_t count;
    bool more;
};

/* False when the page is full. */
static bool page_take(struct page *page, const struct listing *listing, char *entry /* taken */)
{
    if (page->count == listing->max) {
        page->more = true;
        free(entry);
        return false;
    }
    free(page->last);
    page->last = entry;
    page->count++;
    return true;
}

static bool page_add(struct page *page, const struct listing *listing, struct storage *storage,
                     const struct bucket *bucket, const struct object *object)
{
    autofree char *prefix = folded(listing, object->name);
    if (prefix == NULL) {
        if (!page_take(page, listing, xstrdup(object->name)))
            return false;
        json_push(page->items, object_json(storage, bucket, object));
        return true;
    }
    bool shown = page->last != NULL && strcmp(page->last, prefix) == 0;
    bool before = listing->after != NULL && strcmp(prefix, listing->after) <= 0;
    if (!shown && !before) {
        if (!page_take(page, listing, xstrdup(prefix)))
            return false;
        json_push_str(page->prefixes, prefix);
    }
    if (listing->trailing && strcmp(prefix, object->name) == 0 && !before)
        json_push(page->items, object_json(storage, bucket, object));
    return true;
}

static void page_fill(struct page *page, const struct listing *listing, struct storage *storage,
                      const struct bucket *bucket)
{
    size_t at = 0;
    bucket_find(bucket, listing->prefix, &at);
    for (; at < bucket->len; at++) {
        const struct object *object = bucket->objects[at];
        if (!text_starts(object->name, listing->prefix))
            break;
        if (listing->after != NULL && strcmp(object->name, listing->after) <= 0)
            continue;
        if (chosen(listing, object->name) && !page_add(page, listing, storage, bucket, object))
            break;
    }
}

static void set_unless_empty(cJSON *json, const char *key, cJSON *array)
{
    if (array->child != NULL)
        json_set(json, key, array);
    else
        cJSON_Delete(array);
}

int object_list(struct storage *storage, const struct request *request, const struct target *target,
                struct answer *answer, struct err *err)
{
    CLEANUP(listing_clear) struct listing listing = {.after = NULL};
    if (listing_parse(request, &listing, err) < 0)
        return -1;
    struct page page = {.items = json_array(), .prefixes = json_array()};
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    if (bucket != NULL && !request_flag(request, "softDeleted"))
        page_fill(&page, &listing, storage, bucket);
    pthread_mutex_unlock(&storage->lock);
    cJSON *json = json_object();
    json_set_str(json, "kind", "storage#objects");
    if (page.more) {
        autofree char *token = base64_encode(page.last, strlen(page.last));
        json_set_str(json, "nextPageToken", token);
    }
    free(page.last);
    set_unless_empty(json, "prefixes", page.prefixes);
    set_unless_empty(json, "items", page.items);
    if (bucket == NULL) {
        cJSON_Delete(json);
        return -1;
    }
    return storage_answer_json(request, answer, json, err);
}
