/* The fetching stage: one object of Cloud Storage in parts, several side by side, each on a
 * connection of its own and pinned to the object's generation.
 *
 * A part that breaks or stalls goes on where it was, after a back-off or what the service asks for.
 * The CRC32C of each part is taken while it comes and combined over the whole object. Where the
 * bytes go is the sink's matter. Everything here runs on the thread that drives HTTP.
 */
#ifndef SNAPSHOT_FETCH_H
#define SNAPSHOT_FETCH_H

#include "necoops/gcs/gcs.h"
#include "snapshot/flow.h"

struct fetch_sink {
    /* Is there room for part `index`? It starts when this says so. */
    bool (*begin)(void *arg, size_t index, size_t len);
    /* A piece of the part, in order; `offset` is within the part. */
    int (*data)(void *arg, size_t index, size_t offset, const void *data, size_t len,
                struct err *err);
    /* The part is whole, and this is its CRC32C. */
    int (*complete)(void *arg, size_t index, uint32_t crc, struct err *err);
    void *arg;
};

struct fetch_spec {
    struct gcs *gcs;
    struct http *http;
    struct flow *flow;
    const struct gcs_object *object;
    uint64_t start; /* bytes before this one are here already, */
    uint32_t crc;   /* and this is their CRC32C */
    int connections;
    size_t part_size;
    const struct fetch_sink *sink;
    int64_t stall_ms; /* a request that gets next to nothing for so long is sent anew */
    int64_t retry_ms; /* a part without a byte for so long is given up */
};

struct fetch; /* opaque */

/* ERR_FAILED: a size that no object can have. */
int fetch_new(const struct fetch_spec *spec, struct fetch **out, struct err *err) MUST_CHECK;
void fetch_free(struct fetch *fetch); /* cancels what is under way */

size_t fetch_parts(const struct fetch *fetch);
uint64_t fetch_part_offset(const struct fetch *fetch, size_t index);
size_t fetch_part_len(const struct fetch *fetch, size_t index);
/* Before fetch_run: the part is here already, this is its CRC32C. */
void fetch_skip(struct fetch *fetch, size_t index, uint32_t crc);
uint32_t fetch_part_crc(const struct fetch *fetch, size_t index);

/* Until every part is complete, or anything fails (a part, the sink, another stage, the run). */
int fetch_run(struct fetch *fetch, struct err *err) MUST_CHECK;
/* Bytes that came over the network. */
uint64_t fetch_received(const struct fetch *fetch);
/* Did fetch_run fail for a reason of its own, rather than another stage's? */
bool fetch_is_to_blame(const struct fetch *fetch);
/* Are all parts there? */
bool fetch_is_whole(const struct fetch *fetch);
/* Once all parts are there: compares with the object's checksum; ERR_FAILED when it differs. */
int fetch_verify(const struct fetch *fetch, struct err *err) MUST_CHECK;

#endif
