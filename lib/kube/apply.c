#include "necoops/kube/apply.h"

#include <string.h>
#include "internal.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"

#define SIDE_BY_SIDE   12 /* each is a TLS handshake where the server speaks HTTP/1.1 */
#define ESTABLISHED_MS 30000
#define LOOK_AGAIN_MS  200

/* ---- objects, and the paths they go to ---- */

/* What discovery says of one group and version. */
struct served {
    char *api_version;
    cJSON *resources; /* the APIResourceList */
};

struct objects {
    const cJSON **items; /* borrowed from the stream */
    int *lines;
    size_t len, size;
};

struct applying;

/* A request under way. */
struct sent {
    struct applying *applying;
    struct kube_pending *pending; /* NULL once it was answered */
};

struct applying {
    struct kube *kube;
    const struct kube_apply *apply;
    const char *name;
    struct objects objects;
    struct sent *sent; /* one for each object */
    struct served *served;
    size_t served_len;
    size_t next, running, failed; /* of the stage */
    struct err first;
};

static void applying_clear(struct applying *applying)
{
    for (size_t i = 0; applying->sent && i < applying->objects.len; i++) {
        if (applying->sent[i].pending) {
            kube_cancel(applying->sent[i].pending);
        }
    }
    free(applying->sent);
    for (size_t i = 0; i < applying->served_len; i++) {
        free(applying->served[i].api_version);
        cJSON_Delete(applying->served[i].resources);
    }
    free(applying->served);
    free(applying->objects.items);
    free(applying->objects.lines);
    err_clear(&applying->first);
}

static void add_object(struct objects *objects, const cJSON *value, int line)
{
    if (objects->len == objects->size) {
        objects->size = objects->size ? objects->size * 2 : 64;
        objects->items = xrealloc(objects->items, objects->size * sizeof(cJSON *));
        objects->lines = xrealloc(objects->lines, objects->size * sizeof(int));
    }
    objects->items[objects->len] = value;
    objects->lines[objects->len++] = line;
}

static int collect(struct applying *applying, const struct yaml_stream *stream, const cJSON *value,
                   struct err *err)
{
    int line = 0, column = 0;
    const cJSON *item;

    (void)yaml_position(stream, value, &line, &column);
    if (text_ends(json_str_or(value, "kind", ""), "List") &&
        cJSON_IsArray(json_at(value, "items"))) {
        cJSON_ArrayForEach(item, json_at(value, "items"))
        {
            if (collect(applying, stream, item, err) != 0) {
                return -1;
            }
        }
        return 0;
    }
    if (!json_str(value, "apiVersion") || !json_str(value, "kind") ||
        !json_str(value, "metadata.name")) {
        return err_set(err, ERR_INVALID,
                       "%s:%d:%d: an object needs 'apiVersion', 'kind' and 'metadata.name'",
                       applying->name, line, column);
    }
    add_object(&applying->objects, value, line);
    return 0;
}

/* ---- discovery ---- */

static const cJSON *served_resources(const struct applying *applying, const char *api_version)
{
    for (size_t i = 0; i < applying->served_len; i++) {
        if (strcmp(applying->served[i].api_version, api_version) == 0) {
            return applying->served[i].resources;
        }
    }
    return NULL;
}

static const cJSON *resource_of(const cJSON *list, const char *kind)
{
    const cJSON *resource;

    cJSON_ArrayForEach(resource, json_at(list, "resources"))
    {
        if (strcmp(json_str_or(resource, "kind", ""), kind) == 0 &&
            !strchr(json_str_or(resource, "name", "/"), '/')) {
            return resource;
        }
    }
    return NULL;
}

static int discover(struct applying *applying, const char *api_version, struct err *err)
{
    autofree char *path =
        xasprintf("%s/%s", strchr(api_version, '/') ? "/apis" : "/api", api_version);
    cJSON *resources = NULL;

    if (served_resources(applying, api_version)) {
        return 0;
    }
    if (kube_get(applying->kube, path, api_version, &resources, err) != 0) {
        return -1;
    }
    applying->served =
        xrealloc(applying->served, (applying->served_len + 1) * sizeof(*applying->served));
    applying->served[applying->served_len++] = (struct served){xstrdup(api_version), resources};
    return 0;
}

/* The path of one object; caller frees. */
static char *object_path(const struct applying *applying, const cJSON *object, struct err *err)
{
    const char *api_version = json_str(object, "apiVersion");
    const char *kind = json_str(object, "kind");
    const cJSON *resource = resource_of(served_resources(applying, api_version), kind);
    autofree char *name = url_encode(json_str(object, "metadata.name"));
    autofree char *manager = url_encode(applying->apply->manager);
    autofree char *space = NULL;

    if (!resource) {
        err_set(err, ERR_INVALID, "the cluster has no kind '%s' in '%s'", kind, api_version);
        return NULL;
    }
    if (json_bool(resource, "namespaced", false)) {
        autofree char *coded =
            url_encode(json_str_or(object, "metadata.namespace", applying->apply->space));

        space = xasprintf("namespaces/%s/", coded);
    }
    return xasprintf("%s/%s/%s%s/%s?fieldManager=%s%s", strchr(api_version, '/') ? "/apis" : "/api",
                     api_version, space ? space : "", json_str(resource, "name"), name, manager,
                     applying->apply->force ? "&force=true" : "");
}

/* ---- applying ---- */

static bool is_first(const cJSON *object)
{
    const char *kind = json_str(object, "kind");

    return strcmp(kind, "CustomResourceDefinition") == 0 || strcmp(kind, "Namespace") == 0;
}

static void note_failure(struct applying *applying, struct err *err)
{
    applying->failed++;
    if (applying->first.code == ERR_NONE) {
        err_move(&applying->first, err);
    }
    err_clear(err);
}

static void applied(void *arg, cJSON *answer, struct err *err)
{
    struct sent *sent = arg;
    struct applying *applying = sent->applying;

    cJSON_Delete(answer);
    sent->pending = NULL;
    applying->running--;
    if (err->code != ERR_NONE) {
        note_failure(applying, err);
    }
}

static void send_one(struct applying *applying, size_t index)
{
    const cJSON *object = applying->objects.items[index];
    autoerr struct err err = ERR_INIT;
    autofree char *what =
        xasprintf("%s:%d: %s '%s'", applying->name, applying->objects.lines[index],
                  json_str(object, "kind"), json_str(object, "metadata.name"));
    autofree char *path = object_path(applying, object, &err);

    if (!path) {
        err_prefix(&err, "%s", what);
        note_failure(applying, &err);
        return;
    }
    struct kube_call call = {
        .method = "PATCH",
        .path = path,
        .patch = KUBE_PATCH_APPLY,
        .body = object,
        .idempotent = true,
        .what = what,
    };
    applying->running++;
    applying->sent[index].applying = applying;
    applying->sent[index].pending =
        kube_start(applying->kube, &call, applied, &applying->sent[index]);
}

/* Starts what may start now of the stage. */
static void fill(struct applying *applying, bool first)
{
    while (applying->next < applying->objects.len && applying->running < SIDE_BY_SIDE) {
        size_t index = applying->next++;

        if (is_first(applying->objects.items[index]) == first) {
            send_one(applying, index);
        }
    }
}

static int finish_stage(struct applying *applying, struct err *err)
{
    if (!applying->failed) {
        return 0;
    }
    err_move(err, &applying->first);
    if (applying->failed > 1) {
        char *text = xasprintf("%s (and %zu more)", err_text(err), applying->failed - 1);

        free(err->text);
        err->text = text;
    }
    return -1;
}

static int run_stage(struct applying *applying, bool first, struct err *err)
{
    struct http *http = kube_http(applying->kube);

    for (size_t i = 0; i < applying->objects.len; i++) {
        const cJSON *object = applying->objects.items[i];

        if (is_first(object) == first &&
            discover(applying, json_str(object, "apiVersion"), err) != 0) {
            return err_prefix(err, "%s:%d", applying->name, applying->objects.lines[i]);
        }
    }
    applying->next = 0;
    for (fill(applying, first); applying->running > 0; fill(applying, first)) {
        if (http_drive(http, 1000, -1, "objects to be applied", err) != 0) {
            return -1;
        }
    }
    return finish_stage(applying, err);
}

/* ---- definitions ---- */

static bool is_established(const cJSON *crd)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, json_at(crd, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "Established") == 0) {
            return strcmp(json_str_or(condition, "status", ""), "True") == 0;
        }
    }
    return false;
}

static int wait_established(struct kube *kube, const char *name, struct err *err)
{
    autofree char *coded = url_encode(name);
    autofree char *path =
        xasprintf("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", coded);
    const struct run *run = http_run(kube_http(kube));
    int64_t until = run_mono_ms(run) + ESTABLISHED_MS;

    for (;;) {
        autojson cJSON *crd = NULL;

        if (kube_get(kube, path, name, &crd, err) != 0) {
            return -1;
        }
        if (is_established(crd)) {
            return 0;
        }
        if (run_mono_ms(run) > until) {
            return err_set(err, ERR_TIMEOUT, "definition '%s' is not Established after %d s", name,
                           ESTABLISHED_MS / 1000);
        }
        if (run_sleep(run, LOOK_AGAIN_MS, name, err) != 0) {
            return -1;
        }
    }
}

static int wait_for_definitions(struct applying *applying, struct err *err)
{
    for (size_t i = 0; i < applying->objects.len; i++) {
        const cJSON *object = applying->objects.items[i];

        if (strcmp(json_str(object, "kind"), "CustomResourceDefinition") == 0 &&
            wait_established(applying->kube, json_str(object, "metadata.name"), err) != 0) {
            return -1;
        }
    }
    return 0;
}

int kube_apply_all(struct kube *kube, const struct kube_apply *apply, const char *text, size_t len,
                   const char *name, size_t *count, struct err *err)
{
    autoyaml struct yaml_stream *stream = NULL;
    CLEANUP(applying_clear)
    struct applying applying = {.kube = kube, .apply = apply, .name = name};

    if (yaml_parse(text, len, name, &stream, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < yaml_count(stream); i++) {
        if (collect(&applying, stream, yaml_document(stream, i), err) != 0) {
            return -1;
        }
    }
    applying.sent = xcalloc(applying.objects.len + 1, sizeof(*applying.sent));
    if (kube_prepare(kube, err) != 0 || run_stage(&applying, true, err) != 0 ||
        wait_for_definitions(&applying, err) != 0 || run_stage(&applying, false, err) != 0) {
        return -1;
    }
    if (count) {
        *count = applying.objects.len;
    }
    return 0;
}
