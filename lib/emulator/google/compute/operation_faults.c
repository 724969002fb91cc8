/* Errors of operations as the real service words them, for fault rules with `operation`. */
#include "emulator/google/compute/internal.h"

static cJSON *first_error(struct operation *operation)
{
    return cJSON_GetObjectItemCaseSensitive(operation->error, "errors")->child;
}

static cJSON *details_of(struct operation *operation)
{
    cJSON *error = first_error(operation);
    cJSON *details = cJSON_GetObjectItemCaseSensitive(error, "errorDetails");
    return details != NULL ? details : json_set_array(error, "errorDetails");
}

static cJSON *add_error_info(struct operation *operation, const char *reason)
{
    cJSON *detail = json_object();
    cJSON *info = json_set_object(detail, "errorInfo");
    json_set_str(info, "reason", reason);
    json_set_str(info, "domain", "compute.googleapis.com");
    cJSON *metadatas = json_set_object(info, "metadatas");
    json_push(details_of(operation), detail);
    return metadatas;
}

static void add_localized(struct operation *operation, const char *message)
{
    cJSON *detail = json_object();
    cJSON *localized = json_set_object(detail, "localizedMessage");
    json_set_str(localized, "locale", "en-US");
    json_set_str(localized, "message", message);
    json_push(details_of(operation), detail);
}

static void add_help(struct operation *operation, const char *text, const char *url)
{
    cJSON *detail = json_object();
    cJSON *link = json_object();
    json_set_str(link, "description", text);
    json_set_str(link, "url", url);
    json_push(json_set_array(json_set_object(detail, "help"), "links"), link);
    json_push(details_of(operation), detail);
}

/* The resource_availability error of a stock-out; the zones with room are the others. */
static void stock_out(struct operation *operation)
{
    const struct fault_action *fault = &operation->fault;
    const char *type = last_segment(json_str_or(operation->args, "machineType", ""));
    autofree char *message =
        fault->message != NULL
            ? xstrdup(fault->message)
            : xasprintf("The zone 'projects/%s/zones/%s' does not have enough resources available "
                        "to fulfill the request.  '(resource type:compute)'.",
                        operation->project, operation->zone);
    operation_fail(operation, 503, "SERVICE UNAVAILABLE", fault->error, message);
    cJSON *metadatas = add_error_info(operation, "resource_availability");
    json_set_str(metadatas, "zone", operation->zone);
    json_set_str(metadatas, "vmType", type);
    json_set_str(metadatas, "attachment", "");
    json_set_str(metadatas, "zonesAvailable", "");
    add_help(operation, "Troubleshooting documentation",
             "https://cloud.google.com/compute/docs/resource-error");
    autofree char *words =
        xasprintf("A %s VM instance is currently unavailable in the %s zone. Consider trying your "
                  "request in other zones, requesting a different VM hardware configuration or at "
                  "a later time.",
                  type, operation->zone);
    add_localized(operation, words);
}

static void quota(struct operation *operation)
{
    const struct fault_action *fault = &operation->fault;
    const char *dash = strrchr(operation->zone, '-');
    autofree char *region = xstrndup(
        operation->zone, dash != NULL ? (size_t)(dash - operation->zone) : strlen(operation->zone));
    autofree char *message =
        fault->message != NULL
            ? xstrdup(fault->message)
            : xasprintf("Quota 'CPUS' exceeded.  Limit: 24.0 in region %s.", region);
    operation_fail(operation, 403, "FORBIDDEN", fault->error, message);
    cJSON *detail = json_object();
    cJSON *info = json_set_object(detail, "quotaInfo");
    json_set_str(info, "metricName", "compute.googleapis.com/cpus");
    json_set_str(info, "limitName", "CPUS-per-project-region");
    json_set_i64(info, "limit", 24);
    json_set_str(json_set_object(info, "dimensions"), "region", region);
    json_push(details_of(operation), detail);
}

void operation_apply_fault(struct operation *operation)
{
    const struct fault_action *fault = &operation->fault;
    if (strstr(fault->error, "RESOURCE_POOL_EXHAUSTED") != NULL && operation->zone != NULL) {
        stock_out(operation);
    } else if (strstr(fault->error, "QUOTA") != NULL && operation->zone != NULL) {
        quota(operation);
    } else {
        bool denied = strstr(fault->error, "PERMISSION") != NULL;
        operation_fail(operation, denied ? 403 : 400, denied ? "FORBIDDEN" : "BAD REQUEST",
                       fault->error,
                       fault->message != NULL ? fault->message : "The request failed.");
    }
}
