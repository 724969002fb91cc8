#include "emulator/kube/admission.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

static struct keyspace *storage_of(struct store *store, const char *group, const char *plural)
{
    const struct type *type = types_preferred(&store->types, group, plural);

    return type != NULL ? type->storage : NULL;
}

/* ---- webhooks ---- */

static bool list_has(const cJSON *list, const char *text)
{
    return json_has_str(list, "*") || json_has_str(list, text);
}

static bool rule_matches(const cJSON *rule, const struct resource *resource, bool create)
{
    return list_has(json_get(rule, "apiGroups"), resource->group) &&
           list_has(json_get(rule, "apiVersions"), resource->version) &&
           list_has(json_get(rule, "resources"), resource->plural) &&
           list_has(json_get(rule, "operations"), create ? "CREATE" : "UPDATE");
}

static bool webhook_matches(const cJSON *webhook, const struct resource *resource, bool create)
{
    const cJSON *rule;

    cJSON_ArrayForEach(rule, json_get(webhook, "rules"))
    {
        if (rule_matches(rule, resource, create))
            return true;
    }
    return false;
}

/* Why a webhook in the cluster cannot be asked, or NULL. */
static const char *unreachable(struct store *store, const cJSON *webhook)
{
    const char *space = json_str(webhook, "clientConfig.service.namespace");
    const char *service = json_str_or(webhook, "clientConfig.service.name", "");

    if (space != NULL && keyspace_get(storage_of(store, "", "services"), space, service) == NULL)
        return "service \"%s\" not found";
    return text_starts(json_str_or(webhook, "name", ""), "silent")
               ? "no endpoints available for service \"%s\""
               : NULL;
}

static int ask_webhook(struct store *store, const cJSON *webhook, struct err *err)
{
    const char *name = json_str_or(webhook, "name", "");
    const char *service = json_str_or(webhook, "clientConfig.service.name", "");
    const char *reason = unreachable(store, webhook);
    autofree char *words = reason != NULL ? xasprintf(reason, service) : NULL;

    if (text_starts(name, "deny"))
        return kube_fail(err, 403, "Forbidden",
                         "admission webhook \"%s\" denied the request: this is not allowed here",
                         name);
    if (words == NULL || strcmp(json_str_or(webhook, "failurePolicy", "Fail"), "Ignore") == 0)
        return 0;
    return kube_fail(err, 500, "InternalError",
                     "Internal error occurred: failed calling webhook \"%s\": failed to call "
                     "webhook: Post \"https://%s.%s.svc:443%s?timeout=10s\": %s",
                     name, service, json_str_or(webhook, "clientConfig.service.namespace", ""),
                     json_str_or(webhook, "clientConfig.service.path", "/"), words);
}

static int check_webhooks(struct store *store, const struct type *type, bool create,
                          struct err *err)
{
    const struct keyspace *storage =
        storage_of(store, "admissionregistration.k8s.io", "validatingwebhookconfigurations");

    /* Configurations of webhooks themselves are never asked about. */
    if (storage == NULL || strcmp(type->resource.group, "admissionregistration.k8s.io") == 0)
        return 0;
    for (size_t i = 0; i < storage->len; i++) {
        const cJSON *webhook;

        cJSON_ArrayForEach(webhook, json_get(storage->items[i]->stored.object, "webhooks"))
        {
            if (webhook_matches(webhook, &type->resource, create) &&
                ask_webhook(store, webhook, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- quotas ---- */

static int64_t count_in(const struct keyspace *storage, const char *space)
{
    int64_t count = 0;

    for (size_t i = keyspace_first(storage, space);
         i < storage->len && strcmp(storage->items[i]->space, space) == 0; i++) {
        const char *phase = json_str_or(storage->items[i]->stored.object, "status.phase", "");

        count += strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0;
    }
    return count;
}

static bool is_counted(const char *key, const struct resource *resource)
{
    autofree char *counted = xasprintf("count/%s", group_resource(resource).text);

    return strcmp(key, counted) == 0 ||
           (resource->group[0] == '\0' && strcmp(key, resource->plural) == 0);
}

static int check_quota(const struct type *type, const char *space, const char *name,
                       const cJSON *quota, struct err *err)
{
    const cJSON *limit;

    cJSON_ArrayForEach(limit, json_at(quota, "spec.hard"))
    {
        int64_t most;
        int64_t used;

        if (!is_counted(limit->string, &type->resource) || !json_i64(limit, "", &most))
            continue;
        used = count_in(type->storage, space);
        if (used + 1 > most)
            return kube_fail(err, 403, "Forbidden",
                             "%s \"%s\" is forbidden: exceeded quota: %s, requested: %s=1, used: "
                             "%s=%lld, limited: %s=%lld",
                             group_resource(&type->resource).text, name,
                             json_str_or(quota, "metadata.name", ""), limit->string, limit->string,
                             (long long)used, limit->string, (long long)most);
    }
    return 0;
}

static int check_quotas(struct store *store, const struct type *type, const char *space,
                        const char *name, struct err *err)
{
    const struct keyspace *storage = storage_of(store, "", "resourcequotas");

    for (size_t i = storage != NULL ? keyspace_first(storage, space) : 0;
         storage != NULL && i < storage->len && strcmp(storage->items[i]->space, space) == 0; i++) {
        if (check_quota(type, space, name, storage->items[i]->stored.object, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- both ---- */

/* What controllers write of an object is none of a webhook's that asks for the object. */
static bool is_about_status(const cJSON *now, const cJSON *next)
{
    static const char *const keys[] = {"spec", "data", "rules", "webhooks"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!json_equal(json_get(now, keys[i]), json_get(next, keys[i])))
            return false;
    }
    return true;
}

int admission_check(struct store *store, const struct type *type, const char *space,
                    const char *name, const cJSON *now, const cJSON *next, struct err *err)
{
    if (now != NULL && is_about_status(now, next))
        return 0;
    if (check_webhooks(store, type, now == NULL, err) < 0)
        return -1;
    return now == NULL && type->resource.namespaced ? check_quotas(store, type, space, name, err)
                                                    : 0;
}
