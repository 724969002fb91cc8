/* The token endpoint (RFC 7523 JWT bearer, RFC 6749 refresh) and the tokens it handed out. Keys and
 * accounts are made anew for each run; nothing of another run is accepted. */
#ifndef EMULATOR_CORE_OAUTH_H
#define EMULATOR_CORE_OAUTH_H

#include "emulator/core/emulator.h"

struct oauth;
int oauth_new(struct emu *emu, struct oauth **out, struct err *err);
void oauth_free(struct oauth *oauth);
/* POST /token */
void oauth_handle(void *oauth, const struct request *request, struct answer *answer);
/* A fresh access token for this account; caller frees. For the metadata server. */
char *oauth_issue(struct oauth *oauth, const char *account, int64_t lifetime_s);
/* True for a request with a valid bearer token; else the answer is the 401 of Google's APIs. */
bool oauth_admits(struct oauth *oauth, const struct request *request, struct answer *answer);
/* Writes the service account key (JSON, mode 0600) that clients are given. */
int oauth_write_key(struct oauth *oauth, const char *path, struct err *err);

#endif
