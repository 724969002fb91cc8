#include "snapshot/pointer.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/snapshot/manifest.h"

void pointer_clear(struct pointer *pointer)
{
    cJSON_Delete(pointer->sets);
    *pointer = (struct pointer){0};
}

int pointer_read(const struct landing *landing, struct gcs *gcs, struct pointer *out,
                 struct err *err)
{
    autobuf struct buf text = BUF_INIT(MANIFEST_MAX);
    autogcsobject struct gcs_object object = {0};
    autostrv struct strv manifests = STRV_INIT;
    autojson cJSON *json = NULL;
    autofree char *url = landing_url(landing, landing->pointer);
    if (gcs_read(gcs, landing->bucket, landing->pointer, 0, &text, &object, err) != 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
        *out = (struct pointer){.sets = json_array()};
        return 0;
    }
    if (json_parse(text.data, text.len, url, &json, err) != 0)
        return -1;
    if (!json_is_pointer(json))
        return err_set(err, ERR_FAILED,
                       "'%s' is there and is no pointer to sets (its kind is not '%s')", url,
                       POINTER_KIND);
    if (pointer_parse(json, url, &manifests, err) != 0)
        return -1;
    *out = (struct pointer){.generation = object.generation,
                            .sets = cJSON_DetachItemFromObjectCaseSensitive(json, "sets")};
    return 0;
}

static char *relative(const char *set)
{
    return xasprintf("sets/%s/" LANDING_MANIFEST, set);
}

static bool names_set(const struct landing *landing, const cJSON *item, const char *set)
{
    const char *manifest = json_str_or(item, "manifest", "");
    autofree char *name = landing_name(landing, set, LANDING_MANIFEST);
    autofree char *whole = landing_url(landing, name);
    autofree char *part = relative(set);
    return strcmp(manifest, part) == 0 || strcmp(manifest, whole) == 0;
}

int pointer_place(const struct landing *landing, const struct pointer *pointer, const char *set)
{
    const cJSON *item;
    int place = 0;
    cJSON_ArrayForEach(item, pointer->sets)
    {
        if (names_set(landing, item, set))
            return place;
        place++;
    }
    return -1;
}

int64_t pointer_replaced(const struct pointer *pointer, int place)
{
    CLEANUP(err_clear) struct err none = ERR_INIT;
    const char *text = json_str(cJSON_GetArrayItem(pointer->sets, place), "replaced");
    int64_t at = INT64_MAX;
    if (!text)
        return 0;
    (void)!time_parse_rfc3339(text, &at, &none);
    return at;
}

cJSON *pointer_with(const struct landing *landing, const struct pointer *pointer, const char *set,
                    int64_t now_ms)
{
    autofree char *manifest = relative(set);
    cJSON *list = json_array(), *first = json_object();
    const cJSON *item;
    json_set_str(first, "manifest", manifest);
    json_push(list, first);
    cJSON_ArrayForEach(item, pointer->sets)
    {
        if (names_set(landing, item, set))
            continue;
        cJSON *kept = json_copy(item);
        if (item == pointer->sets->child)
            json_set_str(kept, "replaced", time_rfc3339(now_ms).text);
        json_push(list, kept);
    }
    return list;
}

cJSON *pointer_without(const struct landing *landing, const struct pointer *pointer,
                       const struct strv *sets)
{
    cJSON *list = json_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, pointer->sets)
    {
        bool dropped = false;
        for (size_t i = 0; i < sets->len && !dropped; i++)
            dropped = names_set(landing, item, sets->items[i]);
        if (!dropped)
            json_push(list, json_copy(item));
    }
    return list;
}

int pointer_write(const struct landing *landing, struct gcs *gcs, struct pointer *pointer,
                  const cJSON *sets, struct err *err)
{
    autojson cJSON *json = json_object();
    autogcsobject struct gcs_object written = {0};
    json_set_str(json, "kind", POINTER_KIND);
    json_set_i64(json, "formatVersion", MANIFEST_VERSION);
    json_set(json, "sets", json_copy(sets));
    autofree char *text = json_print_pretty(json);
    if (gcs_write(gcs, landing->bucket, landing->pointer, "application/json", text, strlen(text),
                  pointer->generation, &written, err) != 0)
        return -1;
    cJSON_Delete(pointer->sets);
    *pointer = (struct pointer){.generation = written.generation, .sets = json_copy(sets)};
    return 0;
}
