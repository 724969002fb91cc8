/* The ladder of machine types × zones that a creation climbs on a stock-out. */
#ifndef INSTANCE_LADDER_H
#define INSTANCE_LADDER_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/spec.h"

struct rung {
    const char *zone, *machine_type; /* of the specification */
    char *platform;                  /* minCpuPlatform, or NULL */
};

struct ladder {
    struct rung *rungs;
    size_t len;
    char *image; /* URL */
};
void ladder_clear(struct ladder *ladder);

/* The rungs that can run what was saved on the CPU platform `saved` (NULL: all), and the image, which
 * is looked up. ERR_USAGE: no machine type can, or there is no such image. Borrows the specification. */
int ladder_make(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                const char *saved, struct ladder *out, struct err *err) MUST_CHECK;
/* Asks for the machine type of every rung; ERR_USAGE for one that is not there, or its zone. */
int ladder_check(struct gce *gce, const struct ladder *ladder, struct err *err) MUST_CHECK;
/* The request for a rung. */
cJSON *ladder_body(const struct ladder *ladder, const struct instance_spec *spec, size_t index);

/* Inserts on the first rung that has room, each rung a new request once the one before has ended; its
 * machine type is asked for first. `id`: of the instance that was made; caller frees. ERR_EXISTS:
 * somebody else was faster. ERR_CAPACITY: no rung has room (the text lists them), or quota. */
int ladder_insert(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                  const struct ladder *ladder, char **id, struct err *err) MUST_CHECK;

#endif
