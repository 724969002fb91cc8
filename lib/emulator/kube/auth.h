/* Who asks, and whether they may: tokens, client certificates, RBAC. Internal. */
#ifndef EMULATOR_KUBE_AUTH_H
#define EMULATOR_KUBE_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include "emulator/core/server.h"
#include "emulator/kube/store.h"
#include "necoops/base/strv.h"

struct identity {
    char *user;
    char *uid; /* or NULL */
    struct strv groups;
};
void identity_clear(struct identity *identity);
void identity_copy(struct identity *to, const struct identity *from);

/* ---- tokens ---- */
struct tokens;
struct tokens *tokens_new(void);
void tokens_free(struct tokens *tokens);
/* A new token in the shape of a JWT; it is known by being in the table, its signature is random.
 * `lifetime_s` 0: without end. Caller frees. */
char *tokens_issue(struct tokens *tokens, const struct identity *identity, int64_t lifetime_s);
/* One that was agreed on beforehand. */
void tokens_add(struct tokens *tokens, const char *token, const struct identity *identity);
/* False when it is none, or has ended. */
bool tokens_find(struct tokens *tokens, const char *token, struct identity *out);
/* The identity of a ServiceAccount. */
void identity_of_service_account(struct identity *identity, const char *space, const char *name,
                                 const char *uid);

/* From the request's token or certificate, and its Impersonate- headers are not looked at; nobody
 * is system:anonymous. False: a credential that does not hold (401). */
bool authenticate(struct tokens *tokens, struct store *store, const struct request *request,
                  struct identity *out);

/* ---- RBAC ---- */
struct access {
    const struct identity *identity;
    const char *verb;
    const char *group, *resource, *subresource; /* "" where there is none */
    const char *space, *name;                   /* "" for all */
    const char *path;                           /* not NULL: no resource, this path */
};
bool rbac_allows(struct store *store, const struct access *access);
/* What `kubectl auth can-i --list` shows: rules of this identity in a namespace; the caller's. */
void rbac_rules(struct store *store, const struct identity *identity, const char *space,
                cJSON *resource_rules, cJSON *path_rules);
/* The roles and bindings that every cluster has. */
int rbac_bootstrap(struct store *store, struct err *err);

#endif
