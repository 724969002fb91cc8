#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"
#include "necoops/kube/kubeconfig.h"
#include "snapshot/kubeconfig.h"

#define ISSUE_MS ((int64_t)2 * 60 * 1000)

static int issue(const struct run *run, const struct strv *command, struct buf *out,
                 struct err *err)
{
    autokubeconfig struct kubeconfig config = {0};
    struct proc_spec spec = {.argv = (const char *const *)command->items, .timeout_ms = ISSUE_MS};
    struct proc_result result = {.out = BUF_INIT(KUBECONFIG_MAX), .error = BUF_INIT(BUF_SMALL)};
    int status = proc_check(run, &spec, &result, err);
    if (status == 0 && kubeconfig_parse(result.out.data, result.out.len, command->items[0], ".",
                                        NULL, &config, err) != 0)
        status = err_prefix(err, "'%s' printed no kubeconfig", command->items[0]);
    if (status == 0 && buf_add(out, result.out.data, result.out.len) != 0)
        status = err_set(err, ERR_FAILED, "kubeconfig is longer than %zu bytes", KUBECONFIG_MAX);
    buf_clear(&result.out);
    buf_clear(&result.error);
    return status;
}

/* Whoever else writes it in between loses: the newest load's is the one that works. */
static int put_object(struct gcs *gcs, const char *url, const struct buf *text, struct err *err)
{
    autofree char *bucket = NULL;
    autofree char *name = NULL;
    autogcsobject struct gcs_object now = {0};
    autogcsobject struct gcs_object written = {0};
    if (gcs_split_url(url, &bucket, &name, err) != 0)
        return -1;
    if (gcs_stat(gcs, bucket, name, 0, &now, err) != 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
    }
    return gcs_write(gcs, bucket, name, "application/yaml", text->data, text->len, now.generation,
                     &written, err);
}

static int deliver(const struct run *run, struct gcs *gcs, const char *to, const struct buf *text,
                   struct err *err)
{
    if (text_starts(to, "gs://"))
        return put_object(gcs, to, text, err);
    autofree char *path = path_expand_home(to, run_env(run, "HOME"));
    char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        autofree char *dir = xstrndup(path, (size_t)(slash - path));
        if (fs_mkdirs(dir, 0700, err) != 0)
            return -1;
    }
    return fs_write(path, text->data, text->len, 0600, err);
}

static int read_present(const struct run *run, const char *to, struct buf *out, struct err *err)
{
    if (!to || text_starts(to, "gs://"))
        return 0;
    autofree char *path = path_expand_home(to, run_env(run, "HOME"));
    return fs_read(path, out, err);
}

int kubeconfig_issue(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                     struct buf *out, struct err *err)
{
    const struct run *run = http_run(http);
    if (options->kubeconfig_issue->len == 0)
        return read_present(run, options->kubeconfig_to, out, err);
    if (issue(run, options->kubeconfig_issue, out, err) != 0)
        return err_prefix(err, "snapshot.kubeconfig.issue");
    if (options->kubeconfig_to && deliver(run, gcs, options->kubeconfig_to, out, err) != 0)
        return err_prefix(err, "snapshot.kubeconfig.to");
    return 0;
}
