/* What the metadata server of an instance serves, as one tree, and its forms. */
#include "emulator/google/compute/internal.h"

/* ---- the tree ---- */

static cJSON *attributes_of(const cJSON *metadata)
{
    cJSON *attributes = json_object();
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json_at(metadata, "items"))
    {
        json_set_str(attributes, json_str_or(item, "key", ""), json_str_or(item, "value", ""));
    }
    return attributes;
}

static cJSON *disks_of(const cJSON *spec)
{
    cJSON *list = json_array();
    const cJSON *disk = NULL;
    int number = 0;
    cJSON_ArrayForEach(disk, json_at(spec, "disks"))
    {
        cJSON *one = json_object();
        bool scratch = strcmp(json_str_or(disk, "type", ""), "SCRATCH") == 0;
        autofree char *index = xasprintf("%d", number++);
        json_set_str(one, "device-name", json_str_or(disk, "deviceName", ""));
        json_set_str(one, "index", index);
        json_set_str(one, "interface", json_str_or(disk, "interface", "SCSI"));
        json_set_str(one, "mode", json_str_or(disk, "mode", "READ_WRITE"));
        json_set_str(one, "type", scratch ? "LOCAL-SSD" : "PERSISTENT-BALANCED");
        json_push(list, one);
    }
    return list;
}

static cJSON *interfaces_of(const struct compute *compute, const cJSON *spec)
{
    cJSON *list = json_array();
    const cJSON *given = NULL;
    cJSON_ArrayForEach(given, json_at(spec, "networkInterfaces"))
    {
        cJSON *one = json_object();
        cJSON *configs = json_set_array(one, "access-configs");
        const char *address = json_str(given, "accessConfigs[0].natIP");
        if (address != NULL) {
            cJSON *config = json_object();
            json_set_str(config, "external-ip", address);
            json_set_str(config, "type", "ONE_TO_ONE_NAT");
            json_push(configs, config);
        }
        autofree char *network =
            xasprintf("projects/%lld/networks/%s", (long long)compute->project_number,
                      last_segment(json_str_or(given, "network", "default")));
        json_set_str(one, "gateway", "10.146.0.1");
        json_set_str(one, "ip", json_str_or(given, "networkIP", ""));
        json_set_str(one, "mac", "42:01:0a:92:00:02");
        json_set_i64(one, "mtu", 1460);
        json_set_str(one, "network", network);
        json_set_str(one, "subnetmask", "255.255.240.0");
        json_push(list, one);
    }
    return list;
}

static cJSON *account_of(const cJSON *account, bool whole)
{
    cJSON *json = json_object();
    const cJSON *scopes = json_at(account, "scopes");
    json_push_str(json_set_array(json, "aliases"), "default");
    json_set_str(json, "email", json_str_or(account, "email", ""));
    if (whole)
        json_set_str(json, "identity", "");
    json_set(json, "scopes", scopes != NULL ? json_copy(scopes) : json_array());
    if (whole)
        json_set_str(json, "token", "");
    return json;
}

static cJSON *accounts_of(const cJSON *spec, bool whole)
{
    cJSON *accounts = json_object();
    const cJSON *account = json_at(spec, "serviceAccounts[0]");
    if (account == NULL)
        return accounts;
    json_set(accounts, json_str_or(account, "email", ""), account_of(account, whole));
    json_set(accounts, "default", account_of(account, whole));
    return accounts;
}

static cJSON *scheduling_of(const cJSON *spec)
{
    cJSON *scheduling = json_object();
    bool restart = json_bool(spec, "scheduling.automaticRestart", true);
    bool preemptible = json_bool(spec, "scheduling.preemptible", false);
    json_set_str(scheduling, "automatic-restart", restart ? "TRUE" : "FALSE");
    json_set_str(scheduling, "on-host-maintenance",
                 json_str_or(spec, "scheduling.onHostMaintenance", "MIGRATE"));
    json_set_str(scheduling, "preemptible", preemptible ? "TRUE" : "FALSE");
    return scheduling;
}

static cJSON *guest_attributes_of(const struct inside *inside)
{
    cJSON *spaces = json_object();
    const struct guest_attribute *one = inside != NULL ? inside->attributes : NULL;
    for (; one != NULL; one = one->next) {
        cJSON *space = cJSON_GetObjectItemCaseSensitive(spaces, one->space);
        if (space == NULL)
            space = json_set_object(spaces, one->space);
        json_set_str(space, one->key, one->value);
    }
    return spaces;
}

static cJSON *instance_tree(const struct compute *compute, const struct instance *instance,
                            bool whole)
{
    const cJSON *spec = instance->spec->json;
    long long number = compute->project_number;
    autofree char *id = xasprintf("%llu", (unsigned long long)instance->id);
    autofree char *zone = xasprintf("projects/%lld/zones/%s", number, instance->zone);
    autofree char *type = xasprintf("projects/%lld/machineTypes/%s", number,
                                    last_segment(json_str_or(spec, "machineType", "")));
    autofree char *hostname =
        xasprintf("%s.%s.c.%s.internal", instance->name, instance->zone, instance->project);
    cJSON *tree = json_object();
    json_set(tree, "attributes", attributes_of(json_at(spec, "metadata")));
    json_set_str(tree, "cpu-platform", json_str_or(spec, "cpuPlatform", ""));
    json_set_str(tree, "description", json_str_or(spec, "description", ""));
    json_set(tree, "disks", disks_of(spec));
    if (whole && guest_attributes_enabled(compute, instance))
        json_set(tree, "guest-attributes", guest_attributes_of(instance->inside));
    json_set_str(tree, "hostname", json_str_or(spec, "hostname", hostname));
    json_set(tree, "id", json_number_from_text(id));
    json_set_str(tree, "machine-type", type);
    json_set_str(tree, "maintenance-event", "NONE");
    json_set_str(tree, "name", instance->name);
    json_set(tree, "network-interfaces", interfaces_of(compute, spec));
    json_set_str(tree, "preempted", "FALSE");
    json_set(tree, "scheduling", scheduling_of(spec));
    json_set(tree, "service-accounts", accounts_of(spec, whole));
    const cJSON *tags = json_at(spec, "tags.items");
    json_set(tree, "tags", tags != NULL ? json_copy(tags) : json_array());
    json_set_str(tree, "zone", zone);
    return tree;
}

cJSON *metadata_tree(const struct compute *compute, const struct instance *instance, bool whole)
{
    cJSON *tree = json_object();
    json_set(tree, "instance", instance_tree(compute, instance, whole));
    cJSON *project = json_set_object(tree, "project");
    json_set(project, "attributes", attributes_of(compute->project_metadata));
    json_set_i64(project, "numeric-project-id", compute->project_number);
    json_set_str(project, "project-id", instance->project);
    json_set_str(json_set_object(tree, "universe"), "universe-domain", "googleapis.com");
    return tree;
}

/* ---- its forms ---- */

static bool is_list_of_dirs(const char *name)
{
    return name != NULL && (strcmp(name, "disks") == 0 || strcmp(name, "network-interfaces") == 0 ||
                            strcmp(name, "access-configs") == 0);
}

bool metadata_is_dir(const cJSON *node)
{
    return cJSON_IsObject(node) || (cJSON_IsArray(node) && is_list_of_dirs(node->string));
}

char *metadata_listing(const cJSON *dir)
{
    autobuf struct buf out = BUF_INIT(BUF_MEDIUM);
    int index = 0;
    for (const cJSON *item = dir->child; item != NULL; item = item->next) {
        const char *slash = metadata_is_dir(item) ? "/" : "";
        if (cJSON_IsArray(dir))
            buf_addf(&out, "%d%s\n", index++, slash);
        else
            buf_addf(&out, "%s%s\n", item->string, slash);
    }
    return buf_steal(&out);
}

char *metadata_leaf(const cJSON *leaf)
{
    if (cJSON_IsString(leaf))
        return xstrdup(leaf->valuestring);
    if (!cJSON_IsArray(leaf) || strcmp(leaf->string, "tags") == 0)
        return json_print(leaf);
    autobuf struct buf out = BUF_INIT(BUF_MEDIUM);
    for (const cJSON *item = leaf->child; item != NULL; item = item->next)
        buf_addf(&out, "%s\n", cJSON_IsString(item) ? item->valuestring : "");
    return buf_steal(&out);
}

/* "machine-type" → "machineType" */
static char *camel(const char *name)
{
    char *text = xstrdup(name);
    char *to = text;
    for (const char *from = name; *from != '\0'; from++) {
        if (*from == '-' && from[1] >= 'a' && from[1] <= 'z') {
            from++;
            *to++ = (char)(*from - 'a' + 'A');
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

/* Directories whose members users or accounts name. */
static bool keeps_names(const char *name)
{
    return name != NULL &&
           (strcmp(name, "attributes") == 0 || strcmp(name, "service-accounts") == 0 ||
            strcmp(name, "guest-attributes") == 0);
}

cJSON *metadata_camel(const cJSON *node)
{
    bool list = cJSON_IsArray(node);
    if (!list && !cJSON_IsObject(node))
        return json_copy(node);
    cJSON *out = list ? json_array() : json_object();
    bool as_is = keeps_names(node->string);
    for (const cJSON *item = node->child; item != NULL; item = item->next) {
        autofree char *name = list ? NULL : as_is ? xstrdup(item->string) : camel(item->string);
        if (list)
            json_push(out, metadata_camel(item));
        else
            json_set(out, name, metadata_camel(item));
    }
    return out;
}

void metadata_flatten(const cJSON *node, const char *prefix, struct buf *out)
{
    int index = 0;
    for (const cJSON *item = node->child; item != NULL; item = item->next) {
        autofree char *name = cJSON_IsArray(node) ? xasprintf("%s%d", prefix, index++)
                                                  : xasprintf("%s%s", prefix, item->string);
        if (metadata_is_dir(item) || cJSON_IsObject(item)) {
            autofree char *below = xasprintf("%s/", name);
            metadata_flatten(item, below, out);
        } else {
            autofree char *text = metadata_leaf(item);
            buf_addf(out, "%s %s\n", name, text);
        }
    }
}
