/* The Kubernetes API, path by path (https://kubernetes.io/docs/reference/using-api/api-concepts/).
 * Any version from 1.20 on.
 *
 * Paths begin with "/api/v1/…" or "/apis/GROUP/VERSION/…" and may carry a query. An error answer is
 * a Status: 400, 405, 415, 422 become ERR_INVALID, 401 and 403 ERR_DENIED, 404 ERR_NOT_FOUND, 409
 * ERR_CONFLICT (reason AlreadyExists: ERR_EXISTS), 410 ERR_GONE, 429 ERR_CAPACITY, 5xx
 * ERR_UNREACHABLE; `reason` and `http_status` are kept, the server's message is in the text. An
 * answer that is no Status (a proxy's HTML) is told as such. GET is tried again as http.h says;
 * writes that carry a resourceVersion or are an apply are, too, since a second one does no harm.
 */
#ifndef NECOOPS_KUBE_CLIENT_H
#define NECOOPS_KUBE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/http/http.h"
#include "necoops/kube/kubeconfig.h"

struct kube; /* one cluster; opaque */

/* Takes the content of `config` over. Nothing is sent yet. */
int kube_new(struct http *http, struct kubeconfig *config, struct kube **out,
             struct err *err) MUST_CHECK;
void kube_free(struct kube *kube);
void kube_freep(struct kube **kube);
#define autokube CLEANUP(kube_freep)

struct http *kube_http(struct kube *kube);
/* "https://host:port", for messages. */
const char *kube_server(const struct kube *kube);
/* Where the configuration is from, for messages. */
const char *kube_source(const struct kube *kube);

enum kube_patch {
    KUBE_PATCH_NONE,
    KUBE_PATCH_MERGE, /* RFC 7386 */
    KUBE_PATCH_JSON,  /* RFC 6902 */
    KUBE_PATCH_APPLY, /* server-side apply; the path carries fieldManager */
};

struct kube_call {
    const char *method;
    const char *path;
    enum kube_patch patch;
    const cJSON *body; /* NULL: none */
    const char *text;  /* a body as it is (YAML for an apply) when there is no `body` */
    bool idempotent;   /* may be sent twice */
    bool plain;        /* the answer is text (a log), handed out as a JSON string */
    const char *what;  /* "application 'x'": begins every error */
    int64_t timeout_ms;
    int64_t retry_ms; /* as in http_request */
    size_t cap;
};

/* Waits for the answer; `out` may be NULL. */
int kube_call(struct kube *kube, const struct kube_call *call, cJSON **out,
              struct err *err) MUST_CHECK;
int kube_get(struct kube *kube, const char *path, const char *what, cJSON **out,
             struct err *err) MUST_CHECK;

/* Starts the call; `done` is called once from http_drive with the answer (which it takes) or with
 * `err` set. Everything in `call` may be gone when this returns. */
typedef void (*kube_done)(void *arg, cJSON *answer, struct err *err);
struct kube_pending; /* gone once `done` was called or it was cancelled */
struct kube_pending *kube_start(struct kube *kube, const struct kube_call *call, kube_done done,
                                void *arg);
void kube_cancel(struct kube_pending *pending);

/* Every item of a list, fetched in pages and parsed one item at a time; `each` borrows the item and
 * may stop with -1. `version` (optional, caller frees) is the list's resourceVersion. */
int kube_list(struct kube *kube, const char *path, const char *what,
              int (*each)(void *arg, const cJSON *item, struct err *err), void *arg, char **version,
              struct err *err) MUST_CHECK;

#endif
