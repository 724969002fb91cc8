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
/* A fresh access token with these scopes (separated by blanks) for this account; caller frees. For
 * the metadata server. */
char *oauth_issue(struct oauth *oauth, const char *account, const char *scopes, int64_t lifetime_s);
/* A signed identity token (JWT) of this account for an audience; caller frees. */
char *oauth_identity(struct oauth *oauth, const char *account, const char *audience,
                     const cJSON *more_claims);
/* True for a request with a valid bearer token whose scopes reach the path's service; else the
 * answer is the 401 or 403 of Google's APIs. */
bool oauth_admits(struct oauth *oauth, const struct request *request, struct answer *answer);
/* The account of an admitted request, copied; NULL when there is none. Caller frees. */
char *oauth_account(struct oauth *oauth, const struct request *request);
/* False when the seed denies this permission ("compute.instances.insert") to the request's account.
 */
bool oauth_permits(struct oauth *oauth, const struct request *request, const char *permission);
/* The account that instances and the default credentials run as. */
const char *oauth_default_account(const struct oauth *oauth);
/* The seed's `accounts`: {EMAIL: {"deny": [GLOB, …], "credentials": FILE, "type": "service_account"
 * | "authorized_user" | "external_account"}}; writes the credentials asked for. */
int oauth_seed(struct oauth *oauth, const cJSON *accounts, struct err *err);
/* Writes the service account key (JSON, mode 0600) that clients are given. */
int oauth_write_key(struct oauth *oauth, const char *path, struct err *err);

#endif
