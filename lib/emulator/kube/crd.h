/* CustomResourceDefinitions in both versions of their own API. Internal. */
#ifndef EMULATOR_KUBE_CRD_H
#define EMULATOR_KUBE_CRD_H

#include <stdbool.h>
#include "necoops/base/json.h"

/* The v1 form of a definition in either version (a copy; the caller's). In v1beta1 one schema, one
 * list of columns and one `subresources` stand for all versions, columns say JSONPath, and
 * preserveUnknownFields is on unless it is turned off. */
cJSON *crd_to_v1(const cJSON *crd);
/* The other way; what differs between the versions of the definition stays with each. */
cJSON *crd_to_v1beta1(const cJSON *crd);
bool crd_is_established(const cJSON *crd);

#endif
