/* The metadata server of the instance that this process runs on
 * (https://cloud.google.com/compute/docs/metadata/overview). GCE_METADATA_HOST moves it. */
#ifndef NECOOPS_GCE_METADATA_H
#define NECOOPS_GCE_METADATA_H

#include <stdbool.h>
#include "necoops/http/http.h"

/* True when there is a metadata server; asks once with a short time limit. */
bool metadata_present(struct http *http);
/* The value at "instance/id", "instance/attributes/x", …; ERR_NOT_FOUND. Caller frees. */
int metadata_get(struct http *http, const char *path, char **value, struct err *err) MUST_CHECK;
/* The same for a value that is never logged. */
int metadata_get_secret(struct http *http, const char *path, char **value,
                        struct err *err) MUST_CHECK;
/* The CPU platform of this machine as Compute Engine names it; NULL when that cannot be told. Caller
 * frees. */
char *metadata_cpu_platform(struct http *http);
/* Writes guest attribute SPACE/KEY and reads it back (the server drops what comes too fast), pacing
 * itself within 10 requests a minute. */
int metadata_put_guest_attribute(struct http *http, const char *space, const char *key,
                                 const char *value, struct err *err) MUST_CHECK;

#endif
