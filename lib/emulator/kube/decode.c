/* An API server decodes an object into a Go struct first: a field of the wrong type ends there,
 * with 400 and the decoder's words. The table knows fields by name: those that mean the same
 * wherever they stand.
 */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"
#include "emulator/kube/strategy.h"

enum shape { OBJECT, OBJECTS, STRING, STRINGS, INTEGER, BOOLEAN, STRING_MAP };

static const struct field {
    const char *name;
    enum shape shape;
} fields[] = {
    {"metadata", OBJECT},
    {"spec", OBJECT},
    {"template", OBJECT},
    {"jobTemplate", OBJECT},
    {"selector", OBJECT},
    {"labels", STRING_MAP},
    {"annotations", STRING_MAP},
    {"matchLabels", STRING_MAP},
    {"nodeSelector", STRING_MAP},
    {"matchExpressions", OBJECTS},
    {"containers", OBJECTS},
    {"initContainers", OBJECTS},
    {"volumeMounts", OBJECTS},
    {"env", OBJECTS},
    {"envFrom", OBJECTS},
    {"ports", OBJECTS},
    {"tolerations", OBJECTS},
    {"imagePullSecrets", OBJECTS},
    {"command", STRINGS},
    {"args", STRINGS},
    {"image", STRING},
    {"name", STRING},
    {"namespace", STRING},
    {"restartPolicy", STRING},
    {"serviceAccountName", STRING},
    {"clusterIP", STRING},
    {"replicas", INTEGER},
    {"backoffLimit", INTEGER},
    {"progressDeadlineSeconds", INTEGER},
    {"terminationGracePeriodSeconds", INTEGER},
    {"containerPort", INTEGER},
    {"readinessProbe", OBJECT},
    {"livenessProbe", OBJECT},
    {"startupProbe", OBJECT},
    {"httpGet", OBJECT},
    {"securityContext", OBJECT},
    {"valueFrom", OBJECT},
    {"fieldRef", OBJECT},
    {"updateStrategy", OBJECT},
    {"rollingUpdate", OBJECT},
    {"volumeClaimTemplates", OBJECTS},
    {"rules", OBJECTS},
    {"subjects", OBJECTS},
    {"roleRef", OBJECT},
    {"webhooks", OBJECTS},
    {"clientConfig", OBJECT},
    {"hostNetwork", BOOLEAN},
    {"paused", BOOLEAN},
    {"suspend", BOOLEAN},
    {"immutable", BOOLEAN},
    {"finalizers", STRINGS},
    {"ownerReferences", OBJECTS},
    {"managedFields", OBJECTS},
    {"involvedObject", OBJECT},
    {"stringData", STRING_MAP},
    {"holderIdentity", STRING},
    {"leaseDurationSeconds", INTEGER},
};

static const char *const go_types[] = {
    [OBJECT] = "object",
    [OBJECTS] = "array",
    [STRING] = "string",
    [STRINGS] = "[]string",
    [INTEGER] = "int32",
    [BOOLEAN] = "bool",
    [STRING_MAP] = "map[string]string",
};

struct decode {
    const struct type *type;
    struct err *err;
};

static const char *json_type(const cJSON *value)
{
    if (cJSON_IsString(value))
        return "string";
    if (cJSON_IsBool(value))
        return "bool";
    if (cJSON_IsNumber(value) || cJSON_IsRaw(value))
        return "number";
    return cJSON_IsArray(value) ? "array" : "object";
}

static int refuse(const struct decode *decode, const cJSON *value, const char *path,
                  const char *wanted)
{
    const struct resource *resource = &decode->type->resource;

    return kube_fail(decode->err, 400, "BadRequest",
                     "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s "
                     "into Go struct field %s.%s of type %s",
                     resource->kind, resource->version, resource->kind, json_type(value),
                     resource->kind, path, wanted);
}

static bool is_integer(const cJSON *value)
{
    return cJSON_IsNumber(value) && value->valuedouble == (double)(int64_t)value->valuedouble;
}

static int check_each(const struct decode *decode, const cJSON *container, const char *path,
                      bool strings)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, container)
    {
        if (cJSON_IsNull(item) && !strings)
            continue;
        if (strings ? !cJSON_IsString(item) && !cJSON_IsNull(item) : !cJSON_IsObject(item))
            return refuse(decode, item, path, strings ? "string" : "object");
    }
    return 0;
}

static int check_shape(const struct decode *decode, const cJSON *value, enum shape shape,
                       const char *path)
{
    bool fits = false;

    switch (shape) {
    case OBJECT:
    case STRING_MAP:
        fits = cJSON_IsObject(value);
        break;
    case OBJECTS:
    case STRINGS:
        fits = cJSON_IsArray(value);
        break;
    case STRING:
        fits = cJSON_IsString(value);
        break;
    case INTEGER:
        fits = is_integer(value);
        break;
    case BOOLEAN:
        fits = cJSON_IsBool(value);
        break;
    }
    if (!fits)
        return refuse(decode, value, path, go_types[shape]);
    if (shape == STRING_MAP || shape == STRINGS)
        return check_each(decode, value, path, true);
    return shape == OBJECTS ? check_each(decode, value, path, false) : 0;
}

/* ^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$ */
static bool is_quantity(const cJSON *value)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : NULL;
    size_t digits;

    if (text == NULL)
        return cJSON_IsNumber(value) || cJSON_IsRaw(value);
    text += text[0] == '+' || text[0] == '-';
    digits = strspn(text, "0123456789.");
    if (digits == 0)
        return false;
    text += digits;
    text += strspn(text, "eEinumkKMGTP");
    text += text[0] == '+' || text[0] == '-';
    return text[strspn(text, "0123456789")] == '\0';
}

static int check_quantities(const struct decode *decode, const cJSON *map)
{
    const struct resource *resource = &decode->type->resource;
    const cJSON *item;

    cJSON_ArrayForEach(item, map)
    {
        if (!cJSON_IsNull(item) && !is_quantity(item))
            return kube_fail(decode->err, 400, "BadRequest",
                             "%s in version \"%s\" cannot be handled as a %s: quantities must "
                             "match the regular expression "
                             "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                             resource->kind, resource->version, resource->kind);
    }
    return 0;
}

static const struct field *field_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* Below these stand names that users chose, or values of any type. */
static bool is_free_form(const char *name)
{
    static const char *const names[] = {"data",   "binaryData",      "stringData", "labels",
                                        "status", "openAPIV3Schema", "fieldsV1",   "annotations",
                                        "raw",    "parameters",      "validation"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static int walk(const struct decode *decode, const cJSON *value, const char *path, int depth);

static int check_member(const struct decode *decode, const cJSON *item, const char *path, int depth)
{
    autofree char *where = xasprintf("%s%s%s", path, path[0] != '\0' ? "." : "", item->string);
    const struct field *field = field_of(item->string);

    if (cJSON_IsNull(item))
        return 0;
    if (field != NULL && check_shape(decode, item, field->shape, where) < 0)
        return -1;
    if (strcmp(item->string, "value") == 0 && text_ends(path, ".env") && !cJSON_IsString(item))
        return refuse(decode, item, where, "string");
    if (strcmp(item->string, "resources") == 0 && text_ends(path, "ontainers") &&
        !cJSON_IsObject(item))
        return refuse(decode, item, where, "v1.ResourceRequirements");
    if ((strcmp(item->string, "limits") == 0 || strcmp(item->string, "requests") == 0) &&
        cJSON_IsObject(item))
        return check_quantities(decode, item);
    if (depth == 0 && strcmp(item->string, "status") == 0 && !cJSON_IsObject(item))
        return refuse(decode, item, where, "object");
    if (depth == 0 && strcmp(item->string, "data") == 0 && !cJSON_IsObject(item))
        return refuse(decode, item, where, "map[string]string");
    if (depth == 0 && strcmp(item->string, "data") == 0)
        return check_each(decode, item, where, true);
    return is_free_form(item->string) ? 0 : walk(decode, item, where, depth + 1);
}

static int walk(const struct decode *decode, const cJSON *value, const char *path, int depth)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, value)
    {
        if (item->string != NULL ? check_member(decode, item, path, depth) < 0
                                 : walk(decode, item, path, depth + 1) < 0)
            return -1;
    }
    return 0;
}

/* Kinds whose fields share names with others' and not their types. */
static bool is_of_its_own(const struct type *type)
{
    return strcmp(type->resource.kind, "PodSecurityPolicy") == 0 ||
           strcmp(type->resource.kind, "CustomResourceDefinition") == 0;
}

static int check_definition(const struct decode *decode, const cJSON *object)
{
    const cJSON *names = json_at(object, "spec.names");
    const cJSON *versions = json_at(object, "spec.versions");

    if (names != NULL && check_shape(decode, names, OBJECT, "spec.names") < 0)
        return -1;
    return versions != NULL ? check_shape(decode, versions, OBJECTS, "spec.versions") : 0;
}

/* Of a custom resource only the metadata is a Go struct. */
int decode_check(const struct type *type, const cJSON *object, struct err *err)
{
    struct decode decode = {.type = type, .err = err};
    const cJSON *meta = json_get(object, "metadata");
    const cJSON *spec = json_get(object, "spec");

    if (!cJSON_IsObject(object) || !cJSON_IsObject(meta))
        return kube_fail(err, 400, "BadRequest", "%s: metadata is not an object",
                         type->resource.kind);
    if ((type->flags & TYPE_CUSTOM) != 0)
        return walk(&decode, meta, "metadata", 1);
    if (!is_of_its_own(type))
        return walk(&decode, object, "", 0);
    if (walk(&decode, meta, "metadata", 1) < 0 ||
        (spec != NULL && check_shape(&decode, spec, OBJECT, "spec") < 0))
        return -1;
    return check_definition(&decode, object);
}
