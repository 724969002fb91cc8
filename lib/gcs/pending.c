/* Requests that make or delete objects while others are under way. */
#include "gcs/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define PUT_MS     ((int64_t)10 * 60 * 1000)
#define COMPOSE_MS ((int64_t)10 * 60 * 1000)

struct gcs_pending {
    struct gcs *gcs;
    struct gcs_done done;
    char *bucket;
    char *name;
    char *what;
    char *body; /* NULL: the caller's, or none */
    const char *permission;
    uint64_t size;
    uint32_t crc;
    bool deletes;
    struct http_transfer *transfer;
};

static void pending_free(struct gcs_pending *pending)
{
    free(pending->bucket);
    free(pending->name);
    free(pending->what);
    free(pending->body);
    free(pending);
}

static struct gcs_pending *pending_new(struct gcs *gcs, const char *bucket, const char *name,
                                       const struct gcs_done *done)
{
    struct gcs_pending *pending = xcalloc(1, sizeof(*pending));

    pending->gcs = gcs;
    pending->done = *done;
    pending->bucket = xstrdup(bucket);
    pending->name = xstrdup(name);
    pending->what = gcs_what(bucket, name);
    pending->permission = "storage.objects.create";
    return pending;
}

static int check_stored(const struct gcs_pending *pending, const struct gcs_object *object,
                        struct err *err)
{
    if (object->size == pending->size && object->has_crc32c && object->crc32c == pending->crc)
        return 0;
    return err_set(err, ERR_PROTOCOL, "%s: what was stored is not what was sent", pending->what);
}

/* There is one already: when it is the very same, an earlier try (of this run or of one before it)
 * was carried out. */
static int met_another(const struct gcs_pending *pending, const struct http_response *response,
                       struct gcs_object *out, struct err *err)
{
    autogcsobject struct gcs_object now = {0};
    autoerr struct err ignored = ERR_INIT;

    if (gcs_stat(pending->gcs, pending->bucket, pending->name, 0, &now, &ignored) < 0 ||
        check_stored(pending, &now, &ignored) < 0)
        return gcs_error(pending->gcs, response, pending->what, pending->permission, err);
    *out = now;
    now = (struct gcs_object){0};
    return 0;
}

static int read_made(const struct gcs_pending *pending, const struct http_response *response,
                     struct gcs_object *out, struct err *err)
{
    autojson cJSON *json = NULL;
    autogcsobject struct gcs_object object = {0};

    if (response->status == 412)
        return met_another(pending, response, out, err);
    if (response->status != 200)
        return gcs_error(pending->gcs, response, pending->what, pending->permission, err);
    if (json_parse(response->body.data, response->body.len, "answer", &json, err) < 0) {
        err_prefix(err, "%s", pending->what);
        return google_hint(http_run(pending->gcs->http), pending->gcs->endpoint, err);
    }
    if (gcs_object_read(json, pending->what, &object, err) < 0 ||
        check_stored(pending, &object, err) < 0)
        return -1;
    *out = object;
    object = (struct gcs_object){0};
    return 0;
}

/* What is not there need not be deleted. */
static int read_deleted(const struct gcs_pending *pending, const struct http_response *response,
                        struct err *err)
{
    if (response->status == 204 || response->status == 200 || response->status == 404)
        return 0;
    return gcs_error(pending->gcs, response, pending->what, pending->permission, err);
}

static void on_done(void *arg, struct http_response *response, struct err *err)
{
    struct gcs_pending *pending = arg;
    autogcsobject struct gcs_object object = {0};

    if (err->code != ERR_NONE)
        google_hint(http_run(pending->gcs->http), pending->gcs->endpoint, err);
    else if (pending->deletes)
        (void)!read_deleted(pending, response, err);
    else
        (void)!read_made(pending, response, &object, err);
    pending->done.call(pending->done.arg, &object, err);
    pending_free(pending);
}

static void start(struct gcs_pending *pending, struct http_request *request)
{
    const struct http_handler handler = {.done = on_done, .arg = pending};

    request->idempotent = true;
    request->auth = gcs_auth(pending->gcs);
    request->again = google_try_again;
    request->what = pending->what;
    pending->transfer = http_start(pending->gcs->http, request, &handler);
}

struct gcs_pending *gcs_put_start(struct gcs *gcs, const struct gcs_wanted *wanted,
                                  const void *data, const struct gcs_done *done)
{
    struct gcs_pending *pending = pending_new(gcs, wanted->bucket, wanted->name, done);
    autofree char *bucket = url_encode(wanted->bucket);
    autofree char *name = url_encode(wanted->name);
    autofree char *hash = xasprintf("X-Goog-Hash: crc32c=%s", crc32c_base64(wanted->crc).text);
    autofree char *url = xasprintf("%s/upload/storage/v1/b/%s/o?uploadType=media&name=%s"
                                   "&ifGenerationMatch=0&fields=" GCS_FIELDS "&prettyPrint=false",
                                   gcs->endpoint, bucket, name);
    const char *const headers[] = {hash, NULL};
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = data,
                                   .body_len = (size_t)wanted->size,
                                   .content_type = wanted->content_type,
                                   .timeout_ms = PUT_MS,
                                   .http1 = true};

    pending->size = wanted->size;
    pending->crc = wanted->crc;
    start(pending, &request);
    return pending;
}

static char *compose_body(const struct gcs_wanted *wanted, const struct gcs_source *sources,
                          size_t count)
{
    autojson cJSON *json = json_object();
    cJSON *list = json_set_array(json, "sourceObjects");

    json_set_str(json_set_object(json, "destination"), "contentType", wanted->content_type);
    for (size_t i = 0; i < count; i++) {
        cJSON *source = json_object();

        json_set_str(source, "name", sources[i].name);
        json_set_i64_str(source, "generation", sources[i].generation);
        json_push(list, source);
    }
    return json_print(json);
}

struct gcs_pending *gcs_compose_start(struct gcs *gcs, const struct gcs_wanted *wanted,
                                      const struct gcs_source *sources, size_t count,
                                      const struct gcs_done *done)
{
    struct gcs_pending *pending = pending_new(gcs, wanted->bucket, wanted->name, done);
    autofree char *base = gcs_object_url(gcs, wanted->bucket, wanted->name);
    autofree char *url =
        xasprintf("%s/compose?ifGenerationMatch=0&fields=" GCS_FIELDS "&prettyPrint=false", base);

    pending->body = compose_body(wanted, sources, count);
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .body = pending->body,
                                   .body_len = strlen(pending->body),
                                   .content_type = "application/json",
                                   .timeout_ms = COMPOSE_MS,
                                   .stall_ms = COMPOSE_MS};

    pending->size = wanted->size;
    pending->crc = wanted->crc;
    start(pending, &request);
    return pending;
}

struct gcs_pending *gcs_delete_start(struct gcs *gcs, const char *bucket, const char *name,
                                     int64_t generation, const struct gcs_done *done)
{
    struct gcs_pending *pending = pending_new(gcs, bucket, name, done);
    autofree char *base = gcs_object_url(gcs, bucket, name);
    autofree char *url = xasprintf("%s?generation=%lld", base, (long long)generation);
    struct http_request request = {.method = "DELETE", .url = url};

    pending->permission = "storage.objects.delete";
    pending->deletes = true;
    start(pending, &request);
    return pending;
}

void gcs_pending_cancel(struct gcs_pending *pending)
{
    http_cancel(pending->transfer);
    pending_free(pending);
}
