#include "emulator/argocd/render.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/strv.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"

#define KEPT_RESULTS 2048

struct result {
    char *key;
    struct rendered *rendered; /* NULL: it failed */
    struct err error;
    unsigned long used;
};

struct renderer {
    struct repositories *repositories;
    const struct run *run;
    char *build_options;
    struct result *results;
    size_t results_len;
    unsigned long tick;
};

struct renderer *renderer_new(const char *work_dir, const struct run *run)
{
    struct renderer *renderer = xcalloc(1, sizeof(*renderer));

    renderer->repositories = repositories_new(work_dir);
    renderer->run = run;
    return renderer;
}

static void result_clear(struct result *result)
{
    free(result->key);
    rendered_unref(result->rendered);
    err_clear(&result->error);
    *result = (struct result){.error = ERR_INIT};
}

void renderer_free(struct renderer *renderer)
{
    if (renderer == NULL)
        return;
    for (size_t i = 0; i < renderer->results_len; i++)
        result_clear(&renderer->results[i]);
    free(renderer->results);
    free(renderer->build_options);
    repositories_free(renderer->repositories);
    free(renderer);
}

struct repositories *renderer_repositories(struct renderer *renderer)
{
    return renderer->repositories;
}

void renderer_set_build_options(struct renderer *renderer, const char *options)
{
    free(renderer->build_options);
    renderer->build_options = options != NULL ? xstrdup(options) : NULL;
}

void rendered_unref(struct rendered *rendered)
{
    if (rendered == NULL || --rendered->refs > 0)
        return;
    cJSON_Delete(rendered->objects);
    free(rendered);
}

/* ---- objects out of text ---- */

int render_add_object(cJSON *objects, cJSON *object, struct err *err)
{
    autojson cJSON *owned = object;
    cJSON *items = cJSON_GetObjectItemCaseSensitive(owned, "items");
    cJSON *item;

    if (cJSON_IsNull(owned))
        return 0;
    if (json_str(owned, "kind") == NULL) {
        autofree char *text = json_print(owned);

        return err_set(err, ERR_INVALID, "Object 'Kind' is missing in '%.200s'", text);
    }
    if (!text_ends(json_str(owned, "kind"), "List") || !cJSON_IsArray(items)) {
        json_push(objects, steal(owned));
        return 0;
    }
    while ((item = cJSON_DetachItemFromArray(items, 0)) != NULL) {
        if (render_add_object(objects, item, err) < 0)
            return -1;
    }
    return 0;
}

int render_add_yaml(cJSON *objects, const char *text, size_t len, const char *name, struct err *err)
{
    autoyaml struct yaml_stream *stream = NULL;

    if (yaml_parse(text, len, name, &stream, err) < 0)
        return -1;
    for (size_t i = 0; i < yaml_count(stream); i++) {
        if (render_add_object(objects, yaml_take(stream, i), err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the cache ---- */

static struct result *find_result(struct renderer *renderer, const char *key)
{
    for (size_t i = 0; i < renderer->results_len; i++) {
        if (strcmp(renderer->results[i].key, key) == 0)
            return &renderer->results[i];
    }
    return NULL;
}

static struct result *free_result(struct renderer *renderer)
{
    struct result *oldest;

    if (renderer->results_len < KEPT_RESULTS) {
        renderer->results =
            xrealloc(renderer->results, (renderer->results_len + 1) * sizeof(*renderer->results));
        return &renderer->results[renderer->results_len++];
    }
    oldest = &renderer->results[0];
    for (size_t i = 1; i < renderer->results_len; i++) {
        if (renderer->results[i].used < oldest->used)
            oldest = &renderer->results[i];
    }
    result_clear(oldest);
    return oldest;
}

/* What of a source decides its objects, beside the content of the repository. */
static char *source_text(const struct renderer *renderer, const struct render_request *request)
{
    static const char *const others[] = {"repoURL", "targetRevision", "ref", "name"};
    autojson cJSON *source = json_copy(request->source);
    autofree char *text = NULL;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(source, others[i]);
    text = json_print(source);
    return xasprintf("%s\n%d\n%s", text, request->patches_known,
                     renderer->build_options != NULL ? renderer->build_options : "");
}

static char *key_of(const char *content, const char *source)
{
    autofree char *text = xasprintf("%s\n%s", content, source);

    return xstrdup(sha256(text, strlen(text)).text);
}

/* The same for every commit that has the same content where it matters. */
static char *content_key(struct renderer *renderer, const struct render_request *request,
                         const char *root, const char *path, const char *source)
{
    autofree char *folder = render_dependency(root, path);
    struct commit_sha content = request->sha;

    (void)repository_content_id(renderer->repositories, request->mirror, &request->sha, folder,
                                &content);
    return key_of(content.text, source);
}

/* ---- one source ---- */

/* The path is inside the checkout, links followed. */
static int check_path(const char *root, const char *path, struct err *err)
{
    autofree char *full = NULL;
    char real_root[PATH_MAX];
    char real_full[PATH_MAX];
    size_t len;

    if (*path == '/')
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = %s: app path is absolute", path);
    full = xasprintf("%s/%s", root, path);
    if (realpath(root, real_root) == NULL || realpath(full, real_full) == NULL)
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = %s: app path does not exist", path);
    len = strlen(real_root);
    if (strncmp(real_full, real_root, len) != 0 ||
        (real_full[len] != '/' && real_full[len] != '\0'))
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = %s: app path outside root", path);
    if (!fs_is_dir(full))
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = %s: app path is not a directory", path);
    return 0;
}

static bool is_set(const cJSON *source, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(source, key);

    return cJSON_IsObject(value) && value->child != NULL;
}

/* The type that the source asks for, else the one its folder has. */
static int find_type(const char *dir, const cJSON *source, const char **type, struct err *err)
{
    static const struct {
        const char *key, *type;
    } kinds[] = {{"kustomize", "Kustomize"},
                 {"helm", "Helm"},
                 {"directory", "Directory"},
                 {"plugin", "Plugin"}};
    autofree char *chart = path_join(dir, "Chart.yaml");
    const char *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!is_set(source, kinds[i].key))
            continue;
        if (found != NULL)
            return err_set(err, ERR_INVALID,
                           "rpc error: code = Unknown desc = multiple application sources defined: "
                           "%s,%s",
                           found, kinds[i].type);
        found = kinds[i].type;
    }
    if (found == NULL)
        found = fs_exists(chart) ? "Helm" : is_kustomization(dir) ? "Kustomize" : "Directory";
    *type = found;
    return 0;
}

static int render_objects(struct renderer *renderer, const struct render_request *request,
                          const char *root, const char *path, struct rendered *result,
                          struct err *err)
{
    autofree char *dir = xasprintf("%s/%s", root, path);

    if (find_type(dir, request->source, &result->type, err) < 0)
        return -1;
    if (strcmp(result->type, "Directory") == 0)
        return render_directory(root, path, json_at(request->source, "directory"), result->objects,
                                err);
    if (strcmp(result->type, "Kustomize") == 0) {
        struct kustomize_request kustomize = {.run = renderer->run,
                                              .root = root,
                                              .path = path,
                                              .options = json_at(request->source, "kustomize"),
                                              .build_options = renderer->build_options,
                                              .patches_known = request->patches_known};

        return render_kustomize(&kustomize, result->objects, err);
    }
    return err_set(err, ERR_FAILED,
                   "rpc error: code = Unknown desc = this repository server renders no %s source, "
                   "only plain folders and kustomizations",
                   result->type);
}

static int render_fresh(struct renderer *renderer, const struct render_request *request,
                        const char *root, const char *path, struct rendered **out, struct err *err)
{
    struct rendered *result = xcalloc(1, sizeof(*result));

    result->refs = 1;
    result->objects = json_array();
    if (render_objects(renderer, request, root, path, result, err) < 0) {
        rendered_unref(result);
        return -1;
    }
    *out = result;
    return 0;
}

/* A missing tool and an end asked for are no property of the source. */
static bool may_be_kept(const struct err *err)
{
    return err->code == ERR_INVALID || err->code == ERR_FAILED;
}

static void keep(struct renderer *renderer, const char *key, struct rendered *rendered,
                 const struct err *error)
{
    struct result *result = find_result(renderer, key);

    if (rendered == NULL && !may_be_kept(error))
        return;
    if (result != NULL)
        result_clear(result);
    else
        result = free_result(renderer);
    *result = (struct result){.key = xstrdup(key), .error = ERR_INIT, .used = ++renderer->tick};
    if (rendered != NULL) {
        rendered->refs++;
        result->rendered = rendered;
    } else {
        err_set(&result->error, error->code, "%s", err_text(error));
    }
}

static int reuse(struct renderer *renderer, struct result *result, struct rendered **out,
                 struct err *err)
{
    result->used = ++renderer->tick;
    if (result->rendered == NULL)
        return err_set(err, result->error.code, "%s", err_text(&result->error));
    result->rendered->refs++;
    *out = result->rendered;
    return 0;
}

/* Renders, unless another commit with the same content was rendered before. */
static int render_content(struct renderer *renderer, const struct render_request *request,
                          const char *source, struct rendered **out, struct err *err)
{
    const char *path = json_str_or(request->source, "path", "");
    const char *root;
    autofree char *key = NULL;
    struct result *kept;
    int done;

    if (repository_checkout(renderer->repositories, request->mirror, &request->sha, &root, err) < 0)
        return err_prefix(err, "rpc error: code = Internal desc = failed to checkout revision");
    if (check_path(root, path, err) < 0)
        return -1;
    key = content_key(renderer, request, root, path, source);
    kept = request->no_cache ? NULL : find_result(renderer, key);
    if (kept != NULL)
        return reuse(renderer, kept, out, err);
    done = render_fresh(renderer, request, root, path, out, err);
    keep(renderer, key, done == 0 ? *out : NULL, err);
    return done;
}

int render(struct renderer *renderer, const struct render_request *request, struct rendered **out,
           struct err *err)
{
    autofree char *source = source_text(renderer, request);
    autofree char *commit = xasprintf("%s %s", request->mirror, request->sha.text);
    autofree char *key = key_of(commit, source);
    struct result *kept = request->no_cache ? NULL : find_result(renderer, key);
    struct rendered *result = NULL;
    int done;

    if (kept != NULL)
        return reuse(renderer, kept, out, err);
    done = render_content(renderer, request, source, &result, err);
    keep(renderer, key, result, err);
    if (done == 0)
        *out = result;
    return done;
}
