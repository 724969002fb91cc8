/* Images and their families. */
#include "emulator/google/compute/internal.h"

#define KNOWN                                                                                      \
    "id kind name family status selfLink creationTimestamp description labels diskSizeGb "         \
    "architecture archiveSizeBytes deprecated sourceType"

static int64_t size_of(const cJSON *spec)
{
    int64_t size = 10;
    (void)json_i64(spec, "diskSizeGb", &size);
    return size;
}

static void image_add(struct compute *compute, const char *project, const char *name,
                      const cJSON *spec)
{
    const char *family = json_str(spec, "family");
    cJSON *image = json_object();
    json_set_str(image, "kind", "compute#image");
    set_id(image, "id", next_id(compute));
    json_set_str(image, "creationTimestamp",
                 json_str_or(spec, "creationTimestamp", "2026-11-01T00:00:00.000Z"));
    json_set_str(image, "name", name);
    json_set_str(image, "description", json_str(spec, "description"));
    json_set_str(image, "family", family);
    json_set_str(image, "status", json_str_or(spec, "status", "READY"));
    json_set_str(image, "sourceType", "RAW");
    json_set_str(image, "architecture", "X86_64");
    json_set_i64_str(image, "diskSizeGb", size_of(spec));
    json_set_i64_str(image, "archiveSizeBytes", 1 << 30);
    autofree char *fingerprint = fingerprint_of(json_at(spec, "labels"));
    json_set_str(image, "labelFingerprint", fingerprint);
    if (json_at(spec, "labels") != NULL)
        json_set(image, "labels", json_copy(json_at(spec, "labels")));
    if (json_bool(spec, "deprecated", false))
        json_set_str(json_set_object(image, "deprecated"), "state", "DEPRECATED");
    set_link(image, "selfLink", "projects/%s/global/images/%s", project, name);
    json_push(compute->images, image);
    if (!project_known(compute, project))
        strv_add(&compute->known_projects, project);
}

void images_init(struct compute *compute)
{
    static const struct {
        const char *project, *name, *family;
    } rows[] = {
        {"debian-cloud", "debian-12-bookworm-v20261110", "debian-12"},
        {"ubuntu-os-cloud", "ubuntu-2204-jammy-v20261108", "ubuntu-2204-lts"},
        {"ubuntu-os-cloud", "ubuntu-2404-noble-amd64-v20261108", "ubuntu-2404-lts-amd64"},
        {NULL, "vmx-enabled-20261101", "vmx-enabled"}, /* of the emulator's own project */
    };
    compute->images = json_array();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autojson cJSON *spec = json_object();
        json_set_str(spec, "family", rows[i].family);
        image_add(compute, rows[i].project != NULL ? rows[i].project : emu_project(compute->emu),
                  rows[i].name, spec);
    }
}

/* [{"project": P, "name": N, "family": F, "diskSizeGb": 10, "deprecated": true}] */
int images_seed(struct compute *compute, const cJSON *images, struct err *err)
{
    const cJSON *spec = NULL;
    cJSON_ArrayForEach(spec, images)
    {
        const char *name = json_str(spec, "name");
        if (name == NULL || !valid_name(name))
            return err_set(err, ERR_USAGE, "seed: an image has no valid 'name'");
        image_add(compute, json_str_or(spec, "project", emu_project(compute->emu)), name, spec);
    }
    return 0;
}

/* "projects/P/global/images/" of an image's link. */
static bool of_project(const cJSON *image, const char *project, size_t len)
{
    const char *link = json_str_or(image, "selfLink", "");
    const char *at = strstr(link, "/projects/");
    return at != NULL && strncmp(at + 10, project, len) == 0 && at[10 + len] == '/';
}

static const cJSON *find_image(const struct compute *compute, const char *project, size_t len,
                               const char *name)
{
    const cJSON *image = NULL;
    cJSON_ArrayForEach(image, compute->images)
    {
        if (of_project(image, project, len) && (strcmp(json_str_or(image, "name", ""), name) == 0 ||
                                                strcmp(json_str_or(image, "id", ""), name) == 0))
            return image;
    }
    return NULL;
}

/* The newest of the family that is not deprecated; of those of one time, the one added last. */
static const cJSON *find_in_family(const struct compute *compute, const char *project, size_t len,
                                   const char *family)
{
    const cJSON *image = NULL, *newest = NULL;
    cJSON_ArrayForEach(image, compute->images)
    {
        if (!of_project(image, project, len) || json_at(image, "deprecated") != NULL ||
            strcmp(json_str_or(image, "family", ""), family) != 0)
            continue;
        if (newest == NULL || strcmp(json_str_or(image, "creationTimestamp", ""),
                                     json_str_or(newest, "creationTimestamp", "")) >= 0)
            newest = image;
    }
    return newest;
}

const cJSON *image_resolve(const struct compute *compute, const char *link)
{
    const char *project = emu_project(compute->emu);
    size_t len = strlen(project);
    const char *path = link;
    const char *at = strstr(link, "projects/");
    if (at != NULL) {
        project = at + strlen("projects/");
        len = strcspn(project, "/");
        path = project + len + (project[len] == '/');
    }
    if (text_starts(path, "global/images/family/"))
        return find_in_family(compute, project, len, last_segment(path));
    if (text_starts(path, "global/images/"))
        return find_image(compute, project, len, last_segment(path));
    if (strstr(path, "/imageFamilyViews/") != NULL)
        return find_in_family(compute, project, len, last_segment(path));
    return NULL;
}

void images_get(struct call *call)
{
    const cJSON *image =
        find_image(call->compute, call->project, strlen(call->project), call->name);
    if (image == NULL) {
        not_found(call->answer, "projects/%s/global/images/%s", call->project, call->name);
        return;
    }
    google_answer(call->request, call->answer, json_copy(image));
}

void images_get_from_family(struct call *call)
{
    const cJSON *image =
        find_in_family(call->compute, call->project, strlen(call->project), call->name);
    if (image == NULL) {
        not_found(call->answer, "projects/%s/global/images/family/%s", call->project, call->name);
        return;
    }
    google_answer(call->request, call->answer, json_copy(image));
}

static int by_name(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp(json_str_or(*x, "name", ""), json_str_or(*y, "name", ""));
}

void images_list(struct call *call)
{
    const cJSON *image = NULL;
    size_t count = 0;
    int total = cJSON_GetArraySize(call->compute->images);
    const cJSON **found = xcalloc((size_t)total + 1, sizeof *found);
    cJSON_ArrayForEach(image, call->compute->images)
    {
        if (of_project(image, call->project, strlen(call->project)))
            found[count++] = image;
    }
    qsort(found, count, sizeof *found, by_name);
    cJSON *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_push(array, json_copy(found[i]));
    free(found);
    autofree char *link = xasprintf("projects/%s/global/images", call->project);
    list_answer(call, "compute#imageList", link, KNOWN, array);
}
