/* What oauth.c, oauth_grant.c and oauth_files.c share. */
#ifndef EMULATOR_CORE_OAUTH_INTERNAL_H
#define EMULATOR_CORE_OAUTH_INTERNAL_H

#include <pthread.h>
#include "emulator/core/jwt.h"
#include "emulator/core/oauth.h"

#define OAUTH_CLIENT_ID     "764086051850-emulator.apps.googleusercontent.com"
#define OAUTH_CLIENT_SECRET "d-emulator-not-secret"

struct account {
    char *email;
    char *refresh_token;
    struct strv deny; /* permissions, globs */
    struct account *next;
};

struct token {
    char *text;
    char *scopes;
    struct account *account;
    int64_t expires; /* seconds since 1970 */
    struct token *next;
};

struct oauth {
    struct emu *emu;
    struct signing_key *key;
    char *key_id;
    char *default_account;
    pthread_mutex_t lock; /* over what follows; accounts are never removed */
    struct account *accounts;
    struct token *tokens;
};

/* Under the lock (or before anything runs). */
struct account *account_find(struct oauth *oauth, const char *email);
struct account *account_get(struct oauth *oauth, const char *email); /* made when missing */

#endif
