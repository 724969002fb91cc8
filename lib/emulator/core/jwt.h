/* JSON Web Tokens with RS256: the run's key signs and checks them. */
#ifndef EMULATOR_CORE_JWT_H
#define EMULATOR_CORE_JWT_H

#include "necoops/base/err.h"
#include "necoops/base/json.h"

struct signing_key;
int signing_key_new(struct signing_key **out, struct err *err);
void signing_key_free(struct signing_key *key);
/* PKCS#8 PEM; caller frees. */
char *signing_key_pem(const struct signing_key *key);

/* header.claims.signature; caller frees. */
char *jwt_sign(const struct signing_key *key, const char *key_id, const cJSON *claims);
/* The claims of a token whose signature is right. ERR_PROTOCOL: it is no JWT or not RS256;
 * ERR_DENIED: the signature is wrong. */
int jwt_verify(const struct signing_key *key, const char *token, cJSON **claims,
               struct err *err) MUST_CHECK;

#endif
