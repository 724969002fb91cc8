/* Compute Engine v1 below /compute/v1, and the metadata server of each instance. */
#ifndef EMULATOR_GOOGLE_COMPUTE_H
#define EMULATOR_GOOGLE_COMPUTE_H

#include "emulator/core/emulator.h"

struct compute;
int compute_new(struct emu *emu, struct compute **out, struct err *err);
/* Ends the thread that starts and stops machines; before the machines are freed. */
void compute_stop(struct compute *compute);
void compute_free(struct compute *compute);
void compute_handle(void *compute, const struct request *request, struct answer *answer);
/* What the emulator itself tells of an instance, by name or id: {"name", "id", "metadataHost"}; GET
 * /emulator/instances/NAME. */
void compute_handle_emulator(void *compute, const struct request *request, struct answer *answer);
/* Seeds images, machine types, zones, instances (also by count), as in necoops-emulator(1). */
int compute_seed(struct compute *compute, const cJSON *seed, struct err *err);
/* Appends to a serial port's ring (1 to 4); from the machine. */
void compute_serial_write(struct compute *compute, const char *instance_id, int port,
                          const char *data, size_t len);

#endif
