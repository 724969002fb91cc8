/* The desired side of a comparison: every source resolved, rendered, and made ready to be applied.
 */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/argocd/compare.h"

cJSON *application_sources(const struct controller *controller, const cJSON *app, bool *is_multi)
{
    const cJSON *many = json_at(app, "spec.sources");
    const cJSON *one = json_at(app, "spec.source");
    cJSON *copy;
    cJSON *source;

    *is_multi = cJSON_IsArray(many) && many->child != NULL;
    copy = *is_multi ? json_copy(many) : one != NULL ? json_copy(one) : json_object();
    if (controller->patches_known)
        return copy;
    /* Before 2.9 the definition of an Application had no such field. */
    if (!*is_multi)
        cJSON_DeleteItemFromObjectCaseSensitive(object_member_mutable(copy, "kustomize"),
                                                "patches");
    else
        cJSON_ArrayForEach(source, copy) cJSON_DeleteItemFromObjectCaseSensitive(
            object_member_mutable(source, "kustomize"), "patches");
    return copy;
}

/* ---- one source ---- */

struct source_request {
    const cJSON *source;
    const char *revision; /* wanted instead of the source's own; "" for that */
    size_t number, count;
    bool no_cache;
};

static bool is_reference_only(const cJSON *source)
{
    return json_str(source, "ref") != NULL && json_str(source, "path") == NULL &&
           json_str(source, "chart") == NULL;
}

static int resolve(struct controller *controller, const struct source_request *request,
                   const char **mirror, struct commit_sha *sha, struct err *err)
{
    const char *url = json_str_or(request->source, "repoURL", "");
    const char *revision = *request->revision != '\0'
                               ? request->revision
                               : json_str_or(request->source, "targetRevision", "");

    if (json_str(request->source, "chart") != NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "rpc error: code = Unknown desc = no repository of Helm charts is served "
                       "for '%s'",
                       url);
    *mirror = controller->config.mirror(controller->config.mirror_arg, url);
    if (*mirror == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "rpc error: code = Unknown desc = failed to list refs: repository '%s' not "
                       "found",
                       url);
    if (repository_resolve(renderer_repositories(controller->renderer), *mirror, revision, sha,
                           err) < 0)
        return err_prefix(err, "rpc error: code = Unknown desc");
    return 0;
}

static int load_source(struct controller *controller, const struct source_request *request,
                       cJSON *objects, struct comparison *out, struct err *err)
{
    struct render_request render_request = {.source = request->source,
                                            .patches_known = controller->patches_known,
                                            .no_cache = request->no_cache};
    struct rendered *rendered;
    const cJSON *object;

    if (resolve(controller, request, &render_request.mirror, &render_request.sha, err) < 0)
        return -1;
    strv_add(&out->revisions, render_request.sha.text);
    if (is_reference_only(request->source))
        return 0;
    if (render(controller->renderer, &render_request, &rendered, err) < 0)
        return -1;
    strv_add(&out->types, rendered->type);
    cJSON_ArrayForEach(object, rendered->objects)
    {
        json_push(objects, json_copy(object));
    }
    rendered_unref(rendered);
    return 0;
}

static int load_sources(struct controller *controller, const struct comparison_request *request,
                        cJSON *objects, struct comparison *out, struct err *err)
{
    const cJSON *source = out->is_multi ? out->sources->child : out->sources;
    size_t count = out->is_multi ? (size_t)cJSON_GetArraySize(out->sources) : 1;

    for (size_t i = 0; i < count; i++, source = source->next) {
        struct source_request one = {
            .source = source,
            .revision = json_str_or(cJSON_GetArrayItem(request->revisions, (int)i), NULL, ""),
            .number = i + 1,
            .count = count,
            .no_cache = request->no_cache,
        };

        if (load_source(controller, &one, objects, out, err) < 0)
            return err_prefix(err, "failed to generate manifest for source %zu of %zu", i + 1,
                              count);
    }
    return 0;
}

/* ---- objects as they will be applied ---- */

/* A kind that a CustomResourceDefinition among the objects defines: its scope. */
static bool defined_scope(const cJSON *objects, const struct object_id *id, bool *namespaced)
{
    const cJSON *object;

    cJSON_ArrayForEach(object, objects)
    {
        if (strcmp(json_str_or(object, "kind", ""), "CustomResourceDefinition") == 0 &&
            strcmp(json_str_or(object, "spec.group", ""), id->group) == 0 &&
            strcmp(json_str_or(object, "spec.names.kind", ""), id->kind) == 0) {
            *namespaced = strcmp(json_str_or(object, "spec.scope", "Namespaced"), "Cluster") != 0;
            return true;
        }
    }
    return false;
}

static bool is_namespaced(struct controller *controller, const cJSON *objects, const cJSON *object)
{
    struct object_id id = object_id(object);
    const struct resource *resource =
        store_kind(controller->store, json_str_or(object, "apiVersion", ""), id.kind);
    bool namespaced = true;

    if (resource != NULL)
        return resource->namespaced;
    (void)defined_scope(objects, &id, &namespaced);
    return namespaced;
}

/* stringData is what people write; the API keeps it as data. */
static void fold_string_data(cJSON *object)
{
    const cJSON *texts = object_member(object, "stringData");
    const cJSON *item;

    if (strcmp(json_str_or(object, "kind", ""), "Secret") != 0 || !cJSON_IsObject(texts))
        return;
    if (!cJSON_IsObject(object_member(object, "data")))
        json_set_object(object, "data");
    cJSON_ArrayForEach(item, texts)
    {
        if (cJSON_IsString(item)) {
            autofree char *encoded = base64_encode(item->valuestring, strlen(item->valuestring));

            json_set_str(object_member_mutable(object, "data"), item->string, encoded);
        }
    }
    cJSON_DeleteItemFromObjectCaseSensitive(object, "stringData");
}

/* A hook without a name gets one that is its own in each operation: added when it runs. */
static void prepare(struct controller *controller, const cJSON *app, const cJSON *objects,
                    cJSON *object)
{
    const char *space = json_str(app, "spec.destination.namespace");

    object_drop_nulls(object);
    fold_string_data(object);
    if (!is_namespaced(controller, objects, object))
        object_set_space(object, NULL);
    else if (json_str(object, "metadata.namespace") == NULL && space != NULL)
        object_set_space(object, space);
    tracker_mark(controller->tracker, object, json_str_or(app, "metadata.name", ""));
}

static int add_target(struct controller *controller, cJSON *object, struct comparison *out,
                      struct err *err)
{
    struct managed *managed;
    struct object_id id = object_id(object);
    const struct resource *resource =
        store_kind(controller->store, json_str_or(object, "apiVersion", ""), id.kind);

    if (*id.space == '\0' && resource != NULL && resource->namespaced)
        return err_set(err, ERR_INVALID, "Namespace for %s %s/%s, Kind=%s is missing.", id.name,
                       id.group, id.version, id.kind);
    for (size_t i = 0; i < out->len; i++) {
        if (object_same(&out->items[i].id, &id)) {
            condition_add(out->conditions, "RepeatedResourceWarning",
                          "Resource %s/%s/%s/%s appeared 2 times among application resources.",
                          id.group, id.kind, id.space, id.name);
            cJSON_Delete(out->items[i].target);
            out->items[i].target = json_copy(object);
            out->items[i].id = object_id(out->items[i].target);
            return 0;
        }
    }
    if (out->len == out->size) {
        out->size = out->size > 0 ? out->size * 2 : 16;
        out->items = xrealloc(out->items, out->size * sizeof(*out->items));
    }
    managed = &out->items[out->len++];
    *managed = (struct managed){.target = json_copy(object), .resource = resource};
    managed->id = object_id(managed->target);
    return 0;
}

int load_targets(struct controller *controller, const struct comparison_request *request,
                 struct comparison *out, struct err *err)
{
    autojson cJSON *objects = json_array();
    cJSON *object;

    if (load_sources(controller, request, objects, out, err) < 0)
        return -1;
    cJSON_ArrayForEach(object, objects)
    {
        prepare(controller, request->app, objects, object);
        if (object_has_hook(object, "Skip"))
            continue;
        if (object_is_hook(object))
            json_push(out->hooks, json_copy(object));
        else if (add_target(controller, object, out, err) < 0)
            return -1;
    }
    return 0;
}
