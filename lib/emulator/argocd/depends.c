/* Which folder of a checkout a source depends on: its own, or the nearest one above it that holds
 * everything that the kustomizations below refer to. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "necoops/base/fs.h"
#include "necoops/base/strv.h"
#include "necoops/base/text.h"
#include "emulator/argocd/render.h"

#define MAX_DEPTH 32

/* "a/b/../c/." is "a/c"; NULL when it leaves the root. */
static char *normalize(const char *path)
{
    autostrv struct strv parts = STRV_INIT;
    autostrv struct strv kept = STRV_INIT;

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.len; i++) {
        if (strcmp(parts.items[i], "..") == 0) {
            if (kept.len == 0)
                return NULL;
            free(kept.items[--kept.len]);
            kept.items[kept.len] = NULL;
        } else if (strcmp(parts.items[i], ".") != 0) {
            strv_add(&kept, parts.items[i]);
        }
    }
    return strv_join(&kept, "/");
}

/* The folder that holds both; both normalized. */
static char *common_folder(const char *a, const char *b)
{
    size_t end = 0;

    for (size_t i = 0;; i++) {
        bool a_ends = a[i] == '\0' || a[i] == '/';
        bool b_ends = b[i] == '\0' || b[i] == '/';

        if (a_ends && b_ends)
            end = i;
        if (a[i] != b[i] || a[i] == '\0')
            return xstrndup(a, end);
    }
}

/* Widens *folder by what the text of a kustomization in `dir` refers to with "..". */
static bool widen_by_text(const char *text, const char *dir, char **folder)
{
    static const char separators[] = " \t\r\n\"'[]{},";

    while (*text != '\0') {
        size_t len = strcspn(text, separators);
        autofree char *word = xstrndup(text, len);

        text += len + (text[len] != '\0');
        if (strstr(word, "://") != NULL)
            return false; /* what a remote holds may change at any time */
        if (strstr(word, "..") != NULL) {
            autofree char *joined = xasprintf("%s/%s", dir, word);
            autofree char *target = normalize(joined);
            char *wider;

            if (target == NULL)
                return false;
            wider = common_folder(*folder, target);
            free(*folder);
            *folder = wider;
        }
    }
    return true;
}

static bool is_kustomization_name(const char *name)
{
    return strcmp(name, "kustomization.yaml") == 0 || strcmp(name, "kustomization.yml") == 0 ||
           strcmp(name, "Kustomization") == 0;
}

static bool widen_by_folder(const char *root, const char *dir, int depth, char **folder);

static bool widen_by_entry(const char *root, const char *dir, const char *name, int depth,
                           char **folder)
{
    autofree char *relative = *dir != '\0' ? path_join(dir, name) : xstrdup(name);
    autofree char *full = path_join(root, relative);
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    autoerr struct err ignored = ERR_INIT;
    struct stat info;

    if (lstat(full, &info) < 0 || S_ISLNK(info.st_mode))
        return false; /* a link may lead anywhere */
    if (S_ISDIR(info.st_mode))
        return widen_by_folder(root, relative, depth + 1, folder);
    if (!is_kustomization_name(name))
        return true;
    return fs_read(full, &text, &ignored) == 0 && widen_by_text(text.data, dir, folder);
}

static bool widen_by_folder(const char *root, const char *dir, int depth, char **folder)
{
    autofree char *full = path_join(root, dir);
    DIR *stream = depth <= MAX_DEPTH ? opendir(full) : NULL;
    bool good = stream != NULL;
    struct dirent *entry;

    while (good && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            good = widen_by_entry(root, dir, entry->d_name, depth, folder);
    }
    if (stream != NULL)
        closedir(stream);
    return good;
}

char *render_dependency(const char *root, const char *path)
{
    char *folder = normalize(path);

    while (folder != NULL) {
        autofree char *before = xstrdup(folder);

        if (!widen_by_folder(root, before, 0, &folder)) {
            free(folder);
            folder = NULL;
        } else if (strcmp(before, folder) == 0) {
            return folder;
        }
    }
    return xstrdup("");
}
