#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/strategy.h"

/* An image without a tag, or of the moving tag, is looked up at every start. */
static const char *pull_policy(const char *image)
{
    const char *last = strrchr(image, '/');
    const char *name = last != NULL ? last + 1 : image;
    const char *tag = strchr(name, ':');

    if (strchr(name, '@') != NULL)
        return "IfNotPresent";
    return tag == NULL || strcmp(tag, ":latest") == 0 ? "Always" : "IfNotPresent";
}

static void default_probe(cJSON *probe)
{
    cJSON *http = json_get(probe, "httpGet");

    if (probe == NULL)
        return;
    default_i64(probe, "timeoutSeconds", 1);
    default_i64(probe, "periodSeconds", 10);
    default_i64(probe, "successThreshold", 1);
    default_i64(probe, "failureThreshold", 3);
    if (http != NULL) {
        default_str(http, "path", "/");
        default_str(http, "scheme", "HTTP");
    }
}

static void default_container(cJSON *container)
{
    cJSON *item;
    const char *image = json_str(container, "image");

    if (!cJSON_IsObject(container))
        return;
    default_str(container, "terminationMessagePath", "/dev/termination-log");
    default_str(container, "terminationMessagePolicy", "File");
    if (image != NULL)
        default_str(container, "imagePullPolicy", pull_policy(image));
    json_need_object(container, "resources");
    cJSON_ArrayForEach(item, json_get(container, "ports"))
    {
        default_str(item, "protocol", "TCP");
    }
    cJSON_ArrayForEach(item, json_get(container, "env"))
    {
        cJSON *field = json_get(json_get(item, "valueFrom"), "fieldRef");

        if (field != NULL)
            default_str(field, "apiVersion", "v1");
    }
    default_probe(json_get(container, "livenessProbe"));
    default_probe(json_get(container, "readinessProbe"));
    default_probe(json_get(container, "startupProbe"));
}

#define MODE_0644 420

static void default_volume(cJSON *volume)
{
    static const char *const with_mode[] = {"secret", "configMap", "downwardAPI", "projected"};

    for (size_t i = 0; i < ARRAY_LEN(with_mode); i++) {
        if (cJSON_IsObject(json_get(volume, with_mode[i])))
            default_i64(json_get(volume, with_mode[i]), "defaultMode", MODE_0644);
    }
    if (cJSON_IsObject(json_get(volume, "hostPath")))
        default_str(json_get(volume, "hostPath"), "type", "");
}

void defaults_pod_spec(cJSON *spec)
{
    cJSON *item;

    default_str(spec, "restartPolicy", "Always");
    default_str(spec, "dnsPolicy", "ClusterFirst");
    default_str(spec, "schedulerName", "default-scheduler");
    default_i64(spec, "terminationGracePeriodSeconds", 30);
    json_need_object(spec, "securityContext");
    if (json_get(spec, "serviceAccountName") != NULL && json_get(spec, "serviceAccount") == NULL)
        json_set_str(spec, "serviceAccount", json_str(spec, "serviceAccountName"));
    cJSON_ArrayForEach(item, json_get(spec, "containers"))
    {
        default_container(item);
    }
    cJSON_ArrayForEach(item, json_get(spec, "initContainers"))
    {
        default_container(item);
    }
    cJSON_ArrayForEach(item, json_get(spec, "volumes"))
    {
        default_volume(item);
    }
}
