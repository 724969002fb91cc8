/* The token that is kept, and who gets it. */
#include "auth/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

#define RENEW_BEFORE_MS (225 * 1000) /* 3 min 45 s, as Google's own libraries do */

struct auth {
    struct http *http;
    struct credential *credential;
    struct http_auth for_http;
    char *extra;
    char *source;
    struct token token; /* value NULL: none yet */
    int64_t renew_at;   /* mono */
};

void token_clear(struct token *token)
{
    free(token->value);
    *token = (struct token){0};
}

/* A token that lives shorter than the margin is still used for half of its life. */
static int64_t renewal(const struct run *run, const struct token *token)
{
    int64_t lifetime = token->lifetime_s * 1000;
    int64_t margin = lifetime < 2 * RENEW_BEFORE_MS ? lifetime / 2 : RENEW_BEFORE_MS;

    return run_mono_ms(run) + lifetime - margin;
}

/* It becomes part of a header: nothing in it may end that header. */
static int check_token(const struct token *token, const char *source, struct err *err)
{
    const char *at = token->value;

    while (*at > ' ' && *at < 0x7f)
        at++;
    if (*at != '\0' || at == token->value)
        return err_set(err, ERR_DENIED, "the %s: that is no valid token", source);
    return 0;
}

static int renew(struct auth *auth, struct err *err)
{
    autotoken struct token token = {0};
    struct credential *credential = auth->credential;

    if (credential->kind->fetch(credential, auth->http, &token, err) < 0 ||
        check_token(&token, auth->source, err) < 0)
        return -1;
    token_clear(&auth->token);
    auth->token = token;
    token = (struct token){0};
    auth->renew_at = renewal(http_run(auth->http), &auth->token);
    return 0;
}

static bool may_have_it(const char *url)
{
    struct url_parts parts;

    return url_split(url, &parts) &&
           (strcmp(parts.scheme, "https") == 0 || host_is_loopback(parts.host));
}

static int give_header(void *arg, const char *url, struct buf *value, struct err *err)
{
    struct auth *auth = arg;
    bool current = auth->token.value != NULL && run_mono_ms(http_run(auth->http)) < auth->renew_at;

    if (!may_have_it(url))
        return 0;
    if (!current && renew(auth, err) < 0)
        return -1;
    if (buf_addf(value, "Bearer %s", auth->token.value) < 0)
        return err_set(err, ERR_DENIED, "the token of the %s is too long", auth->source);
    return 0;
}

static void on_refused(void *arg)
{
    token_clear(&((struct auth *)arg)->token);
}

/* Calls of a person's credential are counted against the project that the credential names. */
static char *quota_header(const struct credential *credential)
{
    const char *project = json_str(credential->json, "quota_project_id");

    if (project == NULL ||
        project[strspn(project, "abcdefghijklmnopqrstuvwxyz0123456789-:.")] != '\0')
        return NULL;
    return xasprintf("X-Goog-User-Project: %s", project);
}

int auth_find(struct http *http, struct auth **out, struct err *err)
{
    struct credential *credential = NULL;
    struct auth *auth;

    if (credential_find(http_run(http), &credential, err) < 0)
        return -1;
    auth = xcalloc(1, sizeof(*auth));
    auth->http = http;
    auth->credential = credential;
    auth->extra = quota_header(credential);
    auth->source = credential->origin[0] != '\0'
                       ? xasprintf("%s %s", credential->kind->words, credential->origin)
                       : xstrdup(credential->kind->words);
    auth->for_http = (struct http_auth){
        .header = give_header, .refused = on_refused, .arg = auth, .extra = auth->extra};
    log_debug(http_run(http)->log, "credentials: %s (%s)", auth->source, credential->account);
    *out = auth;
    return 0;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    credential_free(auth->credential);
    token_clear(&auth->token);
    free(auth->extra);
    free(auth->source);
    free(auth);
}

void auth_freep(struct auth **auth)
{
    auth_free(*auth);
}

const struct http_auth *auth_http(struct auth *auth)
{
    return &auth->for_http;
}

const char *auth_account(const struct auth *auth)
{
    return auth->credential->account;
}

const char *auth_source(const struct auth *auth)
{
    return auth->source;
}

const char *auth_project(const struct auth *auth)
{
    return auth->credential->project;
}
