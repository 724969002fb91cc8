/* Validation of pods and of what makes pods. */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/selector.h"
#include "emulator/kube/strategy.h"

/* A map as Go prints it: map[string]string{"a":"b", …}, sorted. */
static char *go_map(const cJSON *map)
{
    CLEANUP(strv_clear) struct strv pairs = STRV_INIT;
    autofree char *joined = NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, map)
    {
        strv_addf(&pairs, "\"%s\":\"%s\"", item->string,
                  cJSON_IsString(item) ? item->valuestring : "");
    }
    strv_sort(&pairs);
    joined = pairs.len > 0 ? strv_join(&pairs, ", ") : xstrdup("");
    return xasprintf("map[string]string{%s}", joined);
}

/* A pod's specification; `claims` are the volumeClaimTemplates of its StatefulSet, which are
 * volumes too, or NULL. */
struct pod_spec {
    const cJSON *spec, *claims;
};

static bool has_volume(const struct pod_spec *pod, const char *name)
{
    const cJSON *volume;

    cJSON_ArrayForEach(volume, json_get(pod->spec, "volumes"))
    {
        if (str_equal(json_str(volume, "name"), name))
            return true;
    }
    cJSON_ArrayForEach(volume, pod->claims)
    {
        if (str_equal(json_str(volume, "metadata.name"), name))
            return true;
    }
    return false;
}

static void validate_mounts(const struct pod_spec *pod, const cJSON *container, const char *path,
                            struct violations *found)
{
    const cJSON *mount;
    int index = 0;

    cJSON_ArrayForEach(mount, json_get(container, "volumeMounts"))
    {
        autofree char *name = xasprintf("%s.volumeMounts[%d].name", path, index);
        autofree char *where = xasprintf("%s.volumeMounts[%d].mountPath", path, index++);
        const char *volume = json_str_or(mount, "name", "");

        if (volume[0] == '\0')
            violation_required(found, name, "");
        else if (!has_volume(pod, volume))
            violation_add(found, "FieldValueNotFound", name, "Not found: \"%s\"", volume);
        if (json_str_or(mount, "mountPath", "")[0] == '\0')
            violation_required(found, where, "");
    }
}

static void validate_container(const struct pod_spec *pod, const cJSON *container, const char *path,
                               struct violations *found)
{
    autofree char *name = xasprintf("%s.name", path);
    autofree char *image = xasprintf("%s.image", path);
    const cJSON *port;
    int index = 0;

    if (json_str_or(container, "name", "")[0] == '\0')
        violation_required(found, name, "");
    if (json_str_or(container, "image", "")[0] == '\0')
        violation_required(found, image, "");
    cJSON_ArrayForEach(port, json_get(container, "ports"))
    {
        autofree char *field = xasprintf("%s.ports[%d].containerPort", path, index++);
        int64_t number = 0;

        if (!json_i64(port, "containerPort", &number))
            violation_required(found, field, "");
        else if (number < 1 || number > 65535)
            violation_invalid(found, field, json_get(port, "containerPort"),
                              "must be between 1 and 65535, inclusive");
    }
    validate_mounts(pod, container, path, found);
}

static void validate_containers(const struct pod_spec *pod, const char *path, const char *key,
                                struct violations *found)
{
    const cJSON *containers = json_get(pod->spec, key);
    const cJSON *container;
    int index = 0;

    cJSON_ArrayForEach(container, containers)
    {
        autofree char *where = xasprintf("%s.%s[%d]", path, key, index);
        autofree char *name = xasprintf("%s.name", where);
        const cJSON *earlier = containers->child;

        validate_container(pod, container, where, found);
        for (; earlier != container; earlier = earlier->next) {
            if (json_str(container, "name") != NULL &&
                str_equal(json_str(container, "name"), json_str(earlier, "name")))
                violation_add(found, "FieldValueDuplicate", name, "Duplicate value: \"%s\"",
                              json_str(container, "name"));
        }
        index++;
    }
}

static void validate_pod_spec(const struct pod_spec *pod, const char *path,
                              struct violations *found)
{
    autofree char *containers = xasprintf("%s.containers", path);

    if (cJSON_GetArraySize(json_get(pod->spec, "containers")) == 0)
        violation_required(found, containers, "");
    validate_containers(pod, path, "initContainers", found);
    validate_containers(pod, path, "containers", found);
}

static void validate_restart_policy(const cJSON *pod, const char *kind, struct violations *found)
{
    const char *policy = json_str_or(pod, "restartPolicy", "");
    const char *field = "spec.template.spec.restartPolicy";

    if (strcmp(kind, "Job") != 0) {
        if (strcmp(policy, "Always") != 0)
            violation_add(found, "FieldValueNotSupported", field,
                          "Unsupported value: \"%s\": supported values: \"Always\"", policy);
    } else if (strcmp(policy, "OnFailure") != 0 && strcmp(policy, "Never") != 0) {
        violation_add(found, "FieldValueNotSupported", field,
                      "Unsupported value: \"%s\": supported values: \"OnFailure\", \"Never\"",
                      policy);
    }
}

static void validate_pod_template(const cJSON *object, const char *kind, struct violations *found)
{
    struct pod_spec pod = {.spec = json_at(object, "spec.template.spec"),
                           .claims = json_at(object, "spec.volumeClaimTemplates")};

    validate_pod_spec(&pod, "spec.template.spec", found);
    if (pod.spec != NULL)
        validate_restart_policy(pod.spec, kind, found);
}

/* As Go prints the struct, which is what the API answers. */
static void immutable_selector(const cJSON *selector, struct violations *found)
{
    autofree char *labels = go_map(json_get(selector, "matchLabels"));

    violation_add(found, "FieldValueInvalid", "spec.selector",
                  "Invalid value: v1.LabelSelector{MatchLabels:%s, "
                  "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable",
                  labels);
}

static void validate_selector(const cJSON *now, const cJSON *next, struct violations *found)
{
    const cJSON *selector = json_at(next, "spec.selector");
    const cJSON *labels = json_at(next, "spec.template.metadata.labels");

    if (selector == NULL || cJSON_IsNull(selector)) {
        violation_required(found, "spec.selector", "");
        return;
    }
    if (!selector_matches_labels(selector, labels)) {
        autofree char *text = go_map(labels);

        violation_add(found, "FieldValueInvalid", "spec.template.metadata.labels",
                      "Invalid value: %s: `selector` does not match template `labels`", text);
    }
    if (now != NULL && !json_equal(json_at(now, "spec.selector"), selector))
        immutable_selector(selector, found);
}

static void validate_replicas(const cJSON *next, struct violations *found)
{
    int64_t replicas;

    if (json_i64(next, "spec.replicas", &replicas) && replicas < 0)
        violation_invalid(found, "spec.replicas", json_at(next, "spec.replicas"),
                          "must be greater than or equal to 0");
}

/* Both without the members that may change are the same. */
static bool same_without(const cJSON *a, const cJSON *b, const char *const *keys, size_t len)
{
    autojson cJSON *x = json_copy_object(a);
    autojson cJSON *y = json_copy_object(b);

    for (size_t i = 0; i < len; i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(x, keys[i]);
        cJSON_DeleteItemFromObjectCaseSensitive(y, keys[i]);
    }
    return json_equal(x, y);
}

static void validate_stateful_set(const cJSON *now, const cJSON *next, struct violations *found)
{
    static const char *const may_change[] = {"replicas",
                                             "ordinals",
                                             "template",
                                             "updateStrategy",
                                             "persistentVolumeClaimRetentionPolicy",
                                             "minReadySeconds",
                                             "selector",
                                             "revisionHistoryLimit"};

    if (now != NULL && !same_without(json_get(now, "spec"), json_get(next, "spec"), may_change,
                                     ARRAY_LEN(may_change)))
        violation_add(found, "FieldValueForbidden", "spec",
                      "Forbidden: updates to statefulset spec for fields other than 'replicas', "
                      "'ordinals', 'template', 'updateStrategy', "
                      "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
}

static void validate_job(const cJSON *now, const cJSON *next, struct violations *found)
{
    static const char *const fixed[] = {"completions", "selector", "template"};

    for (size_t i = 0; now != NULL && i < ARRAY_LEN(fixed); i++) {
        autofree char *field = xasprintf("spec.%s", fixed[i]);
        const cJSON *value = json_at(next, field);

        if (json_equal(json_at(now, field), value))
            continue;
        if (strcmp(fixed[i], "template") == 0)
            violation_add(found, "FieldValueInvalid", field,
                          "Invalid value: core.PodTemplateSpec{…}: field is immutable");
        else
            violation_invalid(found, field, value, "field is immutable");
    }
}

static void strip_images(cJSON *spec)
{
    static const char *const lists[] = {"containers", "initContainers"};
    cJSON *container;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        cJSON_ArrayForEach(container, json_get(spec, lists[i]))
        {
            cJSON_DeleteItemFromObjectCaseSensitive(container, "image");
        }
    }
}

static void validate_pod(const cJSON *now, const cJSON *next, struct violations *found)
{
    static const char *const may_change[] = {"activeDeadlineSeconds",
                                             "terminationGracePeriodSeconds", "tolerations"};
    autojson cJSON *before = NULL;
    autojson cJSON *after = NULL;
    struct pod_spec pod = {.spec = json_get(next, "spec")};

    validate_pod_spec(&pod, "spec", found);
    if (now == NULL || json_get(now, "spec") == NULL)
        return;
    before = json_copy_object(json_get(now, "spec"));
    after = json_copy_object(json_get(next, "spec"));
    strip_images(before);
    strip_images(after);
    if (json_get(before, "nodeName") == NULL)
        cJSON_DeleteItemFromObjectCaseSensitive(after, "nodeName");
    if (!same_without(before, after, may_change, ARRAY_LEN(may_change)))
        violation_add(
            found, "FieldValueForbidden", "spec",
            "Forbidden: pod updates may not change fields other than "
            "`spec.containers[*].image`, `spec.initContainers[*].image`, "
            "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing "
            "tolerations) or `spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
            "if it was previously negative)");
}

void validate_workload(const struct type *type, const cJSON *now, const cJSON *next,
                       struct violations *found)
{
    static const char *const with_selector[] = {"Deployment", "ReplicaSet", "StatefulSet",
                                                "DaemonSet"};
    const char *kind = type->resource.kind;

    if (strcmp(kind, "Pod") == 0) {
        validate_pod(now, next, found);
    } else if (strcmp(kind, "Job") == 0) {
        validate_pod_template(next, kind, found);
        validate_job(now, next, found);
    }
    for (size_t i = 0; i < ARRAY_LEN(with_selector); i++) {
        if (strcmp(kind, with_selector[i]) != 0)
            continue;
        validate_replicas(next, found);
        validate_selector(now, next, found);
        validate_pod_template(next, kind, found);
        if (strcmp(kind, "StatefulSet") == 0)
            validate_stateful_set(now, next, found);
    }
}
