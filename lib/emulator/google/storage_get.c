/* Reading objects: as JSON, and their bytes: ranges, hashes, and gzip undone for whoever does not
 * say that it can do so itself. */
#include "emulator/google/storage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>
#include <zlib.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

struct view {
    struct conditions conditions;
    int64_t generation;
};

static int view_parse(const struct request *request, struct view *out, struct err *err)
{
    *out = (struct view){.generation = 0};
    if (query_i64(request, "generation", &out->generation, err) < 0)
        return -1;
    return conditions_parse(request, false, &out->conditions, err);
}

/* The lock is held. */
static struct object *view_object(struct storage *storage, const struct target *target,
                                  const struct view *view, struct bucket **bucket, struct err *err)
{
    *bucket = storage_bucket(storage, target->bucket, err);
    if (*bucket == NULL)
        return NULL;
    struct object *object = bucket_object(*bucket, target->object, view->generation, err);
    if (object == NULL || conditions_check(&view->conditions, object, true, err) < 0)
        return NULL;
    return object;
}

int object_get(struct storage *storage, const struct request *request, const struct target *target,
               struct answer *answer, struct err *err)
{
    const char *alt = request_query(request, "alt");
    if (alt != NULL && strcmp(alt, "media") == 0)
        return object_media(storage, request, target, answer, err);
    if (alt != NULL && strcmp(alt, "json") != 0)
        return storage_fail(err, 400, "invalidParameter", "Invalid value '%s' for alt", alt);
    struct view view;
    if (view_parse(request, &view, err) < 0)
        return -1;
    struct bucket *bucket;
    pthread_mutex_lock(&storage->lock);
    struct object *object = view_object(storage, target, &view, &bucket, err);
    cJSON *json = object != NULL ? object_json(storage, bucket, object) : NULL;
    autofree char *etag = object != NULL ? object_etag(object) : NULL;
    pthread_mutex_unlock(&storage->lock);
    if (json == NULL)
        return -1;
    answer_header(answer, "ETag: %s", etag);
    return storage_answer_json(request, answer, json, err);
}

/* ---- ranges ---- */

enum range_kind { RANGE_NONE, RANGE_PART, RANGE_UNSATISFIABLE };

/* Decimal digits; false when there are none. What does not fit is as large as can be. */
static bool digits(const char **text, uint64_t *out)
{
    const char *p = *text;
    if (*p < '0' || *p > '9')
        return false;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *text = p;
    *out = value;
    return true;
}

/* A header that is no single byte range is ignored, as RFC 9110 allows. */
static enum range_kind range_parse(const char *header, uint64_t size, uint64_t *first,
                                   uint64_t *length)
{
    if (header == NULL || strncmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    const char *p = header + 6;
    uint64_t from = 0, to = UINT64_MAX, suffix = 0;
    bool has_from = digits(&p, &from);
    if (*p++ != '-')
        return RANGE_NONE;
    bool has_to = digits(&p, has_from ? &to : &suffix);
    if (*p != '\0' || (!has_from && !has_to) || (has_from && has_to && to < from))
        return RANGE_NONE;
    if (!has_from) {
        if (suffix == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        *length = suffix < size ? suffix : size;
        *first = size - *length;
        return RANGE_PART;
    }
    if (from >= size)
        return RANGE_UNSATISFIABLE;
    *first = from;
    *length = (to < size ? to + 1 : size) - from;
    return RANGE_PART;
}

/* ---- gzip undone on the way ---- */

struct gunzip {
    int fd;
    z_stream z;
    unsigned char in[32768];
    bool ended;
};

static ssize_t gunzip_next(void *arg, char *out, size_t max)
{
    struct gunzip *gunzip = arg;
    z_stream *z = &gunzip->z;
    z->next_out = (unsigned char *)out;
    z->avail_out = max > UINT32_MAX ? UINT32_MAX : (uInt)max;
    uInt room = z->avail_out;
    while (z->avail_out == room && !gunzip->ended) {
        if (z->avail_in == 0) {
            ssize_t n = read(gunzip->fd, gunzip->in, sizeof gunzip->in);
            if (n <= 0)
                return -1; /* cut short: the peer must not take it for whole */
            z->next_in = gunzip->in;
            z->avail_in = (uInt)n;
        }
        int result = inflate(z, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            gunzip->ended = true;
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return -1;
    }
    return (ssize_t)(room - z->avail_out);
}

static void gunzip_end(void *arg)
{
    struct gunzip *gunzip = arg;
    inflateEnd(&gunzip->z);
    close(gunzip->fd);
    free(gunzip);
}

static int answer_gunzipped(struct answer *answer, int fd, struct err *err)
{
    struct gunzip *gunzip = xcalloc(1, sizeof *gunzip);
    gunzip->fd = fd;
    if (inflateInit2(&gunzip->z, 15 + 16) != Z_OK) {
        close(fd);
        free(gunzip);
        return err_set(err, ERR_FAILED, "zlib is not available");
    }
    answer->stream = gunzip_next;
    answer->stream_end = gunzip_end;
    answer->stream_arg = gunzip;
    return 0;
}

/* ---- media ---- */

/* What an answer needs of an object, taken under the lock. */
struct media {
    int fd;
    uint64_t size;
    int64_t generation, metageneration;
    uint32_t crc32c;
    bool has_md5;
    unsigned char md5[MD5_LEN];
    bool hashes_on_one_line;
    cJSON *fields;
    char *etag;
};

static void media_clear(struct media *media)
{
    if (media->fd >= 0)
        close(media->fd);
    cJSON_Delete(media->fields);
    free(media->etag);
}

static int media_open(struct storage *storage, const struct request *request,
                      const struct target *target, struct media *out, struct err *err)
{
    struct view view;
    if (view_parse(request, &view, err) < 0)
        return -1;
    struct bucket *bucket;
    pthread_mutex_lock(&storage->lock);
    const struct object *object = view_object(storage, target, &view, &bucket, err);
    int fd = object != NULL ? open(object->content.blob->path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        *out = (struct media){.fd = fd,
                              .size = object->content.blob->size,
                              .generation = object->generation,
                              .metageneration = object->metageneration,
                              .crc32c = object->content.crc32c,
                              .has_md5 = object->content.has_md5,
                              .hashes_on_one_line = storage->hash_headers++ % 2 == 0,
                              .fields = json_copy(object->fields),
                              .etag = object_etag(object)};
        memcpy(out->md5, object->content.md5, MD5_LEN);
    } else if (object != NULL) {
        err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", object->content.blob->path);
    }
    pthread_mutex_unlock(&storage->lock);
    return fd >= 0 ? 0 : -1;
}

static void hash_headers(struct answer *answer, const struct media *media)
{
    struct crc32c_text crc = crc32c_base64(media->crc32c);
    if (!media->has_md5) {
        answer_header(answer, "X-Goog-Hash: crc32c=%s", crc.text);
        return;
    }
    autofree char *md5 = base64_encode(media->md5, MD5_LEN);
    if (media->hashes_on_one_line) {
        answer_header(answer, "X-Goog-Hash: crc32c=%s,md5=%s", crc.text, md5);
    } else {
        answer_header(answer, "X-Goog-Hash: crc32c=%s", crc.text);
        answer_header(answer, "X-Goog-Hash: md5=%s", md5);
    }
}

static void media_headers(struct answer *answer, const struct media *media)
{
    const cJSON *fields = media->fields;
    const char *disposition = json_str(fields, "contentDisposition");
    answer_header(answer, "Content-Type: %s",
                  json_str_or(fields, "contentType", "application/octet-stream"));
    answer_header(answer, "ETag: %s", media->etag);
    answer_header(
        answer, "Cache-Control: %s",
        json_str_or(fields, "cacheControl", "no-cache, no-store, max-age=0, must-revalidate"));
    if (disposition != NULL)
        answer_header(answer, "Content-Disposition: %s", disposition);
    hash_headers(answer, media);
    answer_header(answer, "X-Goog-Generation: %" PRId64, media->generation);
    answer_header(answer, "X-Goog-Metageneration: %" PRId64, media->metageneration);
    answer_header(answer, "X-Goog-Storage-Class: %s",
                  json_str_or(fields, "storageClass", "STANDARD"));
    answer_header(answer, "X-Goog-Stored-Content-Encoding: %s",
                  json_str_or(fields, "contentEncoding", "identity"));
    answer_header(answer, "X-Goog-Stored-Content-Length: %" PRIu64, media->size);
}

static bool undo_gzip(const struct request *request, const struct media *media)
{
    const char *encoding = json_str(media->fields, "contentEncoding");
    return encoding != NULL && strcmp(encoding, "gzip") == 0 &&
           !header_has_token(request_header(request, "Accept-Encoding"), "gzip") &&
           !header_has_token(request_header(request, "Cache-Control"), "no-transform") &&
           !header_has_token(json_str(media->fields, "cacheControl"), "no-transform");
}

static int answer_range(const struct request *request, struct answer *answer, struct media *media,
                        struct err *err)
{
    uint64_t first = 0, length = media->size;
    enum range_kind kind =
        range_parse(request_header(request, "Range"), media->size, &first, &length);
    if (kind == RANGE_UNSATISFIABLE) {
        answer_header(answer, "Content-Range: bytes */%" PRIu64, media->size);
        return storage_fail(err, 416, "requestedRangeNotSatisfiable",
                            "Request range not satisfiable");
    }
    media_headers(answer, media);
    const char *encoding = json_str(media->fields, "contentEncoding");
    if (encoding != NULL)
        answer_header(answer, "Content-Encoding: %s", encoding);
    answer->status = kind == RANGE_PART ? 206 : 200;
    if (kind == RANGE_PART)
        answer_header(answer, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                      first + length - 1, media->size);
    if (length > 0) {
        answer->fd = media->fd;
        media->fd = -1;
        answer->offset = first;
        answer->length = length;
    }
    return 0;
}

int object_media(struct storage *storage, const struct request *request,
                 const struct target *target, struct answer *answer, struct err *err)
{
    CLEANUP(media_clear) struct media media = {.fd = -1};
    if (media_open(storage, request, target, &media, err) < 0)
        return -1;
    if (!undo_gzip(request, &media))
        return answer_range(request, answer, &media, err);
    media_headers(answer, &media);
    answer_header(answer, "X-GUploader-Response-Body-Transformations: gunzipped");
    answer_header(answer, "Warning: 214 UploadServer gunzipped");
    answer->status = 200;
    int fd = media.fd;
    media.fd = -1;
    return answer_gunzipped(answer, fd, err);
}
