#include "internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

void manifest_set_add_fault(struct manifest_set *set, const char *file, int line, int column,
                            char *text)
{
    set->faults = xrealloc(set->faults, (set->faults_len + 1) * sizeof(*set->faults));
    set->faults[set->faults_len++] = (struct manifest_fault){
        .file = xstrdup(file), .line = line, .column = column, .text = text};
}

char *manifest_fault_text(const struct manifest_fault *fault)
{
    if (!fault->line) {
        return xasprintf("%s: %s", fault->file, fault->text);
    }
    return xasprintf("%s:%d:%d: %s", fault->file, fault->line, fault->column, fault->text);
}

void manifest_set_clear(struct manifest_set *set)
{
    for (size_t i = 0; i < set->faults_len; i++) {
        free(set->faults[i].file);
        free(set->faults[i].text);
    }
    free(set->faults);
    free(set->docs);
    strv_clear(&set->files);
    strv_clear(&set->folders);
    *set = (struct manifest_set){0};
}

/* ---- documents ---- */

/* Every file reached, each once. */
static void add_path(struct strv *paths, const char *path)
{
    if (!strv_has(paths, path)) {
        strv_add(paths, path);
    }
}

static void add_doc(struct manifest_set *set, const struct manifest_file *file, const cJSON *value,
                    bool patch)
{
    struct manifest_doc doc = {.file = file->path, .value = value, .patch = patch};

    if (!yaml_position(file->stream, value, &doc.line, &doc.column)) {
        doc.line = doc.column = 0;
    }
    set->docs = xrealloc(set->docs, (set->len + 1) * sizeof(*set->docs));
    set->docs[set->len++] = doc;
}

static bool is_list(const cJSON *value)
{
    return text_ends(json_str_or(value, "kind", ""), "List") &&
           cJSON_IsArray(json_at(value, "items"));
}

static void check_doc(struct manifest_set *set, const struct manifest_file *file,
                      const cJSON *value)
{
    static const char *const needed[] = {"apiVersion", "kind", "metadata.name"};
    int line = 0, column = 0;

    (void)yaml_position(file->stream, value, &line, &column);
    if (!cJSON_IsObject(value)) {
        manifest_set_add_fault(set, file->path, line, column, xstrdup("not a Kubernetes resource"));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        const cJSON *member = json_at(value, needed[i]);
        bool generated = i == 2 && json_str(value, "metadata.generateName");

        if (generated || (cJSON_IsString(member) && member->valuestring[0])) {
            continue;
        }
        if (member && !cJSON_IsNull(member)) {
            (void)yaml_position(file->stream, member, &line, &column);
            manifest_set_add_fault(set, file->path, line, column,
                                   xasprintf("'%s' is not a string", needed[i]));
        } else {
            manifest_set_add_fault(set, file->path, line, column,
                                   xasprintf("the resource has no '%s'", needed[i]));
        }
        return;
    }
}

static void take_doc(struct manifest_set *set, const struct manifest_file *file, const cJSON *value,
                     bool patch)
{
    const cJSON *item;

    if (!patch && is_list(value)) {
        cJSON_ArrayForEach(item, json_at(value, "items"))
        {
            take_doc(set, file, item, false);
        }
        return;
    }
    if (!patch) {
        check_doc(set, file, value);
    }
    add_doc(set, file, value, patch);
}

int manifest_add_file(struct manifest_repo *repo, const char *path, bool patch,
                      const struct manifest_by *by, struct manifest_set *set, struct err *err)
{
    const struct manifest_file *file;
    enum git_kind kind;

    if (git_kind(manifest_git(repo), manifest_commit(repo), path, &kind, err) != 0) {
        return -1;
    }
    if (kind == GIT_KIND_NONE) {
        manifest_set_add_fault(set, by->file, by->line, by->column,
                               xasprintf("there is no file '%s'", path));
        return 0;
    }
    file = manifest_file(repo, path, err);
    if (!file) {
        return -1;
    }
    add_path(&set->files, path);
    if (file->fault) {
        manifest_set_add_fault(set, path, file->fault_line, file->fault_column,
                               xstrdup(file->fault));
        return 0;
    }
    for (size_t i = 0; i < yaml_count(file->stream); i++) {
        take_doc(set, file, yaml_document(file->stream, i), patch);
    }
    return 0;
}

/* ---- a plain folder ---- */

struct plain {
    struct manifest_repo *repo;
    const char *folder;
    bool recurse;
    struct manifest_set *set;
};

static int plain_entry(void *arg, const struct git_entry *entry, struct err *err)
{
    struct plain *plain = arg;
    const char *inside = entry->path + strlen(plain->folder) + (plain->folder[0] != '\0');
    struct manifest_by by = {.file = entry->path};

    if (entry->kind == GIT_KIND_SUBMODULE || (!plain->recurse && strchr(inside, '/'))) {
        return 0;
    }
    if (!text_ends(inside, ".yaml") && !text_ends(inside, ".yml") && !text_ends(inside, ".json")) {
        return 0;
    }
    return manifest_add_file(plain->repo, entry->path, false, &by, plain->set, err);
}

/* ---- what is there twice ---- */

static char *identity(const struct manifest_doc *doc)
{
    const char *api = json_str_or(doc->value, "apiVersion", "");
    const char *slash = strchr(api, '/');

    return xasprintf("%.*s/%s/%s/%s", slash ? (int)(slash - api) : 0, api,
                     json_str_or(doc->value, "kind", ""),
                     json_str_or(doc->value, "metadata.namespace", ""),
                     json_str_or(doc->value, "metadata.name", ""));
}

struct identified {
    char *identity;
    const struct manifest_doc *doc;
};

static int by_identity(const void *a, const void *b)
{
    const struct identified *one = a, *two = b;
    int order = strcmp(one->identity, two->identity);

    return order ? order : (one->doc > two->doc) - (one->doc < two->doc);
}

static void find_twice(struct manifest_set *set)
{
    struct identified *all = xcalloc(set->len + 1, sizeof(*all));
    size_t len = 0;

    for (size_t i = 0; i < set->len; i++) {
        if (!set->docs[i].patch && json_str(set->docs[i].value, "metadata.name")) {
            all[len++] = (struct identified){identity(&set->docs[i]), &set->docs[i]};
        }
    }
    qsort(all, len, sizeof(*all), by_identity);
    for (size_t i = 1; i < len; i++) {
        const struct manifest_doc *doc = all[i].doc, *first = all[i - 1].doc;

        if (strcmp(all[i].identity, all[i - 1].identity) == 0) {
            manifest_set_add_fault(set, doc->file, doc->line, doc->column,
                                   xasprintf("%s '%s' is there twice; also in %s:%d",
                                             json_str_or(doc->value, "kind", ""),
                                             json_str_or(doc->value, "metadata.name", ""),
                                             first->file, first->line));
        }
    }
    for (size_t i = 0; i < len; i++) {
        free(all[i].identity);
    }
    free(all);
}

int manifest_load(struct manifest_repo *repo, const char *folder, bool recurse,
                  struct manifest_set *out, struct err *err)
{
    automanifestset struct manifest_set set = {.kustomized = false};
    autofree char *at = path_within("", folder);
    autofree char *kustomization = NULL;
    enum git_kind kind = GIT_KIND_NONE;
    int rc;

    if (at && git_kind(manifest_git(repo), manifest_commit(repo), at, &kind, err) != 0) {
        return -1;
    }
    if (kind != GIT_KIND_FOLDER) {
        manifest_set_add_fault(&set, folder, 0, 0,
                               xstrdup("there is no such folder in this commit"));
        *out = set;
        set = (struct manifest_set){0};
        return 0;
    }
    if (manifest_kustomization(repo, at, &kustomization, err) != 0) {
        return -1;
    }
    set.kustomized = kustomization != NULL;
    if (kustomization) {
        rc = manifest_follow(repo, at, kustomization, &set, err);
    } else {
        struct plain plain = {repo, at, recurse, &set};

        rc = git_walk(manifest_git(repo), manifest_commit(repo), at, plain_entry, &plain, err);
    }
    if (rc != 0) {
        return -1;
    }
    find_twice(&set);
    *out = set;
    set = (struct manifest_set){0};
    return 0;
}

/* ---- questions ---- */

static bool is_application(const cJSON *value)
{
    return strcmp(json_str_or(value, "kind", ""), "Application") == 0 &&
           text_starts(json_str_or(value, "apiVersion", ""), "argoproj.io/");
}

static cJSON *named(cJSON *array, const char *name)
{
    cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (strcmp(json_str_or(item, "metadata.name", ""), name) == 0) {
            return item;
        }
    }
    return NULL;
}

cJSON *manifest_applications(const struct manifest_set *set)
{
    cJSON *applications = json_array();

    for (size_t i = 0; i < set->len; i++) {
        const struct manifest_doc *doc = &set->docs[i];
        const char *name = json_str_or(doc->value, "metadata.name", "");
        cJSON *before;

        if (!is_application(doc->value)) {
            continue;
        }
        before = named(applications, name);
        if (!doc->patch && !before) {
            json_push(applications, json_copy(doc->value));
        } else if (doc->patch && before) {
            json_merge(before, doc->value);
        }
    }
    return applications;
}

const struct manifest_doc *manifest_find(const struct manifest_set *set, const char *kind,
                                         const char *name, const char *path)
{
    const struct manifest_doc *resource = NULL, *patch = NULL;

    for (size_t i = 0; i < set->len; i++) {
        const struct manifest_doc *doc = &set->docs[i];

        if (strcmp(json_str_or(doc->value, "kind", ""), kind) != 0 ||
            strcmp(json_str_or(doc->value, "metadata.name", ""), name) != 0) {
            continue;
        }
        if (!doc->patch) {
            resource = doc;
        } else if (path && json_at(doc->value, path)) {
            patch = doc;
        }
    }
    return patch ? patch : resource;
}

int manifest_line(struct manifest_repo *repo, const struct manifest_doc *doc, const char *path)
{
    autoerr struct err err = ERR_INIT;
    const struct manifest_file *file = manifest_file(repo, doc->file, &err);
    autofree char *at = xstrdup(path ? path : "");
    int line, column;

    while (file && file->stream && at[0]) {
        const cJSON *value = json_at(doc->value, at);
        char *dot = strrchr(at, '.');

        if (value && yaml_position(file->stream, value, &line, &column)) {
            return line;
        }
        *(dot ? dot : at) = '\0';
    }
    return doc->line;
}
