#include "necoops/report/events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "necoops/base/timefmt.h"

struct events {
    const struct run *run;
    FILE *file;
    char *path;
    bool failed;
};

int events_open(const struct run *run, const char *path, struct events **out, struct err *err)
{
    FILE *file = fopen(path, "we");
    struct events *events;

    if (!file) {
        return err_set_errno(err, ERR_USAGE, errno, "cannot write events to '%s'", path);
    }
    events = xcalloc(1, sizeof(*events));
    events->run = run;
    events->file = file;
    events->path = xstrdup(path);
    *out = events;
    return 0;
}

void events_close(struct events *events)
{
    if (!events) {
        return;
    }
    if (fclose(events->file) != 0 || events->failed) {
        log_warning(events->run->log, "not all events could be written to '%s'", events->path);
    }
    free(events->path);
    free(events);
}

void events_emit(struct events *events, const char *type, cJSON *fields)
{
    autojson cJSON *own = fields;
    autojson cJSON *line = NULL;

    if (!events) {
        return;
    }
    line = json_object();
    json_set_i64(line, "version", 1);
    json_set_str(line, "time", time_rfc3339_ms(run_wall_ms(events->run)).text);
    json_set_str(line, "type", type);
    if (own) {
        json_merge(line, own);
    }
    autofree char *text = json_print(line);
    if (fprintf(events->file, "%s\n", text) < 0 || fflush(events->file) != 0) {
        events->failed = true;
    }
}
