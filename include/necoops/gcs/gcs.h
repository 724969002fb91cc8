/* Cloud Storage, JSON API v1 (https://cloud.google.com/storage/docs/json_api). Any server that
 * speaks it works: STORAGE_EMULATOR_HOST moves it. */
#ifndef NECOOPS_GCS_GCS_H
#define NECOOPS_GCS_GCS_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/auth/auth.h"
#include "necoops/base/buf.h"
#include "necoops/base/json.h"
#include "necoops/http/http.h"

struct gcs; /* opaque */

/* `auth` may be NULL: public objects only. */
int gcs_new(struct http *http, struct auth *auth, struct gcs **out, struct err *err) MUST_CHECK;
void gcs_free(struct gcs *gcs);
void gcs_freep(struct gcs **gcs);
#define autogcs CLEANUP(gcs_freep)

/* gs://BUCKET/OBJECT; ERR_USAGE when it is none. Both parts are the caller's to free. */
int gcs_split_url(const char *url, char **bucket, char **object, struct err *err) MUST_CHECK;

struct gcs_object {
    char *bucket;
    char *name;
    int64_t generation;
    int64_t metageneration;
    uint64_t size; /* bytes as stored */
    bool has_crc32c;
    uint32_t crc32c;
    char *content_encoding; /* "gzip": stored compressed; or NULL */
    char *content_type;     /* or NULL */
    char *updated;          /* RFC 3339 */
};
void gcs_object_clear(struct gcs_object *object);
#define autogcsobject CLEANUP(gcs_object_clear)

/* `generation` 0: the live one. ERR_NOT_FOUND. */
int gcs_stat(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
             struct gcs_object *out, struct err *err) MUST_CHECK;
/* A whole small object into `out` (its cap bounds it), its CRC32C verified. */
int gcs_read(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
             struct buf *out, struct gcs_object *object, struct err *err) MUST_CHECK;
int gcs_list(struct gcs *gcs, const char *bucket, const char *prefix,
             int (*each)(void *arg, const struct gcs_object *object, struct err *err), void *arg,
             struct err *err) MUST_CHECK;

#define GCS_ANY_GENERATION (-1)
/* A small object in one request. `if_generation`: the generation it must have now (0: none; or
 * GCS_ANY_GENERATION, which is not tried again on a lost answer); else ERR_CONFLICT. The CRC32C
 * that the service computed is compared. */
int gcs_write(struct gcs *gcs, const char *bucket, const char *name, const char *content_type,
              const void *data, size_t len, int64_t if_generation, struct gcs_object *out,
              struct err *err) MUST_CHECK;
int gcs_delete(struct gcs *gcs, const char *bucket, const char *name, int64_t generation,
               struct err *err) MUST_CHECK;

/* Bytes [first, first+len) of exactly this generation, as a transfer of http.h on a connection of
 * its own; 206 with the right Content-Range is demanded (head handler), gzip transcoding refused.
 * The caller's `data` gets exactly `len` bytes or `done` an error. Until its first byte it is tried
 * again as http.h says (Retry-After obeyed); once it broke within, the rest is the caller's to ask
 * for. */
struct gcs_range {
    const struct gcs_object *object;
    uint64_t first;
    uint64_t len;
    int64_t retry_ms; /* these three: as in struct http_request */
    int64_t stall_ms;
    uint64_t stall_bytes;
    int (*data)(void *arg, const void *data, size_t len, struct err *err);
    void (*done)(void *arg, struct err *err); /* err code ERR_NONE: all bytes came */
    void *arg;
};
struct gcs_range_transfer; /* opaque; gone once `done` was called or it was cancelled */
struct gcs_range_transfer *gcs_range_start(struct gcs *gcs, const struct gcs_range *range);
void gcs_range_cancel(struct gcs_range_transfer *transfer);

/* ---- making and deleting many objects at once ----
 *
 * Each request is under way while others are, and is tried again like gcs_write. What is made must
 * not be there yet, unless it is the very same (a try before was carried out): then that one is
 * taken. The service's size and CRC32C are held against what is wanted. */
struct gcs_wanted {
    const char *bucket;
    const char *name;
    const char *content_type;
    uint64_t size;
    uint32_t crc;
};
/* Called once, unless cancelled. `err` code ERR_NONE: all is well, and `object` (may be emptied by
 * the callee; of a deletion nothing) is what is stored. It may do what http_handler.done may. */
struct gcs_done {
    void (*call)(void *arg, struct gcs_object *object, struct err *err);
    void *arg;
};
struct gcs_pending; /* opaque; gone once `done` was called or it was cancelled */

/* One request with all `size` bytes, on a connection of its own; `data` is borrowed until then. */
struct gcs_pending *gcs_put_start(struct gcs *gcs, const struct gcs_wanted *wanted,
                                  const void *data, const struct gcs_done *done);
#define GCS_COMPOSE_MAX 32
struct gcs_source {
    const char *name;
    int64_t generation;
};
/* One object out of 1 to GCS_COMPOSE_MAX of the same bucket, one after another. */
struct gcs_pending *gcs_compose_start(struct gcs *gcs, const struct gcs_wanted *wanted,
                                      const struct gcs_source *sources, size_t count,
                                      const struct gcs_done *done);
/* One that is not there is deleted already. */
struct gcs_pending *gcs_delete_start(struct gcs *gcs, const char *bucket, const char *name,
                                     int64_t generation, const struct gcs_done *done);
void gcs_pending_cancel(struct gcs_pending *pending);

#endif
