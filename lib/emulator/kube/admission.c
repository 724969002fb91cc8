#include "emulator/kube/admission.h"

#include <stdlib.h>
#include <string.h>
#include "emulator/kube/core.h"

/* ---- webhooks ---- */

static bool names(const cJSON *list, const char *what)
{
    return json_has_str(list, "*") || json_has_str(list, what);
}

static bool rule_fits(const cJSON *rule, const struct resource *resource, const char *operation)
{
    return names(json_get(rule, "apiGroups"), resource->group) &&
           names(json_get(rule, "apiVersions"), resource->version) &&
           names(json_get(rule, "resources"), resource->plural) &&
           names(json_get(rule, "operations"), operation);
}

static bool hook_fits(const cJSON *hook, const struct resource *resource, const char *operation)
{
    const cJSON *rule;

    cJSON_ArrayForEach(rule, json_get(hook, "rules"))
    {
        if (rule_fits(rule, resource, operation))
            return true;
    }
    return false;
}

static int call_hook(struct store *store, const cJSON *hook, struct err *err)
{
    const char *space = json_str(hook, "clientConfig.service.namespace");
    const char *name = json_str_or(hook, "clientConfig.service.name", "");
    const char *path = json_str_or(hook, "clientConfig.service.path", "/");
    struct stored *service;

    if (space == NULL || strcmp(json_str_or(hook, "failurePolicy", "Fail"), "Ignore") == 0)
        return 0;
    service = store_get(store, store_resource(store, "", "services"), space, name);
    if (service != NULL) {
        stored_unref(service);
        return 0;
    }
    return kube_fail(
        err, 500, "InternalError",
        "Internal error occurred: failed calling webhook \"%s\": failed to call webhook: "
        "Post \"https://%s.%s.svc:443%s?timeout=10s\": service \"%s\" not found",
        json_str_or(hook, "name", ""), name, space, path, name);
}

static int call_hooks(struct store *store, const cJSON *configuration,
                      const struct resource *resource, const char *operation, struct err *err)
{
    const cJSON *hook;

    cJSON_ArrayForEach(hook, json_get(configuration, "webhooks"))
    {
        if (hook_fits(hook, resource, operation) && call_hook(store, hook, err) < 0)
            return -1;
    }
    return 0;
}

int admission_check(struct store *store, const struct resource *resource, const char *operation,
                    struct err *err)
{
    const struct resource *kind =
        store_resource(store, "admissionregistration.k8s.io", "validatingwebhookconfigurations");
    struct stored **list = kind != NULL ? store_list(store, kind, NULL, NULL) : NULL;
    int result = 0;

    for (size_t i = 0; list != NULL && list[i] != NULL && result == 0; i++)
        result = call_hooks(store, list[i]->object, resource, operation, err);
    if (list != NULL)
        store_list_free(list);
    return result;
}

/* ---- quotas ---- */

static int64_t count_pods(struct store *store, const char *space)
{
    struct stored **pods = store_list(store, store_resource(store, "", "pods"), space, NULL);
    int64_t count = 0;

    for (size_t i = 0; pods[i] != NULL; i++) {
        const char *phase = json_str_or(pods[i]->object, "status.phase", "");

        count += strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0;
    }
    store_list_free(pods);
    return count;
}

static char *refusal(const cJSON *quota, int64_t used)
{
    static const char *const keys[] = {"pods", "count/pods"};
    const cJSON *hard = json_at(quota, "spec.hard");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *limit = json_str_or(json_get(hard, keys[i]), NULL, NULL);

        if (limit != NULL && used + 1 > strtoll(limit, NULL, 10))
            return xasprintf("exceeded quota: %s, requested: %s=1, used: %s=%lld, limited: %s=%s",
                             json_str_or(quota, "metadata.name", ""), keys[i], keys[i],
                             (long long)used, keys[i], limit);
    }
    return NULL;
}

char *admission_quota(struct store *store, const char *space)
{
    struct stored **list =
        store_list(store, store_resource(store, "", "resourcequotas"), space, NULL);
    char *why = NULL;

    for (size_t i = 0; list[i] != NULL && why == NULL; i++)
        why = refusal(list[i]->object, count_pods(store, space));
    store_list_free(list);
    return why;
}
