/* Label and field selectors. Internal. */
#ifndef EMULATOR_KUBE_SELECTOR_H
#define EMULATOR_KUBE_SELECTOR_H

#include <stdbool.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

/* A LabelSelector ({matchLabels, matchExpressions}) over labels; an empty one matches everything.
 */
bool selector_matches_labels(const cJSON *selector, const cJSON *labels);
/* A plain map of labels, as Services have it: every one must be there; an empty one matches none.
 */
bool selector_map_matches(const cJSON *map, const cJSON *labels);

/* What a query asks for: labelSelector and fieldSelector. */
struct selector;
/* 400 in the API's words when a text is no selector, or a field is not one of this kind's. */
int selector_parse(const char *labels, const char *fields, const char *kind, bool custom,
                   struct selector **out, struct err *err) MUST_CHECK;
void selector_free(struct selector *selector); /* NULL is fine */
bool selector_matches(const struct selector *selector, const cJSON *object);
/* The text of the field selector metadata.name=X, or NULL. */
const char *selector_name(const struct selector *selector);

#endif
