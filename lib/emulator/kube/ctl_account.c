/* ServiceAccounts and their token Secrets. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/ctl.h"

#define TOKEN_TYPE    "kubernetes.io/service-account-token"
#define NAME          "kubernetes.io/service-account.name"
#define UID           "kubernetes.io/service-account.uid"
#define SECRETS_UNTIL 24 /* from this Kubernetes on, accounts get no Secret by themselves */

/* Before 1.24 each account has a Secret with a token that does not end. */
int64_t ctl_account(struct ctl *ctl, const struct resource *resource, const cJSON *account)
{
    const char *name = json_str_or(account, "metadata.name", "");
    autofree char *prefix = xasprintf("%s-token", name);
    autofree char *secret_name = NULL;
    cJSON *secret;
    cJSON *patch;
    cJSON *entry;

    if (store_minor(ctl->store) >= SECRETS_UNTIL || is_deleting(account) ||
        cJSON_GetArraySize(json_get(account, "secrets")) > 0)
        return CTL_DONE;
    secret_name = random_name(prefix);
    secret = new_object_of("v1", "Secret", json_str(account, "metadata.namespace"), secret_name);
    json_set_str(json_set_object(json_get(secret, "metadata"), "annotations"), NAME, name);
    json_set_str(secret, "type", TOKEN_TYPE);
    if (!ctl_create(ctl, secret))
        return CTL_DONE;
    patch = json_object();
    entry = json_object();
    json_set_str(entry, "name", secret_name);
    json_push(json_set_array(patch, "secrets"), entry);
    ctl_merge(ctl, resource, account, patch);
    return CTL_DONE;
}

static void set_encoded(cJSON *data, const char *key, const char *value)
{
    autofree char *encoded = base64_encode(value, strlen(value));

    json_set_str(data, key, encoded);
}

/* A Secret made for a token gets one. */
int64_t ctl_secret(struct ctl *ctl, const struct resource *resource, const cJSON *secret)
{
    const char *space = json_str_or(secret, "metadata.namespace", "");
    const char *name = json_key_str(json_at(secret, "metadata.annotations"), NAME);
    struct stored *account;
    struct identity identity;
    autofree char *token = NULL;
    cJSON *patch;
    cJSON *data;

    if (strcmp(json_str_or(secret, "type", ""), TOKEN_TYPE) != 0 || name == NULL ||
        is_deleting(secret) || json_at(secret, "data.token") != NULL)
        return CTL_DONE;
    account = ctl_get(ctl, "", "serviceaccounts", space, name);
    if (account == NULL) {
        /* As the token cleaner does it. */
        ctl_delete(ctl, resource, secret);
        return CTL_DONE;
    }
    identity_of_service_account(&identity, space, name, json_str(account->object, "metadata.uid"));
    token = tokens_issue(ctl->spec.tokens, &identity, 0);
    identity_clear(&identity);
    patch = json_object();
    json_set_str(json_set_object(json_set_object(patch, "metadata"), "annotations"), UID,
                 json_str(account->object, "metadata.uid"));
    data = json_set_object(patch, "data");
    set_encoded(data, "token", token);
    set_encoded(data, "ca.crt", ctl->spec.ca_pem);
    set_encoded(data, "namespace", space);
    ctl_merge(ctl, resource, secret, patch);
    stored_unref(account);
    return CTL_DONE;
}
