/* A Git repository in a temporary folder, made with git itself. */
#ifndef TEST_SUPPORT_REPOSITORY_H
#define TEST_SUPPORT_REPOSITORY_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/mem.h"

struct repository {
    char dir[64];
};

/* Runs a shell command in the repository's folder. */
__attribute__((unused)) static void repository_sh(const struct repository *repository, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *script = xvasprintf(format, args);
    va_end(args);
    char *command =
        xasprintf("cd %s && export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null "
                  "GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.com GIT_COMMITTER_NAME=t "
                  "GIT_COMMITTER_EMAIL=t@example.com && { %s; } >/dev/null 2>&1",
                  repository->dir, script);

    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        abort();
    }
    free(command);
    free(script);
}

__attribute__((unused)) static void repository_write(const struct repository *repository, const char *path,
                             const char *text)
{
    struct err err = ERR_INIT;
    char *full = path_join(repository->dir, path);
    char *folder = xstrdup(full);

    *strrchr(folder, '/') = '\0';
    if (fs_mkdirs(folder, 0755, &err) != 0 || fs_write(full, text, strlen(text), 0644, &err) != 0) {
        fprintf(stderr, "%s\n", err_text(&err));
        abort();
    }
    free(folder);
    free(full);
}

static void repository_make(struct repository *repository)
{
    snprintf(repository->dir, sizeof(repository->dir), "/tmp/necoops-test-XXXXXX");
    if (!mkdtemp(repository->dir)) {
        abort();
    }
    repository_sh(repository, "git init -q -b master .");
}

/* Commits everything; `id` gets the 40 digits. */
__attribute__((unused)) static void repository_commit(const struct repository *repository,
                                                      const char *message, char id[41])
{
    char path[96];
    FILE *file;

    repository_sh(repository, "git add -A && git commit -q --allow-empty -m '%s'", message);
    repository_sh(repository, "git rev-parse HEAD > .git/id");
    snprintf(path, sizeof(path), "%s/.git/id", repository->dir);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%40s", id) != 1) {
        abort();
    }
    fclose(file);
}

static void repository_remove(const struct repository *repository)
{
    struct err err = ERR_INIT;

    if (fs_remove_tree(repository->dir, &err) != 0) {
        fprintf(stderr, "%s\n", err_text(&err));
    }
    err_clear(&err);
}

#endif
