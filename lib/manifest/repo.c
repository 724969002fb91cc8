#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define FILE_CAP BUF_MEDIUM

struct manifest_repo {
    struct git *git;
    char *commit;
    struct manifest_file **files; /* sorted by path */
    size_t len, size;
};

struct manifest_repo *manifest_repo_new(struct git *git, const char *commit)
{
    struct manifest_repo *repo = xcalloc(1, sizeof(*repo));

    repo->git = git;
    repo->commit = xstrdup(commit);
    return repo;
}

void manifest_repo_free(struct manifest_repo *repo)
{
    if (!repo) {
        return;
    }
    for (size_t i = 0; i < repo->len; i++) {
        yaml_freep(&repo->files[i]->stream);
        free(repo->files[i]->path);
        free(repo->files[i]->fault);
        free(repo->files[i]);
    }
    free(repo->files);
    free(repo->commit);
    free(repo);
}

void manifest_repo_freep(struct manifest_repo **repo)
{
    manifest_repo_free(*repo);
}

struct git *manifest_git(struct manifest_repo *repo)
{
    return repo->git;
}

const char *manifest_commit(const struct manifest_repo *repo)
{
    return repo->commit;
}

/* "name:3:7: what" of the YAML reader, taken apart. */
static void take_fault(struct manifest_file *file, const char *text)
{
    size_t name = strlen(file->path);
    char *end;

    if (strncmp(text, file->path, name) == 0 && text[name] == ':') {
        long line = strtol(text + name + 1, &end, 10);

        if (*end == ':' && line > 0) {
            long column = strtol(end + 1, &end, 10);

            file->fault_line = (int)line;
            file->fault_column = (int)column;
            text = end + strspn(end, ": ");
        }
    }
    file->fault = xstrdup(text);
}

static size_t slot(const struct manifest_repo *repo, const char *path, bool *there)
{
    size_t low = 0, high = repo->len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(repo->files[mid]->path, path);

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *there = false;
    return low;
}

static void insert(struct manifest_repo *repo, size_t at, struct manifest_file *file)
{
    if (repo->len == repo->size) {
        repo->size = repo->size ? repo->size * 2 : 64;
        repo->files = xrealloc(repo->files, repo->size * sizeof(struct manifest_file *));
    }
    memmove(&repo->files[at + 1], &repo->files[at],
            (repo->len - at) * sizeof(struct manifest_file *));
    repo->files[at] = file;
    repo->len++;
}

const struct manifest_file *manifest_file(struct manifest_repo *repo, const char *path,
                                          struct err *err)
{
    autobuf struct buf text = BUF_INIT(FILE_CAP);
    autoerr struct err fault = ERR_INIT;
    struct manifest_file *file;
    bool there;
    size_t at = slot(repo, path, &there);

    if (there) {
        return repo->files[at];
    }
    if (git_read(repo->git, repo->commit, path, &text, err) != 0) {
        return NULL;
    }
    file = xcalloc(1, sizeof(*file));
    file->path = xstrdup(path);
    if (yaml_parse(text.data, text.len, path, &file->stream, &fault) != 0) {
        take_fault(file, err_text(&fault));
    }
    insert(repo, at, file);
    return file;
}
