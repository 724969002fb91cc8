#include "instance/ladder.h"

#include <stdlib.h>
#include "instance/machine_types.h"
#include "necoops/base/digest.h"
#include "necoops/gce/cpu_platform.h"
#include "necoops/instance/find.h"

static int find_image(struct gce *gce, const struct conf *conf, char **url, struct err *err)
{
    const char *project = conf_str(conf, "instance.image.project");
    const char *family = conf_str(conf, "instance.image.family");
    const char *name = conf_str(conf, "instance.image.name");
    autojson cJSON *image = NULL;
    if (!project)
        project = gce_project(gce);
    int result = name ? gce_image_get(gce, project, name, &image, err)
                      : gce_image_from_family(gce, project, family, &image, err);
    if (result < 0) {
        if (err->code == ERR_NOT_FOUND)
            return err_set(err, ERR_USAGE,
                           "there is no image %s'%s' in project '%s'; see instance.image in the "
                           "configuration",
                           name ? "" : "of family ", name ? name : family, project);
        return -1;
    }
    const char *link = json_str(image, "selfLink");
    if (!link)
        return err_set(err, ERR_PROTOCOL, "the image '%s' has no selfLink", name ? name : family);
    *url = xstrdup(link);
    return 0;
}

/* Asked before anything is paid for; the cloud's own refusal comes later and says less. */
static int check_machine_type(struct gce *gce, const char *zone, const char *machine_type,
                              struct err *err)
{
    autojson cJSON *type = NULL;
    if (gce_machine_type_get(gce, zone, machine_type, &type, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        return err_set(err, ERR_USAGE,
                       "there is no machine type '%s' in zone '%s'; see instance.machineTypes and "
                       "zones in the configuration",
                       machine_type, zone);
    return find_zone_error(zone, err);
}

/* ---- rungs ---- */

void ladder_clear(struct ladder *ladder)
{
    for (size_t i = 0; i < ladder->len; i++)
        free(ladder->rungs[i].platform);
    free(ladder->rungs);
    free(ladder->image);
    *ladder = (struct ladder){.rungs = NULL};
}

static void add_rungs(struct ladder *ladder, const struct instance_spec *spec, const char *type,
                      const char *platform)
{
    for (size_t z = 0; z < spec->zones.len; z++) {
        ladder->rungs = xrealloc(ladder->rungs, (ladder->len + 1) * sizeof *ladder->rungs);
        ladder->rungs[ladder->len++] =
            (struct rung){.zone = spec->zones.items[z],
                          .machine_type = type,
                          .platform = platform ? xstrdup(platform) : NULL};
    }
}

/* What the configuration asks for counts where it is no older than what the snapshot needs. */
static bool is_asked_for(const struct run *run, const struct instance_spec *spec, const char *saved)
{
    const char *asked = conf_str(spec->conf, "instance.minCpuPlatform");
    if (!asked || cpu_platform_fits(saved, asked))
        return asked != NULL;
    log_warning(run->log,
                "instance.minCpuPlatform '%s' does not run what was saved on '%s', as the snapshot "
                "was: that counts",
                asked, saved);
    return false;
}

/* Types that no machine of the platform can be of are left out. */
static int add_types(const struct run *run, const struct instance_spec *spec, const char *saved,
                     struct ladder *ladder, struct err *err)
{
    for (size_t t = 0; t < spec->machine_types.len; t++) {
        const char *type = spec->machine_types.items[t];
        autofree char *platform = NULL;
        if (machine_type_platform(type, saved, &platform, err) == 0)
            add_rungs(ladder, spec, type, platform);
        else
            log_warning(run->log, "%s: it is left out", err_text(err));
    }
    if (ladder->len == 0)
        return err_prefix(err, "instance.machineTypes");
    err_clear(err);
    return 0;
}

int ladder_make(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                const char *saved, struct ladder *out, struct err *err)
{
    CLEANUP(ladder_clear) struct ladder ladder = {.rungs = NULL};
    if (!saved || is_asked_for(run, spec, saved)) {
        for (size_t t = 0; t < spec->machine_types.len; t++)
            add_rungs(&ladder, spec, spec->machine_types.items[t],
                      conf_str(spec->conf, "instance.minCpuPlatform"));
    } else if (add_types(run, spec, saved, &ladder, err) < 0) {
        return -1;
    }
    if (find_image(gce, spec->conf, &ladder.image, err) < 0)
        return -1;
    *out = ladder;
    ladder = (struct ladder){.rungs = NULL};
    return 0;
}

int ladder_check(struct gce *gce, const struct ladder *ladder, struct err *err)
{
    for (size_t i = 0; i < ladder->len; i++) {
        if (check_machine_type(gce, ladder->rungs[i].zone, ladder->rungs[i].machine_type, err) < 0)
            return -1;
    }
    return 0;
}

cJSON *ladder_body(const struct ladder *ladder, const struct instance_spec *spec, size_t index)
{
    const struct rung *rung = &ladder->rungs[index];
    cJSON *body = instance_spec_body(spec, rung->zone, rung->machine_type, ladder->image);
    cJSON_DeleteItemFromObjectCaseSensitive(body, "minCpuPlatform");
    json_set_str(body, "minCpuPlatform", rung->platform);
    return body;
}

/* ---- climbing ---- */

static int try_rung(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                    const struct ladder *ladder, size_t index, char **id, struct err *err)
{
    const char *zone = ladder->rungs[index].zone, *type = ladder->rungs[index].machine_type;
    autofree char *what = xasprintf("creation of instance '%s' in %s", spec->name, zone);
    autojson cJSON *operation = NULL;
    if (check_machine_type(gce, zone, type, err) < 0)
        return -1;
    progress_phase(run->progress, "create", "creating %s, %s in %s", spec->name, type, zone);
    autojson cJSON *body = ladder_body(ladder, spec, index);
    if (gce_instance_insert(gce, zone, body, uuid_random().text, &operation, err) < 0 ||
        gce_operation_wait(gce, operation, what, err) < 0)
        return -1;
    const char *target = json_str(operation, "targetId");
    if (!target)
        return err_set(err, ERR_PROTOCOL, "%s: the operation names no target", what);
    *id = xstrdup(target);
    return 0;
}

int ladder_insert(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                  const struct ladder *ladder, char **id, struct err *err)
{
    autostrv struct strv tried = STRV_INIT;
    for (size_t i = 0; i < ladder->len; i++) {
        const struct rung *rung = &ladder->rungs[i];
        if (try_rung(run, gce, spec, ladder, i, id, err) == 0)
            return 0;
        if (!gce_is_stockout(err))
            return -1;
        log_warning(run->log, "no room for %s in %s: %s", rung->machine_type, rung->zone,
                    err_text(err));
        strv_addf(&tried, "%s in %s", rung->machine_type, rung->zone);
        err_clear(err);
    }
    autofree char *list = strv_join(&tried, ", ");
    return err_set(
        err, ERR_CAPACITY,
        "the cloud has no room for '%s' now (tried %s); try again later or add to 'zones' "
        "or 'instance.machineTypes'",
        spec->name, list);
}
