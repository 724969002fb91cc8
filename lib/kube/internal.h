/* What the files of this module share. */
#ifndef KUBE_INTERNAL_H
#define KUBE_INTERNAL_H

#include "necoops/kube/client.h"
#include "necoops/kube/kubeconfig.h"

/* ---- exec.c ---- */

/* What an exec plugin gave. */
struct kube_credential {
    char *token;
    char *cert_pem, *key_pem;
    int64_t expires_ms; /* wall clock; 0: not said */
};

/* Runs the plugin of the configuration. */
int kube_exec_run(const struct run *run, const struct kubeconfig *config,
                  struct kube_credential *out, struct err *err) MUST_CHECK;
void kube_credential_clear(struct kube_credential *credential);

/* ---- client.c ---- */

struct kube {
    struct http *http;
    struct kubeconfig config;
    struct http_tls tls;
    struct http_auth auth;
    struct strv headers; /* impersonation */
    struct strv old_pems;
    struct kube_credential plugin;
    bool have_plugin; /* `plugin` holds what the exec plugin gave */
};

/* Runs the exec plugin when there is one and its answer is not at hand. Before every request,
 * because a client certificate that it gives belongs to the connection. */
int kube_prepare(struct kube *kube, struct err *err) MUST_CHECK;
char *kube_url(const struct kube *kube, const char *path); /* caller frees */
/* A GET of `url` with everything of the cluster filled in; borrows from both. */
struct http_request kube_request(const struct kube *kube, const char *url, const char *what);

/* ---- status.c ---- */

/* The error of an answer that is not 2xx; always -1. */
int kube_error(const struct http_response *response, const char *what, struct err *err);
/* The same from a Status object (of a watch's ERROR event). */
int kube_status_error(const cJSON *status, int code, const char *what, struct err *err);

/* ---- split.c ---- */

/* Cuts a stream of JSON into objects without holding more than one: the elements of `items` of a
 * list, or the documents of a watch, one after another. */
struct kube_split {
    bool list; /* elements of "items" of one object; else documents */
    int (*each)(void *arg, const char *text, size_t len, struct err *err);
    void *arg;
    struct buf piece; /* the object being read */
    struct buf shell; /* of a list: everything but the items */
    struct buf key;   /* the last string at depth 1 */
    int depth;
    bool in_string, escaped, in_items, after_items_key;
};
void kube_split_init(struct kube_split *split, bool list,
                     int (*each)(void *arg, const char *text, size_t len, struct err *err),
                     void *arg);
void kube_split_clear(struct kube_split *split);
int kube_split_feed(struct kube_split *split, const char *data, size_t len,
                    struct err *err) MUST_CHECK;

/* ---- list.c ---- */

/* A list being fetched page by page. */
struct kube_lister;
struct kube_lister_handler {
    int (*each)(void *arg, const cJSON *item, struct err *err); /* -1 ends it */
    /* Called once: `version` is the list's, or `err` is set. The lister is gone after it. */
    void (*done)(void *arg, const char *version, struct err *err);
    void *arg;
};
/* `path` may carry a query. */
struct kube_lister *kube_lister_start(struct kube *kube, const char *path, const char *what,
                                      const struct kube_lister_handler *handler);
void kube_lister_cancel(struct kube_lister *lister);

#endif
