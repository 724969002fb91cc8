/* What a cluster holds before anybody writes to it. Internal. */
#ifndef EMULATOR_KUBE_BOOTSTRAP_H
#define EMULATOR_KUBE_BOOTSTRAP_H

#include "emulator/kube/store.h"

int bootstrap(struct store *store, const char *version, const struct strv *nodes, struct err *err);

#endif
