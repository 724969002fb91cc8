#include "necoops/instance/evidence.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/instance/cloud.h"
#include "necoops/instance/find.h"
#include "necoops/instance/phase.h"

#define PORTS       4
#define CONSOLE_CAP ((size_t)4 << 20)

struct saving {
    const struct run *run;
    struct gce *gce;
    const cJSON *instance;
    const char *dir;
};

char *evidence_dir(const cJSON *instance, const char *dir)
{
    autofree char *name =
        xasprintf("%s-%s", json_str_or(instance, "name", "instance"), instance_id(instance));
    return path_join(dir, name);
}

static int write_text(const struct saving *saving, const char *name, const char *text, size_t len,
                      struct err *err)
{
    autofree char *path = path_join(saving->dir, name);
    return fs_write(path, text, len, 0644, err);
}

static int write_json(const struct saving *saving, const char *name, const cJSON *value,
                      struct err *err)
{
    autofree char *text = json_print_pretty(value);
    return write_text(saving, name, text, strlen(text), err);
}

static int save_instance(const struct saving *saving, struct err *err)
{
    autojson cJSON *whole = NULL;
    if (gce_instance_get(saving->gce, instance_zone(saving->instance),
                         instance_id(saving->instance), NULL, &whole, err) < 0)
        return -1;
    cJSON_DeleteItemFromObjectCaseSensitive(whole, "metadata");
    return write_json(saving, "instance.json", whole, err);
}

static int save_phases(const struct saving *saving, const struct buf *console, struct err *err)
{
    autojson cJSON *phases = json_array();
    struct phase_report report;
    size_t from = 0;
    while (phase_next(console, &from, &report)) {
        cJSON *entry = json_object();
        json_set_str(entry, "phase", phase_name(report.phase));
        json_set_str(entry, "message", report.message);
        json_set_str(entry, "time", report.time);
        json_set_str(entry, "bootId", report.boot_id);
        json_push(phases, entry);
    }
    return write_json(saving, "phases.json", phases, err);
}

static int save_console(const struct saving *saving, int port, struct err *err)
{
    autobuf struct buf text = BUF_INIT(CONSOLE_CAP);
    autofree char *name = xasprintf("console-%d.log", port);
    int64_t next, lost;
    if (gce_serial_output(saving->gce, instance_zone(saving->instance),
                          instance_id(saving->instance), port, 0, &text, &next, &lost, err) < 0)
        return -1;
    if (port == 1 && save_phases(saving, &text, err) < 0)
        return -1;
    return text.len ? write_text(saving, name, text.data, text.len, err) : 0;
}

static void warn(const struct saving *saving, const char *what, struct err *err)
{
    log_warning(saving->run->log, "evidence: %s could not be saved: %s", what, err_text(err));
    err_clear(err);
}

static void save_all(const struct saving *saving)
{
    autoerr struct err err = ERR_INIT;
    if (save_instance(saving, &err) < 0)
        warn(saving, "the instance", &err);
    for (int port = 1; port <= PORTS; port++) {
        autofree char *what = xasprintf("serial port %d", port);
        if (save_console(saving, port, &err) < 0)
            warn(saving, what, &err);
    }
    log_info(saving->run->log, "evidence is in %s", saving->dir);
}

void evidence_save(const struct run *run, const struct conf *conf, const cJSON *instance,
                   const char *dir)
{
    autocloud struct cloud cloud = {.http = NULL};
    autoerr struct err err = ERR_INIT;
    autofree char *folder = evidence_dir(instance, dir);
    const struct run limited = run_within(run, EVIDENCE_MS);
    struct saving saving = {.run = &limited, .instance = instance, .dir = folder};
    progress_phase(run->progress, "evidence", "saving the evidence of %s in %s",
                   json_str_or(instance, "name", ""), folder);
    if (fs_mkdirs(folder, 0755, &err) < 0 || cloud_open(&limited, conf, &cloud, &err) < 0) {
        warn(&saving, "anything", &err);
        return;
    }
    saving.gce = cloud.gce;
    save_all(&saving);
}
