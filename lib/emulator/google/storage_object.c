/* Buckets and objects: what there is, what users may set, and how it looks as JSON. */
#include "emulator/google/storage_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

int64_t storage_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- buckets ---- */

static struct bucket *find_bucket(const struct storage *storage, const char *name, size_t *at)
{
    size_t low = 0, high = storage->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(storage->buckets[middle]->name, name);
        if (order == 0) {
            *at = middle;
            return storage->buckets[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return NULL;
}

struct bucket *storage_bucket(struct storage *storage, const char *name, struct err *err)
{
    size_t at;
    struct bucket *bucket = find_bucket(storage, name, &at);
    if (bucket == NULL)
        storage_fail(err, 404, "notFound", "The specified bucket does not exist.");
    return bucket;
}

struct bucket *storage_make_bucket(struct storage *storage, const char *name, cJSON *fields)
{
    size_t at;
    struct bucket *bucket = find_bucket(storage, name, &at);
    if (bucket != NULL) {
        cJSON_Delete(fields);
        return NULL;
    }
    if (storage->len == storage->size) {
        storage->size = storage->size ? storage->size * 2 : 8;
        storage->buckets = xrealloc(storage->buckets, storage->size * sizeof(struct bucket *));
    }
    bucket = xcalloc(1, sizeof *bucket);
    *bucket =
        (struct bucket){.name = xstrdup(name), .created_ms = storage_now_ms(), .fields = fields};
    memmove(&storage->buckets[at + 1], &storage->buckets[at],
            (storage->len - at) * sizeof(struct bucket *));
    storage->buckets[at] = bucket;
    storage->len++;
    return bucket;
}

cJSON *bucket_json(struct storage *storage, const struct bucket *bucket)
{
    cJSON *json = json_copy(bucket->fields);
    struct time_text created = time_rfc3339_ms(bucket->created_ms);
    json_set_str(json, "kind", "storage#bucket");
    json_set_str(json, "id", bucket->name);
    autofree char *self = xasprintf("%s/storage/v1/b/%s", emu_url(storage->emu), bucket->name);
    json_set_str(json, "selfLink", self);
    json_set_str(json, "name", bucket->name);
    json_set_str(json, "projectNumber", "123456789012");
    json_set_str(json, "generation", "1");
    json_set_str(json, "metageneration", "1");
    json_set_str(json, "etag", "CAE=");
    json_set_str(json, "timeCreated", created.text);
    json_set_str(json, "updated", created.text);
    if (json_str(json, "location") == NULL)
        json_set_str(json, "location", "ASIA-NORTHEAST1");
    json_set_str(json, "locationType", "region");
    if (json_str(json, "storageClass") == NULL)
        json_set_str(json, "storageClass", "STANDARD");
    cJSON *iam = json_set_object(json, "iamConfiguration");
    json_set_bool(json_set_object(iam, "uniformBucketLevelAccess"), "enabled", true);
    json_set_bool(json_set_object(iam, "bucketPolicyOnly"), "enabled", true);
    json_set_str(iam, "publicAccessPrevention", "inherited");
    return json;
}

/* ---- objects ---- */

struct object *bucket_find(const struct bucket *bucket, const char *name, size_t *at)
{
    size_t low = 0, high = bucket->len;
    struct object *found = NULL;
    while (low < high && found == NULL) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(bucket->objects[middle]->name, name);
        if (order < 0) {
            low = middle + 1;
        } else if (order > 0) {
            high = middle;
        } else {
            low = middle;
            found = bucket->objects[middle];
        }
    }
    if (at != NULL)
        *at = low;
    return found;
}

struct object *bucket_object(const struct bucket *bucket, const char *name, int64_t generation,
                             struct err *err)
{
    struct object *object = bucket_find(bucket, name, NULL);
    if (object != NULL && (generation == 0 || object->generation == generation))
        return object;
    storage_fail(err, 404, "notFound", "No such object: %s/%s", bucket->name, name);
    return NULL;
}

/* Generations look like the real ones: microseconds since 1970, never twice the same. */
static int64_t next_generation(struct storage *storage)
{
    int64_t now = storage_now_ms() * 1000;
    storage->last_generation = now > storage->last_generation ? now : storage->last_generation + 1;
    return storage->last_generation;
}

static struct object *bucket_insert(struct bucket *bucket, const char *name, size_t at)
{
    if (bucket->len == bucket->size) {
        bucket->size = bucket->size ? bucket->size * 2 : 16;
        bucket->objects = xrealloc(bucket->objects, bucket->size * sizeof(struct object *));
    }
    struct object *object = xcalloc(1, sizeof *object);
    object->name = xstrdup(name);
    memmove(&bucket->objects[at + 1], &bucket->objects[at],
            (bucket->len - at) * sizeof(struct object *));
    bucket->objects[at] = object;
    bucket->len++;
    return object;
}

struct object *bucket_put(struct storage *storage, struct bucket *bucket, const char *name,
                          struct content *content, cJSON *fields)
{
    size_t at;
    struct object *object = bucket_find(bucket, name, &at);
    if (object == NULL)
        object = bucket_insert(bucket, name, at);
    blob_unref(object->content.blob);
    cJSON_Delete(object->fields);
    object->content = *content;
    content->blob = NULL;
    object->fields = fields;
    object->generation = next_generation(storage);
    object->metageneration = 1;
    object->created_ms = object->updated_ms = storage_now_ms();
    return object;
}

void bucket_remove(struct bucket *bucket, struct object *object)
{
    size_t at;
    bucket_find(bucket, object->name, &at);
    memmove(&bucket->objects[at], &bucket->objects[at + 1],
            (bucket->len - at - 1) * sizeof(struct object *));
    bucket->len--;
    blob_unref(object->content.blob);
    cJSON_Delete(object->fields);
    free(object->name);
    free(object);
}

char *object_etag(const struct object *object)
{
    autofree char *text = xasprintf("%" PRIx64 "/%" PRIx64, (uint64_t)object->generation,
                                    (uint64_t)object->metageneration);
    return base64_encode(text, strlen(text));
}

static void set_links(cJSON *json, struct storage *storage, const struct bucket *bucket,
                      const struct object *object)
{
    autofree char *name = url_encode(object->name);
    const char *url = emu_url(storage->emu);
    autofree char *id = xasprintf("%s/%s/%" PRId64, bucket->name, object->name, object->generation);
    autofree char *self = xasprintf("%s/storage/v1/b/%s/o/%s", url, bucket->name, name);
    autofree char *media =
        xasprintf("%s/download/storage/v1/b/%s/o/%s?generation=%" PRId64 "&alt=media", url,
                  bucket->name, name, object->generation);
    json_set_str(json, "id", id);
    json_set_str(json, "selfLink", self);
    json_set_str(json, "mediaLink", media);
}

static void set_content(cJSON *json, const struct content *content)
{
    autofree char *size = xasprintf("%" PRIu64, content->blob->size);
    json_set_str(json, "size", size);
    json_set_str(json, "crc32c", crc32c_base64(content->crc32c).text);
    if (content->has_md5) {
        autofree char *md5 = base64_encode(content->md5, MD5_LEN);
        json_set_str(json, "md5Hash", md5);
    }
    if (content->components > 0)
        json_set_i64(json, "componentCount", content->components);
}

cJSON *object_json(struct storage *storage, const struct bucket *bucket,
                   const struct object *object)
{
    cJSON *json = json_copy(object->fields);
    struct time_text created = time_rfc3339_ms(object->created_ms);
    struct time_text updated = time_rfc3339_ms(object->updated_ms);
    autofree char *etag = object_etag(object);
    json_set_str(json, "kind", "storage#object");
    set_links(json, storage, bucket, object);
    json_set_str(json, "name", object->name);
    json_set_str(json, "bucket", bucket->name);
    json_set_i64_str(json, "generation", object->generation);
    json_set_i64_str(json, "metageneration", object->metageneration);
    if (json_str(json, "storageClass") == NULL)
        json_set_str(json, "storageClass", "STANDARD");
    set_content(json, &object->content);
    json_set_str(json, "etag", etag);
    json_set_str(json, "timeCreated", created.text);
    json_set_str(json, "updated", updated.text);
    json_set_str(json, "timeStorageClassUpdated", created.text);
    json_set_str(json, "timeFinalized", created.text);
    return json;
}

/* ---- what a user may set ---- */

static const char *const string_fields[] = {
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage",
    "contentType",  "customTime",         "storageClass",
};

static int take_string(cJSON *fields, const char *key, const cJSON *value, struct err *err)
{
    if (!cJSON_IsString(value))
        return storage_fail(err, 400, "invalid", "Invalid value for: %s is not a valid string",
                            key);
    autoerr struct err ignored = ERR_INIT;
    int64_t when;
    if (strcmp(key, "customTime") == 0 &&
        time_parse_rfc3339(value->valuestring, &when, &ignored) < 0)
        return storage_fail(err, 400, "invalid",
                            "Invalid value for: Invalid format: \"%s\" is malformed",
                            value->valuestring);
    json_set_str(fields, key, value->valuestring);
    return 0;
}

static int take_metadata(cJSON *fields, const cJSON *given, bool patch, struct err *err)
{
    if (!cJSON_IsObject(given))
        return storage_fail(err, 400, "invalid", "Invalid value for: metadata is not an object");
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(fields, "metadata");
    if (metadata == NULL || !patch)
        metadata = json_set_object(fields, "metadata");
    for (const cJSON *item = given->child; item != NULL; item = item->next) {
        if (cJSON_IsNull(item)) {
            cJSON_DeleteItemFromObjectCaseSensitive(metadata, item->string);
        } else if (cJSON_IsString(item)) {
            json_set_str(metadata, item->string, item->valuestring);
        } else {
            return storage_fail(err, 400, "invalid",
                                "Invalid value for: metadata '%s' is not a string", item->string);
        }
    }
    if (metadata->child == NULL)
        cJSON_DeleteItemFromObjectCaseSensitive(fields, "metadata");
    return 0;
}

static int take_flag(cJSON *fields, const char *key, const cJSON *value, struct err *err)
{
    if (!cJSON_IsBool(value))
        return storage_fail(err, 400, "invalid", "Invalid value for: %s is not a boolean", key);
    json_set_bool(fields, key, cJSON_IsTrue(value));
    return 0;
}

static int take_field(cJSON *fields, const char *key, const cJSON *value, bool patch,
                      struct err *err)
{
    if (cJSON_IsNull(value)) {
        cJSON_DeleteItemFromObjectCaseSensitive(fields, key);
        return 0;
    }
    if (strcmp(key, "metadata") == 0)
        return take_metadata(fields, value, patch, err);
    if (strcmp(key, "temporaryHold") == 0 || strcmp(key, "eventBasedHold") == 0)
        return take_flag(fields, key, value, err);
    return take_string(fields, key, value, err);
}

static bool settable(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(string_fields); i++) {
        if (strcmp(string_fields[i], key) == 0)
            return true;
    }
    return strcmp(key, "metadata") == 0 || strcmp(key, "temporaryHold") == 0 ||
           strcmp(key, "eventBasedHold") == 0;
}

int object_fields_take(cJSON *fields, const cJSON *given, bool patch, struct err *err)
{
    for (const cJSON *item = given->child; item != NULL; item = item->next) {
        if (settable(item->string) && take_field(fields, item->string, item, patch, err) < 0)
            return -1;
    }
    return 0;
}

int object_name_check(const char *name, struct err *err)
{
    size_t len = strlen(name);
    if (len == 0)
        return storage_fail(err, 400, "required", "Required");
    if (len > 1024)
        return storage_fail(err, 400, "invalid",
                            "The maximum object length is 1024 characters, but got a name with "
                            "%zu characters: '%.20s...'",
                            len, name);
    if (strpbrk(name, "\r\n") != NULL)
        return storage_fail(err, 400, "invalid",
                            "Disallowed unicode characters present in object name");
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        text_starts(name, ".well-known/acme-challenge/"))
        return storage_fail(err, 400, "invalid", "Invalid object name: '%s'", name);
    return 0;
}
