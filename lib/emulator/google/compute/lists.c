/* Pages of list methods: maxResults, pageToken, filter, fields. */
#include "emulator/google/compute/internal.h"

#include <errno.h>

static int read_max(struct call *call, struct page *page)
{
    const char *text = request_query(call->request, "maxResults");
    page->max = 500;
    if (text == NULL)
        return 0;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 500)
        return invalid_value(call->answer, "maxResults", text,
                             "Must be greater than or equal to 0 and less than or equal to 500");
    page->max = value > 0 ? value : 500;
    return 0;
}

/* A token is the last key of the page before, so that a list which changes in between neither
 * repeats nor misses what stays. */
static int read_token(struct call *call, struct page *page)
{
    const char *text = request_query(call->request, "pageToken");
    if (text == NULL || text[0] == '\0')
        return 0;
    autobuf struct buf key = BUF_INIT(BUF_SMALL);
    if (base64_decode(text, strlen(text), &key) < 0 || key.len < 2 ||
        memcmp(key.data, "k:", 2) != 0)
        return invalid_value(call->answer, "pageToken", text, "The page token is invalid.");
    page->after = xstrdup(key.data + 2);
    return 0;
}

char *page_token(const char *key)
{
    autofree char *marked = xasprintf("k:%s", key);
    return base64_encode(marked, strlen(marked));
}

int page_init(struct call *call, const char *known, struct page *page)
{
    autoerr struct err err = ERR_INIT;
    const char *filter = request_query(call->request, "filter");
    const char *fields = request_query(call->request, "fields");
    const char *order = request_query(call->request, "orderBy");
    *page = (struct page){.max = 0};
    if (read_max(call, page) < 0 || read_token(call, page) < 0) {
        page_clear(page);
        return -1;
    }
    if (order != NULL && order[0] != '\0' && strcmp(order, "name") != 0) {
        page_clear(page);
        return invalid_value(call->answer, "orderBy", order,
                             "Sorting by this field is not supported.");
    }
    if (filter != NULL && filter[0] != '\0' &&
        filter_parse(filter, known, &page->filter, &err) < 0) {
        page_clear(page);
        return google_error(call->answer, 400, "invalid", "%s", err_text(&err));
    }
    if (fields != NULL && fields[0] != '\0' && fields_parse(fields, &page->fields, &err) < 0) {
        page_clear(page);
        return google_error(call->answer, 400, "invalidParameter", "%s", err_text(&err));
    }
    return 0;
}

void page_clear(struct page *page)
{
    filter_free(page->filter);
    fields_free(page->fields);
    free(page->after);
    *page = (struct page){.max = 0};
}

void list_answer(struct call *call, const char *kind, const char *link, const char *known,
                 cJSON *array)
{
    struct page page;
    autojson cJSON *all = array;
    if (page_init(call, known, &page) < 0)
        return;
    cJSON *result = json_object();
    json_set_str(result, "kind", kind);
    json_set_str(result, "id", link);
    cJSON *items = json_array();
    const char *last = NULL;
    int64_t count = 0;
    for (cJSON *item = all->child, *next; item != NULL; item = next) {
        next = item->next;
        const char *name = json_str_or(item, "name", "");
        if ((page.after != NULL && strcmp(name, page.after) <= 0) ||
            (page.filter != NULL && !filter_matches(page.filter, item)))
            continue;
        if (count == page.max) {
            autofree char *token = page_token(last);
            json_set_str(result, "nextPageToken", token);
            break;
        }
        json_push(items, cJSON_DetachItemViaPointer(all, item));
        last = name;
        count++;
    }
    if (count > 0)
        json_set(result, "items", items);
    else
        cJSON_Delete(items);
    set_link(result, "selfLink", "%s", link);
    page_clear(&page);
    google_answer(call->request, call->answer, result);
}

/* ---- aggregated ---- */

cJSON *aggregated_new(const struct call *call, const char *kind, const char *noun)
{
    cJSON *result = json_object();
    json_set_str(result, "kind", kind);
    autofree char *id = xasprintf("projects/%s/aggregated/%s", call->project, noun);
    json_set_str(result, "id", id);
    cJSON *items = json_set_object(result, "items");
    for (size_t i = 0; i < call->compute->zones.len; i++) {
        autofree char *scope = xasprintf("zones/%s", call->compute->zones.items[i]);
        json_set_object(items, scope);
    }
    set_link(result, "selfLink", "projects/%s/aggregated/%s", call->project, noun);
    return result;
}

void aggregated_add(cJSON *result, const char *zone, const char *noun, cJSON *item)
{
    autofree char *scope = xasprintf("zones/%s", zone);
    cJSON *items = cJSON_GetObjectItemCaseSensitive(result, "items");
    cJSON *of_zone = cJSON_GetObjectItemCaseSensitive(items, scope);
    if (of_zone == NULL)
        of_zone = json_set_object(items, scope);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(of_zone, noun);
    if (list == NULL)
        list = json_set_array(of_zone, noun);
    json_push(list, item);
}

void aggregated_finish(struct call *call, cJSON *result)
{
    cJSON *scope = NULL;
    cJSON_ArrayForEach(scope, cJSON_GetObjectItemCaseSensitive(result, "items"))
    {
        if (scope->child != NULL)
            continue;
        cJSON *warning = json_set_object(scope, "warning");
        json_set_str(warning, "code", "NO_RESULTS_ON_PAGE");
        autofree char *message =
            xasprintf("There are no results for scope '%s' on this page.", scope->string);
        json_set_str(warning, "message", message);
        cJSON *data = json_object();
        json_set_str(data, "key", "scope");
        json_set_str(data, "value", scope->string);
        json_push(json_set_array(warning, "data"), data);
    }
    google_answer(call->request, call->answer, result);
}
