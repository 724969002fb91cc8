/* What the commit holds, read from the repository at hand: the root's children, what they are made
 * of, the order of sync, and which of them a change reaches. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define ORDER_FILE "app-sync-order.txt"

/* ---- the apps ---- */

/* `into` with the items of `from` behind its own. */
static void *join(void *into, size_t into_len, const void *from, size_t from_len, size_t size)
{
    if (from_len == 0) {
        return into;
    }
    into = xrealloc(into, (into_len + from_len) * size);
    memcpy((char *)into + into_len * size, from, from_len * size);
    return into;
}

static void merge_set(struct manifest_set *into, struct manifest_set *from)
{
    if (into->len == 0 && into->files.len == 0 && into->faults_len == 0) {
        manifest_set_clear(into);
        *into = *from;
        *from = (struct manifest_set){0};
        return;
    }
    into->docs = join(into->docs, into->len, from->docs, from->len, sizeof(*into->docs));
    into->len += from->len;
    into->kustomized = into->kustomized || from->kustomized;
    into->outside = into->outside || from->outside;
    into->faults =
        join(into->faults, into->faults_len, from->faults, from->faults_len, sizeof(*into->faults));
    into->faults_len += from->faults_len;
    from->faults_len = 0; /* their texts moved */
    for (size_t i = 0; i < from->files.len; i++) {
        strv_add(&into->files, from->files.items[i]);
    }
    for (size_t i = 0; i < from->folders.len; i++) {
        strv_add(&into->folders, from->folders.items[i]);
    }
}

static const cJSON *source_json(const cJSON *application, const struct argocd_app *app, size_t i)
{
    return app->several ? cJSON_GetArrayItem(json_at(application, "spec.sources"), (int)i)
                        : json_at(application, "spec.source");
}

static int load_app(struct plan *plan, struct planned_app *planned, const cJSON *application,
                    struct err *err)
{
    for (size_t i = 0; i < planned->app.sources.len; i++) {
        const struct argocd_source *source = &planned->app.sources.items[i];
        const cJSON *json = source_json(application, &planned->app, i);
        automanifestset struct manifest_set set = {.len = 0};

        /* a folder of values for a chart, a chart in Git, or a plugin: not read as manifests */
        if (!argocd_source_is(source, plan->repo_url) || !source->path || json_at(json, "helm") ||
            json_at(json, "plugin") || json_at(json, "ref")) {
            continue;
        }
        if (manifest_load(plan->manifests, source->path,
                          json_bool(json, "directory.recurse", false), &set, err) != 0) {
            return -1;
        }
        merge_set(&planned->set, &set);
        planned->loaded = true;
    }
    return 0;
}

static int load_apps(struct plan *plan, struct err *err)
{
    autojson cJSON *applications = manifest_applications(&plan->root_set);
    const cJSON *application;

    plan->apps = xcalloc((size_t)cJSON_GetArraySize(applications) + 1, sizeof(*plan->apps));
    cJSON_ArrayForEach(application, applications)
    {
        struct planned_app *planned = &plan->apps[plan->len];

        if (argocd_app_parse(application, &planned->app, err) != 0) {
            err_clear(err); /* a fault of the set says so already */
            continue;
        }
        planned->object = json_copy(application);
        plan->len++;
        if (load_app(plan, planned, application, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Kinds of these groups may come late, with an application that defines them. */
static void note_definitions(struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct manifest_set *set = &plan->apps[i].set;

        for (size_t j = 0; j < set->len; j++) {
            const char *group = json_str_or(set->docs[j].value, "spec.group", "");

            if (strcmp(json_str_or(set->docs[j].value, "kind", ""), "CustomResourceDefinition") ==
                    0 &&
                !strv_has(&plan->coming, group)) {
                strv_add(&plan->coming, group);
            }
        }
    }
}

/* ---- the order ---- */

static bool some_make_apps(const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        if (planned_makes_apps(&plan->apps[i])) {
            return true;
        }
    }
    return plan->root_set.outside;
}

/* Each word of the line `number`; `seen`: the lines of those before it, by name. */
static void check_order_line(const struct plan *plan, const char *line, size_t number, cJSON *seen)
{
    autostrv struct strv words = STRV_INIT;

    strv_split(&words, line, ' ');
    for (size_t i = 0; i < words.len; i++) {
        const char *name = words.items[i];
        int64_t before;

        if (json_i64(cJSON_GetObjectItemCaseSensitive(seen, name), "", &before)) {
            plan_note(plan, ORDER_FILE ":%zu: application '%s' has its turn on line %lld already",
                      number, name, (long long)before);
        } else if (!plan_app(plan, name) && !some_make_apps(plan)) {
            plan_note(plan, ORDER_FILE ":%zu: '%s' renders no application '%s'", number, plan->path,
                      name);
        }
        json_set_i64(seen, name, (int64_t)number);
    }
}

static int load_order(struct plan *plan, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autojson cJSON *seen = json_object();

    if (git_read(plan->git, plan->commit, ORDER_FILE, &text, err) != 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err);
        return 0;
    }
    const char *at = text.data;
    for (size_t number = 1; *at; number++) {
        size_t len = strcspn(at, "\n");
        autofree char *line = xstrndup(at, strcspn(at, "#\r\n"));

        for (char *tab = line; (tab = strchr(tab, '\t')) != NULL;) {
            *tab = ' ';
        }
        if (line[strspn(line, " ")]) {
            strv_add(&plan->order, line);
            check_order_line(plan, line, number, seen);
        }
        at += len + (at[len] == '\n');
    }
    return 0;
}

int plan_render(struct plan *plan, struct err *err)
{
    if (!plan->git || !plan->commit || !git_has_commit(plan->git, plan->commit)) {
        return 0;
    }
    plan->manifests = manifest_repo_new(plan->git, plan->commit);
    if (manifest_load(plan->manifests, plan->path, false, &plan->root_set, err) != 0 ||
        load_apps(plan, err) != 0 || load_order(plan, err) != 0) {
        return -1;
    }
    note_definitions(plan);
    return 0;
}

/* ---- what a change reaches ---- */

static bool lies_in(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || len == 0);
}

/* A changed file that the app is made of, or one that was removed from a folder of it. */
static bool reaches(const struct planned_app *planned, const struct plan *plan, const char *path)
{
    if (strv_has(&planned->set.files, path)) {
        return true;
    }
    for (size_t i = 0; i < planned->set.folders.len; i++) {
        if (lies_in(path, planned->set.folders.items[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < planned->app.sources.len; i++) {
        const struct argocd_source *source = &planned->app.sources.items[i];

        if (source->path && argocd_source_is(source, plan->repo_url) &&
            lies_in(path, source->path)) {
            return true;
        }
    }
    return false;
}

/* The Application itself differs between the commits. */
static bool definition_changed(const struct plan *plan, const struct planned_app *planned,
                               const struct strv *paths)
{
    for (size_t i = 0; i < plan->root_set.len; i++) {
        const struct manifest_doc *doc = &plan->root_set.docs[i];

        if (strcmp(json_str_or(doc->value, "metadata.name", ""), planned->app.name) == 0 &&
            strv_has(paths, doc->file)) {
            return true;
        }
    }
    return false;
}

/* What the root renders besides applications, or no longer renders, may have changed. */
static bool root_reached(const struct plan *plan, const struct strv *paths)
{
    for (size_t i = 0; i < paths->len; i++) {
        bool inside = strv_has(&plan->root_set.files, paths->items[i]) ||
                      lies_in(paths->items[i], plan->path);

        for (size_t j = 0; j < plan->root_set.folders.len && !inside; j++) {
            inside = lies_in(paths->items[i], plan->root_set.folders.items[j]);
        }
        if (inside) {
            return true;
        }
    }
    return false;
}

int plan_changes(struct plan *plan, struct err *err)
{
    const char *since = plan->options->changed_since;
    autostrv struct strv paths = STRV_INIT;
    struct git_id id, base;

    if (!since) {
        return 0;
    }
    if (!plan->manifests) {
        return err_set(
            err, ERR_USAGE,
            "--changed-since needs the Git repository of the apps with the commit in it");
    }
    if (git_resolve(plan->git, since, &id, err) != 0) {
        err->code = ERR_USAGE;
        return err_prefix(err, "--changed-since");
    }
    if (git_common_ancestor(plan->git, id.hex, plan->commit, &base, err) != 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err); /* a shallow clone: compare with what was named */
        base = id;
    }
    if (git_changed(plan->git, base.hex, plan->commit, &paths, err) != 0) {
        return err_prefix(err, "--changed-since");
    }
    plan->root_changed = root_reached(plan, &paths);
    for (size_t i = 0; i < plan->len; i++) {
        bool changed = definition_changed(plan, &plan->apps[i], &paths);

        for (size_t j = 0; j < paths.len && !changed; j++) {
            changed = reaches(&plan->apps[i], plan, paths.items[j]);
        }
        if (changed) {
            strv_add(&plan->changed, plan->apps[i].app.name);
        }
    }
    return 0;
}
