/* Several clusters in one call, one after the other: what went wrong in one keeps none of the
 * others from its turn, but that the run is to end. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_interrupted(const struct err *err)
{
    return err->code == ERR_INTERRUPTED || err->code == ERR_TERMINATED;
}

/* "reports/deploy-stage.xml" of "reports/deploy.xml"; NULL of NULL. Caller frees. */
static char *name_for(const char *path, const char *cluster)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *base = slash ? slash + 1 : path;
    const char *dot = base ? strrchr(base, '.') : NULL;

    if (!path || !*path) {
        return path ? xstrdup(path) : NULL; /* told as any empty name */
    }
    if (!dot || dot == base) {
        return xasprintf("%s-%s", path, cluster);
    }
    return xasprintf("%.*s-%s%s", (int)(dot - path), path, cluster, dot);
}

static int run_one(const struct run *run, const struct conf *conf,
                   const struct deploy_options *options, struct deploy_cluster *one)
{
    autofree char *junit = name_for(options->junit, one->name);
    autofree char *events = name_for(options->events, one->name);
    autofree char *report = name_for(options->report, one->name);
    struct deploy_options own = *options;

    own.cluster = one->name;
    own.junit = junit;
    own.events = events;
    own.report = report;
    return deploy_run(run, conf, &own, &one->result, &one->how);
}

/* A name that is wrong is told before anything is touched anywhere. */
static int check_names(const struct run *run, const struct conf *conf,
                       const struct deploy_options *options, const struct strv *names,
                       struct err *err)
{
    for (size_t i = 0; i < names->len; i++) {
        struct deploy_options own = *options;

        own.cluster = names->items[i];
        if (plan_check_cluster(run, conf, &own, err) != 0) {
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names->items[i], names->items[j]) == 0) {
                return err_set(err, ERR_USAGE, "cluster '%s' is named twice", names->items[i]);
            }
        }
    }
    return 0;
}

/* How bad: the place of its exit status. */
static size_t badness(const struct err *how)
{
    static const int statuses[] = {0, 3, 5, 6, 7, 4, 2, 1, 130, 143};
    int status = err_exit_status(how);

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i] == status) {
            return i;
        }
    }
    return ARRAY_LEN(statuses);
}

static int sum_up(const struct deploy_clusters *clusters, struct err *err)
{
    const struct deploy_cluster *worst = &clusters->items[0];
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    size_t bad = 0;

    for (size_t i = 0; i < clusters->len; i++) {
        const struct deploy_cluster *one = &clusters->items[i];

        if (one->how.code == ERR_NONE) {
            continue;
        }
        worst = badness(&one->how) > badness(&worst->how) ? one : worst;
        buf_addf(&text, "%scluster '%s': %s", bad++ ? "; " : "", one->name, err_text(&one->how));
    }
    if (!bad) {
        return 0;
    }
    return err_set(err, worst->how.code, "%zu of %zu clusters: %s", bad, clusters->len, text.data);
}

int deploy_run_clusters(const struct run *run, const struct conf *conf,
                        const struct deploy_options *options, const struct strv *names,
                        struct deploy_clusters *out, struct err *err)
{
    int64_t timeout_ms = run->deadline == RUN_NO_DEADLINE ? 0 : run->deadline - run_mono_ms(run);
    bool over = false;

    *out = (struct deploy_clusters){0};
    if (check_names(run, conf, options, names, err) != 0) {
        return -1;
    }
    out->items = xcalloc(names->len, sizeof(*out->items));
    for (size_t i = 0; i < names->len; i++) {
        struct deploy_cluster *one = &out->items[out->len++];
        struct run own = *run;

        one->name = xstrdup(names->items[i]);
        if (over) {
            (void)!err_set(&one->how, out->items[i - 1].how.code, "its turn did not come");
            continue;
        }
        if (timeout_ms) {
            own.deadline = run_mono_ms(run) + timeout_ms;
        }
        log_info(run->log, "cluster '%s' (%zu of %zu)", one->name, i + 1, names->len);
        if (run_one(&own, conf, options, one) != 0 && !is_interrupted(&one->how)) {
            log_error(run->log, "cluster '%s': %s", one->name, err_text(&one->how));
        }
        over = is_interrupted(&one->how);
    }
    return sum_up(out, err);
}

void deploy_clusters_clear(struct deploy_clusters *clusters)
{
    for (size_t i = 0; i < clusters->len; i++) {
        deploy_result_clear(&clusters->items[i].result);
        err_clear(&clusters->items[i].how);
        free(clusters->items[i].name);
    }
    free(clusters->items);
    *clusters = (struct deploy_clusters){0};
}

cJSON *deploy_clusters_json(const struct deploy_clusters *clusters, const struct err *err)
{
    cJSON *json = json_object();
    cJSON *list;

    json_set_i64(json, "status", err_exit_status(err));
    json_set_str(json, "error", err->code == ERR_NONE ? NULL : err_text(err));
    list = json_set_array(json, "clusters");
    for (size_t i = 0; i < clusters->len; i++) {
        const struct deploy_cluster *one = &clusters->items[i];
        cJSON *item = deploy_json(&one->result, &one->how);

        json_set_str(item, "cluster", one->name);
        json_push(list, item);
    }
    return json;
}

void deploy_clusters_print(const struct deploy_clusters *clusters, FILE *stream, bool color)
{
    for (size_t i = 0; i < clusters->len; i++) {
        const struct deploy_cluster *one = &clusters->items[i];

        fprintf(stream, "%sCluster %s: %s\n", i ? "\n" : "", one->name,
                one->how.code == ERR_NONE ? "done" : err_text(&one->how));
        deploy_print(&one->result, stream, color);
    }
}
