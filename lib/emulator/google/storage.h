/* Cloud Storage, JSON API v1, below /storage/v1, /upload/storage/v1, /download/storage/v1 (and
 * /resumable/upload/storage/v1). Objects are files below the emulator's data folder. */
#ifndef EMULATOR_GOOGLE_STORAGE_H
#define EMULATOR_GOOGLE_STORAGE_H

#include "emulator/core/emulator.h"

struct storage;
int storage_new(struct emu *emu, struct storage **out, struct err *err);
void storage_free(struct storage *storage);
void storage_handle(void *storage, const struct request *request, struct answer *answer);
/* {"BUCKET": {"objects": {"NAME": {"file": PATH} | {"text": …}}}} */
int storage_seed(struct storage *storage, const cJSON *buckets, struct err *err);

#endif
