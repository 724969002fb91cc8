/* The connection to a project, and how its calls are made. */
#include "gce/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

int gce_new(struct http *http, struct auth *auth, const char *project, struct gce **out,
            struct err *err)
{
    autofree char *endpoint = google_endpoint(http_run(http), GOOGLE_COMPUTE);
    autofree char *encoded = url_encode(project);
    struct url_parts parts;
    struct gce *gce;

    if (project[0] == '\0')
        return err_set(err, ERR_USAGE, "no project is given; set 'project'");
    if (!url_split(endpoint, &parts))
        return err_set(err, ERR_USAGE,
                       "'%s' is no http or https URL; check "
                       "NECOOPS_COMPUTE_ENDPOINT and NECOOPS_EMULATOR",
                       endpoint);
    gce = xcalloc(1, sizeof(*gce));
    gce->http = http;
    gce->auth = auth;
    gce->project = xstrdup(project);
    gce->base = xasprintf("%s/projects/%s", endpoint, encoded);
    *out = gce;
    return 0;
}

void gce_free(struct gce *gce)
{
    if (gce == NULL)
        return;
    free(gce->project);
    free(gce->base);
    free(gce);
}

void gce_freep(struct gce **gce)
{
    gce_free(*gce);
}

const char *gce_project(const struct gce *gce)
{
    return gce->project;
}

const char *gce_basename(const char *url)
{
    const char *slash = strrchr(url, '/');

    return slash != NULL ? slash + 1 : url;
}

char *gce_url(const struct gce *gce, const char *format, ...)
{
    autofree char *rest = NULL;
    va_list args;

    va_start(args, format);
    rest = xvasprintf(format, args);
    va_end(args);
    return xasprintf("projects/%s/%s", gce->project, rest);
}

char *gce_zone_url(const struct gce *gce, const char *zone, const char *collection,
                   const char *name, const char *verb)
{
    autofree char *z = url_encode(zone);
    autofree char *n = name != NULL ? url_encode(name) : NULL;

    return xasprintf("%s/zones/%s/%s%s%s%s%s", gce->base, z, collection, n != NULL ? "/" : "",
                     n != NULL ? n : "", verb != NULL ? "/" : "", verb != NULL ? verb : "");
}

int gce_call(struct gce *gce, const struct gce_request *request, cJSON **out, struct err *err)
{
    bool has_query = request->query != NULL && request->query[0] != '\0';
    autofree char *id = request->request_id != NULL
                            ? xasprintf("%srequestId=%s", has_query ? "&" : "", request->request_id)
                            : xstrdup("");
    autofree char *url = xasprintf("%s%s%s%s", request->url, has_query || id[0] != '\0' ? "?" : "",
                                   has_query ? request->query : "", id);
    const struct google_call call = {.method = request->method,
                                     .url = url,
                                     .body = request->body,
                                     /* The same id makes a second try harmless. */
                                     .idempotent = request->request_id != NULL,
                                     .what = request->what,
                                     .permission = request->permission,
                                     .retry_ms = request->retry_ms,
                                     .secret = request->secret,
                                     .cap = request->cap};

    return google_call(gce->http, gce->auth, &call, out, err);
}

int gce_list_pages(struct gce *gce, const struct gce_list *list, struct err *err)
{
    autofree char *token = NULL;

    do {
        autofree char *after = token != NULL ? url_encode(token) : NULL;
        autofree char *query = xasprintf("%s%s%s", list->query, after != NULL ? "&pageToken=" : "",
                                         after != NULL ? after : "");
        const struct gce_request request = {.method = "GET",
                                            .url = list->url,
                                            .query = query,
                                            .what = list->what,
                                            .permission = list->permission,
                                            .cap = BUF_LARGE};
        autojson cJSON *page = NULL;
        const char *next;

        if (gce_call(gce, &request, &page, err) < 0 || list->each(list->arg, page, err) < 0)
            return -1;
        next = json_str(page, "nextPageToken"); /* an empty page may have one, too */
        if (next != NULL && token != NULL && strcmp(next, token) == 0)
            return err_set(err, ERR_PROTOCOL, "%s: the same page was answered twice", list->what);
        free(token);
        token = next != NULL && next[0] != '\0' ? xstrdup(next) : NULL;
    } while (token != NULL);
    return 0;
}
