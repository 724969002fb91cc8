/* What the files of this module share. */
#ifndef GCE_INTERNAL_H
#define GCE_INTERNAL_H

#include "necoops/gce/gce.h"
#include "necoops/google/api.h"

struct gce {
    struct http *http;
    struct auth *auth; /* or NULL */
    char *project;
    char *base; /* "ENDPOINT/projects/PROJECT" */
};

/* "BASE/zones/ZONE/COLLECTION/NAME[/VERB]", every part encoded; `name` and `verb` may be NULL.
 * Caller frees. */
char *gce_zone_url(const struct gce *gce, const char *zone, const char *collection,
                   const char *name, const char *verb);

struct gce_request {
    const char *method;
    const char *url;
    const char *query;      /* encoded "a=b&c=d", or NULL */
    const char *request_id; /* for mutations */
    const cJSON *body;
    const char *what;
    const char *permission;
    size_t cap;
    int64_t retry_ms; /* as in http_request */
    bool secret;      /* likewise */
};
int gce_call(struct gce *gce, const struct gce_request *request, cJSON **out, struct err *err);

/* Calls `each` for every page of a list; `query` is what stays the same. */
struct gce_list {
    const char *url;
    const char *query;
    const char *what;
    const char *permission;
    int (*each)(void *arg, const cJSON *page, struct err *err);
    void *arg;
};
int gce_list_pages(struct gce *gce, const struct gce_list *list, struct err *err);

#endif
