#include "emulator/argocd/patches.h"

#include <regex.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"
#include "emulator/argocd/object.h"
#include "emulator/argocd/pointer.h"

/* ---- strategic merge ---- */

/* Lists of Kubernetes' types that are merged by a key of their elements. */
static const char *merge_key(const char *field, const cJSON *element)
{
    static const struct {
        const char *field, *key;
    } keys[] = {{"containers", "name"},
                {"initContainers", "name"},
                {"ephemeralContainers", "name"},
                {"volumes", "name"},
                {"env", "name"},
                {"volumeMounts", "mountPath"},
                {"volumeDevices", "devicePath"},
                {"imagePullSecrets", "name"},
                {"hostAliases", "ip"},
                {"webhooks", "name"},
                {"topologySpreadConstraints", "topologyKey"}};

    if (strcmp(field, "ports") == 0)
        return cJSON_HasObjectItem(element, "containerPort") ? "containerPort" : "port";
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].field, field) == 0)
            return keys[i].key;
    }
    return NULL;
}

static bool has_directive(const cJSON *patch, const char *directive)
{
    return strcmp(json_str_or(object_member(patch, "$patch"), NULL, ""), directive) == 0;
}

static cJSON *find_element(cJSON *list, const char *key, const cJSON *value)
{
    cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (value != NULL && json_equal(object_member(item, key), value))
            return item;
    }
    return NULL;
}

static void merge_list(cJSON *target, const cJSON *patch, const char *key)
{
    const cJSON *element;

    cJSON_ArrayForEach(element, patch)
    {
        cJSON *now = find_element(target, key, object_member(element, key));

        if (has_directive(element, "delete")) {
            if (now != NULL)
                cJSON_Delete(cJSON_DetachItemViaPointer(target, now));
        } else if (now != NULL) {
            strategic_merge(now, element, true);
        } else {
            json_push(target, json_copy(element));
        }
    }
}

static void merge_member(cJSON *target, const cJSON *item, bool known)
{
    cJSON *now = object_member_mutable(target, item->string);
    const char *key = known && cJSON_IsArray(item) && cJSON_IsObject(item->child)
                          ? merge_key(item->string, item->child)
                          : NULL;

    if (cJSON_IsNull(item)) {
        cJSON_DeleteItemFromObjectCaseSensitive(target, item->string);
    } else if (cJSON_IsObject(item)) {
        if (!cJSON_IsObject(now))
            now = json_set_object(target, item->string);
        strategic_merge(now, item, known);
    } else if (key != NULL && cJSON_IsArray(now)) {
        merge_list(now, item, key);
    } else {
        json_set(target, item->string, json_copy(item));
    }
}

void strategic_merge(cJSON *target, const cJSON *patch, bool known)
{
    const cJSON *item;

    if (has_directive(patch, "replace")) {
        while (target->child != NULL)
            cJSON_Delete(cJSON_DetachItemViaPointer(target, target->child));
    }
    cJSON_ArrayForEach(item, patch)
    {
        if (strcmp(item->string, "$patch") != 0)
            merge_member(target, item, known);
    }
}

static bool is_known_group(const char *group)
{
    return strchr(group, '.') == NULL || text_ends(group, ".k8s.io");
}

/* ---- selectors ---- */

/* The whole text matches the expression; an empty one matches all. */
static int matches(const char *expression, const char *text, bool *out, struct err *err)
{
    autofree char *anchored = NULL;
    regex_t regex;

    *out = true;
    if (expression == NULL || *expression == '\0')
        return 0;
    anchored = xasprintf("^(%s)$", expression);
    if (regcomp(&regex, anchored, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, ERR_INVALID, "error parsing regexp: '%s'", expression);
    *out = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return 0;
}

/* "a=b", "a==b", "a!=b", "a", "!a", "a in (b,c)", "a notin (b,c)". */
static bool requirement_holds(const cJSON *map, const char *text)
{
    size_t skip = strspn(text, " !");
    size_t len = strcspn(text + skip, " =!");
    autofree char *key = xstrndup(text + skip, len);
    const char *value = json_str_or(object_member(map, key), NULL, NULL);
    const char *rest = text + skip + len;
    const char *list = strchr(rest, '(');
    bool negative = text[strspn(text, " ")] == '!' || strstr(rest, "!=") != NULL ||
                    strstr(rest, "notin") != NULL;
    bool holds = value != NULL;

    rest += strspn(rest, " =!");
    if (list != NULL) {
        autostrv struct strv values = STRV_INIT;
        autofree char *inner = xstrndup(list + 1, strcspn(list + 1, ")"));

        strv_split(&values, inner, ',');
        for (size_t i = 0; i < values.len; i++)
            memmove(values.items[i], values.items[i] + strspn(values.items[i], " "),
                    strlen(values.items[i] + strspn(values.items[i], " ")) + 1);
        holds = value != NULL && strv_has(&values, value);
    } else if (*rest != '\0') {
        holds = value != NULL && strcmp(value, rest) == 0;
    }
    return holds != negative;
}

static bool selector_holds(const cJSON *map, const char *selector)
{
    while (selector != NULL && *selector != '\0') {
        size_t len = 0;
        int depth = 0;

        while (selector[len] != '\0' && (depth > 0 || selector[len] != ',')) {
            depth += (selector[len] == '(') - (selector[len] == ')');
            len++;
        }
        autofree char *one = xstrndup(selector, len);

        if (!requirement_holds(map, one))
            return false;
        selector += len + (selector[len] == ',');
    }
    return true;
}

static int target_matches(const cJSON *target, const cJSON *object, bool *out, struct err *err)
{
    struct object_id id = object_id(object);
    const struct {
        const char *key, *text;
    } fields[] = {{"group", id.group},
                  {"version", id.version},
                  {"kind", id.kind},
                  {"name", id.name},
                  {"namespace", id.space}};

    *out = true;
    for (size_t i = 0; i < ARRAY_LEN(fields) && *out; i++) {
        if (matches(json_str(target, fields[i].key), fields[i].text, out, err) < 0)
            return -1;
    }
    *out = *out &&
           selector_holds(json_at(object, "metadata.labels"), json_str(target, "labelSelector")) &&
           selector_holds(json_at(object, "metadata.annotations"),
                          json_str(target, "annotationSelector"));
    return 0;
}

/* ---- one patch ---- */

static int read_patch(const cJSON *entry, const char *base, cJSON **out, struct err *err)
{
    const char *text = json_str(entry, "patch");
    const char *path = json_str(entry, "path");
    autobuf struct buf file = BUF_INIT(BUF_MEDIUM);
    autofree char *full = NULL;

    if (text != NULL && *text != '\0')
        return yaml_parse_one(text, strlen(text), "patch", out, err);
    if (path == NULL || *path == '\0')
        return err_set(err, ERR_INVALID, "must specify one of patch and path");
    if (*path == '/' || strstr(path, "..") != NULL)
        return err_set(err, ERR_INVALID, "the patch file '%s' is not below the application's path",
                       path);
    full = path_join(base, path);
    if (fs_read(full, &file, err) < 0)
        return -1;
    return yaml_parse_one(file.data, file.len, path, out, err);
}

/* Replaces *object; NULL when the patch deletes it. */
static int patch_object(cJSON **object, const cJSON *patch, const cJSON *entry, struct err *err)
{
    struct object_id before = object_id(*object);
    autofree char *kind = xstrdup(before.kind);
    autofree char *name = xstrdup(before.name);

    if (cJSON_IsArray(patch)) {
        if (json_patch_apply(object, patch, err) < 0)
            return -1;
    } else if (has_directive(patch, "delete")) {
        cJSON_Delete(*object);
        *object = NULL;
        return 0;
    } else {
        strategic_merge(*object, patch, is_known_group(before.group));
    }
    /* A patch does not rename, unless its options say so. */
    if (!json_bool(entry, "options.allowKindChange", false))
        json_set_str(*object, "kind", kind);
    if (!json_bool(entry, "options.allowNameChange", false))
        json_set_str(object_member_mutable(*object, "metadata"), "name", name);
    return 0;
}

/* Without a target the patch itself names the one object it is for. */
static int selects(const cJSON *entry, const cJSON *patch, const cJSON *object, bool *out,
                   struct err *err)
{
    const cJSON *target = object_member(entry, "target");
    struct object_id wanted;
    struct object_id id;

    if (target != NULL)
        return target_matches(target, object, out, err);
    wanted = object_id(patch);
    id = object_id(object);
    *out = strcmp(wanted.kind, id.kind) == 0 && strcmp(wanted.group, id.group) == 0 &&
           strcmp(wanted.name, id.name) == 0 &&
           (*wanted.space == '\0' || strcmp(wanted.space, id.space) == 0);
    return 0;
}

static int apply_entry(cJSON *objects, const cJSON *entry, const char *base, struct err *err)
{
    autojson cJSON *patch = NULL;
    cJSON *object = objects->child;
    size_t hits = 0;

    if (read_patch(entry, base, &patch, err) < 0)
        return -1;
    while (object != NULL) {
        cJSON *next = object->next;
        autojson cJSON *changed = NULL;
        bool selected;

        if (selects(entry, patch, object, &selected, err) < 0)
            return -1;
        if (selected) {
            changed = json_copy(object);
            if (patch_object(&changed, patch, entry, err) < 0)
                return -1;
            if (changed != NULL)
                cJSON_ReplaceItemViaPointer(objects, object, steal(changed));
            else
                cJSON_Delete(cJSON_DetachItemViaPointer(objects, object));
            hits++;
        }
        object = next;
    }
    if (hits == 0 && object_member(entry, "target") == NULL)
        return err_set(err, ERR_INVALID, "no resource matches strategic merge patch '%s/%s'",
                       json_str_or(patch, "kind", ""), json_str_or(patch, "metadata.name", ""));
    return 0;
}

int patches_apply(cJSON *objects, const cJSON *patches, const char *base, struct err *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, patches)
    {
        if (apply_entry(objects, entry, base, err) < 0)
            return -1;
    }
    return 0;
}
