/* The root application: the app of apps that makes all others.
 *
 * Its children carry a branch and automated sync in Git. On a cluster that proves a commit both are
 * overridden in the root's own source, by spec.source.kustomize.patches (Argo CD 2.9 and newer,
 * https://argo-cd.readthedocs.io/en/stable/user-guide/kustomize/#patches): the children are born
 * with the commit, and the root stays in sync.
 */
#ifndef NECOOPS_ARGOCD_ROOT_H
#define NECOOPS_ARGOCD_ROOT_H

#include "necoops/argocd/application.h"

struct argocd_root {
    const char *name;
    const char *space; /* Argo CD's namespace */
    const char *project;
    const char *repo_url;
    const char *path;
    const char *target;   /* commit or branch */
    bool automated;       /* for a cluster that watches a branch */
    const cJSON *patches; /* of argocd_child_patches; NULL: none */
};

/* kustomize patches that set the revision of each child's sources of this repository to the commit
 * and take its automated sync away. `children`: parsed from what the commit renders. Children
 * without a source of this repository stay as they are. */
cJSON *argocd_child_patches(const struct argocd_app *const *children, size_t len,
                            const char *repo_url, const char *commit);

/* The object to create; `operation` (taken) may be NULL. */
cJSON *argocd_root_object(const struct argocd_root *root, cJSON *operation);
/* The merge patch of its spec that makes the live one so, without guard; NULL when nothing is to
 * change. */
cJSON *argocd_root_spec_patch(const struct argocd_app *live, const struct argocd_root *root);

#endif
