/* The Alertmanager's API, at its URL or through the API server's proxy. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define ALERTS_PATH "/api/v2/alerts"
#define WHAT        "the Alertmanager"

bool post_is_possible(const struct notify *notify)
{
    return notify->url || (notify->service_path && notify->kube);
}

static struct kube_call service_call(const char *method, const char *path, const cJSON *body)
{
    return (struct kube_call){
        .method = method,
        .path = path,
        .body = body,
        .idempotent = true, /* the same alert once more changes nothing */
        .plain = true,      /* an answer to POST is empty */
        .what = WHAT,
        .timeout_ms = TELL_MS,
        .retry_ms = TELL_MS,
    };
}

static struct http_request url_request(const char *method, const char *url, const char *body)
{
    return (struct http_request){
        .method = method,
        .url = url,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .content_type = body ? "application/json" : NULL,
        .idempotent = true,
        .timeout_ms = TELL_MS,
        .retry_ms = TELL_MS,
        .what = WHAT,
    };
}

static int judge(const struct http_response *response, struct err *err)
{
    if (response->status == 200) {
        return 0;
    }
    autofree char *summary = http_summary(response);

    return err_set(err, ERR_FAILED, WHAT " %s", summary);
}

static int ask_url(struct notify *notify, const char *method, const char *query, const cJSON *body,
                   char **answer, struct err *err)
{
    autofree char *url = xasprintf("%s" ALERTS_PATH "%s", notify->url, query);
    autofree char *text = body ? json_print(body) : NULL;
    autoresponse struct http_response response = {0};
    struct http_request request = url_request(method, url, text);
    struct http *http = notify_http(notify);

    if (!http) {
        return err_set(err, ERR_FAILED, "no connection can be made");
    }
    if (http_perform(http, &request, &response, err) != 0 || judge(&response, err) != 0) {
        return -1;
    }
    *answer = xstrdup(response.body.data);
    return 0;
}

static int ask_service(struct notify *notify, const char *method, const char *query,
                       const cJSON *body, char **answer, struct err *err)
{
    autofree char *path = xasprintf("%s" ALERTS_PATH "%s", notify->service_path, query);
    struct kube_call call = service_call(method, path, body);
    autojson cJSON *text = NULL;

    if (kube_call(notify->kube, &call, &text, err) != 0) {
        return -1;
    }
    *answer = xstrdup(text->valuestring);
    return 0;
}

static int ask(struct notify *notify, const char *method, const char *query, const cJSON *body,
               char **answer, struct err *err)
{
    return notify->url ? ask_url(notify, method, query, body, answer, err)
                       : ask_service(notify, method, query, body, answer, err);
}

int post_alerts(struct notify *notify, const cJSON *alerts, struct err *err)
{
    autofree char *answer = NULL;

    return ask(notify, "POST", "", alerts, &answer, err);
}

int post_ask(struct notify *notify, const char *query, cJSON **out, struct err *err)
{
    autofree char *answer = NULL;

    if (ask(notify, "GET", query, NULL, &answer, err) != 0) {
        return -1;
    }
    return json_parse(answer, strlen(answer), "the Alertmanager's answer", out, err);
}

/* ---- without waiting ---- */

static void told(struct notify *notify, const struct err *err)
{
    if (err->code != ERR_NONE) {
        log_warning(notify->run->log, "that the deploy is slow was not told: %s", err_text(err));
    }
}

static void call_done(void *arg, cJSON *answer, struct err *err)
{
    struct notify *notify = arg;

    cJSON_Delete(answer); /* it says nothing that is wanted */
    notify->pending_call = NULL;
    told(notify, err);
}

static void transfer_done(void *arg, struct http_response *response, struct err *err)
{
    struct notify *notify = arg;

    notify->pending_transfer = NULL;
    if (err->code == ERR_NONE) {
        (void)judge(response, err);
    }
    told(notify, err);
}

void post_start(struct notify *notify, const cJSON *alerts)
{
    alerts_cancel(notify);
    if (notify->url) {
        autofree char *url = xasprintf("%s" ALERTS_PATH, notify->url);
        struct http_handler handler = {.done = transfer_done, .arg = notify};

        notify->pending_body = json_print(alerts);
        struct http_request request = url_request("POST", url, notify->pending_body);
        notify->pending_transfer = http_start(kube_http(notify->kube), &request, &handler);
        return;
    }
    autofree char *path = xasprintf("%s" ALERTS_PATH, notify->service_path);
    struct kube_call call = service_call("POST", path, alerts);

    notify->pending_call = kube_start(notify->kube, &call, call_done, notify);
}

void alerts_cancel(struct notify *notify)
{
    if (notify->pending_call) {
        kube_cancel(notify->pending_call);
    }
    if (notify->pending_transfer) {
        http_cancel(notify->pending_transfer);
    }
    notify->pending_call = NULL;
    notify->pending_transfer = NULL;
    free(notify->pending_body);
    notify->pending_body = NULL;
}
