#include "emulator/kube/auth.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "necoops/base/digest.h"
#include "necoops/base/run.h"
#include "necoops/base/text.h"
#include "emulator/kube/core.h"

void identity_clear(struct identity *identity)
{
    free(identity->user);
    free(identity->uid);
    strv_clear(&identity->groups);
    *identity = (struct identity){0};
}

void identity_copy(struct identity *to, const struct identity *from)
{
    *to = (struct identity){.user = xstrdup(from->user),
                            .uid = from->uid != NULL ? xstrdup(from->uid) : NULL};
    for (size_t i = 0; i < from->groups.len; i++)
        strv_add(&to->groups, from->groups.items[i]);
}

void identity_of_service_account(struct identity *identity, const char *space, const char *name,
                                 const char *uid)
{
    *identity = (struct identity){.user = xasprintf("system:serviceaccount:%s:%s", space, name),
                                  .uid = uid != NULL ? xstrdup(uid) : NULL};
    strv_add(&identity->groups, "system:serviceaccounts");
    strv_addf(&identity->groups, "system:serviceaccounts:%s", space);
}

/* ---- tokens ---- */

struct token {
    struct token *next;
    char *text;
    int64_t ends_ms; /* wall clock; 0: never */
    struct identity identity;
};

struct tokens {
    pthread_mutex_t lock;
    struct token *first;
};

struct tokens *tokens_new(void)
{
    struct tokens *tokens = xcalloc(1, sizeof(*tokens));

    pthread_mutex_init(&tokens->lock, NULL);
    return tokens;
}

static void free_token(struct token *token)
{
    free(token->text);
    identity_clear(&token->identity);
    free(token);
}

void tokens_free(struct tokens *tokens)
{
    struct token *token = tokens != NULL ? tokens->first : NULL;

    while (token != NULL) {
        struct token *next = token->next;

        free_token(token);
        token = next;
    }
    if (tokens != NULL)
        pthread_mutex_destroy(&tokens->lock);
    free(tokens);
}

static int64_t wall_ms(void)
{
    return clock_system.wall_ms(clock_system.arg);
}

static void add(struct tokens *tokens, const char *text, const struct identity *identity,
                int64_t ends_ms)
{
    struct token *token = xcalloc(1, sizeof(*token));

    token->text = xstrdup(text);
    token->ends_ms = ends_ms;
    identity_copy(&token->identity, identity);
    pthread_mutex_lock(&tokens->lock);
    token->next = tokens->first;
    tokens->first = token;
    pthread_mutex_unlock(&tokens->lock);
}

void tokens_add(struct tokens *tokens, const char *token, const struct identity *identity)
{
    add(tokens, token, identity, 0);
}

char *tokens_issue(struct tokens *tokens, const struct identity *identity, int64_t lifetime_s)
{
    static const char header[] = "{\"alg\":\"RS256\",\"kid\":\"emulator\"}";
    autojson cJSON *claims = json_object();
    autofree char *text = NULL;
    autofree char *first = base64url_encode(header, strlen(header));
    autofree char *second = NULL;
    autofree char *third = NULL;
    unsigned char signature[64];
    char *token;
    int64_t ends_ms = lifetime_s > 0 ? wall_ms() + lifetime_s * 1000 : 0;

    random_bytes(signature, sizeof(signature));
    json_set_str(claims, "iss", "https://kubernetes.default.svc.cluster.local");
    json_set_str(claims, "sub", identity->user);
    json_set_i64(claims, "iat", wall_ms() / 1000);
    if (ends_ms > 0)
        json_set_i64(claims, "exp", ends_ms / 1000);
    text = json_print(claims);
    second = base64url_encode(text, strlen(text));
    third = base64url_encode(signature, sizeof(signature));
    token = xasprintf("%s.%s.%s", first, second, third);
    add(tokens, token, identity, ends_ms);
    return token;
}

bool tokens_find(struct tokens *tokens, const char *text, struct identity *out)
{
    struct token *token;
    bool found;

    pthread_mutex_lock(&tokens->lock);
    for (token = tokens->first; token != NULL; token = token->next) {
        if (strcmp(token->text, text) == 0)
            break;
    }
    found = token != NULL && (token->ends_ms == 0 || token->ends_ms > wall_ms());
    if (found)
        identity_copy(out, &token->identity);
    pthread_mutex_unlock(&tokens->lock);
    return found;
}

/* ---- who asks ---- */

/* A ServiceAccount's token ends with it. */
static bool still_there(struct store *store, const struct identity *identity)
{
    const struct resource *accounts;
    CLEANUP(strv_clear) struct strv parts = STRV_INIT;
    struct stored *account;
    bool same;

    if (!text_starts(identity->user, "system:serviceaccount:") || identity->uid == NULL)
        return true;
    strv_split(&parts, identity->user, ':');
    accounts = store_resource(store, "", "serviceaccounts");
    account = parts.len == 4 ? store_get(store, accounts, parts.items[2], parts.items[3]) : NULL;
    same = account != NULL && str_equal(json_str(account->object, "metadata.uid"), identity->uid);
    stored_unref(account);
    return same;
}

bool authenticate(struct tokens *tokens, struct store *store, const struct request *request,
                  struct identity *out)
{
    const char *header = request_header(request, "Authorization");

    *out = (struct identity){0};
    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
        if (!tokens_find(tokens, header + 7 + strspn(header + 7, " "), out))
            return false;
        if (!still_there(store, out)) {
            identity_clear(out);
            return false;
        }
    } else if (request_client_certificate_bad(request)) {
        return false;
    } else if (!request_client_certificate(request, &out->user, &out->groups)) {
        out->user = xstrdup("system:anonymous");
        strv_add(&out->groups, "system:unauthenticated");
        return true;
    }
    if (!strv_has(&out->groups, "system:authenticated"))
        strv_add(&out->groups, "system:authenticated");
    return true;
}
