/* What the files of this module share. */
#ifndef GOOGLE_INTERNAL_H
#define GOOGLE_INTERNAL_H

#include "necoops/google/api.h"

/* True when an API spoke: the answer is a JSON object. */
bool google_is_api_answer(const struct http_response *response);

#endif
