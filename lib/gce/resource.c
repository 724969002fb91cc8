/* Disks, images and machine types. */
#include "gce/internal.h"

#include "necoops/base/text.h"

static int each_disk(void *arg, const cJSON *page, struct err *err)
{
    const cJSON *item = NULL;

    (void)err;
    cJSON_ArrayForEach(item, json_at(page, "items"))
    {
        json_push(arg, json_copy(item));
    }
    return 0;
}

int gce_disks_list(struct gce *gce, const char *zone, const char *filter, cJSON **out,
                   struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "disks", NULL, NULL);
    autofree char *encoded = filter != NULL ? url_encode(filter) : NULL;
    autofree char *query = xasprintf("maxResults=500%s%s", encoded != NULL ? "&filter=" : "",
                                     encoded != NULL ? encoded : "");
    autofree char *what = xasprintf("disks in zone '%s'", zone);
    autojson cJSON *disks = json_array();
    const struct gce_list list = {.url = url,
                                  .query = query,
                                  .what = what,
                                  .permission = "compute.disks.list",
                                  .each = each_disk,
                                  .arg = disks};

    if (gce_list_pages(gce, &list, err) < 0)
        return -1;
    *out = steal(disks);
    return 0;
}

int gce_disk_delete(struct gce *gce, const char *zone, const char *name, const char *request_id,
                    cJSON **operation, struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "disks", name, NULL);
    autofree char *what = xasprintf("disk '%s'", name);
    const struct gce_request request = {.method = "DELETE",
                                        .url = url,
                                        .request_id = request_id,
                                        .what = what,
                                        .permission = "compute.disks.delete"};

    return gce_call(gce, &request, operation, err);
}

/* Images may stand in another project than the instance. */
static int image_call(struct gce *gce, const char *project, const char *path, const char *name,
                      const char *what, const char *permission, cJSON **out, struct err *err)
{
    autofree char *endpoint = google_endpoint(http_run(gce->http), GOOGLE_COMPUTE);
    autofree char *p = url_encode(project);
    autofree char *n = url_encode(name);
    autofree char *url = xasprintf("%s/projects/%s/global/images/%s%s", endpoint, p, path, n);
    const struct gce_request request = {
        .method = "GET", .url = url, .what = what, .permission = permission};

    return gce_call(gce, &request, out, err);
}

int gce_image_from_family(struct gce *gce, const char *project, const char *family, cJSON **out,
                          struct err *err)
{
    autofree char *what = xasprintf("image family '%s' of project '%s'", family, project);

    return image_call(gce, project, "family/", family, what, "compute.images.getFromFamily", out,
                      err);
}

int gce_image_get(struct gce *gce, const char *project, const char *name, cJSON **out,
                  struct err *err)
{
    autofree char *what = xasprintf("image '%s' of project '%s'", name, project);

    return image_call(gce, project, "", name, what, "compute.images.get", out, err);
}

int gce_machine_type_get(struct gce *gce, const char *zone, const char *name, cJSON **out,
                         struct err *err)
{
    autofree char *url = gce_zone_url(gce, zone, "machineTypes", name, NULL);
    autofree char *what = xasprintf("machine type '%s' in zone '%s'", name, zone);
    const struct gce_request request = {
        .method = "GET", .url = url, .what = what, .permission = "compute.machineTypes.get"};

    return gce_call(gce, &request, out, err);
}
