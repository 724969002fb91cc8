/* The ladder of machine types × zones that a creation climbs on a stock-out. */
#ifndef INSTANCE_LADDER_H
#define INSTANCE_LADDER_H

#include "necoops/base/run.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/spec.h"

/* The image's URL; ERR_USAGE when there is none such. Caller frees. */
int ladder_image(struct gce *gce, const struct conf *conf, char **url, struct err *err) MUST_CHECK;

/* Inserts on the first rung that has room, each rung a new request once the one before has ended.
 * `id`: of the instance that was made; caller frees. ERR_EXISTS: somebody else was faster.
 * ERR_CAPACITY: no rung has room (the text lists them), or quota. */
int ladder_insert(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                  const char *image, char **id, struct err *err) MUST_CHECK;

#endif
