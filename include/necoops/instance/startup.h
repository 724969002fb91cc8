/* The startup script, which the instance runs as root at every boot, and the metadata it reads. */
#ifndef NECOOPS_INSTANCE_STARTUP_H
#define NECOOPS_INSTANCE_STARTUP_H

#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

/* Caller frees. */
char *startup_script(const struct conf *conf);
/* The configuration for the tools on the instance: what was set, as one JSON object (which is YAML).
 * Caller frees. */
char *startup_config(const struct conf *conf);

#endif
