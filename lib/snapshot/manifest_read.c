/* Manifests and pointers as they lie in Cloud Storage. */
#include "necoops/snapshot/manifest.h"

#include "necoops/base/text.h"

int manifest_read(struct gcs *gcs, const char *url, struct gcs_object *object, cJSON **json,
                  struct err *err)
{
    autofree char *bucket = NULL;
    autofree char *name = NULL;
    autobuf struct buf text = BUF_INIT(MANIFEST_MAX);
    if (gcs_split_url(url, &bucket, &name, err) != 0 ||
        gcs_read(gcs, bucket, name, 0, &text, object, err) != 0)
        return -1;
    return json_parse(text.data, text.len, url, json, err);
}

static int platform_of_set(const cJSON *json, const char *url, char **platform, struct err *err)
{
    automanifest struct manifest manifest = {0};
    if (manifest_parse(json, url, &manifest, err) != 0)
        return -1;
    *platform = steal(manifest.cpu_platform);
    return 0;
}

/* The first set that can be read: the others stand in for it. */
static int platform_of_pointer(struct gcs *gcs, const cJSON *json, const char *source,
                               char **platform, struct err *err)
{
    autostrv struct strv urls = STRV_INIT;
    if (pointer_parse(json, source, &urls, err) != 0)
        return -1;
    for (size_t i = 0; i < urls.len; i++) {
        autogcsobject struct gcs_object object = {0};
        autojson cJSON *set = NULL;
        err_clear(err);
        if (manifest_read(gcs, urls.items[i], &object, &set, err) == 0 &&
            platform_of_set(set, urls.items[i], platform, err) == 0)
            return 0;
    }
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_FAILED; /* the pointer itself is there */
    return err_prefix(err, "'%s' names no set that can be read, the last", source);
}

int manifest_cpu_platform(struct gcs *gcs, const char *source, char **platform, struct err *err)
{
    autogcsobject struct gcs_object object = {0};
    autojson cJSON *json = NULL;
    if (!text_ends(source, ".json")) {
        *platform = NULL;
        return 0;
    }
    if (manifest_read(gcs, source, &object, &json, err) != 0)
        return -1;
    if (json_is_pointer(json))
        return platform_of_pointer(gcs, json, source, platform, err);
    return platform_of_set(json, source, platform, err);
}
