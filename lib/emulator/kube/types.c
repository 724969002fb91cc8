#include "emulator/kube/types.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/core.h"
#include "emulator/kube/crd.h"
#include "emulator/kube/keyspace.h"

/* ---- versions ---- */

struct api_version {
    int level; /* 2 stable, 1 beta, 0 alpha, -1 something else */
    long major, minor;
};

/* v1, v2beta1, … */
static struct api_version version_parse(const char *text)
{
    struct api_version version = {.level = -1};
    char *end;

    if (text[0] != 'v' || !isdigit((unsigned char)text[1]))
        return version;
    version.major = strtol(text + 1, &end, 10);
    if (*end == '\0') {
        version.level = 2;
    } else if (strncmp(end, "beta", 4) == 0 && isdigit((unsigned char)end[4])) {
        version.minor = strtol(end + 4, &end, 10);
        version.level = *end == '\0' ? 1 : -1;
    } else if (strncmp(end, "alpha", 5) == 0 && isdigit((unsigned char)end[5])) {
        version.minor = strtol(end + 5, &end, 10);
        version.level = *end == '\0' ? 0 : -1;
    }
    return version;
}

int version_compare(const char *a, const char *b)
{
    struct api_version x = version_parse(a);
    struct api_version y = version_parse(b);

    if (x.level != y.level)
        return y.level - x.level;
    if (x.level < 0)
        return strcmp(a, b);
    if (x.major != y.major)
        return x.major > y.major ? -1 : 1;
    return x.minor > y.minor ? -1 : x.minor < y.minor;
}

void api_version_split(const char *api_version, char **group, char **version)
{
    const char *slash = strchr(api_version, '/');

    *group = slash != NULL ? xstrndup(api_version, (size_t)(slash - api_version)) : xstrdup("");
    *version = xstrdup(slash != NULL ? slash + 1 : api_version);
}

char *api_version_of(const struct resource *resource)
{
    if (resource->group[0] == '\0')
        return xstrdup(resource->version);
    return xasprintf("%s/%s", resource->group, resource->version);
}

/* ---- the set ---- */

static struct keyspace *keyspace_for(struct types *types, const char *tag)
{
    for (size_t i = 0; i < types->storages_len; i++) {
        if (strcmp(types->storages[i]->tag, tag) == 0)
            return types->storages[i];
    }
    if (types->storages_len == types->storages_size) {
        types->storages_size = types->storages_size > 0 ? types->storages_size * 2 : 128;
        types->storages =
            xrealloc(types->storages, types->storages_size * sizeof(struct keyspace *));
    }
    types->storages[types->storages_len] = keyspace_new(tag);
    return types->storages[types->storages_len++];
}

static void add(struct types *types, struct type *type)
{
    if (types->len == types->size) {
        types->size = types->size > 0 ? types->size * 2 : 128;
        types->items = xrealloc(types->items, types->size * sizeof(struct type *));
    }
    types->items[types->len++] = type;
}

static void add_builtin(struct types *types, const struct builtin_type *row)
{
    struct type *type = xcalloc(1, sizeof(*type));
    autofree char *own = xasprintf("%s.%s", row->plural, row->group);

    type->resource = (struct resource){
        .group = row->group,
        .version = row->version,
        .plural = row->plural,
        .singular = row->singular,
        .kind = row->kind,
        .short_names = row->short_names,
        .namespaced = (row->flags & TYPE_NAMESPACED) != 0,
        .has_status = (row->flags & TYPE_STATUS) != 0,
    };
    type->flags = row->flags;
    type->categories = row->categories;
    type->subresources = row->subresources;
    type->served = true;
    type->established = true;
    type->storage = keyspace_for(types, row->storage != NULL ? row->storage : own);
    if (type->storage->hub == NULL)
        type->storage->hub = type;
    add(types, type);
}

void types_init(struct types *types, int minor)
{
    *types = (struct types){.minor = minor};
    for (size_t i = 0; i < builtin_types_len; i++) {
        const struct builtin_type *row = &builtin_types[i];

        if (minor >= row->since && (row->until == 0 || minor < row->until))
            add_builtin(types, row);
    }
}

static void free_type(struct type *type)
{
    if (type->definition != NULL) {
        free((char *)type->resource.short_names);
        free((char *)type->categories);
        cJSON_Delete(type->definition);
    }
    free(type);
}

void types_clear(struct types *types)
{
    for (size_t i = 0; i < types->storages_len; i++)
        keyspace_free(types->storages[i]);
    for (size_t i = 0; i < types->len; i++)
        free_type(types->items[i]);
    free(types->storages);
    free(types->items);
    *types = (struct types){0};
}

struct type *types_find(const struct types *types, const char *group, const char *version,
                        const char *plural)
{
    for (size_t i = 0; i < types->len; i++) {
        struct type *type = types->items[i];

        if (type->served && strcmp(type->resource.plural, plural) == 0 &&
            strcmp(type->resource.group, group) == 0 &&
            strcmp(type->resource.version, version) == 0)
            return type;
    }
    return NULL;
}

struct type *types_find_kind(const struct types *types, const char *group, const char *version,
                             const char *kind)
{
    for (size_t i = 0; i < types->len; i++) {
        struct type *type = types->items[i];

        if (type->served && strcmp(type->resource.kind, kind) == 0 &&
            strcmp(type->resource.group, group) == 0 &&
            strcmp(type->resource.version, version) == 0)
            return type;
    }
    return NULL;
}

struct type *types_preferred(const struct types *types, const char *group, const char *plural)
{
    struct type *best = NULL;

    for (size_t i = 0; i < types->len; i++) {
        struct type *type = types->items[i];

        if (!type->served || strcmp(type->resource.plural, plural) != 0 ||
            strcmp(type->resource.group, group) != 0)
            continue;
        if (best == NULL || version_compare(type->resource.version, best->resource.version) < 0)
            best = type;
    }
    return best;
}

/* ---- custom resources ---- */

static char *join_strings(const cJSON *array)
{
    CLEANUP(strv_clear) struct strv list = STRV_INIT;
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsString(item))
            strv_add(&list, item->valuestring);
    }
    return list.len > 0 ? strv_join(&list, ",") : xstrdup("");
}

/* What makes one version of a custom resource: names, scope and its own entry. */
static cJSON *definition_of(const cJSON *spec, const cJSON *version)
{
    cJSON *definition = json_object();
    const char *kind = json_str_or(spec, "names.kind", "");
    cJSON *names = json_set(definition, "names", json_copy_object(json_at(spec, "names")));
    autofree char *list_kind = xasprintf("%sList", kind);
    autofree char *singular = xstrdup(kind);

    for (char *c = singular; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (json_str(names, "listKind") == NULL)
        json_set_str(names, "listKind", list_kind);
    if (json_str_or(names, "singular", "")[0] == '\0')
        json_set_str(names, "singular", singular);
    json_set_str(definition, "group", json_str(spec, "group"));
    json_set_str(definition, "scope", json_str(spec, "scope"));
    json_set_bool(definition, "preserve", json_bool(spec, "preserveUnknownFields", false));
    json_set(definition, "version", json_copy(version));
    return definition;
}

/* The object at the path, or NULL. */
static const cJSON *object_at(const cJSON *definition, const char *path)
{
    const cJSON *value = json_at(definition, path);

    return cJSON_IsObject(value) ? value : NULL;
}

static struct type *custom_type(cJSON *definition /* taken */)
{
    struct type *type = xcalloc(1, sizeof(*type));
    bool namespaced = strcmp(json_str_or(definition, "scope", ""), "Cluster") != 0;
    const cJSON *replicas = json_at(definition, "version.subresources.scale.specReplicasPath");
    const cJSON *scale =
        cJSON_IsString(replicas) ? object_at(definition, "version.subresources.scale") : NULL;
    bool status = object_at(definition, "version.subresources.status") != NULL;

    type->definition = definition;
    type->resource = (struct resource){
        .group = json_str_or(definition, "group", ""),
        .version = json_str_or(definition, "version.name", ""),
        .plural = json_str_or(definition, "names.plural", ""),
        .singular = json_str_or(definition, "names.singular", ""),
        .kind = json_str_or(definition, "names.kind", ""),
        .short_names = join_strings(json_at(definition, "names.shortNames")),
        .namespaced = namespaced,
        .has_status = status,
    };
    type->flags = TYPE_CUSTOM | TYPE_GENERATION | (namespaced ? TYPE_NAMESPACED : 0U) |
                  (status ? TYPE_STATUS : 0U) | (scale != NULL ? TYPE_SCALE : 0U);
    type->categories = join_strings(json_at(definition, "names.categories"));
    type->subresources = "";
    type->list_kind = json_str(definition, "names.listKind");
    type->schema = object_at(definition, "version.schema.openAPIV3Schema");
    type->columns = json_at(definition, "version.additionalPrinterColumns");
    type->scale = scale;
    type->preserve_unknown = json_bool(definition, "preserve", false);
    return type;
}

static struct type *define_version(struct types *types, const cJSON *spec, const cJSON *version)
{
    cJSON *definition = definition_of(spec, version);
    const char *group = json_str_or(definition, "group", "");
    const char *plural = json_str_or(definition, "names.plural", "");
    struct type *known = types_find(types, group, json_str_or(version, "name", ""), plural);
    autofree char *tag = xasprintf("%s.%s", plural, group);
    struct type *type;

    if (known != NULL && known->definition != NULL && json_equal(known->definition, definition)) {
        cJSON_Delete(definition);
        return known;
    }
    if (known != NULL && known->definition != NULL)
        known->served = false;
    type = custom_type(definition);
    type->storage = keyspace_for(types, tag);
    add(types, type);
    return type;
}

/* Versions of this definition that are not in `kept` are served no more. */
static void retire(struct types *types, const cJSON *spec, struct type *const *kept, size_t len)
{
    const char *group = json_str_or(spec, "group", "");
    const char *plural = json_str_or(spec, "names.plural", "");

    for (size_t i = 0; i < types->len; i++) {
        struct type *type = types->items[i];
        bool stays = type->definition == NULL || strcmp(type->resource.group, group) != 0 ||
                     strcmp(type->resource.plural, plural) != 0;

        for (size_t k = 0; k < len && !stays; k++)
            stays = kept[k] == type;
        if (!stays)
            type->served = false;
    }
}

#define MOST_VERSIONS 32

void types_define(struct types *types, const cJSON *crd)
{
    cJSON *v1 = crd_to_v1(crd);
    const cJSON *spec = json_at(v1, "spec");
    const cJSON *version;
    struct type *kept[MOST_VERSIONS];
    size_t len = 0;

    cJSON_ArrayForEach(version, json_at(spec, "versions"))
    {
        struct type *type;

        if (len == MOST_VERSIONS || !json_bool(version, "served", true))
            continue;
        type = define_version(types, spec, version);
        type->established = crd_is_established(v1);
        if (json_bool(version, "storage", false) || type->storage->hub == NULL)
            type->storage->hub = type;
        type->served = true;
        kept[len++] = type;
    }
    retire(types, spec, kept, len);
    cJSON_Delete(v1);
}

void types_undefine(struct types *types, const cJSON *crd)
{
    retire(types, json_at(crd, "spec"), NULL, 0);
}
