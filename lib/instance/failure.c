#include "instance/failure.h"

#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/instance/delete.h"
#include "necoops/instance/evidence.h"
#include "necoops/instance/extend.h"
#include "necoops/instance/find.h"

#define LINES_SHOWN 20

static void show_console(const struct run *run, const struct buf *console)
{
    size_t lines = 0, from = console->len;
    while (from > 0 && lines <= LINES_SHOWN)
        lines += console->data[--from] == '\n';
    autostrv struct strv shown = STRV_INIT;
    strv_split(&shown, console->data + from, '\n');
    if (shown.len)
        log_error(run->log, "the last lines of the instance's console:");
    for (size_t i = 0; i < shown.len; i++) {
        shown.items[i][strcspn(shown.items[i], "\r")] = '\0';
        log_error(run->log, "  %s", shown.items[i]);
    }
}

static void keep(const struct run *run, struct gce *gce, const cJSON *instance, int64_t keep_ms)
{
    autoerr struct err err = ERR_INIT;
    if (keep_ms == 0) {
        log_warning(run->log, "the failed instance is kept; necoops-delete removes it");
        return;
    }
    struct extend_result result;
    if (instance_set_soft_end(run, gce, instance, run_wall_ms(run) + keep_ms, &result, &err) < 0)
        log_warning(run->log, "the failed instance is kept, but its soft end could not be set: %s",
                    err_text(&err));
    else
        log_warning(run->log,
                    "the failed instance is kept until %s, when necoops-delete --expired takes it",
                    time_rfc3339(result.soft_end).text);
}

static void discard(const struct run *run, struct gce *gce, const cJSON *instance)
{
    struct run cleanup = run_for_cleanup(run, 5 * 60 * 1000);
    autoerr struct err err = ERR_INIT;
    if (instance_delete_one(&cleanup, gce, instance, &err) < 0)
        log_error(run->log, "the failed instance could not be deleted: %s", err_text(&err));
    else
        log_info(run->log, "the failed instance was deleted (--keep-failed keeps it)");
}

void failure_settle(const struct run *run, struct gce *gce, const struct conf *conf,
                    const cJSON *instance, const struct create_options *options,
                    const struct buf *console)
{
    if (!options->follow) /* else all of it was told as it came */
        show_console(run, console);
    if (options->evidence)
        evidence_save(run, conf, instance, options->evidence);
    if (options->keep_failed)
        keep(run, gce, instance, options->keep_ms);
    else
        discard(run, gce, instance);
}
