/* Instances: one, all of them, and what changes them. */
#include "gce/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

static char *instance_what(const char *name_or_id)
{
    return xasprintf("instance '%s'", name_or_id);
}

int gce_instance_get(struct gce *gce, const char *zone, const char *name_or_id, const char *fields,
                     cJSON **out, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, NULL);
    autofree char *mask = fields != NULL ? url_encode(fields) : NULL;
    autofree char *query = mask != NULL ? xasprintf("fields=%s", mask) : NULL;
    autofree char *what = instance_what(name_or_id);
    const struct gce_request request = {.method = "GET",
                                        .url = url,
                                        .query = query,
                                        .what = what,
                                        /* a token may be among its items */
                                        .secret = fields == NULL || strstr(fields, "metadata"),
                                        .permission = "compute.instances.get"};

    return gce_call(gce, &request, out, err);
}

/* ---- changes ---- */

int gce_instance_insert(struct gce *gce, const char *zone, const cJSON *body,
                        const char *request_id, cJSON **operation, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", NULL, NULL);
    autofree char *what =
        xasprintf("instance '%s' in zone '%s'", json_str_or(body, "name", ""), zone);
    const struct gce_request request = {.method = "POST",
                                        .url = url,
                                        .request_id = request_id,
                                        .body = body,
                                        .what = what,
                                        .permission = "compute.instances.create"};

    return gce_call(gce, &request, operation, err);
}

int gce_instance_delete(struct gce *gce, const char *zone, const char *name_or_id,
                        const char *request_id, cJSON **operation, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, NULL);
    autofree char *what = instance_what(name_or_id);
    const struct gce_request request = {.method = "DELETE",
                                        .url = url,
                                        .request_id = request_id,
                                        .what = what,
                                        .permission = "compute.instances.delete"};

    return gce_call(gce, &request, operation, err);
}

int gce_instance_set_labels(struct gce *gce, const char *zone, const char *name_or_id,
                            const cJSON *labels, const char *fingerprint, const char *request_id,
                            cJSON **operation, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, "setLabels");
    autofree char *what = xasprintf("labels of instance '%s'", name_or_id);
    autojson cJSON *body = json_object();
    const struct gce_request request = {.method = "POST",
                                        .url = url,
                                        .request_id = request_id,
                                        .body = body,
                                        .what = what,
                                        .permission = "compute.instances.setLabels"};

    json_set(body, "labels", json_copy(labels));
    json_set_str(body, "labelFingerprint", fingerprint);
    return gce_call(gce, &request, operation, err);
}

int gce_instance_set_metadata(struct gce *gce, const char *zone, const char *name_or_id,
                              const cJSON *metadata, const char *request_id, cJSON **operation,
                              struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, "setMetadata");
    autofree char *what = xasprintf("metadata of instance '%s'", name_or_id);
    const struct gce_request request = {.method = "POST",
                                        .url = url,
                                        .request_id = request_id,
                                        .body = metadata,
                                        .secret = true,
                                        .what = what,
                                        .permission = "compute.instances.setMetadata"};

    return gce_call(gce, &request, operation, err);
}

/* ---- what an instance tells ---- */

int gce_instance_permissions(struct gce *gce, const char *zone, const char *name_or_id,
                             const char *const *permissions, size_t count, cJSON **out,
                             struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, "testIamPermissions");
    autofree char *what = xasprintf("our permissions on instance '%s'", name_or_id);
    autojson cJSON *body = json_object();
    autojson cJSON *answer = NULL;
    cJSON *list = json_set_array(body, "permissions");
    const struct gce_request request = {.method = "POST", .url = url, .body = body, .what = what};

    for (size_t i = 0; i < count; i++)
        json_push_str(list, permissions[i]);
    if (gce_call(gce, &request, &answer, err) < 0)
        return -1;
    const cJSON *granted = json_at(answer, "permissions");
    *out = cJSON_IsArray(granted) ? json_copy(granted) : json_array();
    return 0;
}

/* The server counts bytes of the console. Where the text has as many, the part that does not fit is
 * left for the next call; where bytes were replaced on the way, it cannot be, and is dropped. */
static int64_t take_text(const char *contents, int64_t start, int64_t next, struct buf *text)
{
    size_t len = strlen(contents);
    size_t room = text->cap - text->len;

    if (len > room) {
        if (next - start == (int64_t)len)
            next = start + (int64_t)room;
        len = room;
    }
    (void)!buf_add(text, contents, len);
    return next;
}

static int read_serial(struct gce *gce, const char *zone, const char *name_or_id, int port,
                       int64_t start, int64_t retry_ms, struct buf *text, int64_t *next,
                       int64_t *lost, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, "serialPort");
    autofree char *query = xasprintf("port=%d&start=%lld", port, (long long)start);
    autofree char *what = xasprintf("serial port %d of instance '%s'", port, name_or_id);
    const struct gce_request request = {.method = "GET",
                                        .url = url,
                                        .query = query,
                                        .what = what,
                                        .permission = "compute.instances.getSerialPortOutput",
                                        .retry_ms = retry_ms,
                                        .cap = (size_t)16 << 20};
    autojson cJSON *json = NULL;
    int64_t first = start;
    int64_t end;

    if (gce_call(gce, &request, &json, err) < 0)
        return -1;
    (void)json_i64(json, "start", &first);
    if (!json_i64(json, "next", &end) || end < first)
        return err_set(err, ERR_PROTOCOL, "%s: the answer does not say where to go on", what);
    *lost = start >= 0 && first > start ? first - start : 0;
    *next = take_text(json_str_or(json, "contents", ""), first, end, text);
    return 0;
}

int gce_serial_output(struct gce *gce, const char *zone, const char *name_or_id, int port,
                      int64_t start, struct buf *text, int64_t *next, int64_t *lost,
                      struct err *err)
{
    return read_serial(gce, zone, name_or_id, port, start, 0, text, next, lost, err);
}

int gce_serial_poll(struct gce *gce, const char *zone, const char *name_or_id, int port,
                    int64_t start, struct buf *text, int64_t *next, int64_t *lost, struct err *err)
{
    return read_serial(gce, zone, name_or_id, port, start, -1, text, next, lost, err);
}

static const char *find_attribute(const cJSON *json, const char *space, const char *key)
{
    const cJSON *item = NULL;

    cJSON_ArrayForEach(item, json_at(json, "queryValue.items"))
    {
        if (strcmp(json_str_or(item, "namespace", ""), space) == 0 &&
            strcmp(json_str_or(item, "key", ""), key) == 0)
            return json_str(item, "value");
    }
    return NULL;
}

int gce_guest_attribute(struct gce *gce, const char *zone, const char *name_or_id,
                        const char *space, const char *key, char **value, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "instances", name_or_id, "getGuestAttributes");
    autofree char *path = xasprintf("%s/%s", space, key);
    autofree char *encoded = url_encode(path);
    autofree char *query = xasprintf("queryPath=%s", encoded);
    autofree char *what = xasprintf("guest attribute '%s' of instance '%s'", path, name_or_id);
    const struct gce_request request = {.method = "GET",
                                        .url = url,
                                        .query = query,
                                        .what = what,
                                        .permission = "compute.instances.getGuestAttributes"};
    autojson cJSON *json = NULL;
    const char *found;

    if (gce_call(gce, &request, &json, err) < 0)
        return -1;
    found = find_attribute(json, space, key);
    if (found == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s: it was not written yet", what);
    *value = xstrdup(found);
    return 0;
}
