#include "necoops/base/json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/internal.h"

/* Whatever cJSON gives: NULL means that memory ended. */
static cJSON *need(cJSON *item)
{
    if (item == NULL)
        mem_exhausted();
    return item;
}

/* ---- parsing ---- */

/* The text for cJSON: long numbers blanked out by a 0, everything else where it was. */
static char *without_long_numbers(const struct json_scan *scan)
{
    char *text = xmalloc(scan->len + 1);

    memcpy(text, scan->text, scan->len);
    text[scan->len] = '\0';
    for (size_t i = 0; i < scan->longs_len; i++) {
        memset(text + scan->longs[i].offset, ' ', scan->longs[i].len);
        text[scan->longs[i].offset] = '0';
    }
    return text;
}

/* The n-th number of the text is the n-th number of the tree. */
struct restore {
    const struct json_scan *scan;
    size_t numbers;
    size_t next;
};

static void restore_long_numbers(struct restore *state, cJSON *item)
{
    const struct json_long_number *number;
    cJSON *child;

    cJSON_ArrayForEach(child, item)
    {
        restore_long_numbers(state, child);
    }
    if (!cJSON_IsNumber(item) || state->next == state->scan->longs_len)
        return;
    number = &state->scan->longs[state->next];
    if (state->numbers++ != number->index)
        return;
    item->type = cJSON_Raw;
    item->valuestring = xstrndup(state->scan->text + number->offset, number->len);
    state->next++;
}

static void free_longs(struct json_scan *scan)
{
    free(scan->longs);
}

int json_parse(const char *text, size_t len, const char *name, cJSON **out, struct err *err)
{
    CLEANUP(free_longs)
    struct json_scan scan = {.text = text, .len = len, .name = name, .err = err};
    struct restore state = {.scan = &scan};
    autofree char *rewritten = NULL;
    cJSON *tree;

    if (json_scan_text(&scan) < 0)
        return -1;
    if (scan.longs_len > 0)
        rewritten = without_long_numbers(&scan);
    tree = cJSON_ParseWithLength(rewritten != NULL ? rewritten : text, len);
    if (tree == NULL)
        return err_set(err, ERR_PROTOCOL, "%s: cannot build the JSON tree", name);
    if (scan.longs_len > 0)
        restore_long_numbers(&state, tree);
    *out = tree;
    return 0;
}

/* ---- reading ---- */

static const cJSON *member(const cJSON *object, const char *key, size_t len)
{
    const cJSON *item;

    if (!cJSON_IsObject(object))
        return NULL;
    cJSON_ArrayForEach(item, object)
    {
        if (strncmp(item->string, key, len) == 0 && item->string[len] == '\0')
            return item;
    }
    return NULL;
}

/* "[n]" at *path. */
static const cJSON *element(const cJSON *array, const char **path)
{
    char *end;
    unsigned long index;

    if (!isdigit((unsigned char)(*path)[1]))
        return NULL;
    index = strtoul(*path + 1, &end, 10);
    if (*end != ']' || index > INT32_MAX || !cJSON_IsArray(array))
        return NULL;
    *path = end + 1;
    return cJSON_GetArrayItem(array, (int)index);
}

const cJSON *json_at(const cJSON *value, const char *path)
{
    if (path == NULL)
        return value;
    while (value != NULL && *path != '\0') {
        size_t len = strcspn(path, ".[");

        if (len > 0) {
            value = member(value, path, len);
            path += len;
        } else if (*path == '[') {
            value = element(value, &path);
        } else {
            path++; /* the '.' between */
        }
    }
    return value;
}

const char *json_str(const cJSON *value, const char *path)
{
    return json_str_or(value, path, NULL);
}

const char *json_str_or(const cJSON *value, const char *path, const char *fallback)
{
    const cJSON *item = json_at(value, path);

    return cJSON_IsString(item) ? item->valuestring : fallback;
}

bool json_bool(const cJSON *value, const char *path, bool fallback)
{
    const cJSON *item = json_at(value, path);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

/* The digits of a raw number or a string; NULL when it is neither. */
static const char *digits_of(const cJSON *item)
{
    const char *text = cJSON_IsRaw(item) || cJSON_IsString(item) ? item->valuestring : NULL;

    if (text == NULL || !isdigit((unsigned char)text[text[0] == '-']))
        return NULL;
    return text;
}

bool json_i64(const cJSON *value, const char *path, int64_t *out)
{
    const cJSON *item = json_at(value, path);
    const char *text = digits_of(item);
    char *end;
    intmax_t number;

    if (cJSON_IsNumber(item)) {
        double d = item->valuedouble;

        if (!(d >= -0x1p63 && d < 0x1p63) || d != trunc(d))
            return false;
        *out = (int64_t)d;
        return true;
    }
    if (text == NULL)
        return false;
    errno = 0;
    number = strtoimax(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = number;
    return true;
}

bool json_u64(const cJSON *value, const char *path, uint64_t *out)
{
    const cJSON *item = json_at(value, path);
    const char *text = digits_of(item);
    char *end;
    uintmax_t number;

    if (cJSON_IsNumber(item)) {
        double d = item->valuedouble;

        if (!(d >= 0 && d < 0x1p64) || d != trunc(d))
            return false;
        *out = (uint64_t)d;
        return true;
    }
    if (text == NULL || text[0] == '-')
        return false;
    errno = 0;
    number = strtoumax(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = number;
    return true;
}

/* ---- building ---- */

cJSON *json_object(void)
{
    return need(cJSON_CreateObject());
}

cJSON *json_array(void)
{
    return need(cJSON_CreateArray());
}

cJSON *json_set(cJSON *object, const char *key, cJSON *value)
{
    int done = member(object, key, strlen(key)) != NULL
                   ? cJSON_ReplaceItemInObjectCaseSensitive(object, key, value)
                   : cJSON_AddItemToObject(object, key, value);

    if (!done)
        mem_exhausted();
    return value;
}

void json_set_str(cJSON *object, const char *key, const char *value)
{
    if (value != NULL)
        json_set(object, key, need(cJSON_CreateString(value)));
}

void json_set_bool(cJSON *object, const char *key, bool value)
{
    json_set(object, key, need(cJSON_CreateBool(value)));
}

void json_set_i64(cJSON *object, const char *key, int64_t value)
{
    autofree char *text = xasprintf("%" PRId64, value);

    json_set(object, key, json_number_from_text(text));
}

void json_set_i64_str(cJSON *object, const char *key, int64_t value)
{
    autofree char *text = xasprintf("%" PRId64, value);

    json_set_str(object, key, text);
}

cJSON *json_set_object(cJSON *object, const char *key)
{
    return json_set(object, key, json_object());
}

cJSON *json_set_array(cJSON *object, const char *key)
{
    return json_set(object, key, json_array());
}

void json_push(cJSON *array, cJSON *value)
{
    if (!cJSON_AddItemToArray(array, value))
        mem_exhausted();
}

void json_push_str(cJSON *array, const char *value)
{
    json_push(array, need(cJSON_CreateString(value)));
}

cJSON *json_copy(const cJSON *value)
{
    return need(cJSON_Duplicate(value, true));
}

cJSON *json_number_from_text(const char *text)
{
    bool fits_double;

    if (!json_scan_number_text(text, &fits_double))
        return NULL;
    return need(fits_double ? cJSON_CreateNumber(strtod(text, NULL)) : cJSON_CreateRaw(text));
}

/* ---- printing ---- */

static char *print(const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);

    if (text == NULL)
        mem_exhausted();
    return text;
}

char *json_print(const cJSON *value)
{
    return print(value);
}

static void add_key(struct buf *out, const char *key)
{
    cJSON item = {.type = cJSON_String, .valuestring = (char *)key};
    autofree char *text = print(&item);

    buf_addf(out, "%s: ", text);
}

static void add_pretty(struct buf *out, const cJSON *value, int indent)
{
    bool is_object = cJSON_IsObject(value);
    const cJSON *item;

    if (value->child == NULL || !(is_object || cJSON_IsArray(value))) {
        autofree char *text = print(value);

        buf_adds(out, text);
        return;
    }
    buf_addc(out, is_object ? '{' : '[');
    cJSON_ArrayForEach(item, value)
    {
        buf_addf(out, "%s\n%*s", item == value->child ? "" : ",", indent + 2, "");
        if (is_object)
            add_key(out, item->string);
        add_pretty(out, item, indent + 2);
    }
    buf_addf(out, "\n%*s%c", indent, "", is_object ? '}' : ']');
}

char *json_print_pretty(const cJSON *value)
{
    struct buf out = BUF_INIT(SIZE_MAX);

    add_pretty(&out, value, 0);
    return buf_steal(&out);
}

/* ---- comparing, merging ---- */

static bool is_numeric(const cJSON *item)
{
    return cJSON_IsNumber(item) || cJSON_IsRaw(item);
}

static bool equal_numbers(const cJSON *a, const cJSON *b)
{
    if (cJSON_IsRaw(a) && cJSON_IsRaw(b))
        return strcmp(a->valuestring, b->valuestring) == 0;
    /* A raw one is kept because no double is the same number. */
    return cJSON_IsNumber(a) && cJSON_IsNumber(b) && a->valuedouble == b->valuedouble;
}

static bool equal_arrays(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child;
    const cJSON *y = b->child;

    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        if (!json_equal(x, y))
            return false;
    }
    return x == NULL && y == NULL;
}

static bool equal_objects(const cJSON *a, const cJSON *b)
{
    const cJSON *item;

    if (cJSON_GetArraySize(a) != cJSON_GetArraySize(b))
        return false;
    cJSON_ArrayForEach(item, a)
    {
        const cJSON *other = member(b, item->string, strlen(item->string));

        if (other == NULL || !json_equal(item, other))
            return false;
    }
    return true;
}

bool json_equal(const cJSON *a, const cJSON *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (is_numeric(a) && is_numeric(b))
        return equal_numbers(a, b);
    if ((a->type & 0xff) != (b->type & 0xff))
        return false;
    if (cJSON_IsString(a))
        return strcmp(a->valuestring, b->valuestring) == 0;
    if (cJSON_IsArray(a))
        return equal_arrays(a, b);
    return !cJSON_IsObject(a) || equal_objects(a, b);
}

/* `target` keeps its place and key and takes over what `fresh` holds. */
static void become(cJSON *target, cJSON *fresh)
{
    cJSON_Delete(target->child);
    cJSON_free(target->valuestring);
    target->type = fresh->type | (target->type & cJSON_StringIsConst);
    target->child = fresh->child;
    target->valuestring = fresh->valuestring;
    target->valueint = fresh->valueint;
    target->valuedouble = fresh->valuedouble;
    fresh->child = NULL;
    fresh->valuestring = NULL;
    cJSON_Delete(fresh);
}

void json_merge(cJSON *target, const cJSON *patch)
{
    const cJSON *item;

    if (!cJSON_IsObject(patch)) {
        become(target, json_copy(patch));
        return;
    }
    if (!cJSON_IsObject(target))
        become(target, json_object());
    cJSON_ArrayForEach(item, patch)
    {
        const cJSON *old = member(target, item->string, strlen(item->string));

        if (cJSON_IsNull(item))
            cJSON_DeleteItemFromObjectCaseSensitive(target, item->string);
        else if (old != NULL)
            json_merge((cJSON *)old, item);
        else
            json_merge(json_set_object(target, item->string), item);
    }
}

cJSON *json_merge_diff(const cJSON *from, const cJSON *to)
{
    cJSON *patch = json_object();
    const cJSON *item;

    cJSON_ArrayForEach(item, to)
    {
        const cJSON *old = cJSON_GetObjectItemCaseSensitive(from, item->string);

        if (json_equal(old, item))
            continue;
        json_set(patch, item->string,
                 cJSON_IsObject(old) && cJSON_IsObject(item) ? json_merge_diff(old, item)
                                                             : json_copy(item));
    }
    cJSON_ArrayForEach(item, from)
    {
        if (cJSON_GetObjectItemCaseSensitive(to, item->string) == NULL)
            json_set(patch, item->string, cJSON_CreateNull());
    }
    return patch;
}

void json_freep(cJSON **value)
{
    cJSON_Delete(*value);
    *value = NULL;
}
