/* The request log: one JSON object a line, without secrets. */
#include "emulator/core/internal.h"

#include <errno.h>
#include <sys/time.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define LOGGED_RESPONSE ((size_t)64 << 10)
#define LOGGED_TEXT     ((size_t)64 << 10)
#define LOGGED_JSON     ((size_t)4 << 20)

struct request_log {
    pthread_mutex_t lock;
    FILE *file;
};

/* Keys of bodies, answers and forms whose values are secrets. */
static const char *const secret_keys[] = {
    "access_token",  "accessToken",   "refresh_token", "id_token",    "idToken", "assertion",
    "subject_token", "client_secret", "private_key",   "actor_token", "token",
};

static bool is_secret(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_keys); i++) {
        if (strcmp(key, secret_keys[i]) == 0)
            return true;
    }
    return false;
}

int request_log_new(const char *path, struct request_log **out, struct err *err)
{
    FILE *file = fopen(path, "ae");
    if (file == NULL)
        return err_set_errno(err, ERR_USAGE, errno, "the request log '%s' cannot be opened", path);
    struct request_log *log = xcalloc(1, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    log->file = file;
    *out = log;
    return 0;
}

void request_log_free(struct request_log *log)
{
    if (log == NULL)
        return;
    (void)fclose(log->file);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static void redact(cJSON *value)
{
    for (cJSON *item = value->child; item != NULL; item = item->next) {
        /* `data` beside its checksum is what Secret Manager gives out. */
        bool payload = item->string != NULL && strcmp(item->string, "data") == 0 &&
                       cJSON_HasObjectItem(value, "dataCrc32c");
        if (item->string != NULL && cJSON_IsString(item) && (is_secret(item->string) || payload))
            cJSON_SetValuestring(item, "REDACTED");
        else
            redact(item);
    }
}

/* A form with its secrets' values taken out. */
static cJSON *form_value(const char *text)
{
    autobuf struct buf out = BUF_INIT(LOGGED_TEXT * 2);
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, "&");
        size_t key_len = strcspn(p, "=&");
        autofree char *key = xstrndup(p, key_len);
        if (key_len < len && is_secret(key))
            buf_addf(&out, "%s=REDACTED", key);
        else
            buf_add(&out, p, len);
        p += len;
        if (*p == '&') {
            buf_addc(&out, '&');
            p++;
        }
    }
    return cJSON_CreateString(out.data);
}

static bool is_text(const char *data, size_t len)
{
    autofree char *visible = NULL;
    if (len > LOGGED_TEXT || memchr(data, '\0', len) != NULL)
        return false;
    visible = text_visible(data, len, true);
    return strcmp(visible, data) == 0;
}

static cJSON *json_value(const char *data, size_t len)
{
    cJSON *value = NULL;
    autoerr struct err err = ERR_INIT;
    if (json_parse(data, len, "body", &value, &err) < 0)
        return NULL;
    redact(value);
    return value;
}

static cJSON *body_value(const struct exchange *exchange)
{
    const char *data = exchange->request.body;
    size_t len = exchange->request.body_len;
    const char *type = request_header(&exchange->request, "Content-Type");
    if (len == 0)
        return cJSON_CreateNull();
    if (len > LOGGED_JSON)
        return cJSON_CreateNull();
    if (data[0] == '{' || data[0] == '[') {
        cJSON *value = json_value(data, len);
        if (value != NULL)
            return value;
    }
    if (!is_text(data, len))
        return cJSON_CreateNull();
    if (type != NULL && strstr(type, "x-www-form-urlencoded") != NULL)
        return form_value(data);
    return cJSON_CreateString(data);
}

static void add_query(cJSON *line, const struct strv *query)
{
    cJSON *object = json_set_object(line, "query");
    for (size_t i = 0; i + 1 < query->len; i += 2) {
        const char *name = query->items[i];
        const char *value = is_secret(name) ? "REDACTED" : query->items[i + 1];
        cJSON *known = cJSON_GetObjectItemCaseSensitive(object, name);
        if (known == NULL) {
            json_set_str(object, name, value);
        } else if (cJSON_IsArray(known)) {
            json_push_str(known, value);
        } else {
            cJSON *list = json_array();
            json_push_str(list, known->valuestring);
            json_push_str(list, value);
            json_set(object, name, list);
        }
    }
}

static cJSON *response_value(const struct answer *answer)
{
    if (answer->body.len == 0 || answer->body.len >= LOGGED_RESPONSE ||
        (answer->body.data[0] != '{' && answer->body.data[0] != '['))
        return NULL;
    return json_value(answer->body.data, answer->body.len);
}

static int64_t wall_ms(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

void request_log_write(struct request_log *log, const struct exchange *exchange,
                       const struct answer *answer)
{
    struct request sent = exchange->request;
    const struct request *request = &sent;
    sent.hidden = NULL; /* the log shows what came */
    autojson cJSON *line = json_object();
    json_set_str(line, "time", time_rfc3339_ms(wall_ms()).text);
    json_set_str(line, "listener", request->listener->name);
    json_set_str(line, "method", request->method);
    json_set_str(line, "path", exchange->path);
    add_query(line, &request->query);
    cJSON *headers = json_set_object(line, "headers");
    json_set_str(headers, "Content-Type", request_header(request, "Content-Type"));
    json_set_str(headers, "Range", request_header(request, "Range"));
    json_set(line, "body", body_value(exchange));
    json_set_i64(line, "status", answer->status);
    cJSON *response = response_value(answer);
    if (response != NULL)
        json_set(line, "response", response);
    if (exchange->fault.kind != FAULT_NONE)
        json_set_str(line, "fault", exchange->fault.rule);
    else
        json_set_str(line, "fault", answer->fault);
    autofree char *text = json_print(line);
    pthread_mutex_lock(&log->lock);
    (void)fprintf(log->file, "%s\n", text);
    (void)fflush(log->file);
    pthread_mutex_unlock(&log->lock);
}
