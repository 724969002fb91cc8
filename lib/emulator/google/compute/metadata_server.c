/* The metadata server of one instance, on a port of its own. */
#include "emulator/google/compute/internal.h"

#include <errno.h>
#include <inttypes.h>
#include "emulator/machine/machine.h"
#include "necoops/base/digest.h"

#define ROOT          "/computeMetadata/v1"
#define TOKEN_SECONDS 3600
#define TOKEN_KEPT_MS 300000

static void answer_html(struct answer *answer, int status, const char *what)
{
    autofree char *text = xasprintf("<!DOCTYPE html>\n<html lang=en><title>Error %d</title>"
                                    "<p><b>%d.</b> <ins>That's an error.</ins><p>%s</html>\n",
                                    status, status, what);
    answer_text(answer, status, "text/html; charset=UTF-8", text);
}

static void answer_value(struct answer *answer, const char *type, const char *text)
{
    struct sha256_hex hash = sha256(text, strlen(text));
    answer_header(answer, "ETag: %.16s", hash.text);
    answer_text(answer, 200, type, text);
}

/* ---- guest attributes ---- */

struct guest_call {
    struct compute *compute;
    struct instance *instance;
    const struct request *request;
    struct answer *answer;
    const char *space, *key; /* NULL: a listing */
};

static void guest_get(const struct guest_call *call)
{
    const char *value = guest_attribute_get(call->instance->inside, call->space, call->key);
    if (value != NULL)
        answer_value(call->answer, "application/text", value);
    else
        answer_html(call->answer, 404, "The requested URL was not found on this server.");
}

static void guest_put(const struct guest_call *call)
{
    const struct request *request = call->request;
    if (strlen(request->body) != request->body_len) {
        answer_html(call->answer, 400, "The value has a NUL byte.");
    } else if (guest_attribute_set(call->instance->inside, call->space, call->key, request->body) <
               0) {
        answer_html(call->answer, 413, "The values of this instance would be too large.");
    } else {
        pthread_cond_broadcast(&call->compute->changed);
        answer_text(call->answer, 200, "text/html; charset=UTF-8", "");
    }
}

static void guest_delete(const struct guest_call *call)
{
    (void)guest_attribute_set(call->instance->inside, call->space, call->key, NULL);
    pthread_cond_broadcast(&call->compute->changed);
    answer_text(call->answer, 200, "text/html; charset=UTF-8", "");
}

/* Beyond the limits every other request is lost without a word (a write that says 200 and is not
 * there), the rest is told 429. */
static bool guest_limited(const struct guest_call *call)
{
    switch (guest_attributes_count(call->compute, call->instance->inside)) {
    case GUEST_SERVED:
        return false;
    case GUEST_DROPPED:
        if (!request_is(call->request, "GET")) {
            answer_text(call->answer, 200, "text/html; charset=UTF-8", "");
            return true;
        }
        answer_html(call->answer, 503, "Try again.");
        return true;
    default:
        answer_html(call->answer, 429, "Too many guest attribute requests.");
        return true;
    }
}

static void guest_serve(const struct guest_call *call)
{
    if (guest_limited(call))
        return;
    if (request_is(call->request, "PUT"))
        guest_put(call);
    else if (request_is(call->request, "DELETE"))
        guest_delete(call);
    else
        guest_get(call);
}

/* instance/guest-attributes/SPACE/KEY; true when the path is one. */
static bool guest_handle(struct compute *compute, struct instance *instance,
                         const struct request *request, struct answer *answer)
{
    const struct strv *parts = &request->parts;
    struct guest_call call = {
        .compute = compute, .instance = instance, .request = request, .answer = answer};
    if (parts->len < 4 || strcmp(parts->items[2], "instance") != 0 ||
        strcmp(parts->items[3], "guest-attributes") != 0)
        return false;
    instance_inside(instance);
    if (!guest_attributes_enabled(compute, instance)) {
        answer_html(answer, 403, "Guest attributes endpoint access is disabled.");
        return true;
    }
    if (parts->len == 6) {
        call.space = parts->items[4];
        call.key = parts->items[5];
        guest_serve(&call);
        return true;
    }
    if (request_is(request, "GET") && parts->len < 6)
        return false; /* a listing, from the tree */
    answer_html(answer, 404, "A guest attribute is NAMESPACE/KEY.");
    return true;
}

/* ---- tokens ---- */

static char *joined_scopes(const struct request *request, const cJSON *account)
{
    const char *wanted = request_query(request, "scopes");
    autostrv struct strv scopes = STRV_INIT;
    const cJSON *scope = NULL;
    cJSON_ArrayForEach(scope, json_at(account, "scopes"))
    {
        /* A subset may be asked for; never more than the instance has. */
        if (cJSON_IsString(scope) && (wanted == NULL || strstr(wanted, scope->valuestring) != NULL))
            strv_add(&scopes, scope->valuestring);
    }
    return strv_join(&scopes, " ");
}

/* The real server keeps a token until five minutes before its end, so that asking early gives the
 * same one again. */
static void refresh_token(struct compute *compute, struct inside *inside, const cJSON *account,
                          const char *scopes)
{
    if (inside->token != NULL && strcmp(inside->token_scopes, scopes) == 0 &&
        inside->token_ends - mono_now() > TOKEN_KEPT_MS)
        return;
    free(inside->token);
    free(inside->token_scopes);
    inside->token = oauth_issue(emu_oauth(compute->emu), json_str_or(account, "email", ""), scopes,
                                TOKEN_SECONDS);
    inside->token_scopes = xstrdup(scopes);
    inside->token_ends = mono_now() + (int64_t)TOKEN_SECONDS * 1000;
}

static void answer_token(struct compute *compute, struct instance *instance,
                         const struct request *request, struct answer *answer, const cJSON *account)
{
    struct inside *inside = instance_inside(instance);
    autofree char *scopes = joined_scopes(request, account);
    refresh_token(compute, inside, account, scopes);
    cJSON *body = json_object();
    json_set_str(body, "access_token", inside->token);
    json_set_i64(body, "expires_in", (inside->token_ends - mono_now()) / 1000);
    json_set_str(body, "token_type", "Bearer");
    answer_json(answer, 200, body);
}

static void answer_identity(struct compute *compute, const struct instance *instance,
                            const struct request *request, struct answer *answer,
                            const cJSON *account)
{
    const char *audience = request_query(request, "audience");
    const char *format = request_query(request, "format");
    if (audience == NULL || audience[0] == '\0') {
        answer_html(answer, 400, "non-empty audience parameter required");
        return;
    }
    autojson cJSON *claims = json_object();
    if (format != NULL && strcmp(format, "full") == 0) {
        cJSON *google = json_set_object(claims, "google");
        cJSON *engine = json_set_object(google, "compute_engine");
        set_id(engine, "instance_id", instance->id);
        json_set_str(engine, "instance_name", instance->name);
        json_set_str(engine, "project_id", instance->project);
        json_set_str(engine, "zone", instance->zone);
    }
    autofree char *token = oauth_identity(emu_oauth(compute->emu),
                                          json_str_or(account, "email", ""), audience, claims);
    answer_text(answer, 200, "text/html; charset=UTF-8", token != NULL ? token : "");
}

/* instance/service-accounts/ACCOUNT/token or /identity; true when the path is one. */
static bool account_handle(struct compute *compute, struct instance *instance,
                           const struct request *request, struct answer *answer)
{
    const struct strv *parts = &request->parts;
    if (parts->len != 6 || strcmp(parts->items[2], "instance") != 0 ||
        strcmp(parts->items[3], "service-accounts") != 0)
        return false;
    const cJSON *account = json_at(instance->spec->json, "serviceAccounts[0]");
    bool known =
        account != NULL && (strcmp(parts->items[4], "default") == 0 ||
                            strcmp(parts->items[4], json_str_or(account, "email", "")) == 0);
    if (known && strcmp(parts->items[5], "token") == 0)
        answer_token(compute, instance, request, answer, account);
    else if (known && strcmp(parts->items[5], "identity") == 0)
        answer_identity(compute, instance, request, answer, account);
    else
        return false;
    return true;
}

/* ---- the tree ---- */

static const cJSON *child_of(const cJSON *node, const char *name)
{
    uint64_t index = 0;
    if (cJSON_IsObject(node))
        return cJSON_GetObjectItemCaseSensitive(node, name);
    if (!metadata_is_dir(node) || !parse_id(name, &index) || index > 1000)
        return NULL;
    return cJSON_GetArrayItem(node, (int)index);
}

static const cJSON *node_at(const cJSON *tree, const struct strv *parts)
{
    const cJSON *node = tree;
    for (size_t i = 2; i < parts->len && node != NULL; i++)
        node = child_of(node, parts->items[i]);
    return node;
}

static bool wants(const struct request *request, const char *name, const char *value)
{
    const char *given = request_query(request, name);
    return given != NULL && strcmp(given, value) == 0;
}

/* The value at the request's path in the form asked for; NULL: there is none. `type` is static. */
static char *value_text(const struct compute *compute, const struct instance *instance,
                        const struct request *request, const char **type)
{
    bool recursive = wants(request, "recursive", "true");
    bool as_text = wants(request, "alt", "text");
    autojson cJSON *tree = metadata_tree(compute, instance, !recursive);
    const cJSON *node = node_at(tree, &request->parts);
    if (node == NULL)
        return NULL;
    bool dir = metadata_is_dir(node);
    *type = "application/text";
    if (dir && recursive && as_text) {
        autobuf struct buf out = BUF_INIT(BUF_MEDIUM);
        metadata_flatten(node, "", &out);
        return buf_steal(&out);
    }
    if ((dir && recursive) || wants(request, "alt", "json")) {
        autojson cJSON *json = metadata_camel(node);
        *type = "application/json";
        return json_print(json);
    }
    return dir ? metadata_listing(node) : metadata_leaf(node);
}

static int64_t timeout_of(const struct request *request)
{
    const char *text = request_query(request, "timeout_sec");
    char *end = NULL;
    if (text == NULL)
        return INT64_MAX;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || seconds < 0 || seconds > 86400)
        return INT64_MAX;
    return mono_now() + seconds * 1000;
}

/* Waits (the lock released meanwhile) until the value is another one than the caller knows; false
 * when there is nobody to answer to, or no instance. */
static bool wait_for_change(const struct metadata_service *service, const struct request *request,
                            char **text, const char **type)
{
    struct compute *compute = service->compute;
    const char *known = request_query(request, "last_etag");
    autofree char *etag = NULL;
    int64_t deadline = timeout_of(request);
    if (known != NULL) {
        etag = xstrdup(known);
    } else {
        struct sha256_hex hash = sha256(*text, strlen(*text));
        etag = xstrndup(hash.text, 16);
    }
    for (;;) {
        struct sha256_hex now = sha256(*text, strlen(*text));
        if (strncmp(now.text, etag, 16) != 0 || mono_now() >= deadline)
            return true;
        if (request_abandoned(request))
            return false;
        int64_t until = mono_now() + 200;
        struct timespec when = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
        pthread_cond_timedwait(&compute->changed, &compute->lock, &when);
        const struct instance *instance = instance_by_id(compute, service->instance);
        if (instance == NULL)
            return false;
        char *fresh = value_text(compute, instance, request, type);
        free(*text);
        *text = fresh;
        if (fresh == NULL)
            return true;
    }
}

static void tree_handle(const struct metadata_service *service, const struct instance *instance,
                        const struct request *request, struct answer *answer)
{
    const char *type = NULL;
    char *text = value_text(service->compute, instance, request, &type);
    bool answered = true;
    if (text != NULL && wants(request, "wait_for_change", "true"))
        answered = wait_for_change(service, request, &text, &type);
    if (!answered)
        answer_html(answer, 503, "Try again.");
    else if (text == NULL)
        answer_html(answer, 404, "The requested URL was not found on this server.");
    else
        answer_value(answer, type, text);
    free(text);
}

/* ---- requests ---- */

/* Where a directory that was asked for without its slash really is. */
static void redirect(const struct request *request, struct answer *answer)
{
    autobuf struct buf query = BUF_INIT(BUF_SMALL);
    for (size_t i = 0; i + 1 < request->query.len; i += 2) {
        autofree char *name = url_encode(request->query.items[i]);
        autofree char *value = url_encode(request->query.items[i + 1]);
        buf_addf(&query, "%c%s=%s", i == 0 ? '?' : '&', name, value);
    }
    const char *host = request_header(request, "Host");
    answer_header(answer, "Location: http://%s%s/%s", host, request->path, query.data);
    answer_html(answer, 301, "Moved permanently.");
}

/* 1: a directory without its slash, -1: a leaf with one, 0: fine. */
static int slash_fault(const struct compute *compute, const struct instance *instance,
                       const struct request *request)
{
    autojson cJSON *tree = metadata_tree(compute, instance, true);
    const cJSON *node = node_at(tree, &request->parts);
    bool slash = text_ends(request->path, "/");
    if (node == NULL)
        return 0;
    if (metadata_is_dir(node))
        return slash ? 0 : 1;
    return slash ? -1 : 0;
}

static void v1_handle(const struct metadata_service *service, struct instance *instance,
                      const struct request *request, struct answer *answer)
{
    struct compute *compute = service->compute;
    if (guest_handle(compute, instance, request, answer))
        return;
    if (!request_is(request, "GET") && !request_is(request, "HEAD")) {
        answer_html(answer, 405, "The request method is not allowed here.");
        return;
    }
    if (account_handle(compute, instance, request, answer))
        return;
    int fault = slash_fault(compute, instance, request);
    if (fault > 0)
        redirect(request, answer);
    else if (fault < 0)
        answer_html(answer, 404, "The requested URL was not found on this server.");
    else
        tree_handle(service, instance, request, answer);
}

static bool flavored(const struct request *request)
{
    const char *flavor = request_header(request, "Metadata-Flavor");
    return flavor != NULL && strcmp(flavor, "Google") == 0;
}

static void serve(const struct metadata_service *service, const struct request *request,
                  struct answer *answer)
{
    struct compute *compute = service->compute;
    if (request_header(request, "X-Forwarded-For") != NULL) {
        answer_html(answer, 403, "Requests that were forwarded are refused.");
        return;
    }
    if (strcmp(request->path, "/") == 0) {
        answer_text(answer, 200, "application/text", "computeMetadata/\n");
        return;
    }
    if (!flavored(request)) {
        answer_html(answer, 403,
                    "Your client does not have permission to get this URL from this server. "
                    "Missing Metadata-Flavor:Google header.");
        return;
    }
    if (strcmp(request->path, "/computeMetadata/") == 0) {
        answer_text(answer, 200, "application/text", "v1/\n");
        return;
    }
    if (request->parts.len < 2 || !text_starts(request->path, ROOT)) {
        answer_html(answer, 404, "The requested URL was not found on this server.");
        return;
    }
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, service->instance);
    if (instance != NULL)
        v1_handle(service, instance, request, answer);
    else
        answer_html(answer, 503, "The instance is gone.");
    pthread_mutex_unlock(&compute->lock);
}

void metadata_handle(void *arg, const struct request *request, struct answer *answer)
{
    const struct metadata_service *service = arg;
    if (text_starts(request->path, "/emulator/placemat/")) {
        autofree char *id = xasprintf("%" PRIu64, service->instance);
        machine_handle(emu_machines(service->compute->emu), id, request, answer);
        return;
    }
    serve(service, request, answer);
    answer_header(answer, "Metadata-Flavor: Google");
    answer_header(answer, "Server: Metadata Server for VM");
    answer_header(answer, "X-XSS-Protection: 0");
    answer_header(answer, "X-Frame-Options: SAMEORIGIN");
    answer_header(answer, "Connection: close");
}
