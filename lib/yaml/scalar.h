/* How a plain scalar is read: YAML 1.1 as Kubernetes' own reader resolves it (sigs.k8s.io/yaml over
 * go-yaml v2): `y`, `on` and `No` are booleans, 0644 is octal, 1_000 is a number. */
#ifndef YAML_SCALAR_H
#define YAML_SCALAR_H

#include <stddef.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

/* The value of a plain scalar; never fails, what is nothing else is a string. */
cJSON *scalar_resolve(const char *text);
/* The value as `tag` ("tag:yaml.org,2002:int", …) demands, from any style of scalar. NULL when the
 * text is none of that type. An unknown tag gives the string. */
cJSON *scalar_with_tag(const char *text, const char *tag);
/* The text of a mapping key as JSON needs it: booleans and numbers in their JSON form; NULL for a
 * null key. Caller frees. */
char *scalar_key(const cJSON *value);

#endif
