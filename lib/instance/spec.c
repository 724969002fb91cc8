#include "necoops/instance/spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "instance/machine_types.h"
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/gce/gce.h"
#include "necoops/instance/schedule.h"
#include "necoops/instance/startup.h"

#define METADATA_VALUE_CAP 262144 /* bytes of one value */
#define METADATA_TOTAL_CAP 524288 /* bytes of all keys and values */
#define LABEL_CAP          63
#define DAY_LENGTH_MS      (INT64_C(12) * 3600 * 1000) /* soft end where nothing is configured */
#define SCOPE_PREFIX       "https://www.googleapis.com/auth/"

/* ---- names and labels ---- */

/* [a-z]([-a-z0-9]{0,61}[a-z0-9])?  (RFC 1035 label, as Compute Engine demands) */
static bool is_resource_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > LABEL_CAP || !islower((unsigned char)name[0]) || name[len - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool is_label_text(const char *text)
{
    return strlen(text) <= LABEL_CAP &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

char *label_value(const char *text)
{
    char *value = xstrndup(text, LABEL_CAP);
    for (char *at = value; *at; at++) {
        if (isupper((unsigned char)*at))
            *at = (char)tolower((unsigned char)*at);
        else if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_')
            *at = '-';
    }
    return value;
}

/* Label and where CI systems say it: CircleCI's variable, then GitHub's. */
static const struct {
    const char *label, *variables[2];
} ci_labels[] = {
    {"necoops-repo", {"CIRCLE_PROJECT_REPONAME", "GITHUB_REPOSITORY"}},
    {"necoops-ref", {"CIRCLE_BRANCH", "GITHUB_REF_NAME"}},
    {"necoops-job", {"CIRCLE_JOB", "GITHUB_JOB"}},
    {"necoops-build", {"CIRCLE_BUILD_NUM", "GITHUB_RUN_ID"}},
};

static void add_ci_labels(const struct run *run, cJSON *labels)
{
    for (size_t i = 0; i < ARRAY_LEN(ci_labels); i++) {
        const char *text = run_env(run, ci_labels[i].variables[0]);
        if (!text)
            text = run_env(run, ci_labels[i].variables[1]);
        if (!text)
            continue;
        autofree char *value = label_value(text);
        json_set_str(labels, ci_labels[i].label, value);
    }
}

static int load_labels(const struct run *run, const struct conf *conf, struct instance_spec *spec,
                       struct err *err)
{
    spec->labels = json_object();
    add_ci_labels(run, spec->labels);
    const cJSON *item;
    cJSON_ArrayForEach(item, conf_json(conf, "instance.labels"))
    {
        if (!islower((unsigned char)item->string[0]) || !is_label_text(item->string) ||
            !is_label_text(item->valuestring))
            return err_set(err, ERR_USAGE,
                           "instance.labels: '%s: %s' is no label: lower case letters, digits, '_' "
                           "and '-', at most 63 each",
                           item->string, item->valuestring);
        json_set_str(spec->labels, item->string, item->valuestring);
    }
    json_set_str(spec->labels, LABEL_OWNED, "managed");
    autofree char *until = xasprintf("%lld", (long long)(spec->soft_end / 1000));
    json_set_str(spec->labels, LABEL_UNTIL, until);
    return 0;
}

/* ---- metadata ---- */

static void add_item(cJSON *items, const char *key, const char *value)
{
    cJSON *item = json_object();
    json_set_str(item, "key", key);
    json_set_str(item, "value", value);
    json_push(items, item);
}

static int read_setup(const struct run *run, const struct conf *conf, cJSON *items,
                      struct err *err)
{
    autofree char *path = conf_path(run, conf, "instance.setup");
    if (!path)
        return 0;
    autobuf struct buf text = BUF_INIT(METADATA_VALUE_CAP);
    if (fs_read(path, &text, err) < 0) {
        err->code = ERR_USAGE;
        return err_prefix(err, "instance.setup");
    }
    if (strncmp(text.data, "#!", 2) != 0)
        return err_set(err, ERR_USAGE, "instance.setup: '%s' does not begin with '#!'", path);
    add_item(items, "necoops-setup", text.data);
    return 0;
}

static int check_metadata(const cJSON *items, struct err *err)
{
    size_t total = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        const char *key = json_str(item, "key");
        size_t len = strlen(json_str(item, "value"));
        if (len > METADATA_VALUE_CAP)
            return err_set(err, ERR_USAGE, "metadata '%s' has %zu bytes; at most %d are possible",
                           key, len, METADATA_VALUE_CAP);
        total += strlen(key) + len;
    }
    if (total > METADATA_TOTAL_CAP)
        return err_set(err, ERR_USAGE, "the metadata has %zu bytes in all; at most %d are possible",
                       total, METADATA_TOTAL_CAP);
    return 0;
}

static int load_metadata(const struct run *run, const struct conf *conf,
                         struct instance_spec *spec, struct err *err)
{
    spec->metadata = json_object();
    cJSON *items = json_set_array(spec->metadata, "items");
    const cJSON *own;
    cJSON_ArrayForEach(own, conf_json(conf, "instance.metadata"))
        add_item(items, own->string, own->valuestring);
    autofree char *script = startup_script(conf);
    autofree char *config = startup_config(conf);
    add_item(items, "enable-guest-attributes", "TRUE");
    add_item(items, "startup-script", script);
    add_item(items, "necoops-config", config);
    if (read_setup(run, conf, items, err) < 0)
        return -1;
    return check_metadata(items, err);
}

/* ---- life ---- */

static int load_ends(const struct run *run, const struct conf *conf, struct instance_spec *spec,
                     struct err *err)
{
    autoschedule struct schedule schedule = {.up = -1};
    if (schedule_load(conf, &schedule, err) < 0)
        return -1;
    const char *until = conf_str(conf, "lifetime.until");
    int64_t now = run_wall_ms(run);
    int minutes = until ? schedule_clock_minutes(until) : schedule.down;
    spec->soft_end =
        minutes < 0 ? now + DAY_LENGTH_MS : schedule_next_clock(&schedule, now, minutes);
    spec->hard_end = spec->soft_end + conf_duration_ms(conf, "lifetime.maxExtension", 0);
    return 0;
}

/* ---- the whole ---- */

/* The instance has no folder that a relative path could start from. */
static int check_snapshot(const struct conf *conf, struct err *err)
{
    const char *to = conf_str(conf, "snapshot.to");
    if (!conf_has(conf, "snapshot.source") || (to && *to == '/'))
        return 0;
    return err_set(err, ERR_USAGE, "snapshot.to: '%s' is no absolute path on the instance",
                   to ? to : "");
}

static int check_programs(const struct conf *conf, struct err *err)
{
    const char *archive = conf_str(conf, "instance.programs.archive");
    const char *sha256_text = conf_str(conf, "instance.programs.sha256");
    if (!archive)
        return 0;
    if (!text_starts(archive, "gs://"))
        return err_set(err, ERR_USAGE, "instance.programs.archive: '%s' is no gs:// object",
                       archive);
    if (!sha256_text || strlen(sha256_text) != 64 ||
        strspn(sha256_text, "0123456789abcdef") != 64)
        return err_set(err, ERR_USAGE,
                       "instance.programs.sha256: wants the archive's SHA-256, 64 lower case "
                       "hexadecimal digits");
    return 0;
}

static int check_machine_types(const struct instance_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->machine_types.len; i++) {
        if (machine_type_check(spec->machine_types.items[i],
                               conf_int(spec->conf, "instance.localSsds", 0),
                               conf_bool(spec->conf, "instance.nestedVirtualization"), err) < 0)
            return -1;
    }
    return 0;
}

/* What makes two specifications different, but for labels and the ends of life. */
static char *hash_spec(const struct instance_spec *spec)
{
    autojson cJSON *body = instance_spec_body(spec, "", "", "");
    cJSON_DeleteItemFromObjectCaseSensitive(body, "labels");
    cJSON_DeleteItemFromObjectCaseSensitive(body, "scheduling");
    json_set(body, "image", conf_has(spec->conf, "instance.image.name")
                                ? json_copy(conf_json(spec->conf, "instance.image.name"))
                                : json_copy(conf_json(spec->conf, "instance.image.family")));
    autofree char *text = json_print(body);
    struct sha256_hex hash = sha256(text, strlen(text));
    return xstrndup(hash.text, 32);
}

static int load(const struct run *run, const struct conf *conf, struct instance_spec *spec,
                struct err *err)
{
    spec->conf = conf;
    if (conf_require(conf, "project", err) < 0 || conf_require(conf, "zones", err) < 0 ||
        conf_require(conf, "instance.machineTypes", err) < 0)
        return -1;
    spec->name = xstrdup(conf_str(conf, "instance.name"));
    if (!is_resource_name(spec->name))
        return err_set(err, ERR_USAGE,
                       "instance.name: '%s' is no name: a lower case letter, then letters, digits "
                       "and '-', at most 63",
                       spec->name);
    if (!conf_has(conf, "instance.image.family") && !conf_has(conf, "instance.image.name"))
        return err_set(err, ERR_USAGE,
                       "no image: set instance.image.family (or instance.image.name)");
    conf_strs(conf, "zones", &spec->zones);
    conf_strs(conf, "instance.machineTypes", &spec->machine_types);
    if (check_machine_types(spec, err) < 0 || check_programs(conf, err) < 0 ||
        check_snapshot(conf, err) < 0 ||
        load_ends(run, conf, spec, err) < 0 || load_labels(run, conf, spec, err) < 0 ||
        load_metadata(run, conf, spec, err) < 0)
        return -1;
    spec->hash = hash_spec(spec);
    json_set_str(spec->labels, LABEL_SPEC, spec->hash);
    return 0;
}

int instance_spec_load(const struct run *run, const struct conf *conf, struct instance_spec *out,
                       struct err *err)
{
    struct instance_spec spec = {.name = NULL};
    if (load(run, conf, &spec, err) < 0) {
        instance_spec_clear(&spec);
        return -1;
    }
    *out = spec;
    return 0;
}

void instance_spec_clear(struct instance_spec *spec)
{
    free(spec->name);
    free(spec->hash);
    strv_clear(&spec->zones);
    strv_clear(&spec->machine_types);
    cJSON_Delete(spec->labels);
    cJSON_Delete(spec->metadata);
    *spec = (struct instance_spec){.name = NULL};
}

/* ---- the request ---- */

static void add_disks(cJSON *body, const struct instance_spec *spec, const char *zone,
                      const char *image)
{
    const struct conf *conf = spec->conf;
    cJSON *disks = json_set_array(body, "disks");
    cJSON *boot = json_object();
    json_push(disks, boot);
    json_set_bool(boot, "boot", true);
    json_set_bool(boot, "autoDelete", true);
    cJSON *init = json_set_object(boot, "initializeParams");
    autofree char *type =
        xasprintf("zones/%s/diskTypes/%s", zone, conf_str(conf, "instance.bootDisk.type"));
    json_set_str(init, "sourceImage", image);
    json_set_str(init, "diskType", type);
    json_set_i64_str(init, "diskSizeGb", conf_int(conf, "instance.bootDisk.sizeGb", 0));
    cJSON *labels = json_set_object(init, "labels");
    json_set_str(labels, LABEL_OWNED, "managed");
    json_set_str(labels, LABEL_INSTANCE, spec->name);
    for (int64_t i = conf_int(conf, "instance.localSsds", 0); i > 0; i--) {
        cJSON *ssd = json_object();
        json_push(disks, ssd);
        autofree char *ssd_type = xasprintf("zones/%s/diskTypes/local-ssd", zone);
        json_set_str(ssd, "type", "SCRATCH");
        json_set_str(ssd, "interface", "NVME");
        json_set_bool(ssd, "autoDelete", true);
        json_set_str(json_set_object(ssd, "initializeParams"), "diskType", ssd_type);
    }
}

static void add_network(cJSON *body, const struct conf *conf)
{
    cJSON *interfaces = json_set_array(body, "networkInterfaces");
    cJSON *interface = json_object();
    json_push(interfaces, interface);
    autofree char *network =
        xasprintf("global/networks/%s", conf_str(conf, "instance.network"));
    json_set_str(interface, "network", network);
    json_set_str(interface, "subnetwork", conf_str(conf, "instance.subnetwork"));
    if (conf_bool(conf, "instance.externalIp")) {
        cJSON *access = json_object();
        json_set_str(access, "name", "external-nat");
        json_set_str(access, "type", "ONE_TO_ONE_NAT");
        json_push(json_set_array(interface, "accessConfigs"), access);
    }
    if (conf_has(conf, "instance.tags"))
        json_set(json_set_object(body, "tags"), "items", json_copy(conf_json(conf, "instance.tags")));
}

static void add_scheduling(cJSON *body, const struct instance_spec *spec)
{
    cJSON *scheduling = json_set_object(body, "scheduling");
    json_set_str(scheduling, "provisioningModel",
                 conf_str(spec->conf, "instance.provisioningModel"));
    /* A restarted one would come up half set up; the next run makes it anew. */
    json_set_bool(scheduling, "automaticRestart", false);
    json_set_str(scheduling, "onHostMaintenance", "TERMINATE");
    json_set_str(scheduling, "terminationTime", time_rfc3339(spec->hard_end).text);
    json_set_str(scheduling, "instanceTerminationAction", "DELETE");
}

static void add_account(cJSON *body, const struct conf *conf)
{
    autostrv struct strv scopes = STRV_INIT;
    conf_strs(conf, "instance.serviceAccount.scopes", &scopes);
    cJSON *account = json_object();
    json_push(json_set_array(body, "serviceAccounts"), account);
    json_set_str(account, "email", conf_str(conf, "instance.serviceAccount.email"));
    cJSON *list = json_set_array(account, "scopes");
    for (size_t i = 0; i < scopes.len; i++) {
        bool whole = text_starts(scopes.items[i], "https://");
        autofree char *scope = xasprintf("%s%s", whole ? "" : SCOPE_PREFIX, scopes.items[i]);
        json_push_str(list, scope);
    }
}

cJSON *instance_spec_body(const struct instance_spec *spec, const char *zone,
                          const char *machine_type, const char *image)
{
    const struct conf *conf = spec->conf;
    cJSON *body = json_object();
    autofree char *type = xasprintf("zones/%s/machineTypes/%s", zone, machine_type);
    json_set_str(body, "name", spec->name);
    json_set_str(body, "machineType", type);
    json_set_str(body, "minCpuPlatform", conf_str(conf, "instance.minCpuPlatform"));
    add_disks(body, spec, zone, image);
    add_network(body, conf);
    json_set(body, "labels", json_copy(spec->labels));
    json_set(body, "metadata", json_copy(spec->metadata));
    add_scheduling(body, spec);
    add_account(body, conf);
    if (conf_bool(conf, "instance.nestedVirtualization"))
        json_set_bool(json_set_object(body, "advancedMachineFeatures"),
                      "enableNestedVirtualization", true);
    return body;
}
