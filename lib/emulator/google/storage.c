/* Cloud Storage: life, seed, buckets, and which call a path means; see storage.h. */
#include "emulator/google/storage_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

int storage_new(struct emu *emu, struct storage **out, struct err *err)
{
    struct storage *storage = xcalloc(1, sizeof *storage);
    storage->emu = emu;
    storage->dir = path_join(emu_data_dir(emu), "objects");
    pthread_mutex_init(&storage->lock, NULL);
    /* Nothing of a run before: what names its files were given is not known any more. */
    if (fs_remove_tree(storage->dir, err) < 0 || fs_mkdirs(storage->dir, 0700, err) < 0) {
        storage_free(storage);
        return -1;
    }
    *out = storage;
    return 0;
}

void storage_free(struct storage *storage)
{
    if (storage == NULL)
        return;
    sessions_free(storage);
    rewrites_free(storage);
    for (size_t i = 0; i < storage->len; i++) {
        struct bucket *bucket = storage->buckets[i];
        while (bucket->len > 0)
            bucket_remove(bucket, bucket->objects[bucket->len - 1]);
        free(bucket->objects);
        free(bucket->name);
        cJSON_Delete(bucket->fields);
        free(bucket);
    }
    free(storage->buckets);
    free(storage->dir);
    pthread_mutex_destroy(&storage->lock);
    free(storage);
}

/* ---- seed ---- */

static int seed_file(struct storage *storage, const char *path, struct content *out,
                     struct err *err)
{
    struct writer writer;
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_USAGE, errno, "'%s' cannot be read", path);
    if (writer_open(storage, &writer, err) < 0)
        return -1;
    size_t size = (size_t)1 << 20;
    autofree char *block = xmalloc(size);
    for (ssize_t n; (n = read(fd, block, size)) != 0;) {
        if (n < 0)
            err_set_errno(err, ERR_USAGE, errno, "'%s' cannot be read", path);
        if (n < 0 || writer_add(&writer, block, (size_t)n, err) < 0) {
            writer_abort(&writer);
            return -1;
        }
    }
    return writer_finish(&writer, out, err);
}

static int seed_object(struct storage *storage, struct bucket *bucket, const cJSON *item,
                       struct err *err)
{
    const char *file = json_str(item, "file");
    const char *text = json_str(item, "text");
    if ((file == NULL) == (text == NULL))
        return err_set(err, ERR_USAGE, "object '%s' needs either 'file' or 'text'", item->string);
    autojson cJSON *fields = json_object();
    json_set_str(fields, "contentType", "application/octet-stream");
    struct content content;
    if (object_name_check(item->string, err) < 0 ||
        object_fields_take(fields, item, false, err) < 0)
        return err_prefix(err, "object '%s'", item->string);
    if (file != NULL ? seed_file(storage, file, &content, err) < 0
                     : content_from_bytes(storage, text, strlen(text), &content, err) < 0)
        return err_prefix(err, "object '%s'", item->string);
    pthread_mutex_lock(&storage->lock);
    bucket_put(storage, bucket, item->string, &content, steal(fields));
    pthread_mutex_unlock(&storage->lock);
    return 0;
}

int storage_seed(struct storage *storage, const cJSON *buckets, struct err *err)
{
    const cJSON *seed;
    cJSON_ArrayForEach(seed, buckets)
    {
        pthread_mutex_lock(&storage->lock);
        struct bucket *bucket = storage_make_bucket(storage, seed->string, json_object());
        pthread_mutex_unlock(&storage->lock);
        if (bucket == NULL)
            return err_set(err, ERR_USAGE, "bucket '%s' is there twice", seed->string);
        const cJSON *item;
        cJSON_ArrayForEach(item, json_at(seed, "objects"))
        {
            if (seed_object(storage, bucket, item, err) < 0)
                return err_prefix(err, "bucket '%s'", seed->string);
        }
    }
    return 0;
}

/* ---- buckets ---- */

static int bucket_get(struct storage *storage, const struct request *request,
                      const struct target *target, struct answer *answer, struct err *err)
{
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    cJSON *json = bucket != NULL ? bucket_json(storage, bucket) : NULL;
    pthread_mutex_unlock(&storage->lock);
    return json != NULL ? storage_answer_json(request, answer, json, err) : -1;
}

static int bucket_list(struct storage *storage, const struct request *request,
                       const struct target *target, struct answer *answer, struct err *err)
{
    (void)target;
    const char *prefix = request_query(request, "prefix");
    const char *after = request_query(request, "pageToken");
    int64_t max = 1000, count = 0;
    if (request_query(request, "project") == NULL)
        return storage_fail(err, 400, "required", "Required parameter: project");
    if (query_i64(request, "maxResults", &max, err) < 0)
        return -1;
    cJSON *json = json_object();
    cJSON *items = json_array();
    json_set_str(json, "kind", "storage#buckets");
    pthread_mutex_lock(&storage->lock);
    for (size_t i = 0; i < storage->len; i++) {
        const struct bucket *bucket = storage->buckets[i];
        if ((prefix != NULL && !text_starts(bucket->name, prefix)) ||
            (after != NULL && strcmp(bucket->name, after) <= 0))
            continue;
        if (max > 0 && count == max) {
            json_set_str(json, "nextPageToken",
                         json_str(cJSON_GetArrayItem(items, (int)count - 1), "name"));
            break;
        }
        json_push(items, bucket_json(storage, bucket));
        count++;
    }
    pthread_mutex_unlock(&storage->lock);
    if (count > 0)
        json_set(json, "items", items);
    else
        cJSON_Delete(items);
    return storage_answer_json(request, answer, json, err);
}

static bool bucket_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len < 3 || len > 222 || !isalnum((unsigned char)name[0]) ||
        !isalnum((unsigned char)name[len - 1]))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

static int bucket_insert(struct storage *storage, const struct request *request,
                         const struct target *target, struct answer *answer, struct err *err)
{
    (void)target;
    autojson cJSON *body = NULL;
    if (storage_body(request, true, &body, err) < 0)
        return -1;
    const char *name = json_str(body, "name");
    if (request_query(request, "project") == NULL)
        return storage_fail(err, 400, "required", "Required parameter: project");
    if (name == NULL || !bucket_name_valid(name))
        return storage_fail(err, 400, "invalid", "Invalid bucket name: '%s'",
                            name != NULL ? name : "");
    cJSON *fields = json_object();
    json_set_str(fields, "location", json_str(body, "location"));
    json_set_str(fields, "storageClass", json_str(body, "storageClass"));
    if (cJSON_IsObject(json_at(body, "labels")))
        json_set(fields, "labels", json_copy(json_at(body, "labels")));
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_make_bucket(storage, name, fields);
    cJSON *json = bucket != NULL ? bucket_json(storage, bucket) : NULL;
    pthread_mutex_unlock(&storage->lock);
    if (json == NULL)
        return storage_fail(err, 409, "conflict",
                            "Your previous request to create the named bucket succeeded and you "
                            "already own it.");
    return storage_answer_json(request, answer, json, err);
}

/* Whoever has a token of this run may do everything. */
static int test_permissions(struct storage *storage, const struct request *request,
                            const struct target *target, struct answer *answer, struct err *err)
{
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    pthread_mutex_unlock(&storage->lock);
    if (bucket == NULL)
        return -1;
    cJSON *json = json_object();
    json_set_str(json, "kind", "storage#testIamPermissionsResponse");
    cJSON *granted = json_set_array(json, "permissions");
    for (size_t i = 0; i + 1 < request->query.len; i += 2) {
        if (strcmp(request->query.items[i], "permissions") == 0)
            json_push_str(granted, request->query.items[i + 1]);
    }
    return storage_answer_json(request, answer, json, err);
}

/* Objects alone, no folders. */
static int bucket_layout(struct storage *storage, const struct request *request,
                         const struct target *target, struct answer *answer, struct err *err)
{
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    cJSON *whole = bucket != NULL ? bucket_json(storage, bucket) : NULL;
    pthread_mutex_unlock(&storage->lock);
    if (whole == NULL)
        return -1;
    cJSON *json = json_object();
    json_set_str(json, "kind", "storage#storageLayout");
    json_set_str(json, "bucket", target->bucket);
    json_set_str(json, "location", json_str(whole, "location"));
    json_set_str(json, "locationType", json_str(whole, "locationType"));
    json_set_bool(json_set_object(json, "hierarchicalNamespace"), "enabled", false);
    cJSON_Delete(whole);
    return storage_answer_json(request, answer, json, err);
}

/* ---- changes of one object ---- */

struct change {
    int64_t generation;
    struct conditions conditions;
};

static int change_parse(const struct request *request, struct change *out, struct err *err)
{
    *out = (struct change){.generation = 0};
    if (query_i64(request, "generation", &out->generation, err) < 0)
        return -1;
    return conditions_parse(request, false, &out->conditions, err);
}

/* The lock is held. */
static struct object *change_object(struct storage *storage, const struct target *target,
                                    const struct change *change, struct bucket **bucket,
                                    struct err *err)
{
    *bucket = storage_bucket(storage, target->bucket, err);
    struct object *object =
        *bucket != NULL ? bucket_object(*bucket, target->object, change->generation, err) : NULL;
    if (object == NULL || conditions_check(&change->conditions, object, false, err) < 0)
        return NULL;
    return object;
}

int object_delete(struct storage *storage, const struct request *request,
                  const struct target *target, struct answer *answer, struct err *err)
{
    struct change change;
    struct bucket *bucket;
    if (change_parse(request, &change, err) < 0)
        return -1;
    pthread_mutex_lock(&storage->lock);
    struct object *object = change_object(storage, target, &change, &bucket, err);
    if (object != NULL)
        bucket_remove(bucket, object);
    pthread_mutex_unlock(&storage->lock);
    if (object == NULL)
        return -1;
    answer->status = 204;
    return 0;
}

/* PATCH changes what it names; PUT (update) replaces all that a user may set. */
int object_patch(struct storage *storage, const struct request *request,
                 const struct target *target, struct answer *answer, struct err *err)
{
    struct change change;
    struct bucket *bucket;
    autojson cJSON *body = NULL;
    bool patch = request_is(request, "PATCH");
    if (change_parse(request, &change, err) < 0 || storage_body(request, false, &body, err) < 0)
        return -1;
    cJSON *json = NULL;
    pthread_mutex_lock(&storage->lock);
    struct object *object = change_object(storage, target, &change, &bucket, err);
    cJSON *fields = object != NULL && patch ? json_copy(object->fields) : json_object();
    if (object != NULL && object_fields_take(fields, body, patch, err) == 0) {
        cJSON_Delete(object->fields);
        object->fields = steal(fields);
        object->metageneration++;
        object->updated_ms = storage_now_ms();
        json = object_json(storage, bucket, object);
    }
    pthread_mutex_unlock(&storage->lock);
    cJSON_Delete(fields);
    return json != NULL ? storage_answer_json(request, answer, json, err) : -1;
}

/* ---- routes ---- */

struct route {
    const char *method;
    const char *tail; /* after the bucket: "" none, "o", "o/?", …; "?" is any segment */
    storage_call call;
};

static const struct route bucket_routes[] = {
    {"GET", "", bucket_get},
    {"GET", "iam/testPermissions", test_permissions},
    {"GET", "storageLayout", bucket_layout},
    {"GET", "o", object_list},
    {"GET", "o/?", object_get},
    {"DELETE", "o/?", object_delete},
    {"PATCH", "o/?", object_patch},
    {"PUT", "o/?", object_patch},
    {"POST", "o/?/compose", object_compose},
};

/* Whether the path's rest has the form of `tail`; each "?" is any one segment. */
static bool tail_matches(const char *tail, char *const *parts, size_t count)
{
    autostrv struct strv pattern = STRV_INIT;
    strv_split(&pattern, tail, '/');
    if (pattern.len != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(pattern.items[i], "?") != 0 && strcmp(pattern.items[i], parts[i]) != 0)
            return false;
    }
    return true;
}

static int route_copy(struct storage *storage, const struct request *request,
                      const struct target *source, char *const *rest, size_t count,
                      struct answer *answer, struct err *err)
{
    enum copy_kind kind = COPY_WHOLE;
    struct target destination = *source;
    if (tail_matches("o/?/moveTo/o/?", rest, count)) {
        kind = COPY_MOVE;
        destination.object = rest[4];
    } else {
        if (tail_matches("o/?/rewriteTo/b/?/o/?", rest, count))
            kind = COPY_REWRITE;
        else if (!tail_matches("o/?/copyTo/b/?/o/?", rest, count))
            return storage_fail(err, 404, "notFound", "Not Found");
        destination.bucket = rest[4];
        destination.object = rest[6];
    }
    return object_copy(storage, request, kind, source, &destination, answer, err);
}

/* `parts` from "b" on. */
static int route_plain(struct storage *storage, const struct request *request, char *const *parts,
                       size_t count, struct answer *answer, struct err *err)
{
    struct target target = {.bucket = NULL};
    if (count == 1 && request_is(request, "GET"))
        return bucket_list(storage, request, &target, answer, err);
    if (count == 1 && request_is(request, "POST"))
        return bucket_insert(storage, request, &target, answer, err);
    if (count < 2)
        return storage_fail(err, 405, "methodNotAllowed", "Method Not Allowed");
    target.bucket = parts[1];
    target.object = count > 3 ? parts[3] : NULL;
    char *const *rest = parts + 2;
    for (size_t i = 0; i < ARRAY_LEN(bucket_routes); i++) {
        const struct route *route = &bucket_routes[i];
        if (request_is(request, route->method) && tail_matches(route->tail, rest, count - 2))
            return route->call(storage, request, &target, answer, err);
    }
    if (!request_is(request, "POST") || count < 5)
        return storage_fail(err, 404, "notFound", "Not Found");
    return route_copy(storage, request, &target, rest, count - 2, answer, err);
}

static int route_upload(struct storage *storage, const struct request *request, char *const *parts,
                        size_t count, struct answer *answer, struct err *err)
{
    if (count != 3 || strcmp(parts[2], "o") != 0)
        return storage_fail(err, 404, "notFound", "Not Found");
    struct target target = {.bucket = parts[1]};
    if (!request_is(request, "POST") && request_query(request, "upload_id") == NULL)
        return storage_fail(err, 405, "methodNotAllowed", "Method Not Allowed");
    return object_upload(storage, request, &target, answer, err);
}

static int route(struct storage *storage, const struct request *request, struct answer *answer,
                 struct err *err)
{
    char *const *parts = request->parts.items;
    size_t count = request->parts.len, i = 0;
    bool upload = false, download = false;
    if (i < count && strcmp(parts[i], "resumable") == 0)
        i++;
    if (i < count && strcmp(parts[i], "upload") == 0)
        upload = ++i > 0;
    else if (i < count && strcmp(parts[i], "download") == 0)
        download = ++i > 0;
    if (count < i + 3 || strcmp(parts[i], "storage") != 0 || strcmp(parts[i + 1], "v1") != 0 ||
        strcmp(parts[i + 2], "b") != 0)
        return storage_fail(err, 404, "notFound", "Not Found");
    if (upload)
        return route_upload(storage, request, parts + i + 2, count - i - 2, answer, err);
    if (download && (!request_is(request, "GET") || count - i != 6))
        return storage_fail(err, 404, "notFound", "Not Found");
    /* Only a session's URI is a credential, and it is one for uploads alone. */
    if (request_query(request, "upload_id") != NULL)
        return storage_fail(err, 400, "invalidParameter", "upload_id is not allowed here");
    return route_plain(storage, request, parts + i + 2, count - i - 2, answer, err);
}

void storage_handle(void *service, const struct request *request, struct answer *answer)
{
    autoerr struct err err = ERR_INIT;
    if (route(service, request, answer, &err) < 0)
        storage_answer_error(request, answer, &err);
}
