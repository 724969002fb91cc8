/* Argo CD where there is none: the configured manifests, applied. */
#include "internal.h"

#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/gcs/gcs.h"
#include "necoops/kube/apply.h"

#define MANAGER      "necoops"
#define MANIFEST_CAP ((size_t)64 << 20)

static int read_object(struct http *http, const char *url, struct buf *out, struct err *err)
{
    autofree char *bucket = NULL;
    autofree char *object = NULL;
    autoauth struct auth *auth = NULL;
    autogcs struct gcs *gcs = NULL;
    autogcsobject struct gcs_object meta = {0};

    if (gcs_split_url(url, &bucket, &object, err) != 0 || auth_find(http, &auth, err) != 0 ||
        gcs_new(http, auth, &gcs, err) != 0) {
        return -1;
    }
    return gcs_read(gcs, bucket, object, 0, out, &meta, err);
}

static int read_manifests(const struct plan *plan, struct http *http, struct buf *out,
                          struct err *err)
{
    const char *where = conf_str(plan->conf, "argocd.install");
    autofree char *path = NULL;

    if (conf_require(plan->conf, "argocd.install", err) != 0) {
        return -1;
    }
    if (text_starts(where, "gs://")) {
        return read_object(http, where, out, err);
    }
    path = conf_path(plan->run, plan->conf, "argocd.install");
    if (fs_read(path, out, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    return 0;
}

/* The manifests of Argo CD do not bring their namespace. */
static int apply_namespace(struct kube *kube, const struct kube_apply *apply, const char *space,
                           struct err *err)
{
    autojson cJSON *object = json_object();
    autofree char *text = NULL;

    json_set_str(object, "apiVersion", "v1");
    json_set_str(object, "kind", "Namespace");
    json_set_str(json_set_object(object, "metadata"), "name", space);
    text = json_print(object);
    return kube_apply_all(kube, apply, text, strlen(text), space, NULL, err);
}

int deploy_bootstrap(const struct plan *plan, struct kube *kube, struct err *err)
{
    struct kube_apply apply = {.manager = MANAGER, .space = plan->space};
    autobuf struct buf text = BUF_INIT(MANIFEST_CAP);
    const char *where = conf_str(plan->conf, "argocd.install");
    size_t count = 0;

    if (read_manifests(plan, kube_http(kube), &text, err) != 0) {
        return err_prefix(err, "the manifests of Argo CD");
    }
    progress_phase(plan->run->progress, "bootstrap", "installing Argo CD from '%s'", where);
    if (apply_namespace(kube, &apply, plan->space, err) != 0 ||
        kube_apply_all(kube, &apply, text.data, text.len, where, &count, err) != 0) {
        return err_prefix(err, "installing Argo CD");
    }
    log_info(plan->run->log, "Argo CD is installed: %zu objects of '%s'", count, where);
    return 0;
}
