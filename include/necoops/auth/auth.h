/* Credentials for Google's APIs, found in the order of necoops(7), CREDENTIALS.
 *
 * Tokens are fetched once, kept in memory, renewed 3 min 45 s before they end and once after a 401.
 * A token goes only over TLS or to loopback; other URLs get none.
 */
#ifndef NECOOPS_AUTH_AUTH_H
#define NECOOPS_AUTH_AUTH_H

#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/http/http.h"

struct auth; /* opaque */

/* Finds where credentials come from; fetches nothing yet. ERR_DENIED says where it looked and what
 * to do. */
int auth_find(struct http *http, struct auth **out, struct err *err) MUST_CHECK;
void auth_free(struct auth *auth);
void auth_freep(struct auth **auth);
#define autoauth CLEANUP(auth_freep)

/* For http_request.auth; borrowed. */
const struct http_auth *auth_http(struct auth *auth);
/* Who we are, for messages: the account's e-mail, or "the token in GOOGLE_OAUTH_ACCESS_TOKEN". */
const char *auth_account(const struct auth *auth);
/* Where the credential is from: "service account key /x.json", "metadata server", … */
const char *auth_source(const struct auth *auth);
/* The project that the credential names, or NULL. */
const char *auth_project(const struct auth *auth);

#endif
