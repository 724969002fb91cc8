/* Loads a snapshot of VMs: downloads an object of Cloud Storage while it is decompressed and
 * unpacked beside the destination, puts it there once the checksum of the whole object is right,
 * restores the VMs from it, and waits until their Kubernetes cluster is ready.
 *
 * An object named *.tar, *.tar.zst, *.tar.gz or *.tar.xz (or .tgz, .tzst, .txz) is an archive; its
 * compression goes by its first bytes. Any other object is a file that is put into the destination
 * under its own name. One named *.json is the manifest of a set, or a pointer to sets: manifest.h.
 */
#ifndef NECOOPS_SNAPSHOT_SNAPSHOT_H
#define NECOOPS_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/json.h"
#include "necoops/base/strv.h"
#include "necoops/gcs/gcs.h"
#include "necoops/http/http.h"

enum snapshot_loader {
    SNAPSHOT_LOADER_COMMAND, /* the load command, checked by the verify command */
    SNAPSHOT_LOADER_QMP,     /* QEMU's own monitors, all VMs together */
    SNAPSHOT_LOADER_NONE,    /* the files are all that is wanted */
};

/* Everything is borrowed. Commands are argument vectors, run without a shell. */
struct snapshot_options {
    const char *source; /* gs://BUCKET/OBJECT: an archive, a file, a manifest or a pointer */
    const char *to;     /* destination folder */
    const char *tag;    /* name of the VM snapshot inside */
    int connections;    /* requests side by side */
    uint64_t part_size; /* bytes of one request, at most */
    int64_t stall_ms;   /* one that gets next to nothing for so long is sent anew */
    bool replace;       /* what is in the destination, though no snapshot made it */
    bool if_needed;     /* nothing is done when this generation is there and was loaded */
    enum snapshot_loader loader;
    const struct strv *load;   /* empty: pmctl snapshot load TAG; with qmp: what starts the VMs */
    const struct strv *verify; /* prints JSON that names what is loaded; empty: not checked */
    const struct strv *qmp_sockets; /* of the monitors: paths or globs; for the loader qmp */
    const cJSON *before;            /* array of commands, or NULL */
    const cJSON *after;
    const struct strv *kubeconfig_issue; /* prints a kubeconfig; empty: none is issued */
    const char *kubeconfig_to;           /* a file, gs://BUCKET/OBJECT, or NULL */
    int nodes;                           /* that must be Ready; 0: as many as there are */
    bool gate;                           /* wait for the cluster */
    int64_t gate_timeout_ms;
    int64_t max_clock_skew_ms;
    /* Tells the CPU platform of this machine as Compute Engine names it (the caller frees), or
     * NULL; asked only when a manifest says on which one it was saved. May be NULL. */
    char *(*cpu_platform)(struct http *http);
};

#define SNAPSHOT_PHASES 12
struct snapshot_phase {
    const char *name; /* "download", "load", "gate", … */
    int64_t ms;
};

struct snapshot_result {
    char *url; /* what the source stood for: itself, or the manifest of a set */
    bool downloaded;
    bool loaded;
    int64_t generation;
    uint64_t bytes;          /* of the object */
    uint64_t received;       /* over the network in this run */
    uint64_t unpacked_bytes; /* of all files, holes included */
    uint64_t disk_bytes;     /* written */
    uint64_t files;
    int nodes; /* Ready; 0 when the gate was not asked */
    struct snapshot_phase phases[SNAPSHOT_PHASES];
    size_t phase_count;
};

void snapshot_result_clear(struct snapshot_result *result);

/* Does all of it. On failure nothing in the destination has changed, unless the text says that the
 * new files are in place and what came after failed. */
int snapshot_load(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                  struct snapshot_result *result, struct err *err) MUST_CHECK;
/* What snapshot_load would do, in lines for people; asks for the object only. */
int snapshot_plan(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                  struct strv *lines, struct err *err) MUST_CHECK;
cJSON *snapshot_result_json(const struct snapshot_options *options,
                            const struct snapshot_result *result);

#endif
