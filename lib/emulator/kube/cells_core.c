/* Cells of the other kinds. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/cells.h"
#include "emulator/kube/core.h"

static cJSON *take(struct buf *text)
{
    cJSON *cell = cJSON_CreateString(text->len > 0 ? text->data : "<none>");

    buf_clear(text);
    return cell;
}

static void add(struct buf *text, const char *word)
{
    buf_addf(text, "%s%s", text->len > 0 ? "," : "", word);
}

cJSON *cell_path(const cJSON *object, const char *path)
{
    const cJSON *value = json_at(object, path);
    if (value != NULL && !cJSON_IsObject(value) && !cJSON_IsArray(value) && !cJSON_IsNull(value))
        return json_copy(value);
    if (text_starts(path, "status.") && text_ends(path, "s") && value == NULL &&
        (text_ends(path, "Replicas") || text_ends(path, "replicas")))
        return cJSON_CreateNumber(0);
    if (value == NULL && (text_starts(path, "status.number") || text_ends(path, "Scheduled") ||
                          text_ends(path, "Allowed")))
        return cJSON_CreateNumber(0);
    return cJSON_CreateString("<none>");
}

/* ---- services ---- */

cJSON *cell_external_ip(const cJSON *service)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const char *type = json_str_or(service, "spec.type", "");
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(service, "status.loadBalancer.ingress"))
    {
        add(&text, json_str_or(item, "ip", json_str_or(item, "hostname", "")));
    }
    cJSON_ArrayForEach(item, json_at(service, "spec.externalIPs"))
    {
        if (cJSON_IsString(item))
            add(&text, item->valuestring);
    }
    if (strcmp(type, "ExternalName") == 0)
        add(&text, json_str_or(service, "spec.externalName", ""));
    if (text.len == 0 && strcmp(type, "LoadBalancer") == 0)
        add(&text, "<pending>");
    return take(&text);
}

cJSON *cell_service_ports(const cJSON *service)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *port;

    cJSON_ArrayForEach(port, json_at(service, "spec.ports"))
    {
        int64_t number = 0;
        int64_t node = 0;

        json_i64(port, "port", &number);
        buf_addf(&text, "%s%" PRId64, text.len > 0 ? "," : "", number);
        if (json_i64(port, "nodePort", &node))
            buf_addf(&text, ":%" PRId64, node);
        buf_addf(&text, "/%s", json_str_or(port, "protocol", "TCP"));
    }
    return take(&text);
}

cJSON *cell_endpoints(const cJSON *endpoints)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *subset;
    const cJSON *address;
    const cJSON *port;
    int count = 0;

    cJSON_ArrayForEach(subset, json_get(endpoints, "subsets"))
    {
        cJSON_ArrayForEach(port, json_get(subset, "ports"))
        {
            int64_t number = 0;

            json_i64(port, "port", &number);
            cJSON_ArrayForEach(address, json_get(subset, "addresses"))
            {
                if (count++ < 3)
                    buf_addf(&text, "%s%s:%" PRId64, text.len > 0 ? "," : "",
                             json_str_or(address, "ip", ""), number);
            }
        }
    }
    if (count > 3)
        buf_addf(&text, " + %d more...", count - 3);
    return take(&text);
}

/* ---- nodes ---- */

cJSON *cell_node_status(const cJSON *node)
{
    struct buf text = BUF_INIT(64);
    const cJSON *condition;
    const char *ready = "Unknown";

    cJSON_ArrayForEach(condition, json_at(node, "status.conditions"))
    {
        if (str_equal(json_str(condition, "type"), "Ready"))
            ready = str_equal(json_str(condition, "status"), "True") ? "Ready" : "NotReady";
    }
    buf_addf(&text, "%s%s", ready,
             json_bool(node, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
    return take(&text);
}

cJSON *cell_node_roles(const cJSON *node)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *label;

    cJSON_ArrayForEach(label, json_at(node, "metadata.labels"))
    {
        if (text_starts(label->string, "node-role.kubernetes.io/"))
            add(&text, label->string + strlen("node-role.kubernetes.io/"));
    }
    return take(&text);
}

cJSON *cell_node_address(const cJSON *node)
{
    const cJSON *address;

    cJSON_ArrayForEach(address, json_at(node, "status.addresses"))
    {
        if (str_equal(json_str(address, "type"), "InternalIP"))
            return cJSON_CreateString(json_str_or(address, "address", ""));
    }
    return cJSON_CreateString("<none>");
}

/* ---- configuration, storage ---- */

cJSON *cell_data_count(const cJSON *object)
{
    struct buf text = BUF_INIT(64);

    buf_addf(&text, "%d",
             cJSON_GetArraySize(json_get(object, "data")) +
                 cJSON_GetArraySize(json_get(object, "binaryData")));
    return take(&text);
}

cJSON *cell_secrets_count(const cJSON *account)
{
    struct buf text = BUF_INIT(64);

    buf_addf(&text, "%d", cJSON_GetArraySize(json_get(account, "secrets")));
    return take(&text);
}

static const char *short_mode(const char *mode)
{
    if (strcmp(mode, "ReadWriteOnce") == 0)
        return "RWO";
    if (strcmp(mode, "ReadOnlyMany") == 0)
        return "ROX";
    if (strcmp(mode, "ReadWriteMany") == 0)
        return "RWX";
    return strcmp(mode, "ReadWriteOncePod") == 0 ? "RWOP" : mode;
}

cJSON *cell_claim_modes(const cJSON *claim)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *modes = json_at(claim, "status.accessModes");
    const cJSON *mode;

    if (modes == NULL)
        modes = json_at(claim, "spec.accessModes");
    cJSON_ArrayForEach(mode, modes)
    {
        if (cJSON_IsString(mode))
            add(&text, short_mode(mode->valuestring));
    }
    return take(&text);
}

cJSON *cell_claim_of_volume(const cJSON *volume)
{
    struct buf text = BUF_INIT(BUF_SMALL);

    if (json_at(volume, "spec.claimRef") != NULL)
        buf_addf(&text, "%s/%s", json_str_or(volume, "spec.claimRef.namespace", ""),
                 json_str_or(volume, "spec.claimRef.name", ""));
    return take(&text);
}

/* ---- the rest ---- */

cJSON *cell_ingress_hosts(const cJSON *ingress)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *rule;

    cJSON_ArrayForEach(rule, json_at(ingress, "spec.rules"))
    {
        add(&text, json_str_or(rule, "host", "*"));
    }
    if (text.len == 0)
        add(&text, "*");
    return take(&text);
}

cJSON *cell_ingress_address(const cJSON *ingress)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(ingress, "status.loadBalancer.ingress"))
    {
        add(&text, json_str_or(item, "ip", json_str_or(item, "hostname", "")));
    }
    if (text.len > 0)
        return take(&text);
    return cJSON_CreateString("");
}

cJSON *cell_ingress_ports(const cJSON *ingress)
{
    return cJSON_CreateString(cJSON_GetArraySize(json_at(ingress, "spec.tls")) > 0 ? "80, 443"
                                                                                   : "80");
}

cJSON *cell_role_of_binding(const cJSON *binding)
{
    struct buf text = BUF_INIT(BUF_SMALL);

    buf_addf(&text, "%s/%s", json_str_or(binding, "roleRef.kind", ""),
             json_str_or(binding, "roleRef.name", ""));
    return take(&text);
}

cJSON *cell_service_of_api(const cJSON *api_service)
{
    struct buf text = BUF_INIT(BUF_SMALL);

    if (cJSON_IsObject(json_at(api_service, "spec.service")))
        buf_addf(&text, "%s/%s", json_str_or(api_service, "spec.service.namespace", ""),
                 json_str_or(api_service, "spec.service.name", ""));
    else
        buf_adds(&text, "Local");
    return take(&text);
}

cJSON *cell_available(const cJSON *api_service)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, json_at(api_service, "status.conditions"))
    {
        if (str_equal(json_str(condition, "type"), "Available"))
            return cJSON_CreateString(json_str_or(condition, "status", "Unknown"));
    }
    return cJSON_CreateString("Unknown");
}

cJSON *cell_event_age(const cJSON *event)
{
    const char *last = json_str(event, "lastTimestamp");

    if (last == NULL)
        last = json_str(event, "eventTime");
    return cell_age_of(last != NULL ? last : json_str(event, "metadata.creationTimestamp"));
}

cJSON *cell_event_object(const cJSON *event)
{
    struct buf text = BUF_INIT(BUF_SMALL);
    const char *kind =
        json_str_or(event, "involvedObject.kind", json_str_or(event, "regarding.kind", ""));

    for (; *kind != '\0'; kind++)
        buf_addc(&text, *kind >= 'A' && *kind <= 'Z' ? (char)(*kind - 'A' + 'a') : *kind);
    buf_addf(&text, "/%s",
             json_str_or(event, "involvedObject.name", json_str_or(event, "regarding.name", "")));
    return take(&text);
}

cJSON *cell_event_message(const cJSON *event)
{
    return cJSON_CreateString(json_str_or(event, "message", json_str_or(event, "note", "")));
}

cJSON *cell_webhooks(const cJSON *configuration)
{
    return cJSON_CreateNumber(cJSON_GetArraySize(json_get(configuration, "webhooks")));
}
