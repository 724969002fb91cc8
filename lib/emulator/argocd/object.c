#include "emulator/argocd/object.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/strv.h"
#include "necoops/base/text.h"

void object_split_version(const char *api_version, char *group, size_t group_size, char *version,
                          size_t version_size)
{
    const char *slash = strchr(api_version, '/');
    autofree char *head = xstrndup(api_version, slash != NULL ? (size_t)(slash - api_version) : 0);

    (void)text_copy(group, group_size, head);
    (void)text_copy(version, version_size, slash != NULL ? slash + 1 : api_version);
}

struct object_id object_id(const cJSON *object)
{
    struct object_id id = {.kind = json_str_or(object, "kind", ""),
                           .space = json_str_or(object, "metadata.namespace", ""),
                           .name = json_str_or(object, "metadata.name", "")};

    object_split_version(json_str_or(object, "apiVersion", ""), id.group, sizeof(id.group),
                         id.version, sizeof(id.version));
    return id;
}

bool object_same(const struct object_id *a, const struct object_id *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->kind, b->kind) == 0 &&
           strcmp(a->space, b->space) == 0 && strcmp(a->group, b->group) == 0;
}

cJSON *object_member_mutable(cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const cJSON *object_member(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static const char *text_in_map(const cJSON *object, const char *path, const char *name)
{
    const cJSON *item = object_member(json_at(object, path), name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

const char *object_annotation(const cJSON *object, const char *name)
{
    return text_in_map(object, "metadata.annotations", name);
}

const char *object_label(const cJSON *object, const char *name)
{
    return text_in_map(object, "metadata.labels", name);
}

static cJSON *map_of(cJSON *parent, const char *key)
{
    cJSON *map = object_member_mutable(parent, key);

    return cJSON_IsObject(map) ? map : json_set_object(parent, key);
}

void object_set_label(cJSON *object, const char *name, const char *value)
{
    json_set_str(map_of(map_of(object, "metadata"), "labels"), name, value);
}

void object_set_annotation(cJSON *object, const char *name, const char *value)
{
    json_set_str(map_of(map_of(object, "metadata"), "annotations"), name, value);
}

void object_set_space(cJSON *object, const char *space)
{
    cJSON *metadata = map_of(object, "metadata");

    if (space != NULL)
        json_set_str(metadata, "namespace", space);
    else
        cJSON_DeleteItemFromObjectCaseSensitive(metadata, "namespace");
}

/* ---- options ---- */

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list != '\0') {
        size_t skip = strspn(list, ", \t");
        size_t piece = strcspn(list + skip, ",");
        const char *start = list + skip;
        size_t end = piece;

        while (end > 0 && (start[end - 1] == ' ' || start[end - 1] == '\t'))
            end--;
        if (end == len && strncmp(start, word, len) == 0)
            return true;
        list = start + piece;
    }
    return false;
}

bool object_option(const cJSON *object, const char *annotation, const char *option)
{
    const char *value = object_annotation(object, annotation);

    return value != NULL && has_word(value, option);
}

bool list_has_option(const cJSON *options, const char *option)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, options)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, option) == 0)
            return true;
    }
    return false;
}

int object_wave(const cJSON *object)
{
    const char *text = object_annotation(object, ANNOTATION_WAVE);
    char *end;
    long wave;

    if (text == NULL || *text == '\0')
        return 0;
    wave = strtol(text, &end, 10);
    return *end == '\0' && wave > -1000000 && wave < 1000000 ? (int)wave : 0;
}

bool object_is_hook(const cJSON *object)
{
    const char *value = object_annotation(object, ANNOTATION_HOOK);

    return value != NULL && *value != '\0';
}

bool object_has_hook(const cJSON *object, const char *phase)
{
    return object_option(object, ANNOTATION_HOOK, phase);
}

/* ---- content ---- */

void object_drop_nulls(cJSON *value)
{
    cJSON *item = value != NULL ? value->child : NULL;

    while (item != NULL) {
        cJSON *next = item->next;

        if (cJSON_IsNull(item) && cJSON_IsObject(value))
            cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
        else
            object_drop_nulls(item);
        item = next;
    }
}

const cJSON *object_pod_spec(const cJSON *object)
{
    const char *kind = json_str_or(object, "kind", "");
    const cJSON *spec;

    if (strcmp(kind, "Pod") == 0)
        return json_at(object, "spec");
    spec = json_at(object, "spec.jobTemplate.spec.template.spec");
    return spec != NULL ? spec : json_at(object, "spec.template.spec");
}
