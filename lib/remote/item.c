/* Our member of the metadata item `necoops-request`, beside those of others. */
#include "remote/internal.h"

#include <string.h>
#include "necoops/base/ci.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/find.h"

#define TRIES     12 /* somebody else may write at the same time */
#define PAUSE_MS  500
#define VALUE_MAX ((size_t)256 << 10)
#define ALL_MAX   ((size_t)512 << 10)
#define ALIVE_MIN 100

/* ---- what we ask for ---- */

static void add_variables(const struct remote *remote, cJSON *member)
{
    cJSON *variables = json_set_object(member, "env");
    for (const char *const *name = wire_variables; *name; name++)
        json_set_str(variables, *name, run_env(remote->caller, *name));
}

/* Keys that are set here count there, too. */
static void add_settings(const struct remote *remote, cJSON *member)
{
    cJSON *set = json_set_object(member, "set");
    autojson cJSON *all = conf_to_json(remote->conf);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, all)
    {
        const cJSON *value = json_at(entry, "value");
        if (strcmp(json_str_or(entry, "origin", ""), "default") == 0)
            continue;
        for (const char *const *key = wire_tool_find(remote->work->tool)->keys; *key; key++) {
            if (!glob_match(*key, entry->string))
                continue;
            autofree char *text =
                cJSON_IsString(value) ? xstrdup(value->valuestring) : json_print(value);
            json_set_str(set, entry->string, text);
        }
    }
}

static void add_files(const struct remote *remote, cJSON *member)
{
    cJSON *files = json_set_array(member, "files");
    for (size_t i = 0; i < remote->work->files_len; i++) {
        if (remote->work->files[i].path)
            json_push_str(files, remote->work->files[i].name);
    }
}

void item_add(struct remote *remote, cJSON *all)
{
    int64_t silent = conf_duration_ms(remote->conf, "agent.silentAfter", 60000);
    int64_t alive = silent / 6 > ALIVE_MIN ? silent / 6 : ALIVE_MIN;
    autofree char *caller = ci_who(remote->caller);
    cJSON *member = json_object();
    wire_requests_prune(all, run_wall_ms(&remote->run));
    json_set_str(member, "id", remote->request.text);
    json_set_str(member, "instance", remote->id);
    json_set_str(member, "tool", remote->work->tool);
    json_set(member, "options", json_copy(remote->work->options));
    add_settings(remote, member);
    add_variables(remote, member);
    add_files(remote, member);
    json_set_bool(member, "events", wire_tool_find(remote->work->tool)->events);
    json_set_bool(member, "color", remote->work->color);
    json_set_str(member, "caller", caller);
    json_set_str(member, "time", time_rfc3339(run_wall_ms(&remote->run)).text);
    json_set_str(member, "beatTime", time_rfc3339(run_wall_ms(&remote->run)).text);
    json_set_i64(member, "timeoutMs",
                 run_remaining_ms(remote->caller, INT64_C(24) * 3600 * 1000) + 1);
    json_set_i64(member, "aliveMs", alive);
    json_set_i64(member, "goneMs", conf_duration_ms(remote->conf, "agent.goneAfter", 300000));
    json_push(cJSON_GetObjectItemCaseSensitive(all, "requests"), member);
}

void item_beat(struct remote *remote, cJSON *all)
{
    cJSON *member = wire_requests_find(all, remote->request.text);
    if (!member)
        return;
    json_set_i64(member, "beat", ++remote->beat);
    json_set_str(member, "beatTime", time_rfc3339(run_wall_ms(&remote->run)).text);
}

void item_cancel(struct remote *remote, cJSON *all)
{
    cJSON *member = wire_requests_find(all, remote->request.text);
    bool terminated = remote->caller->signal && *remote->caller->signal == SIGTERM;
    if (member)
        json_set_str(member, "cancel", terminated ? "TERM" : "INT");
}

void item_again(struct remote *remote, cJSON *all)
{
    cJSON *member = wire_requests_find(all, remote->request.text);
    if (member)
        json_set_i64(member, "again", remote->again);
}

void item_remove(struct remote *remote, cJSON *all)
{
    wire_requests_remove(all, remote->request.text);
}

/* ---- changing it ---- */

static cJSON *find_item(const cJSON *items)
{
    cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        if (strcmp(json_str_or(item, "key", ""), WIRE_KEY) == 0)
            return item;
    }
    return NULL;
}

/* The service takes so much and no more: said before, with what there is. */
static int check_size(const cJSON *items, struct err *err)
{
    size_t total = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        size_t value = strlen(json_str_or(item, "value", ""));
        total += strlen(json_str_or(item, "key", "")) + value;
        if (value > VALUE_MAX && strcmp(json_str_or(item, "key", ""), WIRE_KEY) == 0)
            return err_set(err, ERR_USAGE,
                           "the requests in the instance's metadata would have %zu bytes, and an "
                           "item may have %zu; let others end first",
                           value, VALUE_MAX);
    }
    if (total > ALL_MAX)
        return err_set(err, ERR_USAGE,
                       "the instance's metadata has no room for the request: it would have %zu "
                       "bytes, and %zu are the most; remove items of instance.metadata",
                       total, ALL_MAX);
    return 0;
}

/* True when the value becomes another one. */
static bool apply(struct remote *remote, cJSON *metadata, change_item *change)
{
    cJSON *items = cJSON_GetObjectItemCaseSensitive(metadata, "items");
    if (!items)
        items = json_set_array(metadata, "items");
    cJSON *item = find_item(items);
    const char *before = json_str_or(item, "value", "");
    autojson cJSON *all = wire_requests_parse(before);
    autofree char *as_read = json_print(all);
    change(remote, all);
    autofree char *after = json_print(all);
    if (strcmp(as_read, after) == 0)
        return false;
    if (!item) {
        item = json_object();
        json_set_str(item, "key", WIRE_KEY);
        json_push(items, item);
    }
    json_set_str(item, "value", after);
    return true;
}

static int change_once(struct remote *remote, change_item *change, struct err *err)
{
    autojson cJSON *instance = NULL;
    autojson cJSON *operation = NULL;
    if (gce_instance_get(remote->cloud.gce, remote->zone, remote->id, "metadata", &instance, err) <
        0)
        return -1;
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(instance, "metadata");
    if (!metadata)
        metadata = json_set_object(instance, "metadata");
    if (!apply(remote, metadata, change))
        return 0;
    if (check_size(cJSON_GetObjectItemCaseSensitive(metadata, "items"), err) < 0 ||
        gce_instance_set_metadata(remote->cloud.gce, remote->zone, remote->id, metadata,
                                  uuid_random().text, &operation, err) < 0)
        return -1;
    return gce_operation_wait(remote->cloud.gce, operation, "the request to the agent", err);
}

int item_change(struct remote *remote, change_item *change, struct err *err)
{
    for (int left = TRIES;; left--) {
        if (change_once(remote, change, err) == 0)
            return 0;
        if (err->code != ERR_CONFLICT || left == 1)
            return -1;
        err_clear(err);
        if (run_sleep(&remote->run, 50 + (int64_t)random_below(PAUSE_MS), "the metadata", err) < 0)
            return -1;
    }
}

/* ---- looking at those of others ---- */

static bool is_living(const cJSON *member, int64_t now)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t heard = 0, gone = 0;
    return time_parse_rfc3339(json_str_or(member, "beatTime", ""), &heard, &ignored) == 0 &&
           json_i64(member, "goneMs", &gone) && now - heard <= gone;
}

int remote_look(const struct run *run, const struct conf *conf, const char *name, cJSON **request,
                struct err *err)
{
    autocloud struct cloud cloud = {.http = NULL};
    autostrv struct strv zones = STRV_INIT;
    autoinstances struct instance_list list = {.items = NULL};
    autojson cJSON *instance = NULL;
    conf_strs(conf, "zones", &zones);
    if (cloud_open(run, conf, &cloud, err) < 0 ||
        instance_find(cloud.gce, name, &zones, &list, err) < 0)
        return -1;
    if (list.len == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no instance '%s'", name);
    if (gce_instance_get(cloud.gce, instance_zone(list.items[0]), instance_id(list.items[0]),
                         "metadata", &instance, err) < 0)
        return -1;
    autojson cJSON *all =
        wire_requests_parse(json_str(find_item(json_at(instance, "metadata.items")), "value"));
    const cJSON *member;
    cJSON_ArrayForEach(member, json_at(all, "requests"))
    {
        if (is_living(member, run_wall_ms(run))) {
            *request = json_copy(member);
            return 0;
        }
    }
    *request = NULL;
    return 0;
}
