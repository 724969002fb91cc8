/* Accounts and their access tokens: who a request is from, and what it may. The token endpoint
 * itself is in oauth_grant.c. */
#include "emulator/core/oauth_internal.h"

#include <strings.h>
#include <time.h>
#include "emulator/google/envelope.h"
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define SCOPE "https://www.googleapis.com/auth/"

int oauth_new(struct emu *emu, struct oauth **out, struct err *err)
{
    struct oauth *oauth = xcalloc(1, sizeof *oauth);
    oauth->emu = emu;
    pthread_mutex_init(&oauth->lock, NULL);
    if (signing_key_new(&oauth->key, err) < 0) {
        oauth_free(oauth);
        return -1;
    }
    unsigned char id[20];
    random_bytes(id, sizeof id);
    oauth->key_id = hex_encode(id, sizeof id);
    oauth->default_account = xasprintf("neco-ops@%s.iam.gserviceaccount.com", emu_project(emu));
    account_get(oauth, oauth->default_account);
    *out = oauth;
    return 0;
}

static void account_free(struct account *account)
{
    free(account->email);
    free(account->refresh_token);
    strv_clear(&account->deny);
    free(account);
}

void oauth_free(struct oauth *oauth)
{
    if (oauth == NULL)
        return;
    for (struct token *token = oauth->tokens, *next; token != NULL; token = next) {
        next = token->next;
        free(token->text);
        free(token->scopes);
        free(token);
    }
    for (struct account *account = oauth->accounts, *next; account != NULL; account = next) {
        next = account->next;
        account_free(account);
    }
    signing_key_free(oauth->key);
    free(oauth->key_id);
    free(oauth->default_account);
    pthread_mutex_destroy(&oauth->lock);
    free(oauth);
}

struct account *account_find(struct oauth *oauth, const char *email)
{
    for (struct account *account = oauth->accounts; account != NULL; account = account->next) {
        if (strcmp(account->email, email) == 0)
            return account;
    }
    return NULL;
}

struct account *account_get(struct oauth *oauth, const char *email)
{
    struct account *account = account_find(oauth, email);
    if (account != NULL)
        return account;
    account = xcalloc(1, sizeof *account);
    account->email = xstrdup(email);
    unsigned char secret[24];
    random_bytes(secret, sizeof secret);
    autofree char *text = base64url_encode(secret, sizeof secret);
    account->refresh_token = xasprintf("1//emulator-%s", text);
    account->next = oauth->accounts;
    oauth->accounts = account;
    return account;
}

const char *oauth_default_account(const struct oauth *oauth)
{
    return oauth->default_account;
}

/* ---- tokens ---- */

static void drop_expired(struct oauth *oauth, int64_t now)
{
    for (struct token **at = &oauth->tokens; *at != NULL;) {
        struct token *token = *at;
        if (token->expires > now) {
            at = &token->next;
            continue;
        }
        *at = token->next;
        free(token->text);
        free(token->scopes);
        free(token);
    }
}

char *oauth_issue(struct oauth *oauth, const char *account, const char *scopes, int64_t lifetime_s)
{
    unsigned char secret[48];
    random_bytes(secret, sizeof secret);
    autofree char *encoded = base64url_encode(secret, sizeof secret);
    struct token *token = xcalloc(1, sizeof *token);
    token->text = xasprintf("ya29.c.%s", encoded);
    token->scopes = xstrdup(scopes);
    int64_t now = (int64_t)time(NULL);
    token->expires = now + lifetime_s;
    char *text = xstrdup(token->text);
    pthread_mutex_lock(&oauth->lock);
    drop_expired(oauth, now);
    token->account = account_get(oauth, account);
    token->next = oauth->tokens;
    oauth->tokens = token;
    pthread_mutex_unlock(&oauth->lock);
    return text;
}

char *oauth_identity(struct oauth *oauth, const char *account, const char *audience,
                     const cJSON *more_claims)
{
    autojson cJSON *claims = more_claims != NULL ? json_copy(more_claims) : json_object();
    int64_t now = (int64_t)time(NULL);
    json_set_str(claims, "iss", "https://accounts.google.com");
    json_set_str(claims, "aud", audience);
    json_set_str(claims, "azp", account);
    json_set_str(claims, "sub", account);
    json_set_str(claims, "email", account);
    json_set_bool(claims, "email_verified", true);
    json_set_i64(claims, "iat", now);
    json_set_i64(claims, "exp", now + 3600);
    return jwt_sign(oauth->key, oauth->key_id, claims);
}

/* The bearer token of a request, borrowed, or NULL. */
static const char *request_bearer(const struct request *request)
{
    const char *value = request_header(request, "Authorization");
    if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

/* Under the lock; NULL when it was not issued in this run or has expired. */
static struct token *token_find(struct oauth *oauth, const char *text)
{
    int64_t now = (int64_t)time(NULL);
    for (struct token *token = oauth->tokens; token != NULL; token = token->next) {
        if (strcmp(token->text, text) == 0)
            return token->expires > now ? token : NULL;
    }
    return NULL;
}

/* ---- admission ---- */

static bool has_scope(const char *scopes, const char *name)
{
    autostrv struct strv list = STRV_INIT;
    autofree char *full = xasprintf(SCOPE "%s", name);
    strv_split(&list, scopes, ' ');
    return strv_has(&list, full);
}

static bool has_any_scope(const char *scopes, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (has_scope(scopes, *names))
            return true;
    }
    return false;
}

static bool scopes_reach(const char *scopes, const struct request *request)
{
    static const char *const compute_write[] = {"cloud-platform", "compute", NULL};
    static const char *const compute_read[] = {"cloud-platform", "cloud-platform.read-only",
                                               "compute", "compute.readonly", NULL};
    static const char *const storage_write[] = {"cloud-platform", "devstorage.full_control",
                                                "devstorage.read_write", NULL};
    static const char *const storage_read[] = {
        "cloud-platform",        "cloud-platform.read-only", "devstorage.full_control",
        "devstorage.read_write", "devstorage.read_only",     NULL};
    static const char *const iam[] = {"cloud-platform", "iam", NULL};
    bool reads = request_is(request, "GET") || request_is(request, "HEAD");
    if (text_starts(request->path, "/compute/") || text_starts(request->path, "/emulator/"))
        return has_any_scope(scopes, reads ? compute_read : compute_write);
    if (text_starts(request->path, "/v1/projects/"))
        return has_any_scope(scopes, iam);
    return has_any_scope(scopes, reads ? storage_read : storage_write);
}

static void answer_unauthorized(struct answer *answer, bool given)
{
    answer_header(answer, "WWW-Authenticate: Bearer realm=\"https://accounts.google.com/\"%s",
                  given ? ", error=\"invalid_token\"" : "");
    if (given)
        google_error(answer, 401, "authError",
                     "Request had invalid authentication credentials. Expected OAuth 2 access "
                     "token, login cookie or other valid authentication credential. See "
                     "https://developers.google.com/identity/sign-in/web/devconsole-project.");
    else
        google_error(answer, 401, "required",
                     "Request is missing required authentication credential. Expected OAuth 2 "
                     "access token, login cookie or other valid authentication credential. See "
                     "https://developers.google.com/identity/sign-in/web/devconsole-project.");
}

bool oauth_admits(struct oauth *oauth, const struct request *request, struct answer *answer)
{
    const char *bearer = request_bearer(request);
    if (bearer == NULL) {
        answer_unauthorized(answer, false);
        return false;
    }
    pthread_mutex_lock(&oauth->lock);
    struct token *token = token_find(oauth, bearer);
    bool known = token != NULL;
    bool reaches = known && scopes_reach(token->scopes, request);
    pthread_mutex_unlock(&oauth->lock);
    if (!known)
        answer_unauthorized(answer, true);
    else if (!reaches)
        google_error(answer, 403, "insufficientPermissions",
                     "Request had insufficient authentication scopes.");
    return reaches;
}

char *oauth_account(struct oauth *oauth, const struct request *request)
{
    const char *bearer = request_bearer(request);
    char *email = NULL;
    if (bearer == NULL)
        return NULL;
    pthread_mutex_lock(&oauth->lock);
    struct token *token = token_find(oauth, bearer);
    if (token != NULL)
        email = xstrdup(token->account->email);
    pthread_mutex_unlock(&oauth->lock);
    return email;
}

bool oauth_permits(struct oauth *oauth, const struct request *request, const char *permission)
{
    const char *bearer = request_bearer(request);
    bool permitted = bearer != NULL;
    pthread_mutex_lock(&oauth->lock);
    struct token *token = bearer != NULL ? token_find(oauth, bearer) : NULL;
    for (size_t i = 0; token != NULL && i < token->account->deny.len; i++) {
        if (glob_match(token->account->deny.items[i], permission))
            permitted = false;
    }
    pthread_mutex_unlock(&oauth->lock);
    return permitted;
}
