/* Why not: for each application that failed, the resources in the way, what the cluster shows of
 * them, and the line of the manifest behind it. */
#include "internal.h"

#include <string.h>
#include "evidence.h"
#include "necoops/base/text.h"

#define RESOURCES_MOST 5
#define PATIENCE_MS    3000

/* ---- the manifest ---- */

struct place {
    char *file;
    int line;
    bool changed;
};

static void place_clear(struct place *place)
{
    free(place->file);
}

static const struct manifest_set *set_of(const struct plan *plan, const char *app)
{
    const struct planned_app *planned = plan_app(plan, app);

    if (strcmp(app, plan->root) == 0) {
        return &plan->root_set;
    }
    return planned ? &planned->set : NULL;
}

static bool is_about(const struct manifest_doc *doc, const char *kind, const char *name)
{
    return strcmp(json_str_or(doc->value, "kind", ""), kind) == 0 &&
           strcmp(json_str_or(doc->value, "metadata.name", ""), name) == 0;
}

/* Path of the container of this name (or of its member) in the document; NULL when it is not there.
 * Caller frees. */
static char *container_path(const cJSON *object, const char *container, const char *member)
{
    static const char *const pods[] = {"spec.template.spec", "spec",
                                       "spec.jobTemplate.spec.template.spec"};
    static const char *const lists[] = {"containers", "initContainers"};

    for (size_t i = 0; i < ARRAY_LEN(pods) * ARRAY_LEN(lists); i++) {
        autofree char *list = xasprintf("%s.%s", pods[i / 2], lists[i % 2]);
        const cJSON *array = json_at(object, list);

        for (int j = 0; j < cJSON_GetArraySize(array); j++) {
            const cJSON *item = cJSON_GetArrayItem(array, j);

            if (strcmp(json_str_or(item, "name", ""), container) == 0 &&
                (!member || json_at(item, member))) {
                return xasprintf("%s[%d]%s%s", list, j, member ? "." : "", member ? member : "");
            }
        }
    }
    return NULL;
}

/* The last document of the resource that has the container's member, else the resource. */
static const struct manifest_doc *find_container(const struct manifest_set *set, const char *kind,
                                                 const char *name, const struct finding *finding,
                                                 char **path)
{
    for (size_t i = set->len; finding->container && i-- > 0;) {
        if (is_about(&set->docs[i], kind, name)) {
            *path = container_path(set->docs[i].value, finding->container, finding->member);
            if (*path) {
                return &set->docs[i];
            }
        }
    }
    return manifest_find(set, kind, name, NULL);
}

static void fill_place(const struct plan *plan, const char *file, int line, struct place *out)
{
    free(out->file);
    out->file = xstrdup(file);
    out->line = line;
    out->changed =
        plan->parent && git_line_changed(plan->git, plan->parent, plan->commit, file, line);
}

/* A transformer of a kustomization may have decided it instead of the manifest. */
static void look_at_transformers(const struct plan *plan, const struct manifest_set *set,
                                 const struct manifest_doc *doc, const char *path,
                                 const struct finding *finding, struct place *out)
{
    const char *image = json_str(doc->value, path ? path : "");
    struct manifest_spot spot;

    if (finding && finding->member && strcmp(finding->member, "image") == 0 && image) {
        if (manifest_image_spot(plan->manifests, set, image, &spot)) {
            fill_place(plan, spot.file, spot.line, out);
        }
    } else if (path && text_starts(path, "spec.selector") && !out->changed &&
               manifest_selector_spot(plan->manifests, set, &spot)) {
        fill_place(plan, spot.file, spot.line, out);
    }
}

static void locate(const struct plan *plan, const char *app, const char *kind, const char *name,
                   const struct finding *finding, const char *field, struct place *out)
{
    const struct manifest_set *set = plan->manifests ? set_of(plan, app) : NULL;
    autofree char *path = field ? xstrdup(field) : NULL;
    const struct manifest_doc *doc;
    struct manifest_spot spot;

    if (!set) {
        return;
    }
    autofree char *plain = manifest_plain_name(plan->manifests, set, name);
    doc = finding ? find_container(set, kind, name, finding, &path)
                  : manifest_find(set, kind, name, field);
    if (!doc) {
        doc = finding ? find_container(set, kind, plain, finding, &path)
                      : manifest_find(set, kind, plain, field);
    }
    if (doc) {
        fill_place(plan, doc->file, manifest_line(plan->manifests, doc, path), out);
        look_at_transformers(plan, set, doc, path, finding, out);
    } else if (manifest_generator_spot(plan->manifests, set, kind, plain, &spot)) {
        fill_place(plan, spot.file, spot.line, out);
    }
}

/* "spec.selector" of "… spec.selector: Invalid value: …", as the API server words its refusals. */
static char *field_of(const char *message)
{
    static const char *const marks[] = {": Invalid value", ": Required value", ": Forbidden",
                                        ": Unsupported value"};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const char *end = strstr(message, marks[i]);
        const char *begin = end;

        while (begin && begin > message && !strchr(" \"([", begin[-1])) {
            begin--;
        }
        if (begin && begin < end) {
            return xstrndup(begin, (size_t)(end - begin));
        }
    }
    return NULL;
}

/* ---- causes ---- */

static void explain_findings(const struct plan *plan, struct deploy_app *app,
                             const struct argocd_resource *resource, struct findings *findings)
{
    for (size_t i = 0; i < findings->len; i++) {
        CLEANUP(place_clear) struct place place = {0};

        locate(plan, app->name, resource->kind, resource->name, &findings->items[i], NULL, &place);
        result_add_cause(app, steal(findings->items[i].text), place.file, place.line,
                         place.changed);
    }
}

static void explain_resource(const struct plan *plan, const struct evidence_source *source,
                             struct deploy_app *app, const struct argocd_resource *resource)
{
    CLEANUP(place_clear) struct place place = {0};
    autofindings struct findings findings = {0};
    autofree char *field = field_of(resource->message);
    bool sick = resource->health[0] && strcmp(resource->health, "Healthy") != 0;
    const char *state = sick ? resource->health : resource->status;

    locate(plan, app->name, resource->kind, resource->name, NULL, field, &place);
    result_add_cause(app,
                     xasprintf("%s %s%s%s: %s%s%s", resource->kind, resource->space,
                               resource->space[0] ? "/" : "", resource->name,
                               state[0] ? state : (resource->hook ? "hook failed" : "failed"),
                               resource->message[0] ? ": " : "", resource->message),
                     place.file, place.line, place.changed);
    if (strstr(resource->message, "because it is being terminated")) {
        evidence_of_namespace(source->kube, resource->space, &findings);
        explain_findings(plan, app, resource, &findings);
    } else if (sick || resource->hook) {
        evidence_find(source, resource->group, resource->kind, resource->space, resource->name,
                      &findings);
        explain_findings(plan, app, resource, &findings);
    }
}

/* Manifests that cannot be rendered: what the check here found in them, too. */
static void explain_comparison(const struct plan *plan, struct deploy_app *app)
{
    const struct manifest_set *set = plan->manifests ? set_of(plan, app->name) : NULL;

    for (size_t i = 0; set && i < set->faults_len; i++) {
        const struct manifest_fault *fault = &set->faults[i];
        bool changed =
            plan->parent && fault->line &&
            git_line_changed(plan->git, plan->parent, plan->commit, fault->file, fault->line);

        result_add_cause(app, xstrdup(fault->text), fault->file, fault->line, changed);
    }
}

static void explain_conditions(const struct plan *plan, struct deploy_app *app,
                               const struct argocd_app *state)
{
    for (size_t i = 0; i < state->conditions_len; i++) {
        const struct argocd_condition *condition = &state->conditions[i];

        if (text_ends(condition->type, "Error")) {
            result_add_cause(app, xasprintf("%s: %s", condition->type, condition->message), NULL, 0,
                             false);
        }
        if (strcmp(condition->type, "ComparisonError") == 0) {
            explain_comparison(plan, app);
        }
    }
}

static bool has_condition(const struct argocd_app *state, const char *type)
{
    for (size_t i = 0; i < state->conditions_len; i++) {
        if (strcmp(state->conditions[i].type, type) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_failed_in_operation(const struct argocd_app *state)
{
    for (size_t i = 0; i < state->resources_len; i++) {
        if (state->resources[i].of_operation) {
            return true;
        }
    }
    return false;
}

/* What the operation failed on counts before what is only out of sync for that; what could not be
 * compared says nothing; applications are told on their own. */
static bool is_worth_telling(const struct argocd_app *state, const struct argocd_resource *resource)
{
    bool sick = resource->health[0] && strcmp(resource->health, "Healthy") != 0;

    if (strcmp(resource->group, "argoproj.io") == 0 && strcmp(resource->kind, "Application") == 0) {
        return false;
    }
    if (any_failed_in_operation(state)) {
        return resource->of_operation;
    }
    return sick || !has_condition(state, "ComparisonError");
}

static void explain_app(const struct plan *plan, const struct evidence_source *source,
                        struct deploy_app *app, const struct argocd_app *state)
{
    size_t explained = 0;

    explain_conditions(plan, app, state);
    for (size_t i = 0; i < state->resources_len && explained < RESOURCES_MOST; i++) {
        if (is_worth_telling(state, &state->resources[i])) {
            explain_resource(plan, source, app, &state->resources[i]);
            explained++;
        }
    }
}

void explain_failures(const struct engine *engine, struct deploy_result *result)
{
    int64_t patience_ms = PATIENCE_MS;
    const struct evidence_source source = {engine->run, engine->kube, &patience_ms};

    progress_phase(engine->run->progress, "explain", "looking for the reasons");
    for (size_t i = 0; i < result->len; i++) {
        struct deploy_app *app = &result->apps[i];
        const struct member *member = engine_find(engine, app->name);

        if (member && member->present && app->started && app->verdict != ARGOCD_DONE) {
            explain_app(engine->plan, &source, app, &member->app);
        }
        if (engine->lock) {
            kube_lock_tick(engine->lock); /* it is still wanted */
        }
    }
}
