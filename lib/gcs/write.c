/* Writing a small object in one request. */
#include "gcs/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

struct upload {
    struct gcs *gcs;
    const char *bucket;
    const char *name;
    const char *what;
    uint32_t crc;
    size_t len;
    int64_t if_generation;
};

/* multipart/related: the metadata with the checksum that the service is to hold the data against,
 * then the data. */
static int multipart(const struct upload *upload, const char *content_type, const void *data,
                     const char *boundary, struct buf *out, struct err *err)
{
    autojson cJSON *metadata = json_object();
    autofree char *text = NULL;

    json_set_str(metadata, "contentType", content_type);
    json_set_str(metadata, "crc32c", crc32c_base64(upload->crc).text);
    text = json_print(metadata);
    buf_addf(out, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n", boundary,
             text);
    buf_addf(out, "--%s\r\nContent-Type: %s\r\n\r\n", boundary, content_type);
    buf_add(out, data, upload->len);
    buf_addf(out, "\r\n--%s--\r\n", boundary);
    if (out->overflowed)
        return err_set(err, ERR_FAILED, "%s: %zu bytes are too many for one request", upload->what,
                       upload->len);
    return 0;
}

static char *upload_url(const struct upload *upload)
{
    autofree char *bucket = url_encode(upload->bucket);
    autofree char *name = url_encode(upload->name);
    autofree char *condition =
        upload->if_generation != GCS_ANY_GENERATION
            ? xasprintf("&ifGenerationMatch=%lld", (long long)upload->if_generation)
            : xstrdup("");

    return xasprintf("%s/upload/storage/v1/b/%s/o?uploadType=multipart&name=%s%s&fields=" GCS_FIELDS
                     "&prettyPrint=false",
                     upload->gcs->endpoint, bucket, name, condition);
}

static bool is_ours(const struct upload *upload, const struct gcs_object *object)
{
    return object->size == upload->len && object->has_crc32c && object->crc32c == upload->crc &&
           object->generation != upload->if_generation;
}

/* 412: an earlier try may have been carried out, and only its answer was lost. That there was one
 * is not always known: libcurl sends a request again by itself when a connection that it used again
 * turns out to be dead. */
static int met_other_generation(const struct upload *upload, const struct http_response *response,
                                struct gcs_object *out, struct err *err)
{
    autogcsobject struct gcs_object now = {0};
    autoerr struct err ignored = ERR_INIT;

    if (gcs_stat(upload->gcs, upload->bucket, upload->name, 0, &now, &ignored) == 0 &&
        is_ours(upload, &now)) {
        *out = now;
        now = (struct gcs_object){0};
        return 0;
    }
    return gcs_error(upload->gcs, response, upload->what, "storage.objects.create", err);
}

static int read_answer(const struct upload *upload, const struct http_response *response,
                       struct gcs_object *out, struct err *err)
{
    autojson cJSON *json = NULL;
    autogcsobject struct gcs_object object = {0};

    if (json_parse(response->body.data, response->body.len, "answer", &json, err) < 0) {
        err_prefix(err, "%s", upload->what);
        return google_hint(http_run(upload->gcs->http), upload->gcs->endpoint, err);
    }
    if (gcs_object_read(json, upload->what, &object, err) < 0)
        return -1;
    if (object.size != upload->len || (object.has_crc32c && object.crc32c != upload->crc))
        return err_set(err, ERR_PROTOCOL, "%s: what was stored is not what was sent", upload->what);
    *out = object;
    object = (struct gcs_object){0};
    return 0;
}

static int send(const struct upload *upload, const struct buf *body, const char *boundary,
                struct gcs_object *out, struct err *err)
{
    autofree char *url = upload_url(upload);
    autofree char *type = xasprintf("multipart/related; boundary=%s", boundary);
    autoresponse struct http_response response = {0};
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .body = body->data,
                                         .body_len = body->len,
                                         .content_type = type,
                                         .timeout_ms = 10 * 60 * 1000,
                                         .idempotent = upload->if_generation != GCS_ANY_GENERATION,
                                         .auth = gcs_auth(upload->gcs),
                                         .again = google_try_again,
                                         .what = upload->what};

    if (http_perform(upload->gcs->http, &request, &response, err) < 0)
        return google_hint(http_run(upload->gcs->http), upload->gcs->endpoint, err);
    if (response.status == 412 && request.idempotent)
        return met_other_generation(upload, &response, out, err);
    if (response.status != 200)
        return gcs_error(upload->gcs, &response, upload->what, "storage.objects.create", err);
    return read_answer(upload, &response, out, err);
}

int gcs_write(struct gcs *gcs, const char *bucket, const char *name, const char *content_type,
              const void *data, size_t len, int64_t if_generation, struct gcs_object *out,
              struct err *err)
{
    autobuf struct buf body = BUF_INIT(BUF_LARGE);
    autofree char *what = gcs_what(bucket, name);
    autofree char *boundary = xasprintf("necoops-%s", uuid_random().text);
    const struct upload upload = {.gcs = gcs,
                                  .bucket = bucket,
                                  .name = name,
                                  .what = what,
                                  .crc = crc32c(0, data, len),
                                  .len = len,
                                  .if_generation = if_generation};
    struct gcs_object object = {0};

    if (multipart(&upload, content_type != NULL ? content_type : "application/octet-stream", data,
                  boundary, &body, err) < 0 ||
        send(&upload, &body, boundary, &object, err) < 0)
        return -1;
    if (out != NULL)
        *out = object;
    else
        gcs_object_clear(&object);
    return 0;
}
