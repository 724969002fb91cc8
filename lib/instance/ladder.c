#include "instance/ladder.h"

#include <string.h>
#include "necoops/base/digest.h"

int ladder_image(struct gce *gce, const struct conf *conf, char **url, struct err *err)
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
    return -1;
}

static int try_rung(const struct run *run, struct gce *gce, const struct instance_spec *spec,
                    const char *zone, const char *machine_type, const char *image, char **id,
                    struct err *err)
{
    autofree char *what = xasprintf("creation of instance '%s' in %s", spec->name, zone);
    autojson cJSON *operation = NULL;
    if (check_machine_type(gce, zone, machine_type, err) < 0)
        return -1;
    progress_phase(run->progress, "create", "creating %s, %s in %s", spec->name, machine_type,
                   zone);
    autojson cJSON *body = instance_spec_body(spec, zone, machine_type, image);
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
                  const char *image, char **id, struct err *err)
{
    autostrv struct strv tried = STRV_INIT;
    for (size_t t = 0; t < spec->machine_types.len; t++) {
        for (size_t z = 0; z < spec->zones.len; z++) {
            const char *zone = spec->zones.items[z], *type = spec->machine_types.items[t];
            if (try_rung(run, gce, spec, zone, type, image, id, err) == 0)
                return 0;
            if (!gce_is_stockout(err))
                return -1;
            log_warning(run->log, "no room for %s in %s: %s", type, zone, err_text(err));
            strv_addf(&tried, "%s in %s", type, zone);
            err_clear(err);
        }
    }
    autofree char *list = strv_join(&tried, ", ");
    return err_set(err, ERR_CAPACITY,
                   "the cloud has no room for '%s' now (tried %s); try again later or add to 'zones' "
                   "or 'instance.machineTypes'",
                   spec->name, list);
}
