/* What an instance leaves behind for those who ask why: saved before it is deleted. */
#ifndef NECOOPS_INSTANCE_EVIDENCE_H
#define NECOOPS_INSTANCE_EVIDENCE_H

#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

/* All of it together may take so long; what is not there then is left out. */
#define EVIDENCE_MS (60 * 1000)

/* DIR/NAME-ID of an instance; caller frees. */
char *evidence_dir(const cJSON *instance, const char *dir);

/* Writes into that folder: instance.json (without its metadata, which may hold secrets), phases.json,
 * and console-1.log to console-4.log of the serial ports that have something. Uses connections of its
 * own, so that the time limit holds. Nothing is an error: what could not be saved is a warning. */
void evidence_save(const struct run *run, const struct conf *conf, const cJSON *instance,
                   const char *dir);

#endif
