/* A range of one generation of an object, as a stream. */
#include "gcs/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "necoops/base/text.h"

struct gcs_range_transfer {
    struct gcs *gcs;
    struct gcs_range range; /* `object` is not kept: what is needed of it is copied */
    uint64_t size;
    int64_t generation;
    uint64_t got;
    bool in_data; /* the caller's `data` is at work: what it cancels is freed when it returns */
    bool cancelled;
    bool given_up; /* by the caller: the error is its own */
    char *what;
    struct http_transfer *transfer;
};

static void range_free(struct gcs_range_transfer *transfer)
{
    free(transfer->what);
    free(transfer);
}

/* "bytes 0-9/100", exactly the range that was asked for. */
static bool right_range(const struct gcs_range_transfer *transfer, const char *value)
{
    const struct gcs_range *range = &transfer->range;
    autofree char *want = xasprintf("bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first,
                                    range->first + range->len - 1, transfer->size);

    return value != NULL && strcasecmp(value, want) == 0;
}

static bool is_transcoded(const struct http_response *head)
{
    const char *value = http_header(head, "X-GUploader-Response-Body-Transformations");

    return value != NULL && strcasestr(value, "gunzipped") != NULL;
}

static int on_head(void *arg, const struct http_response *head, struct err *err)
{
    struct gcs_range_transfer *transfer = arg;
    const char *generation = http_header(head, "X-Goog-Generation");
    autofree char *want = xasprintf("%" PRId64, transfer->generation);

    if (is_transcoded(head))
        return err_set(err, ERR_PROTOCOL,
                       "%s: the service decompressed it, so that its parts and its checksum are "
                       "none of the stored object's",
                       transfer->what);
    if (head->status != 206)
        return err_set(err, ERR_PROTOCOL, "%s: a range was asked for, %d was answered",
                       transfer->what, head->status);
    if (!right_range(transfer, http_header(head, "Content-Range")))
        return err_set(err, ERR_PROTOCOL, "%s: another range was answered than asked for",
                       transfer->what);
    if (generation != NULL && strcmp(generation, want) != 0)
        return err_set(err, ERR_PROTOCOL, "%s: another generation was answered than asked for",
                       transfer->what);
    return 0;
}

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct gcs_range_transfer *transfer = arg;
    int result;

    if (len > transfer->range.len - transfer->got)
        return err_set(err, ERR_PROTOCOL, "%s: more came than asked for", transfer->what);
    transfer->got += len;
    transfer->in_data = true;
    result = transfer->range.data(transfer->range.arg, data, len, err);
    transfer->in_data = false;
    transfer->given_up = result < 0;
    if (transfer->cancelled)
        range_free(transfer);
    return result;
}

static void on_done(void *arg, struct http_response *response, struct err *err)
{
    struct gcs_range_transfer *transfer = arg;
    struct gcs *gcs = transfer->gcs;

    if (err->code != ERR_NONE && !transfer->given_up)
        google_hint(http_run(gcs->http), gcs->endpoint, err);
    else if (err->code == ERR_NONE && response->status != 206)
        gcs_error(gcs, response, transfer->what, "storage.objects.get", err);
    else if (err->code == ERR_NONE && transfer->got != transfer->range.len)
        err_set(err, ERR_UNREACHABLE, "%s: only %" PRIu64 " of %" PRIu64 " bytes came",
                transfer->what, transfer->got, transfer->range.len);
    transfer->range.done(transfer->range.arg, err);
    range_free(transfer);
}

struct gcs_range_transfer *gcs_range_start(struct gcs *gcs, const struct gcs_range *range)
{
    struct gcs_range_transfer *transfer = xcalloc(1, sizeof(*transfer));
    const struct gcs_object *object = range->object;
    autofree char *base = gcs_object_url(gcs, object->bucket, object->name);
    autofree char *url =
        xasprintf("%s?alt=media&generation=%lld", base, (long long)object->generation);
    autofree char *bytes =
        xasprintf("Range: bytes=%" PRIu64 "-%" PRIu64, range->first, range->first + range->len - 1);
    const char *const headers[] = {bytes, "Accept-Encoding: gzip", NULL};
    const struct http_handler handler = {
        .head = on_head, .data = on_data, .done = on_done, .arg = transfer};

    transfer->gcs = gcs;
    transfer->range = *range;
    transfer->range.object = NULL;
    transfer->size = object->size;
    transfer->generation = object->generation;
    transfer->what = gcs_what(object->bucket, object->name);
    const struct http_request request = {.method = "GET",
                                         .url = url,
                                         .headers = headers,
                                         .cap = BUF_SMALL,
                                         .timeout_ms = -1,
                                         .retry_ms = range->retry_ms,
                                         .stall_ms = range->stall_ms,
                                         .stall_bytes = range->stall_bytes,
                                         .http1 = true,
                                         .auth = gcs_auth(gcs),
                                         .what = transfer->what};

    transfer->transfer = http_start(gcs->http, &request, &handler);
    return transfer;
}

void gcs_range_cancel(struct gcs_range_transfer *transfer)
{
    http_cancel(transfer->transfer);
    transfer->cancelled = true;
    if (!transfer->in_data)
        range_free(transfer);
}
