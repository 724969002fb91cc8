/* storage.objects.insert in one request: media and multipart. Resumable uploads start here too. */
#include "emulator/google/storage_internal.h"

#include <strings.h>
#include "necoops/base/text.h"

/* The pieces of an upload, borrowed from the request but for the metadata. */
struct upload {
    cJSON *metadata; /* owned */
    const char *data;
    size_t len;
    const char *type; /* of the data, or NULL */
};

static char *header_copy(const char *headers, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *p = headers, *end = headers + len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *line_end = newline != NULL ? newline : end;
        size_t line = (size_t)(line_end - p);
        if (line > name_len && strncasecmp(p, name, name_len) == 0 && p[name_len] == ':') {
            const char *value = p + name_len + 1;
            while (value < line_end && (*value == ' ' || *value == '\t'))
                value++;
            while (line_end > value && (line_end[-1] == '\r' || line_end[-1] == ' '))
                line_end--;
            return xstrndup(value, (size_t)(line_end - value));
        }
        p = newline != NULL ? newline + 1 : end;
    }
    return NULL;
}

/* multipart/related; boundary="x" → x */
static char *boundary_of(const char *type)
{
    const char *found = type != NULL ? strcasestr(type, "boundary=") : NULL;
    if (found == NULL)
        return NULL;
    found += strlen("boundary=");
    if (*found == '"' || *found == '\'') {
        const char *end = strchr(found + 1, *found);
        return end != NULL ? xstrndup(found + 1, (size_t)(end - found - 1)) : NULL;
    }
    return xstrndup(found, strcspn(found, "; \t"));
}

struct part {
    const char *headers, *data;
    size_t headers_len, len;
};

/* The part that starts with the delimiter's line at `*at`; moves `*at` to the next such line. What
 * ends the data is a line break and the delimiter: the same text elsewhere belongs to the data. */
static bool next_part(const char **at, const char *end, const char *delimiter, struct part *out)
{
    autofree char *stop_text = xasprintf("\n%s", delimiter);
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *p = newline;
    if (newline == NULL)
        return false;
    out->headers = newline + 1;
    for (;; p = newline) {
        newline = p + 1 < end ? memchr(p + 1, '\n', (size_t)(end - p - 1)) : NULL;
        if (newline == NULL)
            return false;
        if (newline == p + 1 || (newline == p + 2 && p[1] == '\r'))
            break;
    }
    out->headers_len = (size_t)(p + 1 - out->headers);
    out->data = newline + 1;
    const char *stop = memmem(newline, (size_t)(end - newline), stop_text, strlen(stop_text));
    if (stop == NULL)
        return false;
    *at = stop + 1;
    if (stop > out->data && stop[-1] == '\r')
        stop--;
    out->len = stop > out->data ? (size_t)(stop - out->data) : 0;
    return true;
}

static int parse_metadata(const struct part *part, cJSON **out, struct err *err)
{
    autojson cJSON *metadata = NULL;
    if (json_parse(part->data, part->len, "metadata", &metadata, err) < 0 ||
        !cJSON_IsObject(metadata))
        return storage_fail(err, 400, "parseError", "Parse Error");
    *out = steal(metadata);
    return 0;
}

static int parse_multipart(const struct request *request, struct upload *out, char **type,
                           struct err *err)
{
    autofree char *boundary = boundary_of(request_header(request, "Content-Type"));
    if (boundary == NULL || boundary[0] == '\0')
        return storage_fail(err, 400, "badContent", "Multipart boundary is missing");
    autofree char *delimiter = xasprintf("--%s", boundary);
    const char *end = request->body + request->body_len;
    const char *at = memmem(request->body, request->body_len, delimiter, strlen(delimiter));
    struct part metadata, media;
    if (at == NULL || !next_part(&at, end, delimiter, &metadata))
        return storage_fail(err, 400, "badContent",
                            "Malformed multipart body: no metadata part was found");
    if (!next_part(&at, end, delimiter, &media))
        return storage_fail(err, 400, "badContent",
                            "Malformed multipart body: no data part was found");
    if (parse_metadata(&metadata, &out->metadata, err) < 0)
        return -1;
    *type = header_copy(media.headers, media.headers_len, "Content-Type");
    out->data = media.data;
    out->len = media.len;
    out->type = *type;
    return 0;
}

/* The name comes in the query or in the metadata. */
static int upload_name(const struct request *request, const cJSON *metadata, const char **out,
                       struct err *err)
{
    const char *name = request_query(request, "name");
    if (name == NULL)
        name = json_str(metadata, "name");
    if (name == NULL)
        return storage_fail(err, 400, "required", "Required");
    *out = name;
    return object_name_check(name, err);
}

static int upload_fields(const struct request *request, const struct upload *upload, cJSON **out,
                         struct err *err)
{
    autojson cJSON *fields = json_object();
    const char *encoding = request_query(request, "contentEncoding");
    json_set_str(fields, "contentType",
                 upload->type != NULL ? upload->type : "application/octet-stream");
    json_set_str(fields, "contentEncoding", encoding);
    if (object_fields_take(fields, upload->metadata, false, err) < 0)
        return -1;
    *out = steal(fields);
    return 0;
}

/* The bucket exists and the preconditions hold: asked before the bytes are stored, and again with
 * them in hand. The lock is held. */
static struct bucket *upload_admit(struct storage *storage, const char *name, const char *object,
                                   const struct conditions *conditions, struct err *err)
{
    struct bucket *bucket = storage_bucket(storage, name, err);
    if (bucket == NULL ||
        conditions_check(conditions, bucket_find(bucket, object, NULL), false, err) < 0)
        return NULL;
    return bucket;
}

static int store(struct storage *storage, const struct request *request,
                 const struct target *target, const struct upload *upload, struct answer *answer,
                 struct err *err)
{
    const char *name = NULL;
    struct conditions conditions;
    autojson cJSON *fields = NULL;
    if (upload_name(request, upload->metadata, &name, err) < 0 ||
        conditions_parse(request, false, &conditions, err) < 0 ||
        upload_fields(request, upload, &fields, err) < 0)
        return -1;
    struct content content;
    if (content_from_bytes(storage, upload->data, upload->len, &content, err) < 0)
        return -1;
    cJSON *json = NULL;
    if (hashes_check(upload->metadata, request_header(request, "X-Goog-Hash"), &content, err) ==
        0) {
        pthread_mutex_lock(&storage->lock);
        struct bucket *bucket = upload_admit(storage, target->bucket, name, &conditions, err);
        if (bucket != NULL)
            json = object_json(storage, bucket,
                               bucket_put(storage, bucket, name, &content, steal(fields)));
        pthread_mutex_unlock(&storage->lock);
    }
    content_release(storage, &content);
    return json != NULL ? storage_answer_json(request, answer, json, err) : -1;
}

static int upload_media(struct storage *storage, const struct request *request,
                        const struct target *target, struct answer *answer, struct err *err)
{
    autojson cJSON *metadata = json_object();
    struct upload upload = {.metadata = metadata,
                            .data = request->body,
                            .len = request->body_len,
                            .type = request_header(request, "Content-Type")};
    return store(storage, request, target, &upload, answer, err);
}

static int upload_multipart(struct storage *storage, const struct request *request,
                            const struct target *target, struct answer *answer, struct err *err)
{
    struct upload upload = {.metadata = NULL};
    autofree char *type = NULL;
    int result = parse_multipart(request, &upload, &type, err);
    if (result == 0)
        result = store(storage, request, target, &upload, answer, err);
    cJSON_Delete(upload.metadata);
    return result;
}

int object_upload(struct storage *storage, const struct request *request,
                  const struct target *target, struct answer *answer, struct err *err)
{
    const char *kind = request_query(request, "uploadType");
    if (request_query(request, "upload_id") != NULL)
        return resumable_continue(storage, request, target, answer, err);
    if (kind == NULL)
        return storage_fail(err, 400, "required", "Required parameter: uploadType");
    if (strcmp(kind, "media") == 0)
        return upload_media(storage, request, target, answer, err);
    if (strcmp(kind, "multipart") == 0)
        return upload_multipart(storage, request, target, answer, err);
    if (strcmp(kind, "resumable") == 0)
        return resumable_start(storage, request, target, answer, err);
    return storage_fail(err, 400, "invalidParameter", "Invalid value '%s' for uploadType", kind);
}
