#include "necoops/argocd/root.h"

#include <string.h>
#include "necoops/git/git.h"

/* ---- the children's patches ---- */

/* One JSON patch operation. `value` (taken) NULL: "remove". */
static void add_op(cJSON *ops, const char *path, cJSON *value)
{
    cJSON *op = json_object();

    json_set_str(op, "op", value ? "add" : "remove");
    json_set_str(op, "path", path);
    if (value) {
        json_set(op, "value", value);
    }
    json_push(ops, op);
}

/* RFC 6902, since a merge replaces all of `sources`; "add" sets a member whether it is there or
 * not. NULL when the child has no source of this repository. */
static cJSON *child_ops(const struct argocd_app *child, const char *repo_url, const char *commit)
{
    cJSON *ops = json_array();
    bool any = false;

    for (size_t i = 0; i < child->sources.len; i++) {
        if (argocd_source_is(&child->sources.items[i], repo_url)) {
            autofree char *path = child->several ? xasprintf("/spec/sources/%zu/targetRevision", i)
                                                 : xstrdup("/spec/source/targetRevision");

            add_op(ops, path, cJSON_CreateString(commit));
            any = true;
        }
    }
    if (!any) {
        cJSON_Delete(ops);
        return NULL;
    }
    if (child->automated) {
        add_op(ops, "/spec/syncPolicy/automated", NULL);
    }
    return ops;
}

cJSON *argocd_child_patches(const struct argocd_app *const *children, size_t len,
                            const char *repo_url, const char *commit)
{
    cJSON *patches = json_array();

    for (size_t i = 0; i < len; i++) {
        autojson cJSON *ops = child_ops(children[i], repo_url, commit);
        cJSON *patch, *target;

        if (!ops) {
            continue;
        }
        autofree char *text = json_print(ops);
        patch = json_object();
        target = json_set_object(patch, "target");
        json_set_str(target, "group", "argoproj.io");
        json_set_str(target, "kind", "Application");
        json_set_str(target, "name", children[i]->name);
        json_set_str(patch, "patch", text);
        json_push(patches, patch);
    }
    return patches;
}

/* ---- the root itself ---- */

static cJSON *root_source(const struct argocd_root *root)
{
    cJSON *source = json_object();

    json_set_str(source, "repoURL", root->repo_url);
    json_set_str(source, "path", root->path);
    json_set_str(source, "targetRevision", root->target);
    if (root->patches) {
        json_set(json_set_object(source, "kustomize"), "patches", json_copy(root->patches));
    }
    return source;
}

static cJSON *automated_policy(void)
{
    cJSON *policy = json_object();

    json_set_bool(policy, "prune", true);
    json_set_bool(policy, "selfHeal", true);
    return policy;
}

cJSON *argocd_root_object(const struct argocd_root *root, cJSON *operation)
{
    cJSON *object = json_object();
    cJSON *metadata, *spec, *destination;

    json_set_str(object, "apiVersion", "argoproj.io/v1alpha1");
    json_set_str(object, "kind", "Application");
    metadata = json_set_object(object, "metadata");
    json_set_str(metadata, "name", root->name);
    json_set_str(metadata, "namespace", root->space);
    spec = json_set_object(object, "spec");
    json_set_str(spec, "project", root->project);
    json_set(spec, "source", root_source(root));
    destination = json_set_object(spec, "destination");
    json_set_str(destination, "server", "https://kubernetes.default.svc");
    json_set_str(destination, "namespace", root->space);
    if (root->automated) {
        json_set(json_set_object(spec, "syncPolicy"), "automated", automated_policy());
    }
    if (operation) {
        json_set(object, "operation", operation);
    }
    return object;
}

/* Its one source is as wanted, the patches left aside. */
static bool source_fits(const struct argocd_app *live, const struct argocd_root *root)
{
    const struct argocd_source *source = live->sources.items;

    return !live->several && live->sources.len == 1 &&
           git_url_same(source->repo_url, root->repo_url) && source->path &&
           strcmp(source->path, root->path) == 0 &&
           strcmp(source->target_revision, root->target) == 0;
}

static bool patches_fit(const struct argocd_app *live, const struct argocd_root *root)
{
    if (!live->patches || !root->patches) {
        return !live->patches && !root->patches;
    }
    return json_equal(live->patches, root->patches);
}

cJSON *argocd_root_spec_patch(const struct argocd_app *live, const struct argocd_root *root)
{
    cJSON *spec = json_object();

    if (!source_fits(live, root) || !patches_fit(live, root)) {
        cJSON *source = root_source(root);

        if (live->patches && !root->patches) {
            json_set(json_set_object(source, "kustomize"), "patches", cJSON_CreateNull());
        }
        json_set(spec, "source", source);
        if (live->several) {
            json_set(spec, "sources", cJSON_CreateNull());
        }
    }
    if (live->automated != root->automated) {
        json_set(json_set_object(spec, "syncPolicy"), "automated",
                 root->automated ? automated_policy() : cJSON_CreateNull());
    }
    if (!spec->child) {
        cJSON_Delete(spec);
        return NULL;
    }
    return spec;
}
