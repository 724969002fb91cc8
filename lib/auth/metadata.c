/* The service account of the instance that this runs on
 * (https://cloud.google.com/compute/docs/access/authenticate-workloads). */
#include "auth/internal.h"

#include <string.h>

static int read_answer(const struct http_response *response, struct token *out, struct err *err)
{
    autojson cJSON *json = NULL;
    const char *flavor = http_header(response, "Metadata-Flavor");

    if (response->status == 404)
        return err_set(err, ERR_DENIED,
                       "this instance has no service account; give it one, or set "
                       "GOOGLE_APPLICATION_CREDENTIALS");
    if (response->status != 200) {
        autofree char *summary = http_summary(response);

        return err_set(err, response->status >= 500 ? ERR_UNREACHABLE : ERR_DENIED,
                       "no token: the metadata server %s", summary);
    }
    /* Something that is no metadata server may well answer at that address. */
    if (flavor == NULL || strcmp(flavor, "Google") != 0)
        return err_set(err, ERR_PROTOCOL, "no token: what answered is no metadata server");
    if (json_parse(response->body.data, response->body.len, "token", &json, err) < 0 ||
        json_str(json, "access_token") == NULL || !json_i64(json, "expires_in", &out->lifetime_s))
        return err_set(err, ERR_PROTOCOL, "no token: the metadata server's answer has none");
    out->value = xstrdup(json_str(json, "access_token"));
    return 0;
}

static int fetch(struct credential *credential, struct http *http, struct token *out,
                 struct err *err)
{
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    autofree char *url =
        google_metadata_url(http_run(http), "instance/service-accounts/default/token");
    autoresponse struct http_response response = {0};
    const struct http_request request = {.method = "GET",
                                         .url = url,
                                         .headers = headers,
                                         .cap = BUF_SMALL,
                                         .timeout_ms = 10 * 1000,
                                         .retry_ms = 30 * 1000,
                                         .proxy = "",
                                         .what = "the metadata server's token"};

    (void)credential;
    if (http_perform(http, &request, &response, err) < 0)
        return google_hint(http_run(http), url, err);
    if (read_answer(&response, out, err) < 0)
        return err->code == ERR_PROTOCOL ? google_hint(http_run(http), url, err) : -1;
    return 0;
}

const struct credential_kind kind_metadata = {.words = "metadata server", .fetch = fetch};
