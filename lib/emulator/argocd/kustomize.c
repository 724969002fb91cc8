/* A source that is a kustomization: built by the tool in PATH; the options of source.kustomize are
 * put on top of what it built, so that they work with every version of the tool. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/strv.h"
#include "emulator/argocd/object.h"
#include "emulator/argocd/patches.h"
#include "emulator/argocd/render.h"

#define BUILD_TIMEOUT_MS 90000 /* ARGOCD_EXEC_TIMEOUT */
#define MAX_OUTPUT       ((size_t)64 << 20)
#define MAX_COMPLAINT    ((size_t)64 << 10)

bool is_kustomization(const char *dir)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *file = path_join(dir, names[i]);

        if (fs_exists(file))
            return true;
    }
    return false;
}

/* ---- the tool ---- */

static void replace_all(struct buf *out, const char *text, const char *what, const char *with)
{
    size_t len = strlen(what);
    const char *hit;

    while ((hit = strstr(text, what)) != NULL) {
        buf_add(out, text, (size_t)(hit - text));
        buf_adds(out, with);
        text = hit + len;
    }
    buf_adds(out, text);
}

/* The tool's own words, with no path of ours in them. */
static int build_failed(const struct kustomize_request *request, const char *path,
                        const struct proc_result *result, struct err *err)
{
    autobuf struct buf words = BUF_INIT(2 * MAX_COMPLAINT);
    size_t len;

    replace_all(&words, result->error.data, request->root, "<path to cached source>");
    for (len = words.len; len > 0 && words.data[len - 1] == '\n'; len--)
        continue;
    return err_set(err, ERR_INVALID,
                   "rpc error: code = Unknown desc = `kustomize build <path to cached source>/%s` "
                   "failed exit status %d: %.*s",
                   path, result->status, (int)len, words.data);
}

static void clear_result(struct proc_result *result)
{
    buf_clear(&result->out);
    buf_clear(&result->error);
}

static int run_tool(const struct kustomize_request *request, const char *tool, const char *verb,
                    const char *path, struct proc_result *result, struct err *err)
{
    autofree char *dir = xasprintf("%s/%s", request->root, path);
    autostrv struct strv argv = STRV_INIT;
    struct proc_spec spec = {.timeout_ms = BUILD_TIMEOUT_MS};

    strv_add(&argv, tool);
    strv_add(&argv, verb);
    if (request->build_options != NULL)
        strv_split(&argv, request->build_options, ' ');
    strv_add(&argv, dir);
    spec.argv = (const char *const *)argv.items;
    return proc_run(request->run, &spec, result, err);
}

static int build(const struct kustomize_request *request, const char *path, cJSON *objects,
                 struct err *err)
{
    CLEANUP(clear_result)
    struct proc_result result = {.out = BUF_INIT(MAX_OUTPUT), .error = BUF_INIT(MAX_COMPLAINT)};
    int done = run_tool(request, "kustomize", "build", path, &result, err);

    if (done < 0 && err->code == ERR_NOT_FOUND) {
        err_clear(err);
        done = run_tool(request, "kubectl", "kustomize", path, &result, err);
    }
    if (done < 0 && err->code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND,
                       "rpc error: code = Unknown desc = neither 'kustomize' nor 'kubectl' is in "
                       "PATH; install one of them");
    if (done < 0)
        return err_prefix(err, "rpc error: code = Unknown desc = kustomize build");
    if (result.status != 0)
        return build_failed(request, path, &result, err);
    if (result.out.overflowed)
        return err_set(err, ERR_INVALID,
                       "rpc error: code = Unknown desc = the manifests of '%s' are too large",
                       path);
    if (render_add_yaml(objects, result.out.data, result.out.len, path, err) < 0)
        return err_prefix(err, "rpc error: code = Unknown desc = kustomize build printed no YAML");
    return 0;
}

/* ---- options that kustomize has to work out: names, labels, images ---- */

/* "old=new:tag", "name:tag", "name@digest" as an entry of `images`. */
static cJSON *image_entry(const char *text)
{
    cJSON *entry = json_object();
    const char *equals = strchr(text, '=');
    const char *image = equals != NULL ? equals + 1 : text;
    const char *digest = strchr(image, '@');
    const char *slash = strrchr(image, '/');
    const char *tag = digest == NULL ? strchr(slash != NULL ? slash : image, ':') : NULL;
    const char *end = digest != NULL ? digest : tag != NULL ? tag : image + strlen(image);
    autofree char *new_name = xstrndup(image, (size_t)(end - image));
    autofree char *name =
        equals != NULL ? xstrndup(text, (size_t)(equals - text)) : xstrdup(new_name);

    json_set_str(entry, "name", name);
    if (equals != NULL)
        json_set_str(entry, "newName", new_name);
    if (digest != NULL)
        json_set_str(entry, "digest", digest + 1);
    if (tag != NULL)
        json_set_str(entry, "newTag", tag + 1);
    return entry;
}

static const char *const copied_options[] = {"namePrefix", "nameSuffix", "namespace",
                                             "commonAnnotations"};

static bool needs_second_build(const cJSON *options)
{
    if (json_at(options, "images[0]") != NULL || json_at(options, "components[0]") != NULL ||
        json_at(options, "commonLabels") != NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(copied_options); i++) {
        if (json_at(options, copied_options[i]) != NULL)
            return true;
    }
    return false;
}

static void add_labels(cJSON *kustomization, const cJSON *options)
{
    const cJSON *labels = json_at(options, "commonLabels");

    if (labels == NULL)
        return;
    if (!json_bool(options, "labelWithoutSelector", false)) {
        json_set(kustomization, "commonLabels", json_copy(labels));
        return;
    }
    cJSON *entry = json_object();

    json_set(entry, "pairs", json_copy(labels));
    json_push(json_set_array(kustomization, "labels"), entry);
}

static cJSON *second_kustomization(const struct kustomize_request *request)
{
    const cJSON *options = request->options;
    cJSON *kustomization = json_object();
    const cJSON *item;

    json_push_str(json_set_array(kustomization, "resources"), "all.yaml");
    for (size_t i = 0; i < ARRAY_LEN(copied_options); i++) {
        const cJSON *value = json_at(options, copied_options[i]);

        if (value != NULL)
            json_set(kustomization, copied_options[i], json_copy(value));
    }
    add_labels(kustomization, options);
    if (json_at(options, "images[0]") != NULL) {
        cJSON *images = json_set_array(kustomization, "images");

        cJSON_ArrayForEach(item, json_at(options, "images"))
        {
            if (cJSON_IsString(item))
                json_push(images, image_entry(item->valuestring));
        }
    }
    if (json_at(options, "components[0]") != NULL) {
        cJSON *components = json_set_array(kustomization, "components");

        cJSON_ArrayForEach(item, json_at(options, "components"))
        {
            autofree char *path = xasprintf("../%s/%s", request->path, json_str_or(item, NULL, ""));

            json_push_str(components, path);
        }
    }
    return kustomization;
}

static int write_second(const char *dir, const cJSON *kustomization, const cJSON *objects,
                        struct err *err)
{
    autobuf struct buf all = BUF_INIT(MAX_OUTPUT);
    autofree char *text = json_print(kustomization);
    autofree char *file = path_join(dir, "kustomization.yaml");
    autofree char *resources = path_join(dir, "all.yaml");
    const cJSON *object;

    cJSON_ArrayForEach(object, objects)
    {
        autofree char *line = json_print(object);

        buf_addf(&all, "---\n%s\n", line);
    }
    if (fs_mkdirs(dir, 0700, err) < 0 || fs_write(file, text, strlen(text), 0600, err) < 0)
        return -1;
    return fs_write(resources, all.data, all.len, 0600, err);
}

static int build_second(const struct kustomize_request *request, cJSON *objects, struct err *err)
{
    static atomic_ulong counter;
    autofree char *name = xasprintf(".argocd-%lu", atomic_fetch_add(&counter, 1));
    autofree char *dir = path_join(request->root, name);
    autojson cJSON *kustomization = second_kustomization(request);
    autojson cJSON *built = json_array();
    autoerr struct err ignored = ERR_INIT;
    cJSON *item;
    int done;

    done = write_second(dir, kustomization, objects, err);
    if (done == 0)
        done = build(request, name, built, err);
    if (fs_remove_tree(dir, &ignored) < 0)
        err_clear(&ignored); /* goes with the checkout */
    if (done < 0)
        return -1;
    while (objects->child != NULL)
        cJSON_Delete(cJSON_DetachItemViaPointer(objects, objects->child));
    while ((item = cJSON_DetachItemFromArray(built, 0)) != NULL)
        json_push(objects, item);
    return 0;
}

/* ---- replicas ---- */

static void set_replicas(cJSON *objects, const cJSON *replicas)
{
    const cJSON *entry;
    cJSON *object;
    int64_t count;

    cJSON_ArrayForEach(entry, replicas)
    {
        const char *name = json_str_or(entry, "name", "");

        if (!json_i64(entry, "count", &count))
            continue;
        cJSON_ArrayForEach(object, objects)
        {
            const char *kind = json_str_or(object, "kind", "");

            if (strcmp(json_str_or(object, "metadata.name", ""), name) == 0 &&
                (strcmp(kind, "Deployment") == 0 || strcmp(kind, "StatefulSet") == 0 ||
                 strcmp(kind, "ReplicaSet") == 0) &&
                object_member(object, "spec") != NULL)
                json_set_i64(object_member_mutable(object, "spec"), "replicas", count);
        }
    }
}

int render_kustomize(const struct kustomize_request *request, cJSON *objects, struct err *err)
{
    autofree char *base = xasprintf("%s/%s", request->root, request->path);
    autojson cJSON *built = json_array();
    cJSON *item;

    if (build(request, request->path, built, err) < 0)
        return -1;
    if (request->patches_known &&
        patches_apply(built, json_at(request->options, "patches"), base, err) < 0)
        return err_prefix(err,
                          "rpc error: code = Unknown desc = `kustomize build <path to cached "
                          "source>/%s` failed exit status 1: Error",
                          request->path);
    set_replicas(built, json_at(request->options, "replicas"));
    if (needs_second_build(request->options) && build_second(request, built, err) < 0)
        return -1;
    while ((item = cJSON_DetachItemFromArray(built, 0)) != NULL)
        json_push(objects, item);
    return 0;
}
