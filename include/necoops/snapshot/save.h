/* Saves a snapshot of VMs: packs a folder into an archive of independent zstd frames while it is
 * uploaded in parts side by side, composes the parts, writes the manifest of the set, and moves the
 * pointer to it as the last step. Until then nothing that a load looks at has changed.
 */
#ifndef NECOOPS_SNAPSHOT_SAVE_H
#define NECOOPS_SNAPSHOT_SAVE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"
#include "necoops/gcs/gcs.h"
#include "necoops/http/http.h"
#include "necoops/snapshot/snapshot.h"

/* Everything is borrowed. */
struct save_options {
    const char *from;        /* folder */
    const char *to;          /* gs://BUCKET/[FOLDER/]NAME.json: the pointer; sets lie beside it */
    const char *name;        /* of the set; NULL: the time */
    const struct strv *tags; /* snapshots inside */
    const struct strv *exclude;      /* globs of what is left out */
    const struct strv *certificates; /* PEM files: the set is of use until the first one ends */
    const cJSON *before;             /* array of commands, or NULL: they stop what writes there */
    const cJSON *after;              /* run once `before` was begun, whatever came of it */
    int nodes;                       /* of the cluster inside; 0: not said */
    int connections;
    uint64_t part_size;
    int level;                                /* of zstd */
    bool no_current;                          /* the pointer stays */
    bool prune_only;                          /* nothing is saved */
    int keep;                                 /* this many sets stay; 0: not asked for */
    int64_t keep_ms;                          /* those younger stay; 0: not asked for */
    char *(*cpu_platform)(struct http *http); /* as in snapshot_options */
};

struct save_result {
    char *set;      /* its name */
    char *manifest; /* URL */
    bool saved;
    bool current;       /* the pointer names it first */
    int64_t generation; /* of the archive */
    uint64_t bytes;     /* of the archive */
    uint32_t crc32c;
    uint64_t sent;   /* over the network in this run */
    uint64_t reused; /* bytes that a killed run had sent */
    uint64_t unpacked_bytes, disk_bytes, entries, files;
    struct strv left_out; /* entries of the folder */
    struct strv pruned;   /* sets that were deleted */
    struct snapshot_phase phases[SNAPSHOT_PHASES];
    size_t phase_count;
};
void save_result_clear(struct save_result *result);

/* `run` is the one that `http` works in; when the save fails it becomes one for cleaning up, in
 * which what was uploaded is deleted. ERR_BUSY: the folder is being saved by another run. */
int snapshot_save(struct run *run, struct http *http, struct gcs *gcs,
                  const struct save_options *options, struct save_result *result,
                  struct err *err) MUST_CHECK;
/* What snapshot_save would do, in lines for people; changes nothing. */
int save_plan(struct run *run, struct http *http, struct gcs *gcs,
              const struct save_options *options, struct strv *lines, struct err *err) MUST_CHECK;
cJSON *save_result_json(const struct save_options *options, const struct save_result *result);

#endif
