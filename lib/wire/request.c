/* Requests: the closed lists of what may be asked for, and the metadata item that carries them. */
#include "necoops/wire/wire.h"

#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define HOUR_MS     (INT64_C(3600) * 1000)
#define TIMEOUT_MAX (INT64_C(24) * HOUR_MS)

/* ---- what may be asked for ---- */

static const struct wire_option deploy_options[] = {
    {"cluster", WIRE_TEXT},
    {"revision", WIRE_COMMIT},
    {"apps", WIRE_TEXTS},
    {"changed-since", WIRE_COMMIT},
    {"upgrade-from", WIRE_COMMIT},
    {"stable-for", WIRE_MS},
    {"in-progress", WIRE_TEXT},
    {"lock-timeout", WIRE_MS},
    {"prune", WIRE_FLAG},
    {"restore", WIRE_FLAG},
    {"bootstrap", WIRE_FLAG},
    {"no-check", WIRE_FLAG},
    {"if-no-cluster", WIRE_TEXT},
    {"if-no-apps", WIRE_TEXT},
    {"dry-run", WIRE_FLAG},
    {"output", WIRE_TEXT},
    {"verbose", WIRE_COUNT},
    {"quiet", WIRE_FLAG},
    {NULL, WIRE_FLAG},
};
static const struct wire_option load_options[] = {
    {"tag", WIRE_TEXT},       {"loader", WIRE_TEXT},  {"connections", WIRE_COUNT},
    {"if-needed", WIRE_FLAG}, {"replace", WIRE_FLAG}, {"no-gate", WIRE_FLAG},
    {"dry-run", WIRE_FLAG},   {"output", WIRE_TEXT},  {"verbose", WIRE_COUNT},
    {"quiet", WIRE_FLAG},     {"", WIRE_URL},         {NULL, WIRE_FLAG},
};
/* What says what to deploy and how; never how the cluster is reached, nor what is run there. */
static const char *const deploy_keys[] = {
    "apps.repoURL",         "apps.root",           "argocd.namespace",
    "clusters.*.path",      "clusters.*.revision", "clusters.*.sync",
    "clusters.*.enabled",   "clusters.*.reason",   "deploy.stableFor",
    "deploy.degradedGrace", "deploy.syncRetries",  "deploy.lockTimeout",
    "notify.slowAfter",     "notify.reportURL",    NULL,
};
static const char *const deploy_files[] = {"junit", "report", NULL};
static const char *const none[] = {NULL};

static const struct wire_tool tools[] = {
    {"necoops-deploy", deploy_options, deploy_keys, deploy_files, true},
    {"necoops-snapshot-load", load_options, none, none, false},
};

/* What names the CI job: for links in alerts and for the holder of the cluster. */
const char *const wire_variables[] = {
    "CIRCLE_BUILD_URL",  "CIRCLE_BRANCH", "GITHUB_SERVER_URL",
    "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_HEAD_REF",
    "GITHUB_REF_NAME",   "USER",          NULL,
};

const struct wire_tool *wire_tool_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (name && strcmp(tools[i].name, name) == 0)
            return &tools[i];
    }
    return NULL;
}

/* ---- one request ---- */

static bool is_listed(const char *const *list, const char *name)
{
    for (; *list; list++) {
        if (glob_match(*list, name))
            return true;
    }
    return false;
}

/* A text that is harmless in an argument vector, a log and a file. */
static bool is_plain(const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) > WIRE_VALUE_MAX)
        return false;
    for (const char *at = value->valuestring; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    }
    return true;
}

static bool is_hex_id(const char *text, size_t len, const char *allowed)
{
    return strlen(text) == len && strspn(text, allowed) == len;
}

static bool whole_number(const cJSON *value, int64_t least, int64_t most)
{
    int64_t number;
    return cJSON_IsNumber(value) && json_i64(value, "", &number) && number >= least &&
           number <= most;
}

static bool texts_fit(const cJSON *value)
{
    const cJSON *item;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > WIRE_TEXTS_MAX)
        return false;
    cJSON_ArrayForEach(item, value)
    {
        if (!is_plain(item))
            return false;
    }
    return true;
}

static bool value_fits(enum wire_type type, const cJSON *value)
{
    switch (type) {
    case WIRE_FLAG:
        return cJSON_IsTrue(value);
    case WIRE_TEXT:
        return is_plain(value);
    case WIRE_TEXTS:
        return texts_fit(value);
    case WIRE_MS:
        return whole_number(value, 0, TIMEOUT_MAX);
    case WIRE_COUNT:
        return whole_number(value, 1, 64);
    case WIRE_COMMIT:
        return is_plain(value) && is_hex_id(value->valuestring, 40, "0123456789abcdef");
    case WIRE_URL:
        return is_plain(value) && text_starts(value->valuestring, "gs://");
    }
    return false;
}

static const struct wire_option *option_find(const struct wire_tool *tool, const char *name)
{
    for (const struct wire_option *at = tool->options; at->name; at++) {
        if (strcmp(at->name, name) == 0)
            return at;
    }
    return NULL;
}

static int check_options(const struct wire_tool *tool, const cJSON *options, struct err *err)
{
    const cJSON *value;
    if (options && !cJSON_IsObject(options))
        return err_set(err, ERR_USAGE, "its 'options' are no object");
    cJSON_ArrayForEach(value, options)
    {
        const struct wire_option *option = option_find(tool, value->string);
        if (!option)
            return err_set(err, ERR_USAGE, "the option '%.100s' of %s is not taken", value->string,
                           tool->name);
        if (!value_fits(option->type, value))
            return err_set(err, ERR_USAGE, "the option '%s' of %s has a value that is not taken",
                           value->string, tool->name);
    }
    return 0;
}

/* An object of plain texts whose names are listed. */
static int check_texts(const cJSON *object, const char *const *list, const char *what,
                       struct err *err)
{
    const cJSON *value;
    if (object && !cJSON_IsObject(object))
        return err_set(err, ERR_USAGE, "its %ss are no object", what);
    cJSON_ArrayForEach(value, object)
    {
        if (!is_listed(list, value->string))
            return err_set(err, ERR_USAGE, "the %s '%.100s' is not taken", what, value->string);
        if (!is_plain(value))
            return err_set(err, ERR_USAGE, "the %s '%s' has a value that is not taken", what,
                           value->string);
    }
    return 0;
}

static int check_files(const struct wire_tool *tool, const cJSON *files, struct err *err)
{
    const cJSON *file;
    if (files && !cJSON_IsArray(files))
        return err_set(err, ERR_USAGE, "its 'files' are no list");
    cJSON_ArrayForEach(file, files)
    {
        if (!is_plain(file) || !is_listed(tool->files, file->valuestring))
            return err_set(err, ERR_USAGE, "%s makes no such file", tool->name);
    }
    return 0;
}

static int read_numbers(const cJSON *json, struct wire_request *out, struct err *err)
{
    const struct {
        const char *name;
        int64_t *value, least, most;
    } rows[] = {
        {"timeoutMs", &out->timeout_ms, 1, TIMEOUT_MAX},
        {"aliveMs", &out->alive_ms, 100, HOUR_MS},
        {"goneMs", &out->gone_ms, 1000, TIMEOUT_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!json_i64(json, rows[i].name, rows[i].value) || *rows[i].value < rows[i].least ||
            *rows[i].value > rows[i].most)
            return err_set(err, ERR_USAGE, "its '%s' is not within bounds", rows[i].name);
    }
    (void)json_i64(json, "beat", &out->beat);
    (void)json_i64(json, "again", &out->again);
    return 0;
}

static bool id_valid(const char *id)
{
    return id && is_hex_id(id, 36, "0123456789abcdef-");
}

static int read_strings(const cJSON *json, struct wire_request *out, struct err *err)
{
    const char *time = json_str(json, "time");
    int64_t version = 0;
    out->instance = json_str_or(json, "instance", "");
    out->cancel = json_str(json, "cancel");
    out->events = json_bool(json, "events", false);
    out->caller = json_str_or(json, "caller", "");
    if (strlen(out->caller) > WIRE_VALUE_MAX)
        return err_set(err, ERR_USAGE, "its 'caller' is too long");
    if (json_i64(json, "version", &version) && version != 1)
        return err_set(err, ERR_USAGE, "its version is not 1");
    if (!time || time_parse_rfc3339(time, &out->time_ms, err) < 0)
        return err_set(err, ERR_USAGE, "its 'time' is none");
    return 0;
}

int wire_request_parse(const cJSON *json, struct wire_request *out, struct err *err)
{
    *out = (struct wire_request){.json = json};
    if (!id_valid(json_str(json, "id")))
        return err_set(err, ERR_USAGE, "it has no id");
    out->id = json_str(json, "id");
    if (read_strings(json, out, err) < 0)
        return -1;
    out->tool = wire_tool_find(json_str(json, "tool"));
    if (!out->tool)
        return err_set(err, ERR_USAGE, "the tool '%.100s' is not taken",
                       json_str_or(json, "tool", ""));
    if (out->events && !out->tool->events)
        return err_set(err, ERR_USAGE, "%s tells no events", out->tool->name);
    if (read_numbers(json, out, err) < 0 ||
        check_options(out->tool, json_at(json, "options"), err) < 0 ||
        check_texts(json_at(json, "set"), out->tool->keys, "configuration key", err) < 0 ||
        check_texts(json_at(json, "env"), wire_variables, "variable", err) < 0)
        return -1;
    return check_files(out->tool, json_at(json, "files"), err);
}

static void add_option(const struct wire_option *option, const cJSON *value, struct strv *argv)
{
    const cJSON *item;
    int64_t number = 0;
    (void)json_i64(value, "", &number);
    if (option->type == WIRE_FLAG) {
        strv_addf(argv, "--%s", option->name);
    } else if (option->type == WIRE_TEXTS) {
        cJSON_ArrayForEach(item, value) strv_addf(argv, "--%s=%s", option->name, item->valuestring);
    } else if (option->type == WIRE_MS) {
        strv_addf(argv, "--%s=%lldms", option->name, (long long)number);
    } else if (strcmp(option->name, "verbose") == 0) {
        for (int64_t i = 0; i < number; i++)
            strv_add(argv, "--verbose");
    } else if (option->type == WIRE_COUNT) {
        strv_addf(argv, "--%s=%lld", option->name, (long long)number);
    } else {
        strv_addf(argv, "--%s=%s", option->name, value->valuestring);
    }
}

void wire_request_argv(const struct wire_request *request, struct strv *argv)
{
    const cJSON *value, *operand = NULL;
    cJSON_ArrayForEach(value, json_at(request->json, "options"))
    {
        const struct wire_option *option = option_find(request->tool, value->string);
        if (option->name[0] == '\0')
            operand = value;
        else
            add_option(option, value, argv);
    }
    if (operand) {
        strv_add(argv, "--");
        strv_add(argv, operand->valuestring);
    }
}

/* ---- all of them ---- */

cJSON *wire_requests_parse(const char *value)
{
    autojson cJSON *read = NULL;
    autoerr struct err ignored = ERR_INIT;
    cJSON *all = json_object();
    json_set_i64(all, "version", 1);
    cJSON *list = json_set_array(all, "requests");
    if (!value || json_parse(value, strlen(value), WIRE_KEY, &read, &ignored) < 0)
        return all;
    const cJSON *member;
    cJSON_ArrayForEach(member, json_at(read, "requests"))
    {
        if (cJSON_IsObject(member))
            json_push(list, json_copy(member));
    }
    return all;
}

static cJSON *members_of(cJSON *all)
{
    return cJSON_GetObjectItemCaseSensitive(all, "requests");
}

cJSON *wire_requests_find(const cJSON *all, const char *id)
{
    cJSON *member;
    cJSON_ArrayForEach(member, members_of((cJSON *)all))
    {
        if (strcmp(json_str_or(member, "id", ""), id) == 0)
            return member;
    }
    return NULL;
}

void wire_requests_remove(cJSON *all, const char *id)
{
    cJSON *member = wire_requests_find(all, id);
    if (member)
        cJSON_Delete(cJSON_DetachItemViaPointer(members_of(all), member));
}

void wire_requests_prune(cJSON *all, int64_t now_ms)
{
    cJSON *next, *list = members_of(all);
    for (cJSON *member = list->child; member; member = next) {
        autoerr struct err ignored = ERR_INIT;
        int64_t time = 0, timeout = 0;
        next = member->next;
        if (time_parse_rfc3339(json_str_or(member, "time", ""), &time, &ignored) < 0 ||
            !json_i64(member, "timeoutMs", &timeout) || timeout < 0 || timeout > TIMEOUT_MAX ||
            now_ms - time > timeout + HOUR_MS)
            cJSON_Delete(cJSON_DetachItemViaPointer(list, member));
    }
}
