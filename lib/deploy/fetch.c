/* The commit's repository, where nobody has cloned it: on the instance. */
#include "internal.h"

#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/text.h"
#include "necoops/gce/metadata.h"
#include "necoops/google/api.h"

#define FETCH_MS ((int64_t)5 * 60 * 1000)

/* projects/P/secrets/S[/versions/V]
 * (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access)
 */
static int read_secret(const struct plan *plan, struct http *http, const char *name, char **token,
                       struct err *err)
{
    autofree char *base = google_endpoint(plan->run, GOOGLE_SECRETS);
    autofree char *url = xasprintf("%s/%s%s:access", base, name,
                                   strstr(name, "/versions/") ? "" : "/versions/latest");
    autofree char *what = xasprintf("secret '%s'", name);
    autoauth struct auth *auth = NULL;
    autojson cJSON *answer = NULL;
    autobuf struct buf value = BUF_INIT(BUF_SMALL);
    const struct google_call call = {.method = "GET",
                                     .url = url,
                                     .idempotent = true,
                                     .what = what,
                                     .secret = true,
                                     .permission = "secretmanager.versions.access"};

    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") !=
            strlen(name) ||
        !text_starts(name, "projects/")) {
        return err_set(err, ERR_USAGE, "apps.token.secret: '%s' is no projects/P/secrets/S", name);
    }
    if (auth_find(http, &auth, err) != 0 || google_call(http, auth, &call, &answer, err) != 0) {
        return -1;
    }
    const char *data = json_str_or(answer, "payload.data", "");
    if (base64_decode(data, strlen(data), &value) != 0 || strlen(value.data) != value.len) {
        return err_set(err, ERR_PROTOCOL, "%s is no text", what);
    }
    *token = buf_steal(&value);
    return 0;
}

static int read_token(const struct plan *plan, struct http *http, char **token, struct err *err)
{
    const char *secret = conf_str(plan->conf, "apps.token.secret");
    const char *item = conf_str(plan->conf, "apps.token.metadata");

    if (!secret && !item) {
        return 0;
    }
    if (secret) {
        if (read_secret(plan, http, secret, token, err) != 0) {
            return -1;
        }
    } else {
        autofree char *encoded = url_encode(item);
        autofree char *path = xasprintf("instance/attributes/%s", encoded);

        if (metadata_get_secret(http, path, token, err) != 0) {
            return -1;
        }
    }
    (*token)[strcspn(*token, "\r\n")] = '\0';
    return 0;
}

static int fetch(const struct plan *plan, struct err *err)
{
    struct run run = run_within(plan->run, FETCH_MS);
    const char *revision = plan->options->revision;
    autohttp struct http *http = NULL;
    autofree char *token = NULL;

    if (http_new(&run, &http, err) != 0 || read_token(plan, http, &token, err) != 0) {
        return -1;
    }
    const struct git_credentials credentials = {
        .user = conf_str(plan->conf, "apps.token.user"),
        .token = token,
        .ca_file = http_ca_file(http),
    };
    return git_mirror(&run, plan->options->mirror, plan->repo_url, &credentials,
                      revision && git_is_id(revision) ? revision : NULL, err);
}

int plan_fetch(struct plan *plan, struct err *err)
{
    autoerr struct err failed = ERR_INIT;

    progress_phase(plan->run->progress, "fetch", "fetching '%s'", plan->repo_url);
    if (fetch(plan, &failed) == 0) {
        return 0;
    }
    if (run_check(plan->run, "the apps repository", err) != 0) {
        return -1;
    }
    plan_note(plan, "the manifests of the commit cannot be read: %s", err_text(&failed));
    return 0;
}
