#include "emulator/argocd/pointer.h"

#include <stdlib.h>
#include <string.h>

/* ---- pointers ---- */

static char *unescape(const char *token, size_t len)
{
    char *text = xstrndup(token, len);
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '~' && (from[1] == '0' || from[1] == '1'))
            *to++ = *++from == '0' ? '~' : '/';
        else
            *to++ = *from;
    }
    *to = '\0';
    return text;
}

bool pointer_split(const char *pointer, struct strv *tokens)
{
    if (*pointer == '\0')
        return true;
    if (*pointer != '/')
        return false;
    while (*pointer == '/') {
        size_t len = strcspn(pointer + 1, "/");

        strv_take(tokens, unescape(pointer + 1, len));
        pointer += 1 + len;
    }
    return true;
}

/* An index into an array of `len`; `len` itself (also written "-") is the place behind the last. */
static bool parse_index(const char *token, int len, int *index)
{
    char *end;
    unsigned long value;

    if (strcmp(token, "-") == 0) {
        *index = len;
        return true;
    }
    if (token[strspn(token, "0123456789")] != '\0' || *token == '\0')
        return false;
    value = strtoul(token, &end, 10);
    if (value > (unsigned long)len)
        return false;
    *index = (int)value;
    return true;
}

static cJSON *step(cJSON *value, const char *token)
{
    int index;

    if (cJSON_IsObject(value))
        return cJSON_GetObjectItemCaseSensitive(value, token);
    if (cJSON_IsArray(value) && parse_index(token, cJSON_GetArraySize(value), &index))
        return cJSON_GetArrayItem(value, index);
    return NULL;
}

static cJSON *walk(cJSON *root, const struct strv *tokens, size_t count)
{
    for (size_t i = 0; i < count && root != NULL; i++)
        root = step(root, tokens->items[i]);
    return root;
}

cJSON *pointer_find(cJSON *root, const char *pointer)
{
    autostrv struct strv tokens = STRV_INIT;

    return pointer_split(pointer, &tokens) ? walk(root, &tokens, tokens.len) : NULL;
}

/* Taken out of the tree, the caller's now; NULL when there is none (the root cannot be taken). */
static cJSON *detach(cJSON *root, const char *pointer)
{
    autostrv struct strv tokens = STRV_INIT;
    cJSON *parent;
    cJSON *item;

    if (!pointer_split(pointer, &tokens) || tokens.len == 0)
        return NULL;
    parent = walk(root, &tokens, tokens.len - 1);
    item = step(parent, tokens.items[tokens.len - 1]);
    return item != NULL ? cJSON_DetachItemViaPointer(parent, item) : NULL;
}

bool pointer_remove(cJSON *root, const char *pointer)
{
    autojson cJSON *item = detach(root, pointer);

    return item != NULL;
}

/* ---- patches ---- */

/* By hand: cJSON_InsertItemInArray of Debian 12 refuses any place but the first. */
static void insert_before(cJSON *array, cJSON *place, cJSON *item)
{
    item->next = place;
    item->prev = place->prev;
    if (place == array->child)
        array->child = item;
    else
        place->prev->next = item;
    place->prev = item;
}

static int set_in(cJSON *parent, const char *token, cJSON *value, bool insert)
{
    int index;

    if (cJSON_IsObject(parent)) {
        json_set(parent, token, value);
        return 0;
    }
    if (!cJSON_IsArray(parent) || !parse_index(token, cJSON_GetArraySize(parent), &index))
        return -1;
    if (index == cJSON_GetArraySize(parent))
        return cJSON_AddItemToArray(parent, value) ? 0 : -1;
    if (insert) {
        insert_before(parent, cJSON_GetArrayItem(parent, index), value);
        return 0;
    }
    return cJSON_ReplaceItemInArray(parent, index, value) ? 0 : -1;
}

/* Takes `value`. */
static int put(cJSON **root, const char *pointer, cJSON *value, bool insert, struct err *err)
{
    autostrv struct strv tokens = STRV_INIT;
    autojson cJSON *owned = value;
    cJSON *parent;

    if (!pointer_split(pointer, &tokens))
        return err_set(err, ERR_INVALID, "invalid JSON pointer '%s'", pointer);
    if (tokens.len == 0) {
        cJSON_Delete(*root);
        *root = steal(owned);
        return 0;
    }
    parent = walk(*root, &tokens, tokens.len - 1);
    if (set_in(parent, tokens.items[tokens.len - 1], owned, insert) < 0)
        return err_set(err, ERR_INVALID,
                       "add operation does not apply: doc is missing path: \"%s\"", pointer);
    owned = NULL;
    return 0;
}

static int missing(const char *operation, const char *path, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s operation does not apply: doc is missing path: \"%s\"",
                   operation, path);
}

static int patch_transfer(cJSON **root, const cJSON *operation, bool move, struct err *err)
{
    const char *from = json_str_or(operation, "from", "");
    const char *path = json_str_or(operation, "path", "");
    cJSON *source = pointer_find(*root, from);

    if (source == NULL)
        return missing(move ? "move" : "copy", from, err);
    return put(root, path, move ? detach(*root, from) : json_copy(source), true, err);
}

static int patch_value(cJSON **root, const char *name, const char *path, const cJSON *value,
                       struct err *err)
{
    const cJSON *now = pointer_find(*root, path);

    if (value == NULL)
        return err_set(err, ERR_INVALID, "%s operation has no value", name);
    if (strcmp(name, "add") == 0)
        return put(root, path, json_copy(value), true, err);
    if (now == NULL)
        return missing(name, path, err);
    if (strcmp(name, "replace") == 0)
        return put(root, path, json_copy(value), false, err);
    if (json_equal(now, value))
        return 0;
    return err_set(err, ERR_INVALID, "testing value %s failed", path);
}

static int patch_one(cJSON **root, const cJSON *operation, struct err *err)
{
    const char *name = json_str_or(operation, "op", "");
    const char *path = json_str(operation, "path");

    if (path == NULL)
        return err_set(err, ERR_INVALID, "a JSON patch operation has no path");
    if (strcmp(name, "remove") == 0)
        return pointer_remove(*root, path) ? 0 : missing(name, path, err);
    if (strcmp(name, "move") == 0 || strcmp(name, "copy") == 0)
        return patch_transfer(root, operation, *name == 'm', err);
    if (strcmp(name, "add") == 0 || strcmp(name, "replace") == 0 || strcmp(name, "test") == 0)
        return patch_value(root, name, path, cJSON_GetObjectItemCaseSensitive(operation, "value"),
                           err);
    return err_set(err, ERR_INVALID, "unexpected JSON patch operation '%s'", name);
}

int json_patch_apply(cJSON **root, const cJSON *operations, struct err *err)
{
    const cJSON *operation;

    if (!cJSON_IsArray(operations))
        return err_set(err, ERR_INVALID, "a JSON patch is a list of operations");
    cJSON_ArrayForEach(operation, operations)
    {
        if (patch_one(root, operation, err) < 0)
            return -1;
    }
    return 0;
}
