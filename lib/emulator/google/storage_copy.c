/* Objects out of objects: compose, copy, rewrite, move. Bytes of a copy are shared, not copied. */
#include "emulator/google/storage_internal.h"

#include <inttypes.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define COMPOSE_MAX 32
#define MIB         ((int64_t)1 << 20)

/* ---- compose ---- */

struct source {
    const char *name; /* of the request's body */
    int64_t generation;
    struct content content; /* one reference, once found */
};

struct composition {
    struct source sources[COMPOSE_MAX];
    size_t count;
    bool delete_sources;
};

/* The lock is held. */
static void composition_release(struct composition *composition)
{
    for (size_t i = 0; i < composition->count; i++)
        blob_unref(steal(composition->sources[i].content.blob));
}

static int composition_parse(const cJSON *body, struct composition *out, struct err *err)
{
    const cJSON *list = json_at(body, "sourceObjects");
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count == 0)
        return storage_fail(err, 400, "required",
                            "You must provide at least one source component.");
    if (count > COMPOSE_MAX)
        return storage_fail(err, 400, "invalid",
                            "The number of source components provided (%d) exceeds the maximum "
                            "(%d)",
                            count, COMPOSE_MAX);
    out->delete_sources = json_bool(body, "deleteSourceObjects", false);
    for (const cJSON *item = list->child; item != NULL; item = item->next) {
        struct source *source = &out->sources[out->count++];
        source->name = json_str(item, "name");
        if (source->name == NULL)
            return storage_fail(err, 400, "required", "Required");
        json_i64(item, "generation", &source->generation);
    }
    return 0;
}

/* The lock is held; takes a reference to every source. */
static int composition_find(const struct bucket *bucket, const cJSON *body,
                            struct composition *composition, struct err *err)
{
    const cJSON *item = json_at(body, "sourceObjects")->child;
    for (size_t i = 0; i < composition->count; i++, item = item->next) {
        struct source *source = &composition->sources[i];
        struct object *object = bucket_find(bucket, source->name, NULL);
        int64_t expected;
        if (object == NULL || (source->generation != 0 && source->generation != object->generation))
            return storage_fail(err, 404, "notFound",
                                "Object %s (generation: %" PRId64 ") not found.", source->name,
                                source->generation);
        if (json_i64(item, "objectPreconditions.ifGenerationMatch", &expected) &&
            expected != object->generation)
            return storage_fail(err, 412, "conditionNotMet",
                                "Source object %s's generation %" PRId64
                                " does not match the precondition %" PRId64 ".",
                                source->name, object->generation, expected);
        source->generation = object->generation;
        source->content = object->content;
        blob_ref(source->content.blob);
    }
    return 0;
}

static int composition_write(struct storage *storage, const struct composition *composition,
                             struct content *out, struct err *err)
{
    struct writer writer;
    int components = 0;
    if (writer_open(storage, &writer, err) < 0)
        return -1;
    for (size_t i = 0; i < composition->count; i++) {
        const struct content *content = &composition->sources[i].content;
        components += content->components > 0 ? content->components : 1;
        if (writer_append(&writer, content, err) < 0) {
            writer_abort(&writer);
            return -1;
        }
    }
    if (writer_finish(&writer, out, err) < 0)
        return -1;
    out->has_md5 = false;
    out->components = components;
    return 0;
}

/* The lock is held. */
static void composition_delete(struct bucket *bucket, const struct composition *composition,
                               const char *destination)
{
    for (size_t i = 0; i < composition->count; i++) {
        const struct source *source = &composition->sources[i];
        struct object *object = bucket_find(bucket, source->name, NULL);
        if (object != NULL && object->generation == source->generation &&
            strcmp(object->name, destination) != 0)
            bucket_remove(bucket, object);
    }
}

static int compose_fields(const cJSON *body, cJSON **out, struct err *err)
{
    autojson cJSON *fields = json_object();
    const cJSON *destination = json_at(body, "destination");
    if (cJSON_IsObject(destination) && object_fields_take(fields, destination, false, err) < 0)
        return -1;
    *out = steal(fields);
    return 0;
}

/* The sources are found, then joined without the lock, then it becomes an object. */
static int compose(struct storage *storage, const struct target *target, const cJSON *body,
                   const struct conditions *conditions, struct composition *composition,
                   cJSON **json, struct err *err)
{
    autojson cJSON *fields = NULL;
    if (compose_fields(body, &fields, err) < 0)
        return -1;
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    int result = bucket != NULL ? composition_find(bucket, body, composition, err) : -1;
    pthread_mutex_unlock(&storage->lock);
    struct content content;
    if (result < 0 || composition_write(storage, composition, &content, err) < 0)
        return -1;
    pthread_mutex_lock(&storage->lock);
    result = conditions_check(conditions, bucket_find(bucket, target->object, NULL), false, err);
    if (result == 0) {
        *json = object_json(storage, bucket,
                            bucket_put(storage, bucket, target->object, &content, steal(fields)));
        if (composition->delete_sources)
            composition_delete(bucket, composition, target->object);
    }
    pthread_mutex_unlock(&storage->lock);
    content_release(storage, &content);
    return result;
}

int object_compose(struct storage *storage, const struct request *request,
                   const struct target *target, struct answer *answer, struct err *err)
{
    autojson cJSON *body = NULL;
    struct conditions conditions;
    struct composition composition = {.count = 0};
    cJSON *json = NULL;
    if (object_name_check(target->object, err) < 0 || storage_body(request, true, &body, err) < 0 ||
        conditions_parse(request, false, &conditions, err) < 0 ||
        composition_parse(body, &composition, err) < 0)
        return -1;
    int result = compose(storage, target, body, &conditions, &composition, &json, err);
    pthread_mutex_lock(&storage->lock);
    composition_release(&composition);
    pthread_mutex_unlock(&storage->lock);
    return result == 0 ? storage_answer_json(request, answer, json, err) : -1;
}

/* ---- copies ---- */

struct copy {
    enum copy_kind kind;
    const struct target *source, *destination;
    int64_t source_generation;
    struct conditions source_conditions, conditions;
    int64_t step; /* most bytes in one call; 0: all */
    const char *token;
    cJSON *body; /* owned; {} when none was sent */
};

/* A rewrite that is not done: the same source to the same destination, so many bytes on. */
struct rewrite {
    struct rewrite *next;
    char *token;
    char *key;
    int64_t done;
};

void rewrites_free(struct storage *storage)
{
    while (storage->rewrites != NULL) {
        struct rewrite *rewrite = storage->rewrites;
        storage->rewrites = rewrite->next;
        free(rewrite->token);
        free(rewrite->key);
        free(rewrite);
    }
}

static int copy_parse(const struct request *request, struct copy *copy, struct err *err)
{
    copy->token = request_query(request, "rewriteToken");
    if (query_i64(request, "sourceGeneration", &copy->source_generation, err) < 0 ||
        query_i64(request, "maxBytesRewrittenPerCall", &copy->step, err) < 0 ||
        conditions_parse(request, true, &copy->source_conditions, err) < 0 ||
        conditions_parse(request, false, &copy->conditions, err) < 0)
        return -1;
    if (copy->step % MIB != 0)
        return storage_fail(err, 400, "invalid",
                            "maxBytesRewrittenPerCall must be an integral multiple of 1 MiB "
                            "(1048576).");
    return storage_body(request, false, &copy->body, err);
}

/* Without metadata of its own the copy has the source's. */
static int copy_fields(const struct copy *copy, const struct object *source, cJSON **out,
                       struct err *err)
{
    autojson cJSON *fields = copy->body->child == NULL ? json_copy(source->fields) : json_object();
    if (object_fields_take(fields, copy->body, false, err) < 0)
        return -1;
    *out = steal(fields);
    return 0;
}

/* The lock is held. Finds the rewrite that the token names, or begins one, and moves it on. */
static int rewrite_step(struct storage *storage, const struct copy *copy,
                        const struct object *source, struct rewrite **out, struct err *err)
{
    autofree char *body = json_print(copy->body);
    autofree char *key = xasprintf(
        "%s\n%s\n%" PRId64 "\n%s\n%s\n%" PRId64 "\n%s", copy->source->bucket, source->name,
        source->generation, copy->destination->bucket, copy->destination->object, copy->step, body);
    struct rewrite *rewrite = storage->rewrites;
    while (copy->token != NULL && rewrite != NULL && strcmp(rewrite->token, copy->token) != 0)
        rewrite = rewrite->next;
    if (copy->token != NULL && (rewrite == NULL || strcmp(rewrite->key, key) != 0))
        return storage_fail(err, 400, "invalid",
                            "Invalid rewriteToken: it belongs to another request.");
    if (copy->token == NULL) {
        unsigned char secret[24];
        random_bytes(secret, sizeof secret);
        rewrite = xcalloc(1, sizeof *rewrite);
        *rewrite = (struct rewrite){.next = storage->rewrites,
                                    .token = base64url_encode(secret, sizeof secret),
                                    .key = steal(key)};
        storage->rewrites = rewrite;
    }
    rewrite->done += copy->step;
    *out = rewrite;
    return 0;
}

static cJSON *rewrite_json(const struct object *source, int64_t written, cJSON *resource,
                           const char *token)
{
    cJSON *json = json_object();
    json_set_str(json, "kind", "storage#rewriteResponse");
    json_set_i64_str(json, "totalBytesRewritten", written);
    json_set_i64_str(json, "objectSize", (int64_t)source->content.blob->size);
    json_set_bool(json, "done", resource != NULL);
    if (resource != NULL)
        json_set(json, "resource", resource);
    else
        json_set_str(json, "rewriteToken", token);
    return json;
}

/* The lock is held. */
static struct object *copy_source(struct storage *storage, const struct copy *copy,
                                  struct bucket **from, struct bucket **to, struct err *err)
{
    *from = storage_bucket(storage, copy->source->bucket, err);
    *to = *from != NULL ? storage_bucket(storage, copy->destination->bucket, err) : NULL;
    if (*to == NULL)
        return NULL;
    struct object *source =
        bucket_object(*from, copy->source->object, copy->source_generation, err);
    if (source == NULL || conditions_check(&copy->source_conditions, source, true, err) < 0 ||
        conditions_check(&copy->conditions, bucket_find(*to, copy->destination->object, NULL),
                         false, err) < 0)
        return NULL;
    return source;
}

/* The lock is held. */
static cJSON *copy_now(struct storage *storage, const struct copy *copy, struct err *err)
{
    struct bucket *from, *to;
    struct object *source = copy_source(storage, copy, &from, &to, err);
    if (source == NULL)
        return NULL;
    int64_t size = (int64_t)source->content.blob->size;
    if (copy->kind == COPY_REWRITE && copy->step > 0) {
        struct rewrite *rewrite = NULL;
        if (rewrite_step(storage, copy, source, &rewrite, err) < 0)
            return NULL;
        if (rewrite->done < size)
            return rewrite_json(source, rewrite->done, NULL, rewrite->token);
    }
    cJSON *fields;
    if (copy_fields(copy, source, &fields, err) < 0)
        return NULL;
    struct content content = source->content;
    blob_ref(content.blob);
    struct object *made = bucket_put(storage, to, copy->destination->object, &content, fields);
    cJSON *resource = object_json(storage, to, made);
    if (copy->kind == COPY_MOVE && made != source)
        bucket_remove(from, source);
    return copy->kind == COPY_REWRITE ? rewrite_json(made, size, resource, NULL) : resource;
}

int object_copy(struct storage *storage, const struct request *request, enum copy_kind kind,
                const struct target *source, const struct target *destination,
                struct answer *answer, struct err *err)
{
    struct copy copy = {.kind = kind, .source = source, .destination = destination};
    cJSON *json = NULL;
    if (object_name_check(destination->object, err) == 0 && copy_parse(request, &copy, err) == 0) {
        pthread_mutex_lock(&storage->lock);
        json = copy_now(storage, &copy, err);
        pthread_mutex_unlock(&storage->lock);
    }
    cJSON_Delete(copy.body);
    return json != NULL ? storage_answer_json(request, answer, json, err) : -1;
}
