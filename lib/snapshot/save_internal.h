/* What the files of a save share. */
#ifndef SNAPSHOT_SAVE_INTERNAL_H
#define SNAPSHOT_SAVE_INTERNAL_H

#include "necoops/snapshot/save.h"
#include "snapshot/landing.h"
#include "snapshot/phases.h"
#include "snapshot/pointer.h"
#include "snapshot/prune.h"
#include "snapshot/rate.h"
#include "snapshot/scan.h"
#include "snapshot/upload.h"

struct save {
    struct run *run;
    struct http *http;
    struct gcs *gcs;
    const struct save_options *options;
    struct save_result *result;
    struct phases phases;
    struct landing landing;
    struct pointer pointer;
    int folder_fd; /* locked; -1: not open */
    char *owner;
    struct scan scan;
    struct upload *upload;
    struct gcs_object archive;
    int64_t written_ms; /* when the manifest was, by the service's clock */
    struct rate rate;
    struct err late; /* what failed and leaves the set as good as it is; told in the end */
    bool reserved; /* what is in the set is ours to delete */
    bool whole;    /* its manifest is there */
};

/* Opens and locks the folder. ERR_BUSY, ERR_USAGE. */
int save_open(struct save *save, struct err *err) MUST_CHECK;
/* Looks at what is there and takes a name for the set: a new one, or that of a killed run. */
int save_take_name(struct save *save, struct err *err) MUST_CHECK;
/* Packs and uploads what the scan found; `upload` has the parts then. */
int save_upload(struct save *save, struct err *err) MUST_CHECK;
/* Writes the manifest of the archive. */
int save_manifest(struct save *save, struct err *err) MUST_CHECK;
/* The pointer names the set first. */
int save_make_current(struct save *save, struct err *err) MUST_CHECK;
struct prune_rules save_rules(const struct save *save);

#endif
