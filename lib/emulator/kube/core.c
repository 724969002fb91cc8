#include "emulator/kube/core.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "necoops/base/run.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

static enum err_code code_of(int http_status)
{
    switch (http_status) {
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 410:
        return ERR_GONE;
    default:
        return http_status < 500 ? ERR_INVALID : ERR_FAILED;
    }
}

int kube_fail(struct err *err, int http_status, const char *reason, const char *format, ...)
{
    va_list args;
    autofree char *text = NULL;
    enum err_code code = code_of(http_status);

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    err_set(err, strcmp(reason, "AlreadyExists") == 0 ? ERR_EXISTS : code, "%s", text);
    err->http_status = http_status;
    text_copy(err->reason, sizeof(err->reason), reason);
    return -1;
}

struct group_resource group_resource(const struct resource *resource)
{
    struct group_resource out;

    snprintf(out.text, sizeof(out.text), "%s%s%s", resource->plural,
             resource->group[0] != '\0' ? "." : "", resource->group);
    return out;
}

int64_t mono_ms(void)
{
    return clock_system.mono_ms(clock_system.arg);
}

struct time_text time_now(void)
{
    return time_rfc3339(clock_system.wall_ms(clock_system.arg));
}

cJSON *json_need_object(cJSON *object, const char *key)
{
    cJSON *value = json_get(object, key);

    if (!cJSON_IsObject(object) || cJSON_IsObject(value))
        return value;
    return json_set_object(object, key);
}

cJSON *json_copy_object(const cJSON *value)
{
    return cJSON_IsObject(value) ? json_copy(value) : json_object();
}

cJSON *json_need_array(cJSON *object, const char *key)
{
    cJSON *value = json_get(object, key);

    if (!cJSON_IsObject(object) || cJSON_IsArray(value))
        return value;
    return json_set_array(object, key);
}

const char *json_key_str(const cJSON *object, const char *key)
{
    const cJSON *item = json_get(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool json_has_str(const cJSON *array, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
            return true;
    }
    return false;
}

bool str_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}
