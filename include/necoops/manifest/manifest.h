/* The manifests of one commit, found as Argo CD and kustomize find them, without running either:
 * what a folder holds, what its kustomization reaches, and what is wrong with it, with file, line
 * and column. Facts: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/.
 *
 * A kustomization is followed (resources, bases, components, patches, generators' files), not
 * built: names, images and patches by JSON path stay as the files have them. What its transformers
 * make of them is looked up backwards: from what the cluster shows to the line that decided it.
 */
#ifndef NECOOPS_MANIFEST_MANIFEST_H
#define NECOOPS_MANIFEST_MANIFEST_H

#include <stdbool.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"
#include "necoops/git/git.h"

/* Files are read and parsed once each. */
struct manifest_repo; /* opaque */

/* Borrows `git`. */
struct manifest_repo *manifest_repo_new(struct git *git, const char *commit);
void manifest_repo_free(struct manifest_repo *repo);
void manifest_repo_freep(struct manifest_repo **repo);
#define automanifests CLEANUP(manifest_repo_freep)

struct manifest_doc {
    const char *file;   /* path in the repository; borrowed */
    const cJSON *value; /* borrowed from the repository */
    int line, column;
    bool patch; /* of a strategic merge, not a resource */
};

struct manifest_fault {
    char *file;
    int line, column; /* 0: the file as a whole */
    char *text;
    bool warning;
};

struct manifest_set {
    bool kustomized;
    bool outside; /* it needs what is not in the repository: a URL, a chart, a plugin */
    struct manifest_doc *docs; /* bases before what lies over them */
    size_t len;
    struct strv files;   /* every file that was reached */
    struct strv folders; /* every folder of a kustomization that was reached */
    struct manifest_fault *faults;
    size_t faults_len;
};

/* Loads what an application with this path is made of. Faults are part of the result; -1 only when
 * the commit cannot be read. */
int manifest_load(struct manifest_repo *repo, const char *folder, bool recurse,
                  struct manifest_set *out, struct err *err) MUST_CHECK;
void manifest_set_clear(struct manifest_set *set);
#define automanifestset CLEANUP(manifest_set_clear)

/* Adds a fault that was found otherwise; takes `text`. */
void manifest_set_add_fault(struct manifest_set *set, const char *file, int line, int column,
                            char *text);
/* "file:line:column: text"; caller frees. */
char *manifest_fault_text(const struct manifest_fault *fault);

/* The Applications among the resources, strategic merge patches of the same name put in, as they
 * would be rendered; a JSON array, caller deletes. */
cJSON *manifest_applications(const struct manifest_set *set);

/* The document that makes the resource, or NULL: the last patch of its name, when `path` is in it
 * ("spec.template.spec.containers"; NULL: the resource itself), else the resource. */
const struct manifest_doc *manifest_find(const struct manifest_set *set, const char *kind,
                                         const char *name, const char *path);
/* What manifest_applications says is exactly what kustomize would build: nothing but resources,
 * bases, components and strategic merges by file. */
bool manifest_is_exact(struct manifest_repo *repo, const struct manifest_set *set);

/* ---- what transformers decided ---- */

struct manifest_spot {
    const char *file; /* borrowed from the repository */
    int line;
};

/* Where a kustomization says which image a container runs whose manifest has `image` (`images:`, by
 * name): its digest, newTag or newName; the outermost one. False when none does. */
bool manifest_image_spot(struct manifest_repo *repo, const struct manifest_set *set,
                         const char *image, struct manifest_spot *out);
/* The name without what namePrefix and nameSuffix put around it; caller frees. */
char *manifest_plain_name(struct manifest_repo *repo, const struct manifest_set *set,
                          const char *name);
/* The generator that makes this ConfigMap or Secret (its name may end in a hash). */
bool manifest_generator_spot(struct manifest_repo *repo, const struct manifest_set *set,
                             const char *kind, const char *name, struct manifest_spot *out);
/* What puts labels into selectors: commonLabels, or labels with includeSelectors. */
bool manifest_selector_spot(struct manifest_repo *repo, const struct manifest_set *set,
                            struct manifest_spot *out);

/* Line of the value at the path in the document, of its nearest parent that exists there. */
int manifest_line(struct manifest_repo *repo, const struct manifest_doc *doc, const char *path);

#endif
