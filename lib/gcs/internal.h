/* What the files of this module share. */
#ifndef GCS_INTERNAL_H
#define GCS_INTERNAL_H

#include "necoops/gcs/gcs.h"
#include "necoops/google/api.h"

struct gcs {
    struct http *http;
    struct auth *auth; /* or NULL */
    char *endpoint;
};

/* "…/storage/v1/b/BUCKET/o[/OBJECT]"; caller frees. `name` may be NULL. */
char *gcs_object_url(const struct gcs *gcs, const char *bucket, const char *name);
/* "object 'gs://BUCKET/NAME'": for messages; caller frees. */
char *gcs_what(const char *bucket, const char *name);
const struct http_auth *gcs_auth(const struct gcs *gcs);
const char *gcs_account(const struct gcs *gcs);
/* The answer's error; a page that is none of the API's gets the way out. Returns -1. */
int gcs_error(const struct gcs *gcs, const struct http_response *response, const char *what,
              const char *permission, struct err *err);

/* The fields of an object that necoops looks at. */
#define GCS_FIELDS                                                                                 \
    "bucket,name,generation,metageneration,size,crc32c,contentEncoding,contentType,updated"
/* From the API's JSON; ERR_PROTOCOL when it lacks what every object has. */
int gcs_object_read(const cJSON *json, const char *what, struct gcs_object *out, struct err *err);

#endif
