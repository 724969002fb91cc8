/* Does each kustomization build? Asked of the `kustomize` or `kubectl` there is, when it is new
 * enough: Debian's kubectl 1.20 embeds kustomize 2.0.3, which knows no folders in `resources`. One
 * that is too old, or none, is no fault of a manifest. */
#include "internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"

#define OLDEST_MAJOR 3
#define ANSWER_MS    10000
#define BUILD_MS     60000

struct builder {
    const char *argv[2]; /* "kustomize build" or "kubectl kustomize" */
    int major;
};

/* ---- the tool ---- */

/* The first "v5.0" (or "5.0") of the text. */
static int major_of(const char *text)
{
    for (const char *c = text; *c; c++) {
        char *end;
        long major;

        if (*c < '0' || *c > '9') {
            continue;
        }
        major = strtol(c, &end, 10);
        if (*end == '.' && major < 100) {
            return (int)major;
        }
        c = end - 1;
    }
    return 0;
}

static int ask(const struct run *run, const char *const *argv, struct buf *out, struct err *err)
{
    struct proc_spec spec = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct proc_result result = {.out = BUF_INIT(BUF_SMALL), .error = BUF_INIT(BUF_SMALL)};
    int rc = proc_check(run, &spec, &result, err);

    if (rc == 0) {
        rc = buf_add(out, result.out.data, result.out.len);
    }
    buf_clear(&result.out);
    buf_clear(&result.error);
    return rc;
}

/* Version 0: there is none, or one that is too old to say. */
static void find_builder(const struct run *run, struct builder *out)
{
    static const char *const kustomize[] = {"kustomize", "version", NULL};
    static const char *const kubectl[] = {"kubectl", "version", "--client", "-o", "json", NULL};
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err ignored = ERR_INIT;
    autojson cJSON *version = NULL;

    *out = (struct builder){.argv = {"kustomize", "build"}};
    if (ask(run, kustomize, &text, &ignored) == 0) {
        out->major = major_of(text.data);
        return;
    }
    buf_reset(&text);
    *out = (struct builder){.argv = {"kubectl", "kustomize"}};
    if (ask(run, kubectl, &text, &ignored) == 0 &&
        json_parse(text.data, text.len, "kubectl version", &version, &ignored) == 0) {
        out->major = major_of(json_str_or(version, "kustomizeVersion", ""));
    }
}

/* ---- building ---- */

/* Newer kubectls wrap their words in a log line: … "command failed" err="WORDS", or, when they are
 * several lines, err=<, each indented by a tab, and a line " >". */
static char *unwrapped(const char *text)
{
    static const char mark[] = "\"command failed\" err=";
    const char *words = strstr(text, mark);
    autobuf struct buf out = BUF_INIT(BUF_SMALL);

    if (!words) {
        return NULL;
    }
    words += strlen(mark);
    if (*words == '<') {
        for (words += strspn(words, "<\n"); *words == '\t'; words += strspn(words, "\n")) {
            size_t len = strcspn(words, "\n");

            buf_addf(&out, "%s%.*s", out.len ? " " : "", (int)len - 1, words + 1);
            words += len;
        }
        return buf_steal(&out);
    }
    for (words += *words == '"'; *words && *words != '"'; words++) {
        words += *words == '\\' && words[1];
        buf_addc(&out, *words);
    }
    return buf_steal(&out);
}

/* What the tool printed last, without its "Error: ". */
static char *last_words(const struct buf *error)
{
    char *wrapped = unwrapped(error->data);
    autofree char *text = xstrdup(error->data);
    const char *line;
    size_t len = strlen(text);

    if (wrapped) {
        return wrapped;
    }
    while (len && strchr("\r\n ", text[len - 1])) {
        text[--len] = '\0';
    }
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncasecmp(line, "error: ", 7) == 0) {
        line += 7;
    }
    return xstrdup(line[0] ? line : "it does not build, and gives no reason");
}

/* Takes the path of our copy out of the text. */
static char *without_folder(const char *text, const char *folder)
{
    autobuf struct buf out = BUF_INIT(BUF_SMALL);
    size_t len = strlen(folder);
    const char *found;

    while ((found = strstr(text, folder))) {
        buf_add(&out, text, (size_t)(found - text));
        text = found + len + (found[len] == '/');
    }
    buf_adds(&out, text);
    return buf_steal(&out);
}

static int build_one(const struct plan *plan, const struct builder *builder, const char *folder,
                     struct manifest_set *set, const char *path, struct err *err)
{
    autofree char *full = path_join(folder, path);
    const char *argv[] = {builder->argv[0], builder->argv[1], full, NULL};
    struct proc_spec spec = {.argv = argv, .timeout_ms = BUILD_MS};
    struct proc_result result = {.out = BUF_INIT(0), .error = BUF_INIT(BUF_SMALL)};
    int rc = proc_run(plan->run, &spec, &result, err);

    if (rc == 0 && result.status != 0) {
        autofree char *words = last_words(&result.error);

        manifest_set_add_fault(set, set->files.len ? set->files.items[0] : path, 0, 0,
                               without_folder(words, folder));
    }
    buf_clear(&result.out);
    buf_clear(&result.error);
    return rc;
}

static bool is_buildable(const struct manifest_set *set)
{
    return set->kustomized && !set->outside && set->faults_len == 0;
}

static int build_app(const struct plan *plan, const struct builder *builder, const char *folder,
                     struct planned_app *planned, struct err *err)
{
    for (size_t i = 0; i < planned->app.sources.len; i++) {
        const struct argocd_source *source = &planned->app.sources.items[i];

        if (argocd_source_is(source, plan->repo_url) && source->path &&
            build_one(plan, builder, folder, &planned->set, source->path, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int build_all(struct plan *plan, const struct builder *builder, const char *folder,
                     struct err *err)
{
    if (git_export(plan->git, plan->commit, folder, err) != 0) {
        plan_note(plan, "the kustomizations are not built first: %s", err_text(err));
        err_clear(err);
        return 0;
    }
    if (is_buildable(&plan->root_set) &&
        build_one(plan, builder, folder, &plan->root_set, plan->path, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < plan->len; i++) {
        struct planned_app *planned = &plan->apps[i];

        if (is_buildable(&planned->set) && plan_selects(plan, &planned->app) &&
            build_app(plan, builder, folder, planned, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool anything_to_build(const struct plan *plan)
{
    bool any = is_buildable(&plan->root_set);

    for (size_t i = 0; i < plan->len && !any; i++) {
        any = is_buildable(&plan->apps[i].set) && plan_selects(plan, &plan->apps[i].app);
    }
    return any;
}

int plan_build(struct plan *plan, struct err *err)
{
    const char *tmp = run_env(plan->run, "TMPDIR");
    autofree char *folder = NULL;
    autoerr struct err ignored = ERR_INIT;
    struct builder builder;
    int rc;

    if (!anything_to_build(plan)) {
        return 0;
    }
    find_builder(plan->run, &builder);
    if (builder.major < OLDEST_MAJOR) {
        log_info(plan->run->log,
                 "kustomizations are not built first: there is no kustomize, and no "
                 "kubectl new enough");
        return 0;
    }
    if (fs_make_temp_dir(tmp ? tmp : "/tmp", "necoops-check-", &folder, err) != 0) {
        return -1;
    }
    rc = build_all(plan, &builder, folder, err);
    if (fs_remove_tree(folder, &ignored) != 0) {
        log_debug(plan->run->log, "%s", err_text(&ignored));
    }
    return rc;
}
