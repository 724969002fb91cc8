/* The metadata server, from inside the instance. */
#include "necoops/gce/metadata.h"

#include <string.h>
#include "necoops/google/api.h"

#define PACE_COUNT   10 /* requests that the service takes */
#define PACE_MS      (60 * 1000)
#define PUT_TRIES    5
#define READ_BACK_MS 2000

static const char *const flavor[] = {"Metadata-Flavor: Google", NULL};

static struct http_request metadata_request(const char *method, const char *url, const char *what)
{
    return (struct http_request){.method = method,
                                 .url = url,
                                 .headers = flavor,
                                 .timeout_ms = 10 * 1000,
                                 .retry_ms = 60 * 1000,
                                 .idempotent = true,
                                 .proxy = "", /* its answers are secrets, in the clear */
                                 .what = what};
}

static bool is_metadata_server(const struct http_response *response)
{
    const char *value = http_header(response, "Metadata-Flavor");

    return value != NULL && strcmp(value, "Google") == 0;
}

bool metadata_present(struct http *http)
{
    autofree char *url = google_metadata_url(http_run(http), "");
    autoresponse struct http_response response = {0};
    autoerr struct err ignored = ERR_INIT;
    struct http_request request = metadata_request("GET", url, "the metadata server");

    request.timeout_ms = 3000;
    request.retry_ms = -1;
    return http_perform(http, &request, &response, &ignored) == 0 && response.status == 200 &&
           is_metadata_server(&response);
}

static int check(const struct http_response *response, const char *what, struct err *err)
{
    autofree char *summary = NULL;

    if (response->status >= 200 && response->status <= 299) {
        if (is_metadata_server(response))
            return 0;
        return err_set(err, ERR_PROTOCOL, "%s: what answered is no metadata server", what);
    }
    summary = http_summary(response);
    switch (response->status) {
    case 404:
        err_set(err, ERR_NOT_FOUND, "%s: there is none", what);
        break;
    case 403:
        err_set(err, ERR_DENIED, "%s: the metadata server %s", what, summary);
        break;
    case 400:
        err_set(err, ERR_INVALID, "%s: the metadata server %s", what, summary);
        break;
    default:
        err_set(err, ERR_UNREACHABLE, "%s: the metadata server %s", what, summary);
        break;
    }
    err->http_status = response->status;
    return -1;
}

static int ask(struct http *http, const struct http_request *request,
               struct http_response *response, struct err *err)
{
    if (http_perform(http, request, response, err) < 0)
        return google_hint(http_run(http), request->url, err);
    if (check(response, request->what, err) < 0)
        return err->code == ERR_PROTOCOL ? google_hint(http_run(http), request->url, err) : -1;
    return 0;
}

static int get(struct http *http, const char *path, bool secret, char **value, struct err *err)
{
    autofree char *url = google_metadata_url(http_run(http), path);
    autofree char *what = xasprintf("metadata '%s'", path);
    autoresponse struct http_response response = {0};
    struct http_request request = metadata_request("GET", url, what);

    request.secret = secret;
    if (ask(http, &request, &response, err) < 0)
        return -1;
    if (memchr(response.body.data, '\0', response.body.len) != NULL)
        return err_set(err, ERR_PROTOCOL, "%s: its value is no text", what);
    *value = buf_steal(&response.body);
    return 0;
}

int metadata_get(struct http *http, const char *path, char **value, struct err *err)
{
    return get(http, path, false, value, err);
}

int metadata_get_secret(struct http *http, const char *path, char **value, struct err *err)
{
    return get(http, path, true, value, err);
}

/* ---- guest attributes ---- */

/* When this process asked last: the limit is one of the instance, so it outlives any one `http`. */
static int64_t asked_at[PACE_COUNT];
static size_t asked_next;

/* Waits until one more request is within the limit. */
static int pace(const struct run *run, const char *what, struct err *err)
{
    int64_t oldest = asked_at[asked_next];
    int64_t wait = oldest != 0 ? oldest + PACE_MS - run_mono_ms(run) : 0;

    if (wait > 0 && run_sleep(run, wait, what, err) < 0)
        return -1;
    asked_at[asked_next] = run_mono_ms(run);
    asked_next = (asked_next + 1) % PACE_COUNT;
    return 0;
}

static int put(struct http *http, const char *url, const char *value, const char *what,
               struct err *err)
{
    autoresponse struct http_response response = {0};
    struct http_request request = metadata_request("PUT", url, what);

    request.body = value;
    request.body_len = strlen(value);
    request.content_type = "text/plain; charset=utf-8";
    if (pace(http_run(http), what, err) < 0)
        return -1;
    if (ask(http, &request, &response, err) == 0)
        return 0;
    if (err->code == ERR_DENIED) {
        autofree char *text = xstrdup(err_text(err));

        err_set(err, ERR_DENIED,
                "%s; set the instance's metadata 'enable-guest-attributes' to TRUE", text);
    }
    return -1;
}

/* 1: it is there; 0: it is not (yet). */
static int is_there(struct http *http, const char *url, const char *value, const char *what,
                    struct err *err)
{
    autoresponse struct http_response response = {0};
    const struct http_request request = metadata_request("GET", url, what);

    if (pace(http_run(http), what, err) < 0)
        return -1;
    if (ask(http, &request, &response, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : -1;
    return response.body.len == strlen(value) &&
           memcmp(response.body.data, value, response.body.len) == 0;
}

char *metadata_cpu_platform(struct http *http)
{
    autoerr struct err none = ERR_INIT;
    char *platform = NULL;

    if (metadata_present(http))
        (void)!metadata_get(http, "instance/cpu-platform", &platform, &none);
    return platform;
}

int metadata_put_guest_attribute(struct http *http, const char *space, const char *key,
                                 const char *value, struct err *err)
{
    autofree char *path = xasprintf("instance/guest-attributes/%s/%s", space, key);
    autofree char *url = google_metadata_url(http_run(http), path);
    autofree char *what = xasprintf("guest attribute '%s/%s'", space, key);

    for (int tries = 0; tries < PUT_TRIES; tries++) {
        int there;

        if (tries > 0 && run_sleep(http_run(http), READ_BACK_MS, what, err) < 0)
            return -1;
        if (put(http, url, value, what, err) < 0)
            return -1;
        there = is_there(http, url, value, what, err);
        if (there != 0)
            return there < 0 ? -1 : 0;
    }
    return err_set(err, ERR_FAILED, "%s: written %d times, and never there when read back", what,
                   PUT_TRIES);
}
