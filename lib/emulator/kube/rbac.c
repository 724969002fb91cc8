/* Role-based access control: the bindings and roles in the store are what decides. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/auth.h"
#include "emulator/kube/core.h"
#include "emulator/kube/selector.h"

#define GROUP "rbac.authorization.k8s.io"

/* ---- rules ---- */

static bool has(const cJSON *list, const char *text)
{
    return json_has_str(list, text) || json_has_str(list, "*");
}

static bool resource_fits(const cJSON *resources, const struct access *access)
{
    autofree char *full = NULL;
    autofree char *any = NULL;

    if (json_has_str(resources, "*"))
        return true;
    if (access->subresource[0] == '\0')
        return json_has_str(resources, access->resource);
    full = xasprintf("%s/%s", access->resource, access->subresource);
    any = xasprintf("*/%s", access->subresource);
    return json_has_str(resources, full) || json_has_str(resources, any);
}

static bool path_fits(const cJSON *paths, const char *path)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, paths)
    {
        const char *pattern = cJSON_IsString(item) ? item->valuestring : "";
        size_t len = strlen(pattern);

        if (strcmp(pattern, path) == 0 ||
            (len > 0 && pattern[len - 1] == '*' && strncmp(pattern, path, len - 1) == 0))
            return true;
    }
    return false;
}

static bool rule_allows(const cJSON *rule, const struct access *access)
{
    const cJSON *names = json_get(rule, "resourceNames");

    if (!has(json_get(rule, "verbs"), access->verb))
        return false;
    if (access->path != NULL)
        return path_fits(json_get(rule, "nonResourceURLs"), access->path);
    return has(json_get(rule, "apiGroups"), access->group) &&
           resource_fits(json_get(rule, "resources"), access) &&
           (cJSON_GetArraySize(names) == 0 || json_has_str(names, access->name));
}

/* ---- bindings ---- */

static bool subject_fits(const cJSON *subject, const struct identity *identity, const char *space)
{
    const char *kind = json_str_or(subject, "kind", "");
    const char *name = json_str_or(subject, "name", "");

    if (strcmp(kind, "User") == 0)
        return strcmp(name, identity->user) == 0;
    if (strcmp(kind, "Group") == 0)
        return strv_has(&identity->groups, name);
    if (strcmp(kind, "ServiceAccount") == 0) {
        autofree char *user = xasprintf("system:serviceaccount:%s:%s",
                                        json_str_or(subject, "namespace", space), name);

        return strcmp(user, identity->user) == 0;
    }
    return false;
}

static bool binds(const cJSON *binding, const struct identity *identity)
{
    const cJSON *subject;

    cJSON_ArrayForEach(subject, json_get(binding, "subjects"))
    {
        if (subject_fits(subject, identity, json_str_or(binding, "metadata.namespace", "")))
            return true;
    }
    return false;
}

/* Calls `visit` for each rule until it returns true. */
typedef bool (*rule_visitor)(void *arg, const cJSON *rule);

static bool visit_rules(const cJSON *role, rule_visitor visit, void *arg)
{
    const cJSON *rule;

    cJSON_ArrayForEach(rule, json_get(role, "rules"))
    {
        if (visit(arg, rule))
            return true;
    }
    return false;
}

/* A ClusterRole with an aggregationRule has the rules of those its selectors choose. */
static bool visit_aggregated(struct store *store, const cJSON *role, rule_visitor visit, void *arg)
{
    const cJSON *selectors = json_at(role, "aggregationRule.clusterRoleSelectors");
    const struct resource *cluster_roles = store_resource(store, GROUP, "clusterroles");
    struct stored **list;
    bool done = false;

    if (selectors == NULL)
        return false;
    list = store_list(store, cluster_roles, NULL, NULL);
    for (size_t i = 0; list[i] != NULL && !done; i++) {
        const cJSON *labels = json_at(list[i]->object, "metadata.labels");
        const cJSON *selector;

        cJSON_ArrayForEach(selector, selectors)
        {
            if (selector_matches_labels(selector, labels))
                done = done || visit_rules(list[i]->object, visit, arg);
        }
    }
    store_list_free(list);
    return done;
}

static bool visit_bound(struct store *store, const cJSON *binding, rule_visitor visit, void *arg)
{
    bool cluster = strcmp(json_str_or(binding, "roleRef.kind", ""), "ClusterRole") == 0;
    const struct resource *roles = store_resource(store, GROUP, cluster ? "clusterroles" : "roles");
    struct stored *role = store_get(store, roles, json_str(binding, "metadata.namespace"),
                                    json_str_or(binding, "roleRef.name", ""));
    bool done = role != NULL && (visit_rules(role->object, visit, arg) ||
                                 visit_aggregated(store, role->object, visit, arg));

    stored_unref(role);
    return done;
}

static bool visit_bindings(struct store *store, const char *plural, const char *space,
                           const struct identity *identity, rule_visitor visit, void *arg)
{
    struct stored **list = store_list(store, store_resource(store, GROUP, plural), space, NULL);
    bool done = false;

    for (size_t i = 0; list[i] != NULL && !done; i++) {
        if (binds(list[i]->object, identity))
            done = visit_bound(store, list[i]->object, visit, arg);
    }
    store_list_free(list);
    return done;
}

static bool visit_all(struct store *store, const struct identity *identity, const char *space,
                      rule_visitor visit, void *arg)
{
    if (visit_bindings(store, "clusterrolebindings", NULL, identity, visit, arg))
        return true;
    return space != NULL && space[0] != '\0' &&
           visit_bindings(store, "rolebindings", space, identity, visit, arg);
}

static bool decide(void *arg, const cJSON *rule)
{
    return rule_allows(rule, arg);
}

bool rbac_allows(struct store *store, const struct access *access)
{
    if (strv_has(&access->identity->groups, "system:masters"))
        return true;
    return visit_all(store, access->identity, access->path != NULL ? NULL : access->space, decide,
                     (void *)access);
}

struct rule_lists {
    cJSON *resources, *paths;
};

static bool collect(void *arg, const cJSON *rule)
{
    struct rule_lists *lists = arg;
    cJSON *copy = json_copy(rule);

    json_push(json_get(rule, "nonResourceURLs") != NULL ? lists->paths : lists->resources, copy);
    return false;
}

void rbac_rules(struct store *store, const struct identity *identity, const char *space,
                cJSON *resource_rules, cJSON *path_rules)
{
    struct rule_lists lists = {resource_rules, path_rules};

    visit_all(store, identity, space, collect, &lists);
}
