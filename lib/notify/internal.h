#ifndef NOTIFY_INTERNAL_H
#define NOTIFY_INTERNAL_H

#include "necoops/base/json.h"
#include "necoops/notify/notify.h"

#define TELL_MS 10000 /* for one request with all its tries */

struct subject {
    char *cluster, *repo_url, *revision, *author, *commit_subject;
};

struct notify {
    const struct run *run;
    const struct conf *conf;
    struct subject about;
    char *build_url, *report_url; /* or NULL */
    char *service_path;           /* path behind the API server, or NULL */
    char *url;                    /* of the Alertmanager, or NULL */
    struct kube *kube;
    struct http *http; /* of our own, made when it is needed; works in `own` */
    struct run own;
    int64_t began;     /* mono: the first tick */
    int64_t slow_at;   /* mono: when to tell (again) that it is slow; 0: not begun */
    int64_t slow_wall; /* startsAt of the alert; 0: none was sent */
    struct kube_pending *pending_call;
    struct http_transfer *pending_transfer;
    char *pending_body;
    bool ended;
};

/* Our own connections with a deadline of TELL_MS from now, whatever became of the run; NULL when
 * they cannot be made. */
struct http *notify_http(struct notify *notify);

/* text.c: made visible, one line, at most `most` bytes; never NULL. Caller frees. */
char *notify_text(const char *text, size_t most);
/* The URL itself when it is http(s) and all of it is printable ASCII; else NULL. */
const char *notify_link(const char *url);

/* alerts.c */
void alerts_configure(struct notify *notify);
void alerts_slow(struct notify *notify);
void alerts_cancel(struct notify *notify);
void alerts_ended(struct notify *notify, const struct notify_outcome *outcome);

/* post.c: JSON to and from the Alertmanager. */
bool post_is_possible(const struct notify *notify);
int post_alerts(struct notify *notify, const cJSON *alerts, struct err *err) MUST_CHECK;
/* The alerts of this query that fire now. */
int post_ask(struct notify *notify, const char *query, cJSON **out, struct err *err) MUST_CHECK;
/* Without waiting. */
void post_start(struct notify *notify, const cJSON *alerts);

/* github.c */
void github_status(struct notify *notify, const char *state, const char *description);

#endif
