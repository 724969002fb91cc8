/* The error envelope of Google's REST APIs. */
#ifndef EMULATOR_GOOGLE_ENVELOPE_H
#define EMULATOR_GOOGLE_ENVELOPE_H

#include "emulator/core/server.h"

/* {"error":{"code","message","errors":[{"message","domain":"global","reason"}],"status"}}; always
 * returns -1, so that a check can end with it. */
int google_error(struct answer *answer, int status, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* A JSON body as the API wants it: with Content-Type application/json (else 415) and an object
 * (else 400 parseError); an absent body is {}. -1 with the answer filled in. */
int google_body(const struct request *request, struct answer *answer, cJSON **out);
/* Answers 200 with `value` (taken), cut down to the request's `fields`. */
void google_answer(const struct request *request, struct answer *answer, cJSON *value);

#endif
