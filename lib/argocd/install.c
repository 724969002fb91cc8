#include "necoops/argocd/install.h"

#include <string.h>
#include "necoops/argocd/application.h"
#include "necoops/base/text.h"

#define PATCHES_SCHEMA "properties.spec.properties.source.properties.kustomize.properties.patches"

bool argocd_image_version(const char *image, int *major, int *minor)
{
    const char *name = strrchr(image, '/');
    const char *tag = strchr(name ? name : image, ':');
    char *end;
    long first, second;

    if (!tag) {
        return false;
    }
    tag += tag[1] == 'v' ? 2 : 1;
    first = strtol(tag, &end, 10);
    if (end == tag || *end != '.' || first < 0 || first > 999) {
        return false;
    }
    tag = end + 1;
    second = strtol(tag, &end, 10);
    if (end == tag || second < 0 || second > 999) {
        return false;
    }
    *major = (int)first;
    *minor = (int)second;
    return true;
}

/* The image of Argo CD's own program, by the name it has everywhere it is mirrored. */
static const char *argocd_image(const cJSON *workload)
{
    const cJSON *container;

    cJSON_ArrayForEach(container, json_at(workload, "spec.template.spec.containers"))
    {
        const char *image = json_str_or(container, "image", "");
        const char *name = strrchr(image, '/');

        name = name ? name + 1 : image;
        if (strncmp(name, "argocd", 6) == 0 && strchr(":@", name[6])) {
            return image;
        }
    }
    return NULL;
}

static int look_at_workload(void *arg, const cJSON *workload, struct err *err)
{
    struct argocd_install *install = arg;
    const char *image = argocd_image(workload);
    bool repo_server = strstr(json_str_or(workload, "metadata.name", ""), "repo-server") != NULL;

    (void)err;
    if (image && (!install->image || repo_server)) {
        free(install->image);
        install->image = xstrdup(image);
    }
    return 0;
}

static bool schema_knows_patches(const cJSON *crd)
{
    const cJSON *version;

    cJSON_ArrayForEach(version, json_at(crd, "spec.versions"))
    {
        if (json_at(json_at(version, "schema.openAPIV3Schema"), PATCHES_SCHEMA)) {
            return true;
        }
    }
    return false;
}

static int find_version(struct kube *kube, const char *space, struct argocd_install *install,
                        struct err *err)
{
    autofree char *space_path = url_encode(space);
    autofree char *path = xasprintf("/apis/apps/v1/namespaces/%s/deployments", space_path);
    autojson cJSON *crd = NULL;
    autoerr struct err ignored = ERR_INIT;

    if (kube_list(kube, path, "Argo CD's deployments", look_at_workload, install, NULL, err) != 0) {
        if (err->code != ERR_DENIED) {
            return -1;
        }
        err_clear(err); /* the schema tells as well */
    }
    if (install->image && argocd_image_version(install->image, &install->major, &install->minor)) {
        install->patches = install->major > 2 || (install->major == 2 && install->minor >= 9);
        return 0;
    }
    if (kube_get(kube,
                 "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/applications.argoproj.io",
                 "the CRD of applications", &crd, &ignored) == 0) {
        install->patches = schema_knows_patches(crd);
    }
    return 0;
}

int argocd_install_find(struct kube *kube, const char *space, struct argocd_install *out,
                        struct err *err)
{
    struct argocd_install install = {0};
    autojson cJSON *resources = NULL;

    if (kube_get(kube, ARGOCD_API, "Argo CD", &resources, err) != 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err);
        *out = install;
        return 0;
    }
    install.present = true;
    if (find_version(kube, space, &install, err) != 0) {
        argocd_install_clear(&install);
        return -1;
    }
    *out = install;
    return 0;
}

void argocd_install_clear(struct argocd_install *install)
{
    free(install->image);
    *install = (struct argocd_install){0};
}
