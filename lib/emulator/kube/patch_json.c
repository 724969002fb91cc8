#include <stdlib.h>
#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/patch.h"

/* All that does not apply is the same to the API server's clients. */
static int does_not_apply(struct err *err)
{
    return kube_fail(err, 422, "Invalid",
                     "the server rejected our request due to an error in our request");
}

/* One part of a pointer, "~1" and "~0" decoded; *pointer moves behind it. */
static char *next_part(const char **pointer)
{
    const char *start = *pointer + 1;
    size_t len = strcspn(start, "/");
    char *part = xstrndup(start, len);
    char *to = part;

    for (const char *from = part; *from != '\0'; from++) {
        if (from[0] == '~' && (from[1] == '0' || from[1] == '1')) {
            *to++ = from[1] == '0' ? '~' : '/';
            from++;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    *pointer = start + len;
    return part;
}

/* An index of the array, `limit` being the greatest one allowed; -1 when it is none. */
static int index_of(const char *part, int limit)
{
    char *end;
    long index = strtol(part, &end, 10);

    if (part[0] == '\0' || *end != '\0' || (part[0] == '0' && part[1] != '\0'))
        return -1;
    if (index < 0 && index >= -limit)
        return (int)(index + limit);
    return index >= 0 && index <= limit ? (int)index : -1;
}

static cJSON *child_at(cJSON *value, const char *part)
{
    if (cJSON_IsObject(value))
        return json_get(value, part);
    if (cJSON_IsArray(value)) {
        int index = index_of(part, cJSON_GetArraySize(value) - 1);

        return index >= 0 ? cJSON_GetArrayItem(value, index) : NULL;
    }
    return NULL;
}

/* The container that the pointer's last part (*last, the caller's) is in; NULL when there is none.
 */
static cJSON *parent_at(cJSON *document, const char *pointer, char **last)
{
    cJSON *value = document;

    *last = NULL;
    while (*pointer == '/' && value != NULL) {
        char *part = next_part(&pointer);

        if (*pointer == '\0') {
            *last = part;
            return value;
        }
        value = child_at(value, part);
        free(part);
    }
    return NULL;
}

static cJSON *value_at(cJSON *document, const char *pointer)
{
    cJSON *value = document;

    while (*pointer == '/' && value != NULL) {
        autofree char *part = next_part(&pointer);

        value = child_at(value, part);
    }
    return *pointer == '\0' ? value : NULL;
}

/* Takes `value`. */
static int add_at(cJSON **document, const char *pointer, cJSON *value, struct err *err)
{
    autojson cJSON *owned = value;
    autofree char *last = NULL;
    cJSON *parent;
    int index;

    if (pointer[0] == '\0') {
        cJSON_Delete(*document);
        *document = steal(owned);
        return 0;
    }
    parent = parent_at(*document, pointer, &last);
    if (cJSON_IsObject(parent)) {
        json_set(parent, last, steal(owned));
        return 0;
    }
    if (!cJSON_IsArray(parent))
        return does_not_apply(err);
    index = strcmp(last, "-") == 0 ? cJSON_GetArraySize(parent)
                                   : index_of(last, cJSON_GetArraySize(parent));
    if (index < 0)
        return does_not_apply(err);
    if (index == cJSON_GetArraySize(parent))
        json_push(parent, steal(owned));
    else
        cJSON_InsertItemInArray(parent, index, steal(owned));
    return 0;
}

static cJSON *detach_at(cJSON *document, const char *pointer)
{
    autofree char *last = NULL;
    cJSON *parent = parent_at(document, pointer, &last);
    cJSON *child = parent != NULL ? child_at(parent, last) : NULL;

    if (child != NULL)
        cJSON_DetachItemViaPointer(parent, child);
    return child;
}

static int replace_at(cJSON **document, const char *pointer, const cJSON *value, struct err *err)
{
    autofree char *last = NULL;
    cJSON *parent;
    cJSON *child;

    if (pointer[0] == '\0')
        return add_at(document, pointer, json_copy(value), err);
    parent = parent_at(*document, pointer, &last);
    child = parent != NULL ? child_at(parent, last) : NULL;
    if (child == NULL)
        return does_not_apply(err);
    if (cJSON_IsObject(parent))
        json_set(parent, last, json_copy(value));
    else
        cJSON_ReplaceItemViaPointer(parent, child, json_copy(value));
    return 0;
}

static int transfer(cJSON **document, const char *from, const char *path, bool keep,
                    struct err *err)
{
    cJSON *value;

    if (from == NULL)
        return does_not_apply(err);
    if (keep) {
        const cJSON *source = value_at(*document, from);

        value = source != NULL ? json_copy(source) : NULL;
    } else {
        value = detach_at(*document, from);
    }
    return value != NULL ? add_at(document, path, value, err) : does_not_apply(err);
}

static int test_at(cJSON *document, const char *path, const cJSON *value, struct err *err)
{
    const cJSON *found = value_at(document, path);

    if (found == NULL && cJSON_IsNull(value))
        return 0;
    return found != NULL && json_equal(found, value) ? 0 : does_not_apply(err);
}

static int run(cJSON **document, const cJSON *operation, struct err *err)
{
    const char *op = json_str_or(operation, "op", "");
    const char *path = json_str(operation, "path");
    const char *from = json_str(operation, "from");
    const cJSON *value = json_get(operation, "value");
    bool needs_value =
        strcmp(op, "add") == 0 || strcmp(op, "replace") == 0 || strcmp(op, "test") == 0;

    if (path == NULL || (path[0] != '\0' && path[0] != '/') || (needs_value && value == NULL))
        return does_not_apply(err);
    if (strcmp(op, "add") == 0)
        return add_at(document, path, json_copy(value), err);
    if (strcmp(op, "replace") == 0)
        return replace_at(document, path, value, err);
    if (strcmp(op, "test") == 0)
        return test_at(*document, path, value, err);
    if (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0)
        return transfer(document, from, path, op[0] == 'c', err);
    if (strcmp(op, "remove") == 0) {
        cJSON *gone = detach_at(*document, path);

        if (gone == NULL)
            return does_not_apply(err);
        cJSON_Delete(gone);
        return 0;
    }
    return does_not_apply(err);
}

#define MOST_OPERATIONS 10000

int patch_json(cJSON **document, const cJSON *patch, struct err *err)
{
    const cJSON *operation;

    if (!cJSON_IsArray(patch))
        return kube_fail(err, 400, "BadRequest",
                         "error decoding patch: json: cannot unmarshal object into Go value of "
                         "type jsonpatch.Patch");
    if (cJSON_GetArraySize(patch) > MOST_OPERATIONS)
        return kube_fail(err, 413, "RequestEntityTooLarge",
                         "The allowed maximum operations in a JSON patch is %d, got %d",
                         MOST_OPERATIONS, cJSON_GetArraySize(patch));
    cJSON_ArrayForEach(operation, patch)
    {
        if (run(document, operation, err) < 0)
            return -1;
    }
    return 0;
}
