/* Argo CD where there is none, and what is to stand beside it: the configured manifests, applied.
 */
#include "internal.h"

#include <string.h>
#include "necoops/auth/auth.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/gcs/gcs.h"
#include "necoops/kube/apply.h"

#define MANAGER      "necoops"
#define MANAGER_MORE "necoops-manifests" /* a new installation leaves alone what it owns */
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

/* A file or an object. */
static int read_place(struct http *http, const char *place, struct buf *out, struct err *err)
{
    if (text_starts(place, "gs://")) {
        return read_object(http, place, out, err);
    }
    if (fs_read(place, out, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    return 0;
}

static int read_manifests(const struct plan *plan, struct http *http, struct buf *out,
                          struct err *err)
{
    const char *where = conf_str(plan->conf, "argocd.install");
    autofree char *path = NULL;

    if (conf_require(plan->conf, "argocd.install", err) != 0) {
        return -1;
    }
    path = text_starts(where, "gs://") ? xstrdup(where)
                                       : conf_path(plan->run, plan->conf, "argocd.install");
    return read_place(http, path, out, err);
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

static int render_folder(const char *folder, struct buf *out, struct err *err)
{
    autojson cJSON *list = json_object();
    autofree char *text = NULL;
    cJSON *objects = NULL;

    if (kustomize_build(folder, &objects, err) != 0) {
        return -1;
    }
    json_set_str(list, "apiVersion", "v1");
    json_set_str(list, "kind", "List");
    json_set(list, "items", objects);
    text = json_print(list);
    buf_adds(out, text);
    return out->overflowed
               ? err_set(err, ERR_INVALID, "'%s' makes more than %zu bytes", folder, out->cap)
               : 0;
}

static int apply_place(const struct plan *plan, struct kube *kube, const char *place,
                       struct err *err)
{
    struct kube_apply apply = {.manager = MANAGER_MORE, .space = plan->space};
    autobuf struct buf text = BUF_INIT(MANIFEST_CAP);
    bool folder = !text_starts(place, "gs://") && fs_is_dir(place);
    size_t count = 0;

    progress_phase(plan->run->progress, "bootstrap", "applying '%s'", place);
    if ((folder ? render_folder(place, &text, err)
                : read_place(kube_http(kube), place, &text, err)) != 0 ||
        kube_apply_all(kube, &apply, text.data, text.len, place, &count, err) != 0) {
        return err_prefix(err, "argocd.manifests");
    }
    log_info(plan->run->log, "applied: %zu object%s of '%s'", count, count == 1 ? "" : "s", place);
    return 0;
}

int deploy_bootstrap_more(const struct plan *plan, struct kube *kube, struct err *err)
{
    autostrv struct strv places = STRV_INIT;

    conf_places(plan->run, plan->conf, "argocd.manifests", &places);
    for (size_t i = 0; i < places.len; i++) {
        if (apply_place(plan, kube, places.items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
