/* Reviews: who am I, may I, may they. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/api.h"

static void identity_json(const struct identity *identity, cJSON *user)
{
    cJSON *groups = json_set_array(user, "groups");

    json_set_str(user, "username", identity->user);
    json_set_str(user, "uid", identity->uid);
    for (size_t i = 0; i < identity->groups.len; i++)
        json_push_str(groups, identity->groups.items[i]);
}

static bool decide(struct call *call, const cJSON *spec, const struct identity *identity)
{
    const cJSON *resource = json_get(spec, "resourceAttributes");
    const cJSON *path = json_get(spec, "nonResourceAttributes");
    const cJSON *from = resource != NULL ? resource : path;
    struct access access = {
        .identity = identity,
        .verb = json_str_or(from, "verb", ""),
        .group = json_str_or(resource, "group", ""),
        .resource = json_str_or(resource, "resource", ""),
        .subresource = json_str_or(resource, "subresource", ""),
        .space = json_str_or(resource, "namespace", ""),
        .name = json_str_or(resource, "name", ""),
        .path = resource == NULL ? json_str_or(path, "path", "") : NULL,
    };

    return rbac_allows(call->api->store, &access);
}

static void access_review(struct call *call, cJSON *body, const struct identity *identity)
{
    const cJSON *spec = json_get(body, "spec");
    bool allowed;
    cJSON *status;

    if ((json_get(spec, "resourceAttributes") == NULL) ==
        (json_get(spec, "nonResourceAttributes") == NULL)) {
        respond_fail(call, 422, "Invalid",
                     "%s.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid "
                     "value: \"null\": exactly one of nonResourceAttributes or resourceAttributes "
                     "must be specified",
                     call->type->resource.kind);
        return;
    }
    allowed = decide(call, spec, identity);
    status = json_set_object(body, "status");
    json_set_bool(status, "allowed", allowed);
    respond_object(call, 201, body);
}

static void others_review(struct call *call, cJSON *body)
{
    const cJSON *group;
    struct identity identity = {.user = xstrdup(json_str_or(body, "spec.user", ""))};

    cJSON_ArrayForEach(group, json_at(body, "spec.groups"))
    {
        if (cJSON_IsString(group))
            strv_add(&identity.groups, group->valuestring);
    }
    access_review(call, body, &identity);
    identity_clear(&identity);
}

static void rules_review(struct call *call, cJSON *body)
{
    const char *space = json_str_or(body, "spec.namespace", "default");
    cJSON *status = json_set_object(body, "status");
    cJSON *resources = json_set_array(status, "resourceRules");
    cJSON *paths = json_set_array(status, "nonResourceRules");

    rbac_rules(call->api->store, &call->identity, space, resources, paths);
    json_set_bool(status, "incomplete", false);
    respond_object(call, 201, body);
}

static void token_review(struct call *call, cJSON *body)
{
    struct identity identity;
    bool valid = tokens_find(call->api->tokens, json_str_or(body, "spec.token", ""), &identity);
    cJSON *status = json_set_object(body, "status");

    if (valid) {
        json_set_bool(status, "authenticated", true);
        identity_json(&identity, json_set_object(status, "user"));
        identity_clear(&identity);
    } else {
        json_set_str(status, "error", "[invalid bearer token, token lookup failed]");
    }
    respond_object(call, 201, body);
}

static void self_review(struct call *call, cJSON *body)
{
    identity_json(&call->identity, json_set_object(json_set_object(body, "status"), "userInfo"));
    respond_object(call, 201, body);
}

void review_create(struct call *call)
{
    autojson cJSON *body = NULL;
    const char *kind = call->type->resource.kind;

    if (!body_parse(call, &body))
        return;
    call->form = FORM_OBJECT;
    json_need_object(body, "metadata");
    if (strcmp(kind, "SelfSubjectAccessReview") == 0)
        access_review(call, body, &call->identity);
    else if (strcmp(kind, "SelfSubjectRulesReview") == 0)
        rules_review(call, body);
    else if (strcmp(kind, "TokenReview") == 0)
        token_review(call, body);
    else if (strcmp(kind, "SelfSubjectReview") == 0)
        self_review(call, body);
    else if (strcmp(kind, "Binding") == 0)
        respond_fail(call, 405, "MethodNotAllowed", "use pods/NAME/binding");
    else
        others_review(call, body);
}
