#include "necoops/snapshot/manifest.h"

#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "snapshot/tar.h"

void manifest_clear(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->object_count; i++) {
        gcs_object_clear(&manifest->objects[i].object);
        free(manifest->objects[i].path);
    }
    free(manifest->objects);
    free(manifest->created);
    free(manifest->cpu_platform);
    free(manifest->qemu_version);
    free(manifest->placemat_version);
    free(manifest->certificates_expire);
    strv_clear(&manifest->tags);
    *manifest = (struct manifest){0};
}

/* "gs://b/sets/2/manifest.json" and "x" make "gs://b/sets/2/x". */
static char *resolve(const char *url, const char *name)
{
    const char *slash = strrchr(url, '/');
    if (text_starts(name, "gs://"))
        return xstrdup(name);
    return xasprintf("%.*s/%s", (int)(slash - url), url, name);
}

static char *relative(const char *url, const struct gcs_object *object)
{
    size_t folder = (size_t)(strrchr(url, '/') + 1 - url);
    autofree char *whole = xasprintf("gs://%s/%s", object->bucket, object->name);
    return xstrdup(strncmp(whole, url, folder) == 0 ? whole + folder : whole);
}

static int check_kind(const cJSON *json, const char *kind, const char *url, struct err *err)
{
    int64_t version = 0;
    if (strcmp(json_str_or(json, "kind", ""), kind) != 0)
        return err_set(err, ERR_FAILED, "'%s' is no snapshot manifest (its kind is not '%s')", url,
                       kind);
    if (!json_i64(json, "formatVersion", &version) || version != MANIFEST_VERSION)
        return err_set(err, ERR_FAILED,
                       "'%s' has a formatVersion that this necoops does not know; it knows %d", url,
                       MANIFEST_VERSION);
    return 0;
}

static int parse_object(const cJSON *json, const char *url, struct manifest_object *out,
                        struct err *err)
{
    struct gcs_object *object = &out->object;
    const char *name = json_str(json, "name");
    const char *crc = json_str(json, "crc32c");
    const char *path = json_str(json, "path");
    if (!name || !*name || !json_i64(json, "generation", &object->generation) ||
        object->generation <= 0 || !json_u64(json, "size", &object->size) || !crc ||
        crc32c_from_base64(crc, &object->crc32c) != 0)
        return err_set(err, ERR_FAILED,
                       "each of 'objects' wants name, generation, size and crc32c");
    object->has_crc32c = true;
    autofree char *whole = resolve(url, name);
    if (gcs_split_url(whole, &object->bucket, &object->name, err) != 0)
        return -1;
    if (path && tar_clean_path(path, &out->path, err) != 0)
        return err_prefix(err, "object '%s'", name);
    return 0;
}

static int parse_objects(const cJSON *json, const char *url, struct manifest *out, struct err *err)
{
    const cJSON *list = json_at(json, "objects"), *item;
    int count = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || count == 0 || count > MANIFEST_OBJECTS)
        return err_set(err, ERR_FAILED, "'objects' must be a list of 1 to %d objects",
                       MANIFEST_OBJECTS);
    out->objects = xcalloc((size_t)count, sizeof(*out->objects));
    cJSON_ArrayForEach(item, list)
    {
        out->object_count++;
        if (parse_object(item, url, &out->objects[out->object_count - 1], err) != 0)
            return -1;
    }
    return 0;
}

static char *copy_of(const cJSON *json, const char *key)
{
    const char *text = json_str(json, key);
    return text ? xstrdup(text) : NULL;
}

static void parse_facts(const cJSON *json, struct manifest *out)
{
    const cJSON *tag;
    int64_t nodes = 0;
    cJSON_ArrayForEach(tag, json_at(json, "tags"))
    {
        if (cJSON_IsString(tag))
            strv_add(&out->tags, tag->valuestring);
    }
    if (json_i64(json, "nodes", &nodes) && nodes > 0 && nodes < INT32_MAX)
        out->nodes = (int)nodes;
    json_u64(json, "unpackedBytes", &out->unpacked_bytes);
    json_u64(json, "diskBytes", &out->disk_bytes);
    json_u64(json, "entries", &out->entries);
    out->created = copy_of(json, "created");
    out->cpu_platform = copy_of(json, "cpuPlatform");
    out->qemu_version = copy_of(json, "qemuVersion");
    out->placemat_version = copy_of(json, "placematVersion");
    out->certificates_expire = copy_of(json, "certificatesExpire");
}

int manifest_parse(const cJSON *json, const char *url, struct manifest *out, struct err *err)
{
    automanifest struct manifest manifest = {0};
    if (check_kind(json, MANIFEST_KIND, url, err) != 0)
        return -1;
    if (parse_objects(json, url, &manifest, err) != 0)
        return err_prefix(err, "manifest '%s'", url);
    parse_facts(json, &manifest);
    *out = manifest;
    manifest = (struct manifest){0};
    return 0;
}

static void set_count(cJSON *json, const char *key, uint64_t value)
{
    if (value > 0)
        json_set_i64_str(json, key, (int64_t)value);
}

static cJSON *object_json(const struct manifest_object *item, const char *url)
{
    cJSON *json = json_object();
    autofree char *name = relative(url, &item->object);
    json_set_str(json, "name", name);
    json_set_i64_str(json, "generation", item->object.generation);
    json_set_i64_str(json, "size", (int64_t)item->object.size);
    json_set_str(json, "crc32c", crc32c_base64(item->object.crc32c).text);
    json_set_str(json, "path", item->path);
    return json;
}

cJSON *manifest_json(const struct manifest *manifest, const char *url)
{
    cJSON *json = json_object();
    json_set_str(json, "kind", MANIFEST_KIND);
    json_set_i64(json, "formatVersion", MANIFEST_VERSION);
    json_set_str(json, "created", manifest->created);
    cJSON *tags = json_set_array(json, "tags");
    for (size_t i = 0; i < manifest->tags.len; i++)
        json_push_str(tags, manifest->tags.items[i]);
    if (manifest->nodes > 0)
        json_set_i64(json, "nodes", manifest->nodes);
    json_set_str(json, "cpuPlatform", manifest->cpu_platform);
    json_set_str(json, "qemuVersion", manifest->qemu_version);
    json_set_str(json, "placematVersion", manifest->placemat_version);
    json_set_str(json, "certificatesExpire", manifest->certificates_expire);
    set_count(json, "unpackedBytes", manifest->unpacked_bytes);
    set_count(json, "diskBytes", manifest->disk_bytes);
    set_count(json, "entries", manifest->entries);
    cJSON *objects = json_set_array(json, "objects");
    for (size_t i = 0; i < manifest->object_count; i++)
        json_push(objects, object_json(&manifest->objects[i], url));
    return json;
}

bool json_is_pointer(const cJSON *json)
{
    return strcmp(json_str_or(json, "kind", ""), POINTER_KIND) == 0;
}

int pointer_parse(const cJSON *json, const char *url, struct strv *manifests, struct err *err)
{
    const cJSON *set;
    size_t before = manifests->len;
    if (check_kind(json, POINTER_KIND, url, err) != 0)
        return -1;
    cJSON_ArrayForEach(set, json_at(json, "sets"))
    {
        const char *name = json_str(set, "manifest");
        if (!name || !*name)
            return err_set(err, ERR_FAILED, "'%s': each of 'sets' wants a manifest", url);
        strv_take(manifests, resolve(url, name));
    }
    if (manifests->len == before)
        return err_set(err, ERR_FAILED, "'%s' names no sets", url);
    return 0;
}
