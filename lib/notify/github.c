/* The commit's status (https://docs.github.com/en/rest/commits/statuses). */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"
#include "necoops/git/git.h"

#define DESCRIPTION_MOST 140 /* what GitHub takes */
#define PUBLIC_HOST      "github.com"

struct target {
    const char *variable, *token;
    char *api;        /* "https://api.github.com" */
    char *repository; /* "owner/name", each part percent-encoded */
};

static void target_clear(struct target *target)
{
    free(target->api);
    free(target->repository);
}

/* The last two parts of "host/owner/name". */
static char *repository_of(const char *normal)
{
    autostrv struct strv parts = STRV_INIT;

    strv_split(&parts, normal, '/');
    if (parts.len < 2) {
        return NULL;
    }
    autofree char *owner = url_encode(parts.items[parts.len - 2]);
    autofree char *name = url_encode(parts.items[parts.len - 1]);
    return xasprintf("%s/%s", owner, name);
}

/* Of the host in the repository's URL; NULL when it names none. */
static char *api_of(const char *normal)
{
    size_t len = strcspn(normal, "/");

    if (len == 0) {
        return NULL; /* a folder */
    }
    if (len == strlen(PUBLIC_HOST) && strncmp(normal, PUBLIC_HOST, len) == 0) {
        return xstrdup("https://api." PUBLIC_HOST);
    }
    return xasprintf("https://%.*s/api/v3", (int)len, normal);
}

/* The token goes nowhere without TLS but to this machine. */
static bool is_safe(const char *api)
{
    struct url_parts parts;

    return notify_link(api) && url_split(api, &parts) &&
           (strcmp(parts.scheme, "https") == 0 || host_is_loopback(parts.host));
}

/* False when nothing is to be sent; what is wrong was said. */
static bool find_target(const struct notify *notify, struct target *out)
{
    const char *url = conf_str(notify->conf, "notify.github.url");
    autofree char *normal = git_url_normal(notify->about.repo_url);

    out->variable = conf_str(notify->conf, "notify.github.tokenEnv");
    out->token = out->variable ? run_env(notify->run, out->variable) : NULL;
    if (!out->token || !notify->about.revision[0]) {
        return false;
    }
    out->api = url ? xstrdup(url) : api_of(normal);
    out->repository = repository_of(normal);
    if (!out->api || !out->repository || !is_safe(out->api)) {
        log_warning(notify->run->log,
                    "the commit's status is not set: '%s' is no repository that GitHub's API could "
                    "be asked about over TLS; set notify.github.url",
                    out->api ? out->api : notify->about.repo_url);
        return false;
    }
    while (text_ends(out->api, "/")) {
        out->api[strlen(out->api) - 1] = '\0';
    }
    return true;
}

static int add_token(void *arg, const char *url, struct buf *value, struct err *err)
{
    const struct target *target = arg;

    (void)url;
    if (strpbrk(target->token, "\r\n")) {
        return err_set(err, ERR_USAGE, "'%s' is no token: it has several lines", target->variable);
    }
    return buf_addf(value, "Bearer %s", target->token);
}

static char *body_of(const struct notify *notify, const char *state, const char *description)
{
    autojson cJSON *body = json_object();
    autofree char *context = xasprintf("necoops/%s", notify->about.cluster);
    /* characters, says GitHub; bytes are on the safe side */
    autofree char *text = notify_text(description, DESCRIPTION_MOST);

    json_set_str(body, "state", state);
    json_set_str(body, "context", context);
    json_set_str(body, "description", text);
    json_set_str(body, "target_url", notify->build_url ? notify->build_url : notify->report_url);
    return json_print(body);
}

static void judge(const struct notify *notify, const struct target *target,
                  const struct http_response *response)
{
    autofree char *summary = http_summary(response);

    if (response->status == 201) {
        return;
    }
    if (response->status == 401) {
        log_warning(notify->run->log,
                    "GitHub refuses the token in '%s' (401), so the commit's status is not set; is "
                    "it expired?",
                    target->variable);
    } else if (response->status == 403 || response->status == 404) {
        log_warning(notify->run->log,
                    "GitHub refuses the commit's status in '%s' (%d); the token in '%s' needs "
                    "write access to its commit statuses",
                    target->repository, response->status, target->variable);
    } else {
        log_warning(notify->run->log, "the commit's status is not set: GitHub %s", summary);
    }
}

void github_status(struct notify *notify, const char *state, const char *description)
{
    static const char *const headers[] = {"Accept: application/vnd.github+json",
                                          "X-GitHub-Api-Version: 2022-11-28", NULL};
    CLEANUP(target_clear) struct target target = {0};
    autoresponse struct http_response response = {0};
    autoerr struct err err = ERR_INIT;
    struct http *http;

    if (!find_target(notify, &target) || !(http = notify_http(notify))) {
        return;
    }
    autofree char *url =
        xasprintf("%s/repos/%s/statuses/%s", target.api, target.repository, notify->about.revision);
    autofree char *body = body_of(notify, state, description);
    struct http_auth auth = {.header = add_token, .arg = &target};
    struct http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = strlen(body),
        .content_type = "application/json",
        .timeout_ms = TELL_MS,
        .retry_ms = TELL_MS,
        .idempotent = true, /* of two statuses of one context the last one counts */
        .auth = &auth,
        .what = "GitHub",
    };

    if (http_perform(http, &request, &response, &err) != 0) {
        log_warning(notify->run->log, "the commit's status is not set: %s", err_text(&err));
        return;
    }
    judge(notify, &target, &response);
}
