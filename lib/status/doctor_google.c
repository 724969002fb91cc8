/* What the doctor asks Google: clock, credential, permissions, image, machine types, objects. */
#include "doctor.h"

#include <string.h>
#include <time.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/gcs/gcs.h"
#include "necoops/google/api.h"
#include "necoops/instance/find.h"

#define SKEW_WRONG_MS INT64_C(300000) /* a signed token this far off is refused */
#define SKEW_WARN_MS  INT64_C(10000)

/* What the tools do to an instance that is there. */
static const char *const instance_permissions[] = {
    "compute.instances.get",
    "compute.instances.delete",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.getSerialPortOutput",
    "compute.instances.getGuestAttributes",
};

/* ---- clock ---- */

static bool date_of(const struct http_response *response, int64_t *wall_ms)
{
    const char *text = http_header(response, "Date");
    struct tm tm = {0};
    if (!text || !strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        return false;
    *wall_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

/* Any answer has a Date, a refusal too; so this works with a credential that does not. */
bool doctor_clock(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autoresponse struct http_response response;
    autofree char *endpoint = google_endpoint(doctor->run, GOOGLE_COMPUTE);
    const char *project = conf_str(doctor->conf, "project");
    autofree char *encoded = url_encode(project ? project : "-");
    autofree char *url = xasprintf("%s/projects/%s", endpoint, encoded);
    const struct http_request request = {
        .method = "GET", .url = url, .retry_ms = -1, .what = "Compute Engine"};
    http_response_init(&response, BUF_MEDIUM);
    int64_t theirs;
    if (http_perform(doctor->http, &request, &response, &err) < 0) {
        (void)google_hint(doctor->run, url, &err);
        doctor_fail(doctor, "clock", OUTCOME_WRONG,
                    "check the network, its proxy, and the variables that move endpoints", &err);
        return false;
    }
    if (!date_of(&response, &theirs)) {
        doctor_add(doctor, "clock", OUTCOME_SKIPPED, NULL, "the answer has no Date");
        return true;
    }
    int64_t ahead = run_wall_ms(doctor->run) - theirs;
    int64_t off = ahead < 0 ? -ahead : ahead;
    doctor_add(doctor, "clock",
               off > SKEW_WRONG_MS  ? OUTCOME_WRONG
               : off > SKEW_WARN_MS ? OUTCOME_WARNING
                                    : OUTCOME_OK,
               "set this machine's clock: signed tokens are refused when it is off",
               "%s %s Compute Engine's", duration_format(off / 1000 * 1000).text,
               ahead < 0 ? "behind" : "ahead of");
    return true;
}

/* ---- credential ---- */

void doctor_credential(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autoauth struct auth *auth = NULL;
    autobuf struct buf header = BUF_INIT(BUF_SMALL);
    autofree char *endpoint = google_endpoint(doctor->run, GOOGLE_COMPUTE);
    if (auth_find(doctor->http, &auth, &err) < 0) {
        doctor_fail(doctor, "credential", OUTCOME_WRONG, "see necoops(7), CREDENTIALS", &err);
        return;
    }
    const struct http_auth *give = auth_http(auth);
    if (give->header(give->arg, endpoint, &header, &err) < 0) {
        doctor_fail(doctor, "credential", OUTCOME_WRONG, "see necoops(7), CREDENTIALS", &err);
        return;
    }
    doctor_add(doctor, "credential", OUTCOME_OK, NULL, "%s, from %s", auth_account(auth),
               auth_source(auth));
    const char *project = conf_str(doctor->conf, "project");
    if (!project)
        project = auth_project(auth);
    if (!project)
        doctor_add(doctor, "project", OUTCOME_WRONG, "set 'project'", "none is configured");
    else if (gce_new(doctor->http, auth, project, &doctor->gce, &err) < 0)
        doctor_fail(doctor, "project", OUTCOME_WRONG, NULL, &err);
    doctor->auth = steal(auth);
}

/* ---- Compute Engine ---- */

static bool is_granted(const cJSON *granted, const char *permission)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, granted)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, permission) == 0)
            return true;
    }
    return false;
}

static void check_permissions(struct doctor *doctor, const cJSON *instance)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *granted = NULL;
    autostrv struct strv missing = STRV_INIT;
    size_t count = ARRAY_LEN(instance_permissions);
    if (!instance) {
        doctor_add(doctor, "permissions", OUTCOME_SKIPPED,
                   "ask again while there is an instance; necoops(7), ROLES, lists all",
                   "the service tells them only of an instance that is there");
        return;
    }
    if (gce_instance_permissions(doctor->gce, instance_zone(instance), instance_id(instance),
                                 instance_permissions, count, &granted, &err) < 0) {
        doctor_fail(doctor, "permissions", OUTCOME_WRONG, NULL, &err);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_granted(granted, instance_permissions[i]))
            strv_add(&missing, instance_permissions[i]);
    }
    autofree char *list = strv_join(&missing, ", ");
    if (missing.len)
        doctor_add(doctor, "permissions", OUTCOME_WRONG,
                   "grant the role of necoops(7), ROLES, to this account", "%s lacks %s",
                   auth_account(doctor->auth), list);
    else
        doctor_add(doctor, "permissions", OUTCOME_OK, NULL, "all %zu on the instance", count);
}

static void check_instance(struct doctor *doctor, bool *running)
{
    autoerr struct err err = ERR_INIT;
    autoinstances struct instance_list list = {.items = NULL};
    autostrv struct strv zones = STRV_INIT;
    const char *name = conf_str(doctor->conf, "instance.name");
    conf_strs(doctor->conf, "zones", &zones);
    if (instance_find(doctor->gce, name, &zones, &list, &err) < 0) {
        doctor_fail(doctor, "instance", OUTCOME_WRONG, "check 'project' and the account's roles",
                    &err);
        return;
    }
    *running = list.len && strcmp(instance_status(list.items[0]), "RUNNING") == 0;
    if (list.len == 0)
        doctor_add(doctor, "instance", OUTCOME_OK, NULL, "there is no %s now", name);
    else if (list.len > 1)
        doctor_add(doctor, "instance", OUTCOME_WARNING,
                   "necoops-create deletes the younger of two; necoops-delete deletes all",
                   "there are %zu of the name %s", list.len, name);
    else
        doctor_add(doctor, "instance", OUTCOME_OK, NULL, "%s in %s is %s", name,
                   instance_zone(list.items[0]), instance_status(list.items[0]));
    check_permissions(doctor, list.len ? list.items[0] : NULL);
}

static void check_image(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *image = NULL;
    const char *project = conf_str(doctor->conf, "instance.image.project");
    const char *family = conf_str(doctor->conf, "instance.image.family");
    const char *name = conf_str(doctor->conf, "instance.image.name");
    if (!name && !family)
        return; /* the configuration's fault, told already */
    if (!project)
        project = gce_project(doctor->gce);
    int got = name ? gce_image_get(doctor->gce, project, name, &image, &err)
                   : gce_image_from_family(doctor->gce, project, family, &image, &err);
    if (got < 0)
        doctor_fail(doctor, "image", OUTCOME_WRONG, "see instance.image", &err);
    else
        doctor_add(doctor, "image", OUTCOME_OK, NULL, "%s of project %s",
                   json_str_or(image, "name", ""), project);
}

static void check_machine_type(struct doctor *doctor, const char *type, const char *zone)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *found = NULL;
    int64_t cpus = 0, mb = 0;
    if (gce_machine_type_get(doctor->gce, zone, type, &found, &err) < 0) {
        doctor_fail(doctor, "machine type", OUTCOME_WRONG, "see instance.machineTypes and zones",
                    &err);
        return;
    }
    (void)json_i64(found, "guestCpus", &cpus);
    (void)json_i64(found, "memoryMb", &mb);
    doctor_add(doctor, "machine type", OUTCOME_OK, NULL, "%s in %s: %lld CPUs, %lld MB", type, zone,
               (long long)cpus, (long long)mb);
}

void doctor_compute(struct doctor *doctor, bool *running)
{
    autostrv struct strv types = STRV_INIT, zones = STRV_INIT;
    if (!doctor->gce) {
        doctor_add(doctor, "instance", OUTCOME_SKIPPED, NULL, "it cannot be asked for");
        return;
    }
    check_instance(doctor, running);
    check_image(doctor);
    conf_strs(doctor->conf, "instance.machineTypes", &types);
    conf_strs(doctor->conf, "zones", &zones);
    for (size_t t = 0; t < types.len; t++) {
        for (size_t z = 0; z < zones.len; z++)
            check_machine_type(doctor, types.items[t], zones.items[z]);
    }
}

/* ---- Cloud Storage ---- */

/* An object that the instance reads: that it is there; whether we may read it matters less. */
static void check_object(struct doctor *doctor, struct gcs *gcs, const char *check, const char *key)
{
    autoerr struct err err = ERR_INIT;
    autofree char *bucket = NULL;
    autofree char *name = NULL;
    autogcsobject struct gcs_object object = {.bucket = NULL};
    const char *url = conf_str(doctor->conf, key);
    if (!url || !text_starts(url, "gs://"))
        return;
    if (gcs_split_url(url, &bucket, &name, &err) < 0) {
        doctor_fail(doctor, check, OUTCOME_WRONG, NULL, &err);
        return;
    }
    if (gcs_stat(gcs, bucket, name, 0, &object, &err) < 0) {
        bool denied = err.code == ERR_DENIED;
        doctor_fail(doctor, check, denied ? OUTCOME_WARNING : OUTCOME_WRONG,
                    denied ? "only the instance's own account needs it; this one cannot look"
                           : "upload it, or correct the key",
                    &err);
        return;
    }
    doctor_add(doctor, check, OUTCOME_OK, NULL, "%s: %llu bytes of %s", url,
               (unsigned long long)object.size, object.updated ? object.updated : "?");
}

/* May we read objects of the bucket behind `key`? */
static void check_bucket(struct doctor *doctor, const char *check, const char *key)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *answer = NULL;
    const char *at = conf_str(doctor->conf, key);
    if (!at || !text_starts(at, "gs://"))
        return;
    autofree char *bucket = xstrndup(at + 5, strcspn(at + 5, "/"));
    autofree char *encoded = url_encode(bucket);
    autofree char *endpoint = google_endpoint(doctor->run, GOOGLE_STORAGE);
    autofree char *url = xasprintf("%s/storage/v1/b/%s/iam/testPermissions"
                                   "?permissions=storage.objects.get",
                                   endpoint, encoded);
    autofree char *what = xasprintf("bucket '%s'", bucket);
    const struct google_call call = {.method = "GET", .url = url, .idempotent = true, .what = what};
    if (google_call(doctor->http, doctor->auth, &call, &answer, &err) < 0)
        doctor_fail(doctor, check, OUTCOME_WRONG, "make the bucket, or correct the key", &err);
    else if (!is_granted(json_at(answer, "permissions"), "storage.objects.get"))
        doctor_add(doctor, check, OUTCOME_WRONG, "grant roles/storage.objectViewer on the bucket",
                   "%s may not read objects of '%s'", auth_account(doctor->auth), bucket);
    else
        doctor_add(doctor, check, OUTCOME_OK, NULL, "objects of %s can be read", bucket);
}

void doctor_storage(struct doctor *doctor)
{
    autoerr struct err err = ERR_INIT;
    autogcs struct gcs *gcs = NULL;
    autofree char *kubeconfig =
        xasprintf("clusters.%s.kubeconfig", conf_str(doctor->conf, "instance.name"));
    if (!doctor->auth)
        return;
    if (gcs_new(doctor->http, doctor->auth, &gcs, &err) < 0) {
        doctor_fail(doctor, "storage", OUTCOME_WRONG, NULL, &err);
        return;
    }
    check_object(doctor, gcs, "snapshot", "snapshot.source");
    check_object(doctor, gcs, "programs", "instance.programs.archive");
    check_bucket(doctor, "kubeconfig", kubeconfig);
    check_bucket(doctor, "results", "results");
}
