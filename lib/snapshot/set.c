#include "snapshot/set.h"

#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/gce/cpu_platform.h"
#include "snapshot/download.h"
#include "snapshot/facts.h"

void set_clear(struct set *set)
{
    free(set->url);
    gcs_object_clear(&set->named);
    manifest_clear(&set->manifest);
    *set = (struct set){0};
}

/* ---- is it whole? ---- */

static int check_object(struct gcs *gcs, const struct gcs_object *wanted, struct err *err)
{
    autogcsobject struct gcs_object there = {0};
    if (gcs_stat(gcs, wanted->bucket, wanted->name, wanted->generation, &there, err) != 0)
        return -1;
    if (there.size == wanted->size && there.has_crc32c && there.crc32c == wanted->crc32c)
        return 0;
    return err_set(err, ERR_FAILED, "object 'gs://%s/%s' is not as the manifest says",
                   wanted->bucket, wanted->name);
}

static int check_whole(struct gcs *gcs, struct set *set, struct err *err)
{
    set->bytes = 0;
    for (size_t i = 0; i < set->manifest.object_count; i++) {
        const struct manifest_object *item = &set->manifest.objects[i];
        if (check_object(gcs, &item->object, err) != 0)
            return -1;
        if (!item->path && !download_is_archive(item->object.name))
            return err_set(err, ERR_FAILED, "object 'gs://%s/%s' is no archive and has no path",
                           item->object.bucket, item->object.name);
        if (__builtin_add_overflow(set->bytes, item->object.size, &set->bytes))
            return err_set(err, ERR_FAILED, "its objects are too large");
    }
    return 0;
}

/* ---- is it of use here? ---- */

static int check_certificates(const struct run *run, const struct manifest *manifest,
                              struct err *err)
{
    int64_t end = 0;
    if (!manifest->certificates_expire)
        return 0;
    if (time_parse_rfc3339(manifest->certificates_expire, &end, err) != 0)
        return err_prefix(err, "'certificatesExpire'");
    if (run_wall_ms(run) < end)
        return 0;
    return err_set(err, ERR_FAILED, "the certificates inside expired at %s",
                   manifest->certificates_expire);
}

static int check_tag(const struct manifest *manifest, const char *tag, struct err *err)
{
    if (manifest->tags.len == 0 || strv_has(&manifest->tags, tag))
        return 0;
    autofree char *tags = strv_join(&manifest->tags, "', '");
    return err_set(err, ERR_FAILED, "it has no snapshot '%s', only '%s'", tag, tags);
}

static int check_cpu(struct http *http, const struct snapshot_options *options,
                     const struct manifest *manifest, struct err *err)
{
    if (!manifest->cpu_platform || !options->cpu_platform)
        return 0;
    autofree char *have = options->cpu_platform(http);
    if (!have || cpu_platform_fits(manifest->cpu_platform, have))
        return 0;
    return err_set(err, ERR_FAILED,
                   "it was saved on '%s' and this machine is '%s': make one with "
                   "instance.minCpuPlatform '%s'",
                   manifest->cpu_platform, have, manifest->cpu_platform);
}

/* Without QEMU there is nothing to compare. */
static int check_qemu(const struct run *run, const struct manifest *manifest, struct err *err)
{
    autofree char *have = manifest->qemu_version ? facts_qemu_version(run) : NULL;
    if (!have || version_fits(manifest->qemu_version, have))
        return 0;
    return err_set(err, ERR_FAILED, "it was saved with QEMU %s, and here is %s",
                   manifest->qemu_version, have);
}

static int check_use(struct http *http, const struct snapshot_options *options,
                     const struct manifest *manifest, struct err *err)
{
    const struct run *run = http_run(http);
    if (check_certificates(run, manifest, err) != 0 || check_cpu(http, options, manifest, err) != 0)
        return -1;
    if (options->loader == SNAPSHOT_LOADER_NONE)
        return 0;
    return check_tag(manifest, options->tag, err) != 0 ? -1 : check_qemu(run, manifest, err);
}

/* ---- finding it ---- */

static int set_from_json(struct gcs *gcs, struct http *http, const struct snapshot_options *options,
                         const cJSON *json, struct set *set, struct err *err)
{
    if (manifest_parse(json, set->url, &set->manifest, err) != 0)
        return -1;
    if (check_whole(gcs, set, err) != 0)
        return err_prefix(err, "set '%s' is not whole", set->url);
    if (check_use(http, options, &set->manifest, err) != 0)
        return err_prefix(err, "set '%s' is of no use here", set->url);
    return 0;
}

static int try_set(struct gcs *gcs, struct http *http, const struct snapshot_options *options,
                   const char *url, struct set *set, struct err *err)
{
    autojson cJSON *json = NULL;
    set_clear(set);
    set->url = xstrdup(url);
    if (manifest_read(gcs, url, &set->named, &json, err) != 0)
        return -1;
    return set_from_json(gcs, http, options, json, set, err);
}

/* Another set can only help where this one is at fault. */
static bool is_final(const struct err *err)
{
    switch (err->code) {
    case ERR_DENIED:
    case ERR_TIMEOUT:
    case ERR_INTERRUPTED:
    case ERR_TERMINATED:
    case ERR_UNREACHABLE:
    case ERR_CAPACITY:
        return true;
    default:
        return false;
    }
}

static int set_from_pointer(struct gcs *gcs, struct http *http,
                            const struct snapshot_options *options, const cJSON *json,
                            struct set *set, struct err *err)
{
    autostrv struct strv urls = STRV_INIT;
    if (pointer_parse(json, options->source, &urls, err) != 0)
        return -1;
    for (size_t i = 0; i < urls.len; i++) {
        if (try_set(gcs, http, options, urls.items[i], set, err) == 0)
            return 0;
        if (is_final(err))
            return -1;
        if (i + 1 < urls.len) {
            log_warning(http_run(http)->log, "%s; taking the one before it", err_text(err));
            err_clear(err);
        }
    }
    return err_prefix(err, "'%s' names no set that can be loaded, the last", options->source);
}

/* A single object needs no manifest: it is one of its own. */
static int set_from_object(struct gcs *gcs, struct set *set, struct err *err)
{
    autofree char *bucket = NULL;
    autofree char *name = NULL;
    struct manifest *manifest = &set->manifest;
    if (gcs_split_url(set->url, &bucket, &name, err) != 0 ||
        gcs_stat(gcs, bucket, name, 0, &set->named, err) != 0)
        return -1;
    if (!set->named.has_crc32c)
        return err_set(err, ERR_FAILED, "'%s' has no CRC32C to verify it by", set->url);
    manifest->objects = xcalloc(1, sizeof(*manifest->objects));
    manifest->object_count = 1;
    struct manifest_object *item = &manifest->objects[0];
    item->object = (struct gcs_object){.bucket = xstrdup(set->named.bucket),
                                       .name = xstrdup(set->named.name),
                                       .generation = set->named.generation,
                                       .size = set->named.size,
                                       .has_crc32c = true,
                                       .crc32c = set->named.crc32c};
    const char *slash = strrchr(name, '/');
    if (!download_is_archive(name) &&
        tar_clean_path(slash ? slash + 1 : name, &item->path, err) != 0)
        return err_prefix(err, "object '%s'", set->url);
    set->bytes = item->object.size;
    return 0;
}

int set_find(struct gcs *gcs, struct http *http, const struct snapshot_options *options,
             struct set *out, struct err *err)
{
    autoset struct set set = {.url = xstrdup(options->source)};
    autojson cJSON *json = NULL;
    int result;
    if (!text_ends(options->source, ".json"))
        result = set_from_object(gcs, &set, err);
    else if (manifest_read(gcs, options->source, &set.named, &json, err) != 0)
        result = -1;
    else if (json_is_pointer(json))
        result = set_from_pointer(gcs, http, options, json, &set, err);
    else
        result = set_from_json(gcs, http, options, json, &set, err);
    if (result != 0)
        return -1;
    *out = set;
    set = (struct set){0};
    return 0;
}
