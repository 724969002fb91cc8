/* The JSONPath of printer columns: .a.b, ['a.b'], [0], [*], [?(@.type=="Ready")]. Internal. */
#ifndef EMULATOR_KUBE_JSONPATH_H
#define EMULATOR_KUBE_JSONPATH_H

#include "necoops/base/json.h"

/* The first value at the path, borrowed, or NULL. */
const cJSON *jsonpath_first(const cJSON *value, const char *path);

#endif
