#include "emulator/kube/strategy.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "emulator/kube/core.h"

/* ---- found ---- */

void violation_add(struct violations *found, const char *reason, const char *field,
                   const char *format, ...)
{
    cJSON *cause = json_object();
    autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    json_set_str(cause, "reason", reason);
    json_set_str(cause, "message", text);
    json_set_str(cause, "field", field);
    if (found->causes == NULL)
        found->causes = json_array();
    json_push(found->causes, cause);
}

void violation_required(struct violations *found, const char *field, const char *detail)
{
    violation_add(found, "FieldValueRequired", field, "Required value%s%s",
                  detail[0] != '\0' ? ": " : "", detail);
}

void violation_invalid(struct violations *found, const char *field, const cJSON *value,
                       const char *detail)
{
    autofree char *text = value != NULL ? json_print(value) : xstrdup("null");

    violation_add(found, "FieldValueInvalid", field, "Invalid value: %s: %s", text, detail);
}

/* `Deployment.apps "x" is invalid: [a, b]` */
static int fail(const struct type *type, const cJSON *next, const cJSON *causes, struct err *err)
{
    struct buf text = BUF_INIT(BUF_MEDIUM);
    int count = cJSON_GetArraySize(causes);
    const cJSON *cause;

    cJSON_ArrayForEach(cause, causes)
    {
        buf_addf(&text, "%s%s: %s", text.len > 0 ? ", " : "", json_str_or(cause, "field", ""),
                 json_str_or(cause, "message", ""));
    }
    kube_fail(err, 422, "Invalid", "%s%s%s \"%s\" is invalid: %s%s%s", type->resource.kind,
              type->resource.group[0] != '\0' ? "." : "", type->resource.group,
              json_str_or(next, "metadata.name", ""), count > 1 ? "[" : "", text.data,
              count > 1 ? "]" : "");
    buf_clear(&text);
    return -1;
}

/* ---- the whole ---- */

/* In a Go struct null is the same as nothing. */
static void strip_nulls(cJSON *value)
{
    cJSON *item = value != NULL ? value->child : NULL;

    while (item != NULL) {
        cJSON *following = item->next;

        if (cJSON_IsNull(item))
            cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
        else
            strip_nulls(item);
        item = following;
    }
}

int strategy_prepare(const struct type *type, const cJSON *now, cJSON *next, cJSON **causes,
                     struct err *err)
{
    struct violations found = {NULL};
    int result = 0;

    strip_nulls((type->flags & TYPE_CUSTOM) != 0 ? json_get(next, "metadata") : next);
    if (decode_check(type, next, err) < 0)
        return -1;
    if (now == NULL)
        json_set_str(json_get(next, "metadata"), "uid", uuid_random().text);
    if ((type->flags & TYPE_CUSTOM) != 0)
        schema_prune(type, next);
    defaults_set(type, now, next);
    validate_object(type, now, next, &found);
    if ((type->flags & TYPE_CUSTOM) != 0)
        schema_validate(type, next, &found);
    if (found.causes == NULL)
        return 0;
    result = fail(type, next, found.causes, err);
    if (causes != NULL)
        *causes = found.causes;
    else
        cJSON_Delete(found.causes);
    return result;
}

static void replace(cJSON *next, const cJSON *now, const char *key)
{
    if (json_get(now, key) != NULL)
        json_set(next, key, json_copy(json_get(now, key)));
    else
        cJSON_DeleteItemFromObjectCaseSensitive(next, key);
}

void strategy_keep_status(const struct type *type, const cJSON *now, cJSON *next)
{
    if ((type->flags & TYPE_STATUS) != 0)
        replace(next, now, "status");
}

void strategy_keep_all_but_status(const cJSON *now, cJSON *next)
{
    cJSON *status = cJSON_DetachItemFromObjectCaseSensitive(next, "status");
    const cJSON *fields = json_at(next, "metadata.managedFields");
    cJSON *managed = fields != NULL ? json_copy(fields) : NULL;
    cJSON *item = next->child;

    while (item != NULL) {
        cJSON *following = item->next;

        cJSON_Delete(cJSON_DetachItemViaPointer(next, item));
        item = following;
    }
    cJSON_ArrayForEach(item, now)
    {
        if (strcmp(item->string, "status") != 0)
            json_set(next, item->string, json_copy(item));
    }
    if (status != NULL)
        json_set(next, "status", status);
    if (managed != NULL)
        json_set(json_get(next, "metadata"), "managedFields", managed);
}
