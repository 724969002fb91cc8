/* The `filter` parameter of list methods: AIP-160 terms (=, !=, <, >, <=, >=, :) or the regular
 * expression form (eq, ne), joined by blanks, AND, OR, NOT and parentheses. What is not understood
 * is an error, never ignored. */
#ifndef EMULATOR_GOOGLE_COMPUTE_FILTER_H
#define EMULATOR_GOOGLE_COMPUTE_FILTER_H

#include <stdbool.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

struct filter;
/* `known`: the first path segments a term may name, separated by blanks. ERR_INVALID. */
int filter_parse(const char *text, const char *known, struct filter **out,
                 struct err *err) MUST_CHECK;
void filter_free(struct filter *filter);
bool filter_matches(const struct filter *filter, const cJSON *value);

#endif
