/* What becomes of an instance that this run made and whose setup failed. */
#ifndef INSTANCE_FAILURE_H
#define INSTANCE_FAILURE_H

#include "necoops/base/buf.h"
#include "necoops/instance/create.h"

/* Shows the end of its console, saves the evidence, then deletes it or labels it to be kept. What
 * goes wrong in here is logged: the failure itself is the error of the run. */
void failure_settle(const struct run *run, struct gce *gce, const struct conf *conf,
                    const cJSON *instance, const struct create_options *options,
                    const struct buf *console);

#endif
