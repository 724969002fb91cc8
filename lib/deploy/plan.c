#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define GROUP_LAST (INT64_MAX - 1)

void plan_note(const struct plan *plan, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    autofree char *text = xvasprintf(format, args);
    va_end(args);
    log_warning(plan->run->log, "%s", text);
    strv_add(plan->notes, text);
}

/* The names under `clusters`. */
static void known_clusters(const struct conf *conf, struct strv *names)
{
    autojson cJSON *all = conf_to_json(conf);
    const cJSON *key;

    cJSON_ArrayForEach(key, all)
    {
        const char *name = key->string + strlen("clusters.");

        if (text_starts(key->string, "clusters.")) {
            autofree char *cluster = xstrndup(name, strcspn(name, "."));

            if (!strv_has(names, cluster)) {
                strv_add(names, cluster);
            }
        }
    }
}

static int check_known(const struct plan *plan, struct err *err)
{
    autostrv struct strv known = STRV_INIT;

    known_clusters(plan->conf, &known);
    if (strv_has(&known, plan->cluster)) {
        return 0;
    }
    autofree char *list = strv_join(&known, "', '");
    if (!plan->cluster[0]) {
        return err_set(err, ERR_USAGE, "--cluster wants a name; the configuration has%s%s%s",
                       known.len ? " '" : " none", list, known.len ? "'" : "");
    }
    return err_set(err, ERR_USAGE,
                   "cluster '%s' is not in the configuration%s%s%s; add clusters.%s.path",
                   plan->cluster, known.len ? ", which has '" : "", known.len ? list : "",
                   known.len ? "'" : "", plan->cluster);
}

static int read_cluster(struct plan *plan, struct err *err)
{
    autofree char *path_key = plan_key(plan, "path");
    autofree char *enabled_key = plan_key(plan, "enabled");
    autofree char *reason_key = plan_key(plan, "reason");
    autofree char *revision_key = plan_key(plan, "revision");
    autofree char *sync_key = plan_key(plan, "sync");

    if (check_known(plan, err) != 0) {
        return -1;
    }
    if (!conf_bool(plan->conf, enabled_key)) {
        const char *reason = conf_str(plan->conf, reason_key);

        return err_set(err, ERR_USAGE, "cluster '%s' is not enabled: %s", plan->cluster,
                       reason ? reason : "the configuration gives no reason");
    }
    if (conf_require(plan->conf, path_key, err) != 0) {
        return -1;
    }
    plan->path = conf_str(plan->conf, path_key);
    const char *revision = conf_str(plan->conf, revision_key);
    plan->follow = strcmp(conf_str(plan->conf, sync_key), "automated") == 0;
    if (strcmp(revision, "commit") != 0) {
        plan->branch = xstrdup(revision);
    } else if (plan->follow) {
        return err_set(err, ERR_USAGE,
                       "cluster '%s' has automated sync, so '%s' must name the branch it watches",
                       plan->cluster, revision_key);
    }
    return 0;
}

static int read_conf(struct plan *plan, struct err *err)
{
    if (conf_require(plan->conf, "apps.repoURL", err) != 0 ||
        conf_require(plan->conf, "apps.root", err) != 0) {
        return -1;
    }
    plan->repo_url = conf_str(plan->conf, "apps.repoURL");
    plan->root = conf_str(plan->conf, "apps.root");
    plan->space = conf_str(plan->conf, "argocd.namespace");
    plan->cluster =
        plan->options->cluster ? plan->options->cluster : conf_str(plan->conf, "instance.name");
    return read_cluster(plan, err);
}

static int open_repository(struct plan *plan, struct err *err)
{
    const char *mirror = plan->options->mirror;

    if (mirror && plan_fetch(plan, err) != 0) {
        return -1;
    }
    if (git_open(mirror ? mirror : ".", &plan->git, err) != 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err);
    }
    return 0;
}

int plan_make(const struct run *run, const struct conf *conf, const struct deploy_options *options,
              struct strv *notes, struct plan *out, struct err *err)
{
    *out = (struct plan){.run = run, .conf = conf, .options = options, .notes = notes};
    if (read_conf(out, err) != 0 || open_repository(out, err) != 0 || plan_commit(out, err) != 0 ||
        plan_render(out, err) != 0 || plan_changes(out, err) != 0) {
        plan_clear(out);
        return -1;
    }
    return 0;
}

int plan_check_cluster(const struct run *run, const struct conf *conf,
                       const struct deploy_options *options, struct err *err)
{
    autoplan struct plan plan = {.run = run, .conf = conf, .options = options};

    return read_conf(&plan, err);
}

void plan_clear(struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        argocd_app_clear(&plan->apps[i].app);
        cJSON_Delete(plan->apps[i].object);
        manifest_set_clear(&plan->apps[i].set);
    }
    free(plan->apps);
    manifest_set_clear(&plan->root_set);
    manifest_repo_free(plan->manifests);
    git_close(plan->git);
    strv_clear(&plan->order);
    strv_clear(&plan->coming);
    strv_clear(&plan->changed);
    free(plan->branch);
    free(plan->commit);
    free(plan->parent);
    *plan = (struct plan){0};
}

/* ---- which apps, and when ---- */

static bool has_label(const struct argocd_app *app, const char *pattern)
{
    size_t key_len = strcspn(pattern, "=");
    autofree char *key = xstrndup(pattern, key_len);
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(app->labels, key);

    return cJSON_IsString(label) && glob_match(pattern + key_len + 1, label->valuestring);
}

static bool matches(const struct argocd_app *app, const char *pattern)
{
    return strchr(pattern, '=') ? has_label(app, pattern) : glob_match(pattern, app->name);
}

bool plan_selects(const struct plan *plan, const struct argocd_app *app)
{
    const struct strv *patterns = &plan->options->apps;
    bool matched = patterns->len == 0;

    for (size_t i = 0; i < patterns->len && !matched; i++) {
        matched = matches(app, patterns->items[i]);
    }
    return matched && (!plan->options->changed_since || strv_has(&plan->changed, app->name));
}

bool planned_makes_apps(const struct planned_app *planned)
{
    for (size_t i = 0; i < planned->set.len; i++) {
        const cJSON *object = planned->set.docs[i].value;

        if (text_starts(json_str_or(object, "apiVersion", ""), "argoproj.io/") &&
            text_starts(json_str_or(object, "kind", ""), "Application")) {
            return true;
        }
    }
    return false;
}

bool plan_selects_none(const struct plan *plan)
{
    const struct deploy_options *options = plan->options;

    if (options->changed_since && !plan->changed.len) {
        return !plan->root_changed;
    }
    if (!options->apps.len || !plan->manifests || plan->root_set.outside) {
        return false;
    }
    for (size_t i = 0; i < plan->len; i++) {
        const struct argocd_app *planned = &plan->apps[i].app;

        if (plan_selects(plan, planned) || !plan->apps[i].loaded || plan->apps[i].set.outside ||
            planned_makes_apps(&plan->apps[i])) {
            return false;
        }
    }
    return true;
}

int plan_fail_without_apps(const struct plan *plan, struct err *err)
{
    const struct deploy_options *options = plan->options;

    if (!options->apps.len && !options->changed_since) {
        return err_set(err, ERR_USAGE, "no application is selected: '%s' has no children",
                       plan->root);
    }
    autofree char *apps = strv_join(&options->apps, "', '");
    return err_set(err, ERR_USAGE,
                   "no application is selected: '%s' has no children that%s%s%s%s%s%s%s let in; "
                   "--if-no-apps skip ends with 0 then",
                   plan->root, apps[0] ? " --apps '" : "", apps, apps[0] ? "'" : "",
                   apps[0] && options->changed_since ? " and" : "",
                   options->changed_since ? " --changed-since '" : "",
                   options->changed_since ? options->changed_since : "",
                   options->changed_since ? "'" : "");
}

const struct planned_app *plan_app(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->len; i++) {
        if (strcmp(plan->apps[i].app.name, name) == 0) {
            return &plan->apps[i];
        }
    }
    return NULL;
}

bool plan_prunes(const struct plan *plan, const struct argocd_app *app)
{
    const struct planned_app *planned = plan_app(plan, app->name);

    return plan->options->prune || app->prune || (planned && planned->app.prune);
}

static bool line_names(const char *line, const char *name)
{
    autostrv struct strv words = STRV_INIT;

    strv_split(&words, line, ' ');
    return strv_has(&words, name);
}

int64_t plan_group(const struct plan *plan, const struct argocd_app *app)
{
    if (plan->order.len == 0) {
        return app->wave;
    }
    for (size_t i = 0; i < plan->order.len; i++) {
        if (line_names(plan->order.items[i], app->name)) {
            return (int64_t)i;
        }
    }
    return PLAN_GROUP_LAST;
}
