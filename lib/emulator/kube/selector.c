#include "emulator/kube/selector.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/core.h"

enum operator{ OP_EXISTS, OP_NOT_EXISTS, OP_IN, OP_NOT_IN, OP_GREATER, OP_LESS };

struct requirement {
    char *key;
    enum operator op;
    struct strv values;
};

struct selector {
    struct requirement *labels;
    size_t labels_len;
    struct requirement *fields;
    size_t fields_len;
};

static bool value_fits(const struct requirement *requirement, const char *value)
{
    switch (requirement->op) {
    case OP_EXISTS:
        return value != NULL;
    case OP_NOT_EXISTS:
        return value == NULL;
    case OP_IN:
        return value != NULL && strv_has(&requirement->values, value);
    case OP_NOT_IN:
        return value == NULL || !strv_has(&requirement->values, value);
    case OP_GREATER:
        return value != NULL &&
               strtol(value, NULL, 10) > strtol(requirement->values.items[0], NULL, 10);
    case OP_LESS:
        return value != NULL &&
               strtol(value, NULL, 10) < strtol(requirement->values.items[0], NULL, 10);
    }
    return false;
}

/* ---- objects' own selectors ---- */

static bool expression_matches(const cJSON *expression, const cJSON *labels)
{
    const char *op = json_str_or(expression, "operator", "");
    const char *value = json_key_str(labels, json_str_or(expression, "key", ""));
    const cJSON *values = json_get(expression, "values");

    if (strcmp(op, "Exists") == 0)
        return value != NULL;
    if (strcmp(op, "DoesNotExist") == 0)
        return value == NULL;
    if (strcmp(op, "In") == 0)
        return value != NULL && json_has_str(values, value);
    return strcmp(op, "NotIn") == 0 && (value == NULL || !json_has_str(values, value));
}

static bool all_equal(const cJSON *map, const cJSON *labels)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, map)
    {
        if (!cJSON_IsString(item) ||
            !str_equal(json_key_str(labels, item->string), item->valuestring))
            return false;
    }
    return true;
}

bool selector_matches_labels(const cJSON *selector, const cJSON *labels)
{
    const cJSON *expression;

    if (!cJSON_IsObject(selector) || !all_equal(json_get(selector, "matchLabels"), labels))
        return false;
    cJSON_ArrayForEach(expression, json_get(selector, "matchExpressions"))
    {
        if (!expression_matches(expression, labels))
            return false;
    }
    return true;
}

bool selector_map_matches(const cJSON *map, const cJSON *labels)
{
    return cJSON_IsObject(map) && map->child != NULL && all_equal(map, labels);
}

/* ---- the query's ---- */

static void clear_requirements(struct requirement *list, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        free(list[i].key);
        strv_clear(&list[i].values);
    }
    free(list);
}

void selector_free(struct selector *selector)
{
    if (selector == NULL)
        return;
    clear_requirements(selector->labels, selector->labels_len);
    clear_requirements(selector->fields, selector->fields_len);
    free(selector);
}

static char *trimmed(const char *text, size_t len)
{
    while (len > 0 && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    return xstrndup(text, len);
}

static void add_values(struct strv *values, const char *text, size_t len)
{
    autofree char *list = trimmed(text, len);
    char *rest = list;

    for (;;) {
        size_t part = strcspn(rest, ",");

        strv_take(values, trimmed(rest, part));
        if (rest[part] == '\0')
            return;
        rest += part + 1;
    }
}

/* "key in (a, b)" after the key; false when it is none. */
static bool parse_set(const char *text, struct requirement *out)
{
    bool negated = strncmp(text, "notin", 5) == 0;
    const char *open = text + (negated ? 5 : 2);
    const char *close;

    if (!negated && strncmp(text, "in", 2) != 0)
        return false;
    open += strspn(open, " ");
    close = strrchr(open, ')');
    if (*open != '(' || close == NULL || close[1 + strspn(close + 1, " ")] != '\0')
        return false;
    out->op = negated ? OP_NOT_IN : OP_IN;
    add_values(&out->values, open + 1, (size_t)(close - open - 1));
    return true;
}

/* Longer operators first. */
static const struct {
    const char *text;
    enum operator op;
} operators[] = {{"!=", OP_NOT_IN}, {"==", OP_IN}, {"=", OP_IN}, {">", OP_GREATER}, {"<", OP_LESS}};

static bool parse_operator(const char *text, bool order, struct requirement *out)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        size_t len = strlen(operators[i].text);

        if (strncmp(text, operators[i].text, len) != 0)
            continue;
        out->op = operators[i].op;
        strv_take(&out->values, trimmed(text + len, strlen(text + len)));
        return order || (out->op != OP_GREATER && out->op != OP_LESS);
    }
    return false;
}

static bool is_label_key(const char *key)
{
    size_t len = strlen(key);

    return len > 0 && len <= 317 && isalnum((unsigned char)key[0]) &&
           isalnum((unsigned char)key[len - 1]) &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == len;
}

static bool parse_label(const char *text, struct requirement *out)
{
    bool negated = text[0] == '!';
    size_t len;

    text += negated;
    len = strcspn(text, " =!<>");
    out->key = trimmed(text, len);
    text += len + strspn(text + len, " ");
    if (!is_label_key(out->key) || (negated && *text != '\0'))
        return false;
    out->op = negated ? OP_NOT_EXISTS : OP_EXISTS;
    return *text == '\0' || parse_operator(text, true, out) || parse_set(text, out);
}

static bool parse_field(const char *text, struct requirement *out)
{
    size_t len = strcspn(text, "=!");

    out->key = trimmed(text, len);
    return out->key[0] != '\0' && parse_operator(text + len, false, out);
}

/* Up to the next comma that is outside of parentheses. */
static size_t part_length(const char *text)
{
    size_t len = 0;
    int depth = 0;

    for (; text[len] != '\0' && (text[len] != ',' || depth > 0); len++) {
        depth += text[len] == '(';
        depth -= text[len] == ')';
    }
    return len;
}

static bool parse_list(const char *text, bool (*parse)(const char *, struct requirement *),
                       struct requirement **list, size_t *list_len)
{
    while (text != NULL && *text != '\0') {
        size_t len = part_length(text);
        autofree char *part = trimmed(text, len);

        *list = xrealloc(*list, (*list_len + 1) * sizeof(**list));
        (*list)[*list_len] = (struct requirement){.values = STRV_INIT};
        (*list_len)++;
        if (!parse(part, &(*list)[*list_len - 1]))
            return false;
        text += len + (text[len] == ',');
    }
    return true;
}

static const struct {
    const char *kind, *fields;
} known_fields[] = {
    {"Pod", "spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,"
            "spec.hostNetwork,status.phase,status.podIP,status.nominatedNodeName"},
    {"Event", "involvedObject.kind,involvedObject.namespace,involvedObject.name,"
              "involvedObject.uid,involvedObject.apiVersion,involvedObject.resourceVersion,"
              "involvedObject.fieldPath,reason,reportingComponent,source,type,regarding.kind,"
              "regarding.name,regarding.namespace,regarding.uid"},
    {"Namespace", "status.phase"},
    {"Node", "spec.unschedulable"},
    {"Secret", "type"},
    {"ReplicaSet", "status.replicas"},
    {"ReplicationController", "status.replicas"},
    {"Job", "status.successful"},
    {"CertificateSigningRequest", "spec.signerName"},
};

static bool is_known_field(const char *kind, const char *field)
{
    if (strcmp(field, "metadata.name") == 0 || strcmp(field, "metadata.namespace") == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
        CLEANUP(strv_clear) struct strv list = STRV_INIT;

        if (strcmp(known_fields[i].kind, kind) != 0)
            continue;
        strv_split(&list, known_fields[i].fields, ',');
        return strv_has(&list, field);
    }
    return false;
}

int selector_parse(const char *labels, const char *fields, const char *kind, bool custom,
                   struct selector **out, struct err *err)
{
    struct selector *selector = xcalloc(1, sizeof(*selector));
    int result = 0;

    if (!parse_list(labels, parse_label, &selector->labels, &selector->labels_len))
        result = kube_fail(err, 400, "BadRequest", "unable to parse requirement: '%s'", labels);
    else if (!parse_list(fields, parse_field, &selector->fields, &selector->fields_len))
        result = kube_fail(err, 400, "BadRequest", "invalid selector: '%s'; can't understand '%s'",
                           fields, fields);
    for (size_t i = 0; result == 0 && i < selector->fields_len; i++) {
        const char *key = selector->fields[i].key;

        if (is_known_field(custom ? "" : kind, key))
            continue;
        if (custom)
            result = kube_fail(err, 400, "BadRequest", "field label not supported: %s", key);
        else
            result = kube_fail(err, 400, "BadRequest",
                               "\"%s\" is not a known field selector: only \"metadata.name\", "
                               "\"metadata.namespace\"",
                               key);
    }
    if (result < 0)
        selector_free(selector);
    else
        *out = selector;
    return result;
}

static bool field_fits(const struct requirement *requirement, const cJSON *object)
{
    const cJSON *value = json_at(object, requirement->key);
    autofree char *text = NULL;

    if (strcmp(requirement->key, "source") == 0)
        value = json_at(object, "source.component");
    if (strcmp(requirement->key, "status.successful") == 0)
        value = json_at(object, "status.succeeded");
    if (cJSON_IsString(value))
        return value_fits(requirement, value->valuestring);
    if (value == NULL && strcmp(requirement->key, "spec.unschedulable") == 0)
        return value_fits(requirement, "false");
    if (value == NULL)
        return value_fits(requirement, "");
    text = json_print(value);
    return value_fits(requirement, text);
}

bool selector_matches(const struct selector *selector, const cJSON *object)
{
    const cJSON *labels = json_at(object, "metadata.labels");

    for (size_t i = 0; i < selector->labels_len; i++) {
        if (!value_fits(&selector->labels[i], json_key_str(labels, selector->labels[i].key)))
            return false;
    }
    for (size_t i = 0; i < selector->fields_len; i++) {
        if (!field_fits(&selector->fields[i], object))
            return false;
    }
    return true;
}

const char *selector_name(const struct selector *selector)
{
    for (size_t i = 0; i < selector->fields_len; i++) {
        if (strcmp(selector->fields[i].key, "metadata.name") == 0 &&
            selector->fields[i].op == OP_IN)
            return selector->fields[i].values.items[0];
    }
    return NULL;
}
