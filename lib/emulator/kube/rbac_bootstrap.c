/* The ClusterRoles and bindings that an API server makes when it starts (bootstrappolicy). */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/kube/auth.h"
#include "emulator/kube/core.h"

#define READ  "get,list,watch"
#define WRITE "create,delete,deletecollection,patch,update"

struct rule_row {
    const char *role;
    const char *verbs, *groups, *resources; /* comma-separated; "" is the core group */
    const char *paths;                      /* or NULL */
};

#define CORE_VIEW                                                                                  \
    "configmaps,endpoints,persistentvolumeclaims,pods,replicationcontrollers,serviceaccounts,"     \
    "services,bindings,events,limitranges,namespaces,pods/log,pods/status,resourcequotas"
#define CORE_EDIT                                                                                  \
    "configmaps,persistentvolumeclaims,pods,pods/eviction,replicationcontrollers,"                 \
    "replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy,pods/proxy,"     \
    "endpoints,events"
#define WORKLOADS                                                                                  \
    "daemonsets,deployments,deployments/scale,replicasets,replicasets/scale,statefulsets,"         \
    "statefulsets/scale,controllerrevisions,jobs,cronjobs,horizontalpodautoscalers,ingresses,"     \
    "networkpolicies,poddisruptionbudgets"
#define WORKLOAD_GROUPS "apps,batch,autoscaling,extensions,networking.k8s.io,policy"

static const struct rule_row rules[] = {
    {"cluster-admin", "*", "*", "*", NULL},
    {"cluster-admin", "*", NULL, NULL, "*"},
    {"view", READ, "", CORE_VIEW, NULL},
    {"view", READ, WORKLOAD_GROUPS, WORKLOADS, NULL},
    {"edit", READ "," WRITE, "", CORE_EDIT, NULL},
    {"edit", READ, "", CORE_VIEW, NULL},
    {"edit", "create", "", "serviceaccounts/token", NULL},
    {"edit", READ "," WRITE, WORKLOAD_GROUPS, WORKLOADS, NULL},
    {"edit", READ "," WRITE, "coordination.k8s.io", "leases", NULL},
    {"admin", READ "," WRITE, "", CORE_EDIT, NULL},
    {"admin", READ, "", CORE_VIEW, NULL},
    {"admin", "create", "", "serviceaccounts/token", NULL},
    {"admin", READ "," WRITE, WORKLOAD_GROUPS, WORKLOADS, NULL},
    {"admin", READ "," WRITE, "coordination.k8s.io", "leases", NULL},
    {"admin", READ "," WRITE, "rbac.authorization.k8s.io", "roles,rolebindings", NULL},
    {"admin", "create", "authorization.k8s.io", "localsubjectaccessreviews", NULL},
    {"system:basic-user", "create", "authorization.k8s.io",
     "selfsubjectaccessreviews,selfsubjectrulesreviews", NULL},
    {"system:basic-user", "create", "authentication.k8s.io", "selfsubjectreviews", NULL},
    {"system:discovery", "get", NULL, NULL,
     "/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/"},
    {"system:public-info-viewer", "get", NULL, NULL, "/healthz,/livez,/readyz,/version,/version/"},
};

static const struct {
    const char *name, *role, *groups;
} bindings[] = {
    {"cluster-admin", "cluster-admin", "system:masters"},
    {"system:basic-user", "system:basic-user", "system:authenticated"},
    {"system:discovery", "system:discovery", "system:authenticated"},
    {"system:public-info-viewer", "system:public-info-viewer",
     "system:authenticated,system:unauthenticated"},
};

static void add_list(cJSON *rule, const char *key, const char *text)
{
    cJSON *list = json_set_array(rule, key);

    for (;;) {
        size_t len = strcspn(text, ",");
        autofree char *part = xstrndup(text, len);

        json_push_str(list, part);
        if (text[len] == '\0')
            return;
        text += len + 1;
    }
}

static cJSON *rule_of(const struct rule_row *row)
{
    cJSON *rule = json_object();

    if (row->paths != NULL) {
        add_list(rule, "nonResourceURLs", row->paths);
    } else {
        add_list(rule, "apiGroups", row->groups);
        add_list(rule, "resources", row->resources);
    }
    add_list(rule, "verbs", row->verbs);
    return rule;
}

static cJSON *new_object(const char *kind, const char *name)
{
    cJSON *object = json_object();
    cJSON *meta;

    json_set_str(object, "apiVersion", "rbac.authorization.k8s.io/v1");
    json_set_str(object, "kind", kind);
    meta = json_set_object(object, "metadata");
    json_set_str(meta, "name", name);
    json_set_str(json_set_object(meta, "labels"), "kubernetes.io/bootstrapping", "rbac-defaults");
    return object;
}

/* admin, edit and view grow by the roles that are labelled for them. */
static void aggregate(cJSON *role, const char *name)
{
    cJSON *selector;
    autofree char *label = NULL;

    if (strcmp(name, "admin") != 0 && strcmp(name, "edit") != 0 && strcmp(name, "view") != 0)
        return;
    label = xasprintf("rbac.authorization.k8s.io/aggregate-to-%s", name);
    selector = json_object();
    json_set_str(json_set_object(selector, "matchLabels"), label, "true");
    json_push(json_set_array(json_set_object(role, "aggregationRule"), "clusterRoleSelectors"),
              selector);
}

static int put_roles(struct store *store, struct err *err)
{
    size_t i = 0;

    while (i < ARRAY_LEN(rules)) {
        const char *name = rules[i].role;
        cJSON *role = new_object("ClusterRole", name);
        cJSON *list = json_set_array(role, "rules");

        for (; i < ARRAY_LEN(rules) && strcmp(rules[i].role, name) == 0; i++)
            json_push(list, rule_of(&rules[i]));
        aggregate(role, name);
        if (store_put(store, role, err) < 0)
            return -1;
    }
    return 0;
}

int rbac_bootstrap(struct store *store, struct err *err)
{
    if (put_roles(store, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(bindings); i++) {
        CLEANUP(strv_clear) struct strv groups = STRV_INIT;
        cJSON *binding = new_object("ClusterRoleBinding", bindings[i].name);
        cJSON *role = json_set_object(binding, "roleRef");
        cJSON *subjects = json_set_array(binding, "subjects");

        json_set_str(role, "apiGroup", "rbac.authorization.k8s.io");
        json_set_str(role, "kind", "ClusterRole");
        json_set_str(role, "name", bindings[i].role);
        strv_split(&groups, bindings[i].groups, ',');
        for (size_t g = 0; g < groups.len; g++) {
            cJSON *subject = json_object();

            json_set_str(subject, "apiGroup", "rbac.authorization.k8s.io");
            json_set_str(subject, "kind", "Group");
            json_set_str(subject, "name", groups.items[g]);
            json_push(subjects, subject);
        }
        if (store_put(store, binding, err) < 0)
            return -1;
    }
    return 0;
}
