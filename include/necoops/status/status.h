/* What there is now: instance, phases, cluster, applications, lease, and the day's timeline
 * (necoops-status(1)). */
#ifndef NECOOPS_STATUS_STATUS_H
#define NECOOPS_STATUS_STATUS_H

#include <stdbool.h>
#include <stdio.h>
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"
#include "necoops/instance/schedule.h"

struct status; /* what is kept between two looks: connections, the console's cursor */

int status_open(const struct run *run, const struct conf *conf, struct status **out,
                struct err *err) MUST_CHECK;
void status_close(struct status *status);
void status_closep(struct status **status);
#define autostatus CLEANUP(status_closep)

/* One look, as the object that -o json prints (its members stand in necoops-status(1)); caller
 * deletes. What could not be asked is told in its `problems`; an error is only what makes the whole
 * look worthless (no credential, Compute Engine does not answer, the run's end). */
int status_look(struct status *status, cJSON **out, struct err *err) MUST_CHECK;

/* The same for people. Times are in the schedule's zone. */
void status_print(const cJSON *value, const struct schedule *schedule, FILE *stream, bool color);

/* The same as an HTML file in the look of necoops-deploy's report (report/page.h). */
int status_write_page(const cJSON *value, const struct schedule *schedule, const char *path,
                      struct err *err) MUST_CHECK;

#endif
