/* What every call of the emulated Cloud Storage has in common: preconditions, errors as the service
 * words them, JSON in and out. */
#include "emulator/google/storage_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>
#include "emulator/google/fields.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

/* ---- errors ---- */

int storage_fail(struct err *err, int status, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *text = xvasprintf(format, args);
    va_end(args);
    err_set(err, ERR_FAILED, "%s", text);
    err->http_status = status;
    text_copy(err->reason, sizeof err->reason, reason);
    return -1;
}

static bool wants_media(const struct request *request)
{
    const char *alt = request_query(request, "alt");
    return alt != NULL && strcmp(alt, "media") == 0;
}

static cJSON *envelope(const struct err *err, int status, const char *reason)
{
    cJSON *root = json_object();
    cJSON *error = json_set_object(root, "error");
    json_set_i64(error, "code", status);
    json_set_str(error, "message", err_text(err));
    cJSON *item = json_object();
    json_set_str(item, "message", err_text(err));
    json_set_str(item, "domain", "global");
    json_set_str(item, "reason", reason);
    if (status == 412) {
        json_set_str(item, "locationType", "header");
        json_set_str(item, "location", "If-Match");
    }
    json_push(json_set_array(error, "errors"), item);
    return root;
}

void storage_answer_error(const struct request *request, struct answer *answer,
                          const struct err *err)
{
    /* What has no status is the emulator's own trouble (a full disk). */
    int status = err->http_status != 0 ? err->http_status : 500;
    const char *reason = err->reason[0] != '\0' ? err->reason : "backendError";
    if (status == 304) {
        answer->status = 304;
    } else if (wants_media(request) || strcmp(reason, "session") == 0) {
        answer_text(answer, status, "text/html; charset=UTF-8", err_text(err));
    } else {
        answer_json(answer, status, envelope(err, status, reason));
    }
}

/* ---- JSON ---- */

int storage_answer_json(const struct request *request, struct answer *answer, cJSON *value,
                        struct err *err)
{
    autojson cJSON *shown = value;
    const char *mask = request_query(request, "fields");
    if (mask != NULL && mask[0] != '\0') {
        autofields struct fields *fields = NULL;
        if (fields_parse(mask, &fields, err) < 0)
            return storage_fail(err, 400, "invalidParameter", "Invalid field selection %s", mask);
        fields_apply(fields, shown);
    }
    answer_header(answer, "Cache-Control: no-cache, no-store, max-age=0, must-revalidate");
    answer_json(answer, 200, steal(shown));
    return 0;
}

static bool json_content_type(const struct request *request)
{
    const char *type = request_header(request, "Content-Type");
    return type != NULL && strncasecmp(type, "application/json", 16) == 0;
}

int storage_body(const struct request *request, bool needed, cJSON **out, struct err *err)
{
    if (request->body_len == 0) {
        if (needed)
            return storage_fail(err, 400, "required", "Required");
        *out = json_object();
        return 0;
    }
    /* A form of a web page cannot say that it is JSON. */
    if (!json_content_type(request)) {
        const char *type = request_header(request, "Content-Type");
        return storage_fail(err, 400, "badContent", "Unsupported content with type: %s",
                            type != NULL ? type : "application/octet-stream");
    }
    autojson cJSON *body = NULL;
    if (json_parse(request->body, request->body_len, "body", &body, err) < 0 ||
        !cJSON_IsObject(body))
        return storage_fail(err, 400, "parseError", "Parse Error");
    *out = steal(body);
    return 0;
}

bool header_has_token(const char *value, const char *token)
{
    size_t len = strlen(token);
    for (const char *p = value; p != NULL && *p != '\0';) {
        p += strspn(p, " \t,");
        size_t item = strcspn(p, ",");
        size_t name = strcspn(p, ",; \t");
        if (name == len && strncasecmp(p, token, len) == 0) {
            autofree char *parameters = xstrndup(p + name, item - name);
            const char *q = strstr(parameters, "q=");
            return q == NULL || strtod(q + 2, NULL) > 0;
        }
        p += item;
    }
    return false;
}

/* ---- preconditions ---- */

int query_i64(const struct request *request, const char *name, int64_t *out, struct err *err)
{
    const char *text = request_query(request, name);
    if (text == NULL)
        return 0;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || isspace((unsigned char)text[0]) || value < 0)
        return storage_fail(err, 400, "invalidParameter",
                            "Invalid value '%s'. Values must match the following regular "
                            "expression: '[0-9]+' (%s)",
                            text, name);
    *out = value;
    return 0;
}

int conditions_parse(const struct request *request, bool source, struct conditions *out,
                     struct err *err)
{
    struct {
        const char *name, *source_name;
        bool *has;
        int64_t *value;
    } rows[] = {
        {"ifGenerationMatch", "ifSourceGenerationMatch", &out->has_generation, &out->generation},
        {"ifGenerationNotMatch", "ifSourceGenerationNotMatch", &out->has_not_generation,
         &out->not_generation},
        {"ifMetagenerationMatch", "ifSourceMetagenerationMatch", &out->has_metageneration,
         &out->metageneration},
        {"ifMetagenerationNotMatch", "ifSourceMetagenerationNotMatch", &out->has_not_metageneration,
         &out->not_metageneration},
    };
    *out = (struct conditions){.has_generation = false};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *name = source ? rows[i].source_name : rows[i].name;
        *rows[i].has = request_query(request, name) != NULL;
        if (query_i64(request, name, rows[i].value, err) < 0)
            return -1;
    }
    return 0;
}

int conditions_check(const struct conditions *conditions, const struct object *object, bool reading,
                     struct err *err)
{
    int64_t generation = object != NULL ? object->generation : 0;
    int64_t metageneration = object != NULL ? object->metageneration : 0;
    bool mismatch =
        (conditions->has_generation && conditions->generation != generation) ||
        (conditions->has_metageneration && conditions->metageneration != metageneration);
    bool same =
        (conditions->has_not_generation && conditions->not_generation == generation) ||
        (conditions->has_not_metageneration && conditions->not_metageneration == metageneration);
    if (!mismatch && !same)
        return 0;
    return storage_fail(err, same && !mismatch && reading ? 304 : 412, "conditionNotMet",
                        "At least one of the pre-conditions you specified did not hold.");
}

/* ---- hashes of an upload ---- */

static int check_crc32c(const char *given, uint32_t calculated, struct err *err)
{
    uint32_t expected;
    if (crc32c_from_base64(given, &expected) == 0 && expected == calculated)
        return 0;
    return storage_fail(err, 400, "invalid",
                        "Provided CRC32C \"%s\" doesn't match calculated CRC32C \"%s\".", given,
                        crc32c_base64(calculated).text);
}

static int check_md5(const char *given, const unsigned char *calculated, struct err *err)
{
    autobuf struct buf decoded = BUF_INIT(BUF_SMALL);
    if (base64_decode(given, strlen(given), &decoded) == 0 && decoded.len == MD5_LEN &&
        memcmp(decoded.data, calculated, MD5_LEN) == 0)
        return 0;
    autofree char *text = base64_encode(calculated, MD5_LEN);
    return storage_fail(err, 400, "invalid",
                        "Provided MD5 hash \"%s\" doesn't match calculated MD5 hash \"%s\".", given,
                        text);
}

static int check_header(const char *header, const struct content *content, struct err *err)
{
    autostrv struct strv items = STRV_INIT;
    strv_split(&items, header, ',');
    for (size_t i = 0; i < items.len; i++) {
        const char *item = items.items[i] + strspn(items.items[i], " \t");
        if (text_starts(item, "crc32c=") && check_crc32c(item + 7, content->crc32c, err) < 0)
            return -1;
        if (text_starts(item, "md5=") && check_md5(item + 4, content->md5, err) < 0)
            return -1;
    }
    return 0;
}

int hashes_check(const cJSON *metadata, const char *header, const struct content *content,
                 struct err *err)
{
    const char *crc = json_str(metadata, "crc32c");
    const char *md5 = json_str(metadata, "md5Hash");
    if (crc != NULL && check_crc32c(crc, content->crc32c, err) < 0)
        return -1;
    if (md5 != NULL && check_md5(md5, content->md5, err) < 0)
        return -1;
    return header != NULL ? check_header(header, content, err) : 0;
}
