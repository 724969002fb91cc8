/* What Google's REST APIs share: where they are, the error envelope (digest of
 * https://cloud.google.com/apis/design/errors and the v1 form of Compute Engine and Cloud Storage),
 * and which of their answers are worth another try.
 */
#ifndef NECOOPS_GOOGLE_API_H
#define NECOOPS_GOOGLE_API_H

#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/http/http.h"

enum google_service {
    GOOGLE_COMPUTE,
    GOOGLE_STORAGE,
    GOOGLE_OAUTH,
    GOOGLE_STS,
    GOOGLE_IAM,
    GOOGLE_SECRETS,
};

/* The base URL without a slash at its end: "https://compute.googleapis.com/compute/v1",
 * "https://storage.googleapis.com", "https://oauth2.googleapis.com/token", …; moved by
 * NECOOPS_EMULATOR (all: URL/compute/v1, URL, URL/token, …), NECOOPS_COMPUTE_ENDPOINT,
 * STORAGE_EMULATOR_HOST. Caller frees. A moved one that is neither https nor loopback is used
 * without credentials; see auth.h. */
char *google_endpoint(const struct run *run, enum google_service service);
/* "http://HOST/computeMetadata/v1/PATH" of the metadata server; moved by GCE_METADATA_HOST. Caller
 * frees. */
char *google_metadata_url(const struct run *run, const char *path);
/* Adds the way out to an error of a request to `url` that got no sensible answer: the variable that
 * moved the endpoint, or the network. Returns -1. */
int google_hint(const struct run *run, const char *url, struct err *err);

struct google_call {
    const char *method;
    const char *url;
    const cJSON *body;      /* NULL: none */
    bool idempotent;
    const char *what;       /* "instance 'neco-ops'": goes into every error */
    const char *permission; /* "compute.instances.insert": named when it is refused */
    int64_t timeout_ms;     /* as in http_request, and so is: */
    int64_t retry_ms;
    bool secret;
    size_t cap;
};

/* One JSON call with credential and retries. `out` may be NULL (the body is dropped). An error
 * answer becomes: 400 ERR_INVALID, 401 and 403 ERR_DENIED (403 quotaExceeded and a rate limit to
 * the end ERR_CAPACITY), 404 ERR_NOT_FOUND, 409 ERR_EXISTS or ERR_CONFLICT, 410 ERR_GONE, 412
 * ERR_CONFLICT, 429 ERR_CAPACITY, 5xx ERR_UNREACHABLE; `reason` and `http_status` are kept. */
struct auth;
int google_call(struct http *http, struct auth *auth, const struct google_call *call, cJSON **out,
                struct err *err) MUST_CHECK;
/* The same classification for a response got otherwise; always returns -1. */
int google_error(const struct http_response *response, const char *what, const char *permission,
                 const char *account, struct err *err);
/* For http_request.again: rateLimitExceeded in a 403, resourceNotReady in a 400. */
bool google_try_again(const struct http_response *response);

#endif
