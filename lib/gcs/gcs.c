/* Names, metadata and small objects. */
#include "gcs/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define REPLACED_TRIES 3

int gcs_new(struct http *http, struct auth *auth, struct gcs **out, struct err *err)
{
    autofree char *endpoint = google_endpoint(http_run(http), GOOGLE_STORAGE);
    struct url_parts parts;
    struct gcs *gcs;

    if (!url_split(endpoint, &parts))
        return err_set(err, ERR_USAGE,
                       "'%s' is no http or https URL; check STORAGE_EMULATOR_HOST "
                       "and NECOOPS_EMULATOR",
                       endpoint);
    gcs = xcalloc(1, sizeof(*gcs));
    gcs->http = http;
    gcs->auth = auth;
    gcs->endpoint = steal(endpoint);
    *out = gcs;
    return 0;
}

void gcs_free(struct gcs *gcs)
{
    if (gcs == NULL)
        return;
    free(gcs->endpoint);
    free(gcs);
}

void gcs_freep(struct gcs **gcs)
{
    gcs_free(*gcs);
}

const struct http_auth *gcs_auth(const struct gcs *gcs)
{
    return gcs->auth != NULL ? auth_http(gcs->auth) : NULL;
}

const char *gcs_account(const struct gcs *gcs)
{
    return gcs->auth != NULL ? auth_account(gcs->auth) : NULL;
}

int gcs_split_url(const char *url, char **bucket, char **object, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *start = text_starts(url, "gs://") ? url + 5 : NULL;
    const char *slash = start != NULL ? strchr(start, '/') : NULL;
    size_t len = slash != NULL ? (size_t)(slash - start) : 0;

    if (slash == NULL || len < 3 || len > 222 || strspn(start, letters) != len ||
        slash[1] == '\0' || strlen(slash + 1) > 1024 || strpbrk(slash + 1, "\r\n") != NULL)
        return err_set(err, ERR_USAGE, "'%s' is no object of Cloud Storage; gs://BUCKET/OBJECT is",
                       url);
    *bucket = xstrndup(start, len);
    *object = xstrdup(slash + 1);
    return 0;
}

char *gcs_what(const char *bucket, const char *name)
{
    return xasprintf("object 'gs://%s/%s'", bucket, name);
}

char *gcs_object_url(const struct gcs *gcs, const char *bucket, const char *name)
{
    autofree char *b = url_encode(bucket);
    autofree char *o = name != NULL ? url_encode(name) : NULL;

    return xasprintf("%s/storage/v1/b/%s/o%s%s", gcs->endpoint, b, o != NULL ? "/" : "",
                     o != NULL ? o : "");
}

int gcs_error(const struct gcs *gcs, const struct http_response *response, const char *what,
              const char *permission, struct err *err)
{
    google_error(response, what, permission, gcs_account(gcs), err);
    if (err->code == ERR_PROTOCOL)
        return google_hint(http_run(gcs->http), gcs->endpoint, err);
    return -1;
}

/* ---- metadata ---- */

void gcs_object_clear(struct gcs_object *object)
{
    free(object->bucket);
    free(object->name);
    free(object->content_encoding);
    free(object->content_type);
    free(object->updated);
    *object = (struct gcs_object){0};
}

static char *copy_str(const cJSON *json, const char *key)
{
    const char *text = json_str(json, key);

    return text != NULL ? xstrdup(text) : NULL;
}

int gcs_object_read(const cJSON *json, const char *what, struct gcs_object *out, struct err *err)
{
    struct gcs_object object = {0};
    const char *crc = json_str(json, "crc32c");
    const char *bucket = json_str(json, "bucket");
    const char *name = json_str(json, "name");

    if (bucket == NULL || name == NULL || !json_i64(json, "generation", &object.generation) ||
        object.generation <= 0 || !json_u64(json, "size", &object.size))
        return err_set(err, ERR_PROTOCOL,
                       "%s: the answer lacks its bucket, name, generation or size", what);
    if (crc != NULL && crc32c_from_base64(crc, &object.crc32c) < 0)
        return err_set(err, ERR_PROTOCOL, "%s: the answer's crc32c is no checksum", what);
    object.has_crc32c = crc != NULL;
    (void)json_i64(json, "metageneration", &object.metageneration);
    object.bucket = xstrdup(bucket);
    object.name = xstrdup(name);
    object.content_encoding = copy_str(json, "contentEncoding");
    object.content_type = copy_str(json, "contentType");
    object.updated = copy_str(json, "updated");
    *out = object;
    return 0;
}

int gcs_stat(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
             struct gcs_object *out, struct err *err)
{
    autofree char *base = gcs_object_url(gcs, bucket, name);
    autofree char *pin =
        generation != 0 ? xasprintf("&generation=%lld", (long long)generation) : xstrdup("");
    autofree char *url = xasprintf("%s?fields=" GCS_FIELDS "%s", base, pin);
    autofree char *what = gcs_what(bucket, name);
    const struct google_call call = {
        .method = "GET", .url = url, .what = what, .permission = "storage.objects.get"};
    autojson cJSON *json = NULL;

    if (google_call(gcs->http, gcs->auth, &call, &json, err) < 0)
        return -1;
    return gcs_object_read(json, what, out, err);
}

/* ---- list ---- */

typedef int each_object(void *arg, const struct gcs_object *object, struct err *err);

static int each_of_page(const cJSON *page, const char *what, each_object *each, void *arg,
                        struct err *err)
{
    const cJSON *item = NULL;

    cJSON_ArrayForEach(item, json_at(page, "items"))
    {
        autogcsobject struct gcs_object object = {0};

        if (gcs_object_read(item, what, &object, err) < 0 || each(arg, &object, err) < 0)
            return -1;
    }
    return 0;
}

int gcs_list(struct gcs *gcs, const char *bucket, const char *prefix, each_object *each, void *arg,
             struct err *err)
{
    autofree char *base = gcs_object_url(gcs, bucket, NULL);
    autofree char *encoded = url_encode(prefix != NULL ? prefix : "");
    autofree char *what = xasprintf("objects 'gs://%s/%s*'", bucket, prefix != NULL ? prefix : "");
    autofree char *token = NULL;

    do {
        autofree char *after = token != NULL ? url_encode(token) : NULL;
        autofree char *url = xasprintf(
            "%s?prefix=%s&fields=nextPageToken,items(" GCS_FIELDS ")&maxResults=1000%s%s", base,
            encoded, after != NULL ? "&pageToken=" : "", after != NULL ? after : "");
        const struct google_call call = {.method = "GET",
                                         .url = url,
                                         .what = what,
                                         .permission = "storage.objects.list",
                                         .cap = (size_t)16 << 20};
        autojson cJSON *page = NULL;
        const char *next;

        if (google_call(gcs->http, gcs->auth, &call, &page, err) < 0 ||
            each_of_page(page, what, each, arg, err) < 0)
            return -1;
        next = json_str(page, "nextPageToken");
        if (next != NULL && token != NULL && strcmp(next, token) == 0)
            return err_set(err, ERR_PROTOCOL, "%s: the same page was answered twice", what);
        free(token);
        token = next != NULL && next[0] != '\0' ? xstrdup(next) : NULL;
    } while (token != NULL);
    return 0;
}

/* ---- reading a whole object ---- */

static int check_content(const struct http_response *response, const struct gcs_object *object,
                         const char *what, struct err *err)
{
    uint32_t crc = crc32c(0, response->body.data, response->body.len);

    if (response->body.len != object->size)
        return err_set(err, ERR_PROTOCOL, "%s: %zu bytes came, it has %llu", what,
                       response->body.len, (unsigned long long)object->size);
    if (object->has_crc32c && crc != object->crc32c)
        return err_set(err, ERR_PROTOCOL,
                       "%s: its checksum is wrong: what came has CRC32C %s, it should be %s", what,
                       crc32c_base64(crc).text, crc32c_base64(object->crc32c).text);
    return 0;
}

static int read_content(struct gcs *gcs, const struct gcs_object *object, const char *what,
                        size_t cap, struct http_response *response, struct err *err)
{
    /* As stored: what is decompressed on the way fits no checksum. */
    static const char *const headers[] = {"Accept-Encoding: gzip", NULL};
    autofree char *base = gcs_object_url(gcs, object->bucket, object->name);
    autofree char *url =
        xasprintf("%s?alt=media&generation=%lld", base, (long long)object->generation);
    const struct http_request request = {.method = "GET",
                                         .url = url,
                                         .headers = headers,
                                         .cap = cap,
                                         .auth = gcs_auth(gcs),
                                         .again = google_try_again,
                                         .what = what};

    if (http_perform(gcs->http, &request, response, err) < 0)
        return google_hint(http_run(gcs->http), gcs->endpoint, err);
    if (response->status != 200)
        return gcs_error(gcs, response, what, "storage.objects.get", err);
    return check_content(response, object, what, err);
}

static int read_once(struct gcs *gcs, const char *bucket, const char *name, struct buf *out,
                     struct gcs_object *found, struct err *err)
{
    autoresponse struct http_response response = {0};
    autofree char *what = gcs_what(bucket, name);

    if (found->size > out->cap)
        return err_set(err, ERR_FAILED, "%s: it has %llu bytes, at most %zu are expected", what,
                       (unsigned long long)found->size, out->cap);
    /* An error's text may be longer than a small object. */
    if (read_content(gcs, found, what, out->cap > BUF_SMALL ? out->cap : BUF_SMALL, &response,
                     err) < 0)
        return -1;
    buf_reset(out);
    return buf_add(out, response.body.data, response.body.len);
}

int gcs_read(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
             struct buf *out, struct gcs_object *object, struct err *err)
{
    for (int tries = 0;; tries++) {
        autogcsobject struct gcs_object found = {0};

        if (gcs_stat(gcs, bucket, name, generation, &found, err) < 0)
            return -1;
        if (read_once(gcs, bucket, name, out, &found, err) == 0) {
            if (object != NULL) {
                *object = found;
                found = (struct gcs_object){0};
            }
            return 0;
        }
        /* Replaced between the two requests: the live one is what was asked for. */
        if (err->code != ERR_NOT_FOUND || generation != 0 || tries == REPLACED_TRIES)
            return -1;
    }
}

int gcs_delete(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
               struct err *err)
{
    autofree char *base = gcs_object_url(gcs, bucket, name);
    autofree char *what = gcs_what(bucket, name);
    autofree char *url = generation != 0
                             ? xasprintf("%s?generation=%lld", base, (long long)generation)
                             : xstrdup(base);
    const struct google_call call = {.method = "DELETE",
                                     .url = url,
                                     .idempotent = generation != 0,
                                     .what = what,
                                     .permission = "storage.objects.delete"};

    return google_call(gcs->http, gcs->auth, &call, NULL, err);
}
