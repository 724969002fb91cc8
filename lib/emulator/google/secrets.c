/* What a project keeps secret
 * (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access).
 */
#include "emulator/google/secrets.h"

#include "emulator/core/oauth.h"
#include "emulator/google/envelope.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

static void answer_secret(const struct request *request, struct answer *answer, const char *name,
                          const char *text)
{
    size_t len = strlen(text);
    cJSON *json = json_object();
    autofree char *path =
        xasprintf("projects/%s/secrets/%s/versions/1", request->parts.items[2], name);
    autofree char *data = base64_encode(text, len);
    cJSON *payload = json_set_object(json, "payload");
    json_set_str(json, "name", path);
    json_set_str(payload, "data", data);
    json_set_i64_str(payload, "dataCrc32c", crc32c(0, text, len));
    google_answer(request, answer, json);
}

static bool is_access(const struct request *request)
{
    const struct strv *parts = &request->parts;
    return parts->len == 7 && strcmp(parts->items[3], "secrets") == 0 &&
           strcmp(parts->items[5], "versions") == 0 && request_is(request, "GET") &&
           text_ends(parts->items[6], ":access");
}

void secrets_handle(struct emu *emu, const cJSON *secrets, const struct request *request,
                    struct answer *answer)
{
    if (!is_access(request)) {
        google_error(answer, 404, "notFound", "The requested URL was not found on this server.");
        return;
    }
    const char *project = request->parts.items[2];
    const char *name = request->parts.items[4];
    const char *version = request->parts.items[6];
    const cJSON *secret = cJSON_GetObjectItemCaseSensitive(secrets, name);
    if (!oauth_permits(emu_oauth(emu), request, "secretmanager.versions.access"))
        google_error(answer, 403, "forbidden",
                     "Permission 'secretmanager.versions.access' denied for resource "
                     "'projects/%s/secrets/%s/versions/latest' (or it may not exist).",
                     project, name);
    else if (!cJSON_IsString(secret) ||
             (strcmp(version, "latest:access") != 0 && strcmp(version, "1:access") != 0))
        google_error(answer, 404, "notFound",
                     "Secret [projects/%s/secrets/%s] not found or has no versions.", project,
                     name);
    else
        answer_secret(request, answer, name, secret->valuestring);
}
