/* Secret Manager v1, reading only: /v1/projects/P/secrets/S/versions/V:access. */
#ifndef EMULATOR_GOOGLE_SECRETS_H
#define EMULATOR_GOOGLE_SECRETS_H

#include "emulator/core/emulator.h"

/* `secrets`: the seed's, {"NAME": "TEXT"}; each has one version. */
void secrets_handle(struct emu *emu, const cJSON *secrets, const struct request *request,
                    struct answer *answer);

#endif
