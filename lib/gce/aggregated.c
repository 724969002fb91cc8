/* Lists over all zones at once. */
#include "gce/internal.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"

struct walk {
    const char *kind; /* "instances" */
    int (*each)(void *arg, const cJSON *resource, struct err *err);
    void *arg;
    struct strv *unreachable;
};

static void add_unreachable(struct walk *walk, const char *scope)
{
    const char *name = gce_basename(scope);

    if (walk->unreachable != NULL && !strv_has(walk->unreachable, name))
        strv_add(walk->unreachable, name);
}

/* A scope without instances says so by a warning; any other one means that it was not asked. */
static void check_scope(struct walk *walk, const cJSON *scope)
{
    const char *code = json_str(scope, "warning.code");

    if (code != NULL && strcmp(code, "NO_RESULTS_ON_PAGE") != 0)
        add_unreachable(walk, scope->string);
}

static int each_of_page(void *arg, const cJSON *page, struct err *err)
{
    struct walk *walk = arg;
    const cJSON *item = NULL;
    const cJSON *resource = NULL;

    cJSON_ArrayForEach(item, json_at(page, "unreachables"))
    {
        if (cJSON_IsString(item))
            add_unreachable(walk, item->valuestring);
    }
    cJSON_ArrayForEach(item, json_at(page, "items"))
    {
        check_scope(walk, item);
        cJSON_ArrayForEach(resource, json_at(item, walk->kind))
        {
            if (walk->each(walk->arg, resource, err) < 0)
                return -1;
        }
    }
    return 0;
}

static char *walk_query(const char *kind, const char *filter, const char *fields)
{
    autofree char *f = filter != NULL ? url_encode(filter) : NULL;
    autofree char *mask =
        fields != NULL
            ? xasprintf("nextPageToken,unreachables,warning,items/*(%s(%s),warning)", kind, fields)
            : NULL;
    autofree char *m = mask != NULL ? url_encode(mask) : NULL;

    return xasprintf("maxResults=500&returnPartialSuccess=true%s%s%s%s",
                     f != NULL ? "&filter=" : "", f != NULL ? f : "", m != NULL ? "&fields=" : "",
                     m != NULL ? m : "");
}

static int walk_all(struct gce *gce, struct walk *walk, const char *filter, const char *fields,
                    const char *permission, struct err *err)
{
    autofree char *url = xasprintf("%s/aggregated/%s", gce->base, walk->kind);
    autofree char *query = walk_query(walk->kind, filter, fields);
    autofree char *what = xasprintf("%s of project '%s'", walk->kind, gce->project);
    const struct gce_list list = {.url = url,
                                  .query = query,
                                  .what = what,
                                  .permission = permission,
                                  .each = each_of_page,
                                  .arg = walk};

    return gce_list_pages(gce, &list, err);
}

int gce_instances_walk(struct gce *gce, const char *filter, const char *fields,
                       int (*each)(void *arg, const cJSON *instance, struct err *err), void *arg,
                       struct strv *unreachable, struct err *err)
{
    struct walk walk = {.kind = "instances", .each = each, .arg = arg, .unreachable = unreachable};

    return walk_all(gce, &walk, filter, fields, "compute.instances.list", err);
}

int gce_disks_walk(struct gce *gce, const char *filter, const char *fields,
                   int (*each)(void *arg, const cJSON *disk, struct err *err), void *arg,
                   struct strv *unreachable, struct err *err)
{
    struct walk walk = {.kind = "disks", .each = each, .arg = arg, .unreachable = unreachable};

    return walk_all(gce, &walk, filter, fields, "compute.disks.list", err);
}
