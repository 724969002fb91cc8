/* What makes an Application's spec invalid: its project, source and destination. */
#include <string.h>
#include "necoops/base/text.h"
#include "emulator/argocd/application.h"

#define IN_CLUSTER "https://kubernetes.default.svc"

/* ---- destination ---- */

/* The server that the destination names, or NULL. */
static const char *destination_server(const cJSON *app)
{
    const char *server = json_str_or(app, "spec.destination.server", "");
    const char *name = json_str_or(app, "spec.destination.name", "");

    if (*server == '\0' && strcmp(name, "in-cluster") == 0)
        return IN_CLUSTER;
    return *server != '\0' ? server : NULL;
}

static bool check_destination(const cJSON *app, cJSON *conditions)
{
    const char *server = json_str_or(app, "spec.destination.server", "");
    const char *name = json_str_or(app, "spec.destination.name", "");

    if (*server != '\0' && *name != '\0') {
        condition_add(conditions, "InvalidSpecError",
                      "application destination can't have both name and server defined: %s %s",
                      name, server);
        return false;
    }
    if (*server == '\0' && *name == '\0') {
        condition_add(conditions, "InvalidSpecError", "Destination server missing from app spec");
        return false;
    }
    if (*server == '\0' && strcmp(name, "in-cluster") != 0) {
        condition_add(conditions, "InvalidSpecError",
                      "unable to find destination server: there are no clusters with this name: %s",
                      name);
        return false;
    }
    if (*server != '\0' && strcmp(server, IN_CLUSTER) != 0) {
        condition_add(conditions, "InvalidSpecError", "cluster '%s' has not been configured",
                      server);
        return false;
    }
    return true;
}

/* ---- project ---- */

static bool in_list(const cJSON *patterns, const char *text)
{
    const cJSON *item;
    bool allowed = false;

    cJSON_ArrayForEach(item, patterns)
    {
        const char *pattern = json_str_or(item, NULL, "");

        if (*pattern == '!' && glob_match(pattern + 1, text))
            return false;
        allowed |= glob_match(pattern, text);
    }
    return allowed;
}

static bool destination_allowed(const cJSON *project, const char *server, const char *space)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_at(project, "spec.destinations"))
    {
        const char *servers = json_str_or(item, "server", "");
        const char *name = json_str_or(item, "name", "");

        if ((glob_match(servers, server) || (*name != '\0' && glob_match(name, "in-cluster"))) &&
            glob_match(json_str_or(item, "namespace", ""), space))
            return true;
    }
    return false;
}

static void check_project(const cJSON *app, const cJSON *project, cJSON *sources, bool is_multi,
                          cJSON *conditions)
{
    const char *name = json_str_or(project, "metadata.name", "");
    const char *server = destination_server(app);
    const char *space = json_str_or(app, "spec.destination.namespace", "");
    const cJSON *source = is_multi ? sources->child : sources;

    for (; source != NULL; source = is_multi ? source->next : NULL) {
        const char *url = json_str_or(source, "repoURL", "");

        if (!in_list(json_at(project, "spec.sourceRepos"), url))
            condition_add(conditions, "InvalidSpecError",
                          "application repo %s is not permitted in project '%s'", url, name);
    }
    if (server != NULL && !destination_allowed(project, server, space))
        condition_add(
            conditions, "InvalidSpecError",
            "application destination server '%s' and namespace '%s' do not match any of the "
            "allowed destinations in project '%s'",
            server, space, name);
}

/* ---- source ---- */

static bool check_sources(const cJSON *sources, bool is_multi, cJSON *conditions)
{
    const cJSON *source = is_multi ? sources->child : sources;

    for (; source != NULL; source = is_multi ? source->next : NULL) {
        bool has_content = json_str(source, "path") != NULL || json_str(source, "chart") != NULL ||
                           json_str(source, "ref") != NULL;

        if (*json_str_or(source, "repoURL", "") == '\0' || !has_content) {
            condition_add(conditions, "InvalidSpecError",
                          "spec.source.repoURL and either spec.source.path or "
                          "spec.source.chart are required");
            return false;
        }
    }
    return true;
}

void application_validate(struct controller *controller, const cJSON *app, cJSON *conditions)
{
    const char *name = json_str_or(app, "spec.project", "default");
    const struct resource *projects =
        store_resource(controller->store, ARGOCD_GROUP, "appprojects");
    struct stored *project =
        projects != NULL ? store_get(controller->store, projects, ARGOCD_NAMESPACE, name) : NULL;
    bool is_multi;
    autojson cJSON *sources = application_sources(controller, app, &is_multi);

    if (project == NULL) {
        condition_add(conditions, "InvalidSpecError",
                      "Application referencing project %s which does not exist", name);
        return;
    }
    if (check_sources(sources, is_multi, conditions) && check_destination(app, conditions))
        check_project(app, project->object, sources, is_multi, conditions);
    stored_unref(project);
}
