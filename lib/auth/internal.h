/* A credential is a kind (one file, one row in find.c) and what its JSON says. */
#ifndef AUTH_INTERNAL_H
#define AUTH_INTERNAL_H

#include "necoops/auth/auth.h"
#include "necoops/base/json.h"
#include "necoops/google/api.h"

#define AUTH_SCOPE "https://www.googleapis.com/auth/cloud-platform"

struct token {
    char *value;
    int64_t lifetime_s;
};
void token_clear(struct token *token);
#define autotoken CLEANUP(token_clear)

struct credential;

struct credential_kind {
    const char *type;  /* as the file's `type` says it */
    const char *words; /* "service account key": for messages */
    /* Checks that all is there that `fetch` needs, and sets account and project. NULL: nothing. */
    int (*check)(struct credential *credential, struct err *err);
    /* Gets an access token for AUTH_SCOPE. */
    int (*fetch)(struct credential *credential, struct http *http, struct token *out,
                 struct err *err);
};

struct credential {
    const struct credential_kind *kind;
    cJSON *json;               /* NULL where nothing but the environment says it */
    char *secret;              /* the token itself, of kind `static` */
    char *origin;              /* "'/x.json'", "GCLOUD_SERVICE_KEY"; for messages */
    char *account;             /* never NULL once checked */
    char *project;             /* or NULL */
    struct credential *source; /* what this one is derived from, or NULL */
};

void credential_free(struct credential *credential);
/* From the JSON of a credential file (taken over, whatever happens). */
int credential_from_json(cJSON *json, const char *origin, struct credential **out, struct err *err);
/* ERR_DENIED with "the credential in ORIGIN lacks 'key'" unless all of them are strings. */
int credential_need(const struct credential *credential, const char *const *keys, struct err *err);

extern const struct credential_kind kind_static;
extern const struct credential_kind kind_metadata;
extern const struct credential_kind kind_service_account;
extern const struct credential_kind kind_authorized_user;
extern const struct credential_kind kind_external_account;
extern const struct credential_kind kind_impersonated;

/* find.c */
int credential_find(const struct run *run, struct credential **out, struct err *err);

/* ---- what kinds share: token endpoints (oauth.c) ---- */

/* A secret goes only over TLS or to loopback; else ERR_DENIED. */
int endpoint_is_safe(const char *url, struct err *err);
/* The endpoint that a file names, or `service`'s own (which may be moved) when the file names none
 * or the one that Google has. Caller frees. */
char *token_endpoint(const struct run *run, const char *named, enum google_service service);

void form_add(struct buf *form, const char *name, const char *value);
/* Posts the form; reads `access_token` and `expires_in`. `basic`: "id:secret", or NULL. */
int oauth_token(struct credential *credential, struct http *http, const char *url,
                const struct buf *form, const char *basic, struct token *out, struct err *err);

/* jwt.c: a signed RS256 JWT; caller frees. */
int jwt_sign(const char *private_key_pem, const char *key_id, const cJSON *claims, char **out,
             struct err *err);

/* subject_token.c: what the credential source of an external account holds. Caller frees. */
int subject_token(const struct credential *credential, struct http *http, char **out,
                  struct err *err);

/* impersonated.c: trades a token for one of the service account that `url` names. */
int impersonate(struct credential *credential, struct http *http, const char *url,
                const struct token *bearer, int64_t lifetime_s, struct token *out, struct err *err);
/* "a@b" of "…/serviceAccounts/a@b:generateAccessToken", or NULL; caller frees. */
char *impersonated_account(const char *url);

#endif
