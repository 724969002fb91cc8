/* What a kustomization reaches. */
#include "internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define DEPTH_MAX 50

int manifest_kustomization(struct manifest_repo *repo, const char *folder, char **path,
                           struct err *err)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};

    *path = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *candidate = path_within(folder, names[i]);
        enum git_kind kind;

        if (git_kind(manifest_git(repo), manifest_commit(repo), candidate, &kind, err) != 0) {
            return -1;
        }
        if (kind == GIT_KIND_FILE || kind == GIT_KIND_LINK) {
            *path = steal(candidate);
            return 0;
        }
    }
    return 0;
}

/* Where the walk stands. */
struct at {
    struct manifest_repo *repo;
    struct manifest_set *set;
    const char *folder;
    const struct manifest_file *file; /* the kustomization */
    int depth;
};

static struct manifest_by by_value(const struct at *at, const cJSON *value)
{
    struct manifest_by by = {.file = at->file->path};

    (void)yaml_position(at->file->stream, value, &by.line, &by.column);
    return by;
}

static void fault_at(const struct at *at, const cJSON *value, char *text)
{
    struct manifest_by by = by_value(at, value);

    manifest_set_add_fault(at->set, by.file, by.line, by.column, text);
}

/* A resource from elsewhere: a URL, or "github.com/…" as kustomize takes it. */
static bool is_remote(const char *entry)
{
    size_t host = strcspn(entry, "/");

    return strstr(entry, "://") || text_starts(entry, "git@") || strstr(entry, "?ref=") ||
           (memchr(entry, '.', host) && entry[0] != '.' && strchr(entry, '/') &&
            !text_ends(entry, ".yaml") && !text_ends(entry, ".yml") && !text_ends(entry, ".json"));
}

static int follow(struct manifest_repo *repo, const char *folder, const char *path, int depth,
                  struct manifest_set *set, struct err *err);

static int follow_folder(const struct at *at, const char *folder, const cJSON *value,
                         struct err *err)
{
    autofree char *path = NULL;

    if (manifest_kustomization(at->repo, folder, &path, err) != 0) {
        return -1;
    }
    if (!path) {
        fault_at(at, value, xasprintf("folder '%s' has no kustomization", folder));
        return 0;
    }
    return follow(at->repo, folder, path, at->depth + 1, at->set, err);
}

/* The path that an entry names; NULL (with a fault) when it is no string or leaves the repository.
 */
static char *entry_path(const struct at *at, const cJSON *value)
{
    char *path;

    if (!cJSON_IsString(value)) {
        fault_at(at, value, xstrdup("a path is expected here"));
        return NULL;
    }
    path = path_within(at->folder, value->valuestring);
    if (!path) {
        fault_at(at, value, xasprintf("'%s' lies outside the repository", value->valuestring));
    }
    return path;
}

static int add_resource(const struct at *at, const cJSON *value, struct err *err)
{
    struct manifest_by by = by_value(at, value);
    enum git_kind kind;

    if (cJSON_IsString(value) && is_remote(value->valuestring)) {
        at->set->outside = true; /* only a build with a network can tell */
        return 0;
    }
    autofree char *path = entry_path(at, value);
    if (!path) {
        return 0;
    }
    if (git_kind(manifest_git(at->repo), manifest_commit(at->repo), path, &kind, err) != 0) {
        return -1;
    }
    if (kind == GIT_KIND_FOLDER) {
        return follow_folder(at, path, value, err);
    }
    return manifest_add_file(at->repo, path, false, &by, at->set, err);
}

static int add_patch_file(const struct at *at, const cJSON *value, struct err *err)
{
    struct manifest_by by = by_value(at, value);
    autofree char *path = entry_path(at, value);

    return path ? manifest_add_file(at->repo, path, true, &by, at->set, err) : 0;
}

/* A file that must exist and whose content is of no matter here. */
static int add_plain_file(const struct at *at, const cJSON *value, const char *name,
                          struct err *err)
{
    autofree char *path = path_within(at->folder, name);
    enum git_kind kind = GIT_KIND_NONE;

    if (path &&
        git_kind(manifest_git(at->repo), manifest_commit(at->repo), path, &kind, err) != 0) {
        return -1;
    }
    if (kind == GIT_KIND_NONE) {
        fault_at(at, value, xasprintf("there is no file '%s'", path ? path : name));
    } else if (!strv_has(&at->set->files, path)) {
        strv_add(&at->set->files, path);
    }
    return 0;
}

typedef int (*add_fn)(const struct at *at, const cJSON *value, struct err *err);

static int each_of(const struct at *at, const cJSON *doc, const char *key, add_fn add,
                   struct err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, key);
    const cJSON *item;

    if (list && !cJSON_IsArray(list) && !cJSON_IsNull(list)) {
        fault_at(at, list, xasprintf("'%s' is not a list", key));
        return 0;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (add(at, item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* patchesStrategicMerge takes a path or the patch itself. */
static int add_merge(const struct at *at, const cJSON *value, struct err *err)
{
    if (cJSON_IsString(value) && strchr(value->valuestring, '\n')) {
        return 0;
    }
    return add_patch_file(at, value, err);
}

/* An entry of patches, patchesJson6902 or replacements: the file at `path`, or inline. */
static int add_patch(const struct at *at, const cJSON *value, struct err *err)
{
    const cJSON *path = json_at(value, "path");

    return path ? add_patch_file(at, path, err) : 0;
}

/* "key=file" or "file" of a generator. */
static int add_generator_file(const struct at *at, const cJSON *value, struct err *err)
{
    const char *equals;

    if (!cJSON_IsString(value)) {
        fault_at(at, value, xstrdup("a path is expected here"));
        return 0;
    }
    equals = strchr(value->valuestring, '=');
    return add_plain_file(at, value, equals ? equals + 1 : value->valuestring, err);
}

static int add_generator(const struct at *at, const cJSON *value, struct err *err)
{
    const cJSON *env = json_at(value, "env");

    if (cJSON_IsString(env) && add_plain_file(at, env, env->valuestring, err) != 0) {
        return -1;
    }
    if (each_of(at, value, "files", add_generator_file, err) != 0) {
        return -1;
    }
    return each_of(at, value, "envs", add_generator_file, err);
}

static int add_plain(const struct at *at, const cJSON *value, struct err *err)
{
    if (!cJSON_IsString(value) || strchr(value->valuestring, '\n')) {
        return 0;
    }
    return add_plain_file(at, value, value->valuestring, err);
}

/* May be left out; kustomize refuses any other since 2.0, and so does every Argo CD since. */
static void check_version(const struct at *at, const cJSON *doc)
{
    const char *kind = json_str_or(doc, "kind", "Kustomization");
    const char *wanted = strcmp(kind, "Component") == 0 ? "kustomize.config.k8s.io/v1alpha1"
                                                        : "kustomize.config.k8s.io/v1beta1";
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(doc, "apiVersion");

    if (cJSON_IsString(version) && version->valuestring[0] &&
        strcmp(version->valuestring, wanted) != 0) {
        fault_at(
            at, version,
            xasprintf("apiVersion of a %s is '%s', not '%s'", kind, wanted, version->valuestring));
    }
}

static int follow_document(const struct at *at, const cJSON *doc, struct err *err)
{
    static const char *const beyond[] = {"helmCharts", "helmChartInflationGenerator", "generators",
                                         "transformers", "validators"};
    static const struct {
        const char *key;
        add_fn add;
    } keys[] = {
        /* resources first, what changes them after */
        {"bases", add_resource},
        {"resources", add_resource},
        {"components", add_resource},
        {"patchesStrategicMerge", add_merge},
        {"patches", add_patch},
        {"patchesJson6902", add_patch},
        {"replacements", add_patch},
        {"configMapGenerator", add_generator},
        {"secretGenerator", add_generator},
        {"crds", add_plain},
        {"configurations", add_plain},
        {"generators", add_plain},
        {"transformers", add_plain},
        {"validators", add_plain},
    };

    for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
        at->set->outside = at->set->outside || json_at(doc, beyond[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (each_of(at, doc, keys[i].key, keys[i].add, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int follow(struct manifest_repo *repo, const char *folder, const char *path, int depth,
                  struct manifest_set *set, struct err *err)
{
    const struct manifest_file *file = manifest_file(repo, path, err);
    struct at at = {repo, set, folder, file, depth};

    if (!file) {
        return -1;
    }
    if (depth > DEPTH_MAX) {
        manifest_set_add_fault(set, path, 0, 0,
                               xstrdup("kustomizations lead to one another in a circle"));
        return 0;
    }
    if (!strv_has(&set->files, path)) {
        strv_add(&set->files, path);
        strv_add(&set->folders, folder);
    }
    if (file->fault) {
        manifest_set_add_fault(set, path, file->fault_line, file->fault_column,
                               xstrdup(file->fault));
        return 0;
    }
    if (yaml_count(file->stream) != 1 || !cJSON_IsObject(yaml_document(file->stream, 0))) {
        manifest_set_add_fault(set, path, 0, 0, xstrdup("a kustomization is one mapping"));
        return 0;
    }
    check_version(&at, yaml_document(file->stream, 0));
    return follow_document(&at, yaml_document(file->stream, 0), err);
}

int manifest_follow(struct manifest_repo *repo, const char *folder, const char *path,
                    struct manifest_set *set, struct err *err)
{
    return follow(repo, folder, path, 0, set, err);
}
