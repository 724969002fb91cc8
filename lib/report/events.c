#include "necoops/report/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "necoops/base/timefmt.h"

struct events {
    const struct run *run;
    FILE *file; /* or NULL */
    char *path;
    bool failed;
    cJSON *kept; /* or NULL */
    size_t most;
};

int events_open(const struct run *run, const char *path, struct events **out, struct err *err)
{
    /* appending: the agent's events may come before ours (remote.h) */
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;
    struct events *events;

    if (path && !file) {
        return err_set_errno(err, ERR_USAGE, errno, "cannot write events to '%s'", path);
    }
    events = xcalloc(1, sizeof(*events));
    events->run = run;
    events->file = file;
    events->path = path ? xstrdup(path) : NULL;
    *out = events;
    return 0;
}

void events_close(struct events *events)
{
    if (!events) {
        return;
    }
    if ((events->file && fclose(events->file) != 0) || events->failed) {
        log_warning(events->run->log, "not all events could be written to '%s'", events->path);
    }
    cJSON_Delete(events->kept);
    free(events->path);
    free(events);
}

static void write_line(struct events *events, const cJSON *line)
{
    autofree char *text = events->file ? json_print(line) : NULL;

    if (text && (fprintf(events->file, "%s\n", text) < 0 || fflush(events->file) != 0)) {
        events->failed = true;
    }
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
    write_line(events, line);
    if (events->kept && (size_t)cJSON_GetArraySize(events->kept) < events->most) {
        json_push(events->kept, steal(line));
    }
}

void events_keep(struct events *events, size_t most)
{
    events->most = most;
    if (!events->kept) {
        events->kept = json_array();
    }
}

const cJSON *events_kept(const struct events *events)
{
    return events->kept;
}
