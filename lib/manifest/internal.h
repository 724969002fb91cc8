/* What the files of this module share. */
#ifndef MANIFEST_INTERNAL_H
#define MANIFEST_INTERNAL_H

#include "necoops/manifest/manifest.h"
#include "necoops/yaml/yaml.h"

/* A parsed file; `fault` is set when it is no YAML. */
struct manifest_file {
    char *path;
    struct yaml_stream *stream; /* NULL: does not parse */
    char *fault;
    int fault_line, fault_column;
};

/* The file, read and parsed; NULL when it cannot be read (then `err` is set). */
const struct manifest_file *manifest_file(struct manifest_repo *repo, const char *path,
                                          struct err *err);
struct git *manifest_git(struct manifest_repo *repo);
const char *manifest_commit(const struct manifest_repo *repo);


/* The kustomization file of the folder, or NULL; caller frees. */
int manifest_kustomization(struct manifest_repo *repo, const char *folder, char **path,
                           struct err *err) MUST_CHECK;
/* Adds what the kustomization `path` of `folder` reaches. */
int manifest_follow(struct manifest_repo *repo, const char *folder, const char *path,
                    struct manifest_set *set, struct err *err) MUST_CHECK;
/* Adds the documents of a file of resources or of patches. `by` and its position tell who named it,
 * for the fault when it is missing. */
struct manifest_by {
    const char *file;
    int line, column;
};
int manifest_add_file(struct manifest_repo *repo, const char *path, bool patch,
                      const struct manifest_by *by, struct manifest_set *set,
                      struct err *err) MUST_CHECK;

#endif
