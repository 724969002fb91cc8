/* From a source of an application (repository, commit, path, options) to its objects, as Argo CD's
 * repository server makes them: plain folders by itself, kustomizations with the `kustomize` or
 * `kubectl` in PATH. For one thread. */
#ifndef EMULATOR_ARGOCD_RENDER_H
#define EMULATOR_ARGOCD_RENDER_H

#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "emulator/argocd/repository.h"

struct renderer;
/* `work_dir` is made when first needed and removed at the end. `run`: its environment finds and
 * runs the tools, its signal ends them; borrowed. */
struct renderer *renderer_new(const char *work_dir, const struct run *run);
void renderer_free(struct renderer *renderer);
struct repositories *renderer_repositories(struct renderer *renderer);
/* kustomize.buildOptions of argocd-cm; NULL: none. Copied. */
void renderer_set_build_options(struct renderer *renderer, const char *options);

/* Shared and immutable; of one thread. */
struct rendered {
    cJSON *objects;   /* array */
    const char *type; /* "Directory", "Kustomize" */
    int refs;
};
void rendered_unref(struct rendered *rendered); /* NULL is fine */

/* What a source is rendered from. `source` is the element of spec (path, directory, kustomize, …);
 * `patches_known` is false before Argo CD 2.9, where kustomize.patches did not exist. */
struct render_request {
    const char *mirror;
    struct commit_sha sha;
    const cJSON *source;
    bool patches_known;
    bool no_cache; /* a hard refresh */
};
/* Failures are worded as the repository server words them ("rpc error: code = … desc = …"). */
int render(struct renderer *renderer, const struct render_request *request, struct rendered **out,
           struct err *err);

/* ---- the two kinds of sources, for render.c ---- */

/* `root`: the checkout; `path`: below it. Objects are added to `objects`. */
int render_directory(const char *root, const char *path, const cJSON *options, cJSON *objects,
                     struct err *err);
struct kustomize_request {
    const struct run *run;
    const char *root, *path;
    const cJSON *options;      /* source.kustomize, or NULL */
    const char *build_options; /* or NULL */
    bool patches_known;
};
int render_kustomize(const struct kustomize_request *request, cJSON *objects, struct err *err);
/* The folder (relative, "" for the root) whose content decides what `path` renders to; the
 * caller's. */
char *render_dependency(const char *root, const char *path);
/* True when the folder holds a kustomization. */
bool is_kustomization(const char *dir);
/* Adds an object, or what a List holds. */
int render_add_object(cJSON *objects, cJSON *object /* taken */, struct err *err);
int render_add_yaml(cJSON *objects, const char *text, size_t len, const char *name,
                    struct err *err);

#endif
