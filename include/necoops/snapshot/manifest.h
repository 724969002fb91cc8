/* The manifest of a set: what belongs to one snapshot of VMs, and what it needs to be loaded.
 *
 *     {"kind": "necoops.snapshot", "formatVersion": 1,
 *      "created": "2026-11-23T07:00:00Z",
 *      "tags": ["init"],                    snapshots inside the VMs' disks
 *      "nodes": 5,                          nodes of the cluster
 *      "cpuPlatform": "Intel Skylake",      on which it was saved
 *      "qemuVersion": "7.2.11", "placematVersion": "2.4.1",
 *      "certificatesExpire": "2027-11-23T07:00:00Z",
 *      "unpackedBytes": "…", "diskBytes": "…", "entries": 17,
 *      "objects": [{"name": "snapshot.tar.zst", "generation": "…", "size": "…", "crc32c": "…"},
 *                  {"name": "disk.img", …, "path": "volumes/disk.img"}]}
 *
 * Names of objects are relative to the manifest's own folder; one that begins with gs:// is not. An
 * object with a `path` becomes that file, one without is an archive. Only kind, formatVersion and
 * objects must be there.
 *
 * A pointer names sets, the current one first and those that may stand in for it after it:
 *
 *     {"kind": "necoops.current", "formatVersion": 1,
 *      "sets": [{"manifest": "sets/2/manifest.json"}, {"manifest": "sets/1/manifest.json"}]}
 */
#ifndef NECOOPS_SNAPSHOT_MANIFEST_H
#define NECOOPS_SNAPSHOT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/json.h"
#include "necoops/base/strv.h"
#include "necoops/gcs/gcs.h"

#define MANIFEST_KIND    "necoops.snapshot"
#define POINTER_KIND     "necoops.current"
#define MANIFEST_VERSION 1
#define MANIFEST_MAX     ((size_t)16 << 20)
#define MANIFEST_OBJECTS 10000

struct manifest_object {
    struct gcs_object object; /* bucket, name, generation, size, crc32c */
    char *path;               /* the file that it becomes; NULL: an archive */
};

struct manifest {
    struct strv tags;
    int nodes; /* 0: not said */
    char *created, *cpu_platform, *qemu_version, *placemat_version,
        *certificates_expire;                     /* or NULL */
    uint64_t unpacked_bytes, disk_bytes, entries; /* 0: not said */
    struct manifest_object *objects;
    size_t object_count;
};
void manifest_clear(struct manifest *manifest);
#define automanifest CLEANUP(manifest_clear)

/* `url` is that of the object the JSON was read from. ERR_FAILED: it is none, or of a version that
 * is not known. */
int manifest_parse(const cJSON *json, const char *url, struct manifest *out,
                   struct err *err) MUST_CHECK;
/* The JSON of a manifest that will lie at `url`. Caller's. */
cJSON *manifest_json(const struct manifest *manifest, const char *url);

/* The URLs of the sets' manifests, in order. */
int pointer_parse(const cJSON *json, const char *url, struct strv *manifests,
                  struct err *err) MUST_CHECK;
bool json_is_pointer(const cJSON *json);

/* What lies at that URL, a manifest or a pointer, and the object that it is. */
int manifest_read(struct gcs *gcs, const char *url, struct gcs_object *object, cJSON **json,
                  struct err *err) MUST_CHECK;
/* The platform that what `source` stands for was saved on: of a pointer, the first of its sets that
 * can be read. NULL: it is no manifest, or does not say. Caller frees. ERR_NOT_FOUND: there is no
 * such object. */
int manifest_cpu_platform(struct gcs *gcs, const char *source, char **platform,
                          struct err *err) MUST_CHECK;

/* Is version `have` at least `wanted`, by major and minor number? */
bool version_fits(const char *wanted, const char *have);

#endif
