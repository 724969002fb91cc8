/* Whether all is there that a run needs (necoops-status(1), --doctor). Changes nothing. */
#ifndef NECOOPS_STATUS_DOCTOR_H
#define NECOOPS_STATUS_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

/* An array of {"check","outcome","detail","hint"?}; outcome: "ok", "warning" (may be meant so),
 * "wrong" (a run would fail), "skipped" (something before it is wrong, or it is not configured).
 * Caller deletes. An error is only the run's end. */
int doctor_examine(const struct run *run, const struct conf *conf, cJSON **checks,
                   struct err *err) MUST_CHECK;
void doctor_print(const cJSON *checks, FILE *stream, bool color);
/* ERR_FAILED with their names when checks are wrong. */
int doctor_verdict(const cJSON *checks, struct err *err) MUST_CHECK;

#endif
