/* A source that is a plain folder: every manifest in it, documents in order, files by name. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/strv.h"
#include "necoops/base/text.h"
#include "emulator/argocd/render.h"

#define MAX_FILE  ((size_t)16 << 20)
#define MAX_DEPTH 32
#define SKIP_MARK "+argocd:skip-file-rendering"

/* A glob with "{a,b}" alternatives (not nested). */
static bool pattern_matches(const char *pattern, const char *text)
{
    const char *open = strchr(pattern, '{');
    const char *close = open != NULL ? strchr(open, '}') : NULL;
    autostrv struct strv choices = STRV_INIT;
    autofree char *inner = NULL;

    if (close == NULL)
        return glob_match(pattern, text);
    inner = xstrndup(open + 1, (size_t)(close - open - 1));
    strv_split(&choices, inner, ',');
    for (size_t i = 0; i < choices.len; i++) {
        autofree char *one =
            xasprintf("%.*s%s%s", (int)(open - pattern), pattern, choices.items[i], close + 1);

        if (pattern_matches(one, text))
            return true;
    }
    return false;
}

static bool is_wanted(const char *name, const cJSON *options)
{
    const char *include = json_str_or(options, "include", "");
    const char *exclude = json_str_or(options, "exclude", "");

    if (!text_ends(name, ".yaml") && !text_ends(name, ".yml") && !text_ends(name, ".json"))
        return false;
    if (*exclude != '\0' && pattern_matches(exclude, name))
        return false;
    return *include == '\0' || pattern_matches(include, name);
}

/* Relative names of the files below `dir`. */
static int list_files(const char *dir, const char *below, bool recurse, int depth,
                      struct strv *files, struct err *err)
{
    autofree char *path = *below != '\0' ? path_join(dir, below) : xstrdup(dir);
    DIR *stream = depth <= MAX_DEPTH ? opendir(path) : NULL;
    autostrv struct strv names = STRV_INIT;
    struct dirent *entry;

    if (stream == NULL)
        return err_set_errno(err, ERR_FAILED, errno, "cannot read the folder '%s'", below);
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(&names, entry->d_name);
    }
    closedir(stream);
    strv_sort(&names);
    for (size_t i = 0; i < names.len; i++) {
        autofree char *relative =
            *below != '\0' ? path_join(below, names.items[i]) : xstrdup(names.items[i]);
        autofree char *full = path_join(dir, relative);

        if (!fs_is_dir(full))
            strv_add(files, relative);
        else if (recurse && list_files(dir, relative, recurse, depth + 1, files, err) < 0)
            return -1;
    }
    return 0;
}

static bool is_inside(const char *root, const char *file)
{
    char real_root[PATH_MAX];
    char real_file[PATH_MAX];
    size_t len;

    if (realpath(root, real_root) == NULL || realpath(file, real_file) == NULL)
        return false;
    len = strlen(real_root);
    return strncmp(real_file, real_root, len) == 0 && real_file[len] == '/';
}

/* "NAME:LINE:COLUMN: what" as the YAML library of Argo CD says it. */
static int reword(const char *name, struct err *err)
{
    autofree char *text = xstrdup(err_text(err));
    size_t len = strlen(name);
    char *rest = text;
    long line = 0;

    if (strncmp(text, name, len) == 0 && text[len] == ':') {
        line = strtol(text + len + 1, &rest, 10);
        rest += strspn(rest, ":0123456789");
        rest += strspn(rest, " ");
    }
    if (line == 0)
        return err_set(err, ERR_INVALID,
                       "rpc error: code = FailedPrecondition desc = Failed to unmarshal \"%s\": "
                       "failed to unmarshal manifest: %s",
                       name, text);
    return err_set(err, ERR_INVALID,
                   "rpc error: code = FailedPrecondition desc = Failed to unmarshal \"%s\": failed "
                   "to unmarshal manifest: error converting YAML to JSON: yaml: line %ld: %s",
                   name, line, rest);
}

static int add_json(cJSON *objects, const struct buf *text, const char *name, struct err *err)
{
    cJSON *value;
    cJSON *item;

    if (json_parse(text->data, text->len, name, &value, err) < 0)
        return -1;
    if (!cJSON_IsArray(value))
        return render_add_object(objects, value, err);
    while ((item = cJSON_DetachItemFromArray(value, 0)) != NULL) {
        if (render_add_object(objects, item, err) < 0) {
            cJSON_Delete(value);
            return -1;
        }
    }
    cJSON_Delete(value);
    return 0;
}

static int add_file(const char *root, const char *dir, const char *name, cJSON *objects,
                    struct err *err)
{
    autofree char *full = path_join(dir, name);
    autobuf struct buf text = BUF_INIT(MAX_FILE);
    int done;

    if (!is_inside(root, full))
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = repository contains out-of-bounds "
                       "symlinks. file: %s",
                       name);
    if (fs_read(full, &text, err) < 0)
        return err_prefix(err, "rpc error: code = Unknown desc = failed to read '%s'", name);
    if (strstr(text.data, SKIP_MARK) != NULL)
        return 0;
    done = text_ends(name, ".json") ? add_json(objects, &text, name, err)
                                    : render_add_yaml(objects, text.data, text.len, name, err);
    return done < 0 ? reword(name, err) : 0;
}

int render_directory(const char *root, const char *path, const cJSON *options, cJSON *objects,
                     struct err *err)
{
    autofree char *dir = xasprintf("%s/%s", root, path);
    autostrv struct strv files = STRV_INIT;

    if (list_files(dir, "", json_bool(options, "recurse", false), 0, &files, err) < 0)
        return err_prefix(err, "rpc error: code = Unknown desc = %s", path);
    for (size_t i = 0; i < files.len; i++) {
        if (is_wanted(files.items[i], options) &&
            add_file(root, dir, files.items[i], objects, err) < 0)
            return -1;
    }
    return 0;
}
