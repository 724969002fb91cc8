/* What the transformers of kustomizations decide: images, names, generated objects, labels. Facts:
 * https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define HASH_LEN 10 /* of what a generator appends to a name, after '-' */

/* The one document of a kustomization file of the set; NULL when the file is none. */
static const cJSON *kustomization_at(struct manifest_repo *repo, const struct manifest_set *set,
                                     size_t index, const struct manifest_file **file)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};
    const char *path = set->files.items[index];
    const char *slash = strrchr(path, '/');
    autoerr struct err ignored = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(slash ? slash + 1 : path, names[i]) == 0) {
            *file = manifest_file(repo, path, &ignored);
            return *file && (*file)->stream && yaml_count((*file)->stream) == 1
                       ? yaml_document((*file)->stream, 0)
                       : NULL;
        }
    }
    return NULL;
}

static bool is_plain(const cJSON *kustomization)
{
    static const char *const plain[] = {"apiVersion",
                                        "kind",
                                        "metadata",
                                        "resources",
                                        "bases",
                                        "components",
                                        "patchesStrategicMerge",
                                        "crds"};
    const cJSON *key;
    const cJSON *patch;

    cJSON_ArrayForEach(key, kustomization)
    {
        bool known = false;

        for (size_t i = 0; i < ARRAY_LEN(plain) && !known; i++) {
            known = strcmp(key->string, plain[i]) == 0;
        }
        if (!known) {
            return false;
        }
    }
    cJSON_ArrayForEach(patch, json_at(kustomization, "patchesStrategicMerge"))
    {
        if (cJSON_IsString(patch) && strchr(patch->valuestring, '\n')) {
            return false; /* inline: not among the documents */
        }
    }
    return true;
}

bool manifest_is_exact(struct manifest_repo *repo, const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files.len; i++) {
        const struct manifest_file *file;
        const cJSON *kustomization = kustomization_at(repo, set, i, &file);

        if (kustomization && !is_plain(kustomization)) {
            return false;
        }
    }
    return set->faults_len == 0;
}

static bool take_spot(const struct manifest_file *file, const cJSON *value,
                      struct manifest_spot *out)
{
    int column;

    out->file = file->path;
    return yaml_position(file->stream, value, &out->line, &column);
}

/* ---- images ---- */

/* "host:5000/team/app" of "host:5000/team/app:1.2@sha256:…". Caller frees. */
static char *image_name(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *last = slash ? slash + 1 : image;

    return xstrndup(image, (size_t)(last - image) + strcspn(last, ":@"));
}

static const cJSON *image_entry(const cJSON *kustomization, const char *name)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(kustomization, "images"))
    {
        if (strcmp(json_str_or(entry, "name", ""), name) == 0) {
            return entry;
        }
    }
    return NULL;
}

static const cJSON *deciding_part(const cJSON *entry)
{
    static const char *const keys[] = {"digest", "newTag", "newName"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(entry, keys[i]);

        if (value) {
            return value;
        }
    }
    return entry;
}

/* A kustomization comes before what it reaches, so the innermost is the last one. */
bool manifest_image_spot(struct manifest_repo *repo, const struct manifest_set *set,
                         const char *image, struct manifest_spot *out)
{
    autofree char *name = image_name(image);
    bool found = false;

    for (size_t i = set->files.len; i-- > 0;) {
        const struct manifest_file *file;
        const cJSON *kustomization = kustomization_at(repo, set, i, &file);
        const cJSON *entry = kustomization ? image_entry(kustomization, name) : NULL;
        const char *renamed = json_str(entry, "newName");

        if (!entry || !take_spot(file, deciding_part(entry), out)) {
            continue;
        }
        found = true;
        if (renamed) {
            free(name);
            name = xstrdup(renamed);
        }
    }
    return found;
}

/* ---- names ---- */

/* Without the prefixes and suffixes that the kustomizations of the set give. Caller frees. */
char *manifest_plain_name(struct manifest_repo *repo, const struct manifest_set *set,
                          const char *name)
{
    autofree char *plain = xstrdup(name);

    for (size_t i = 0; i < set->files.len; i++) {
        const struct manifest_file *file;
        const cJSON *kustomization = kustomization_at(repo, set, i, &file);
        const char *prefix = json_str_or(kustomization, "namePrefix", "");
        const char *suffix = json_str_or(kustomization, "nameSuffix", "");
        size_t len = strlen(plain);

        if (suffix[0] && text_ends(plain, suffix) && strlen(suffix) < len) {
            plain[len - strlen(suffix)] = '\0';
        }
        if (prefix[0] && text_starts(plain, prefix) && plain[strlen(prefix)]) {
            memmove(plain, plain + strlen(prefix), strlen(plain + strlen(prefix)) + 1);
        }
    }
    return steal(plain);
}

static bool is_generated(const cJSON *entry, const char *name)
{
    const char *base = json_str_or(entry, "name", "");
    size_t len = strlen(base);

    return base[0] && strncmp(name, base, len) == 0 &&
           (name[len] == '\0' || (name[len] == '-' && strlen(name + len + 1) == HASH_LEN));
}

bool manifest_generator_spot(struct manifest_repo *repo, const struct manifest_set *set,
                             const char *kind, const char *name, struct manifest_spot *out)
{
    const char *key = strcmp(kind, "ConfigMap") == 0 ? "configMapGenerator"
                      : strcmp(kind, "Secret") == 0  ? "secretGenerator"
                                                     : NULL;

    for (size_t i = 0; key && i < set->files.len; i++) {
        const struct manifest_file *file;
        const cJSON *kustomization = kustomization_at(repo, set, i, &file);
        const cJSON *entry;

        cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(kustomization, key))
        {
            if (is_generated(entry, name)) {
                return take_spot(file, entry, out);
            }
        }
    }
    return false;
}

/* ---- labels ---- */

static bool goes_into_selectors(const cJSON *label)
{
    return json_bool(label, "includeSelectors", false);
}

bool manifest_selector_spot(struct manifest_repo *repo, const struct manifest_set *set,
                            struct manifest_spot *out)
{
    for (size_t i = 0; i < set->files.len; i++) {
        const struct manifest_file *file;
        const cJSON *kustomization = kustomization_at(repo, set, i, &file);
        const cJSON *common = json_at(kustomization, "commonLabels");
        const cJSON *label;

        if (common && common->child) {
            return take_spot(file, common->child, out);
        }
        cJSON_ArrayForEach(label, json_at(kustomization, "labels"))
        {
            if (goes_into_selectors(label)) {
                return take_spot(file, label, out);
            }
        }
    }
    return false;
}
