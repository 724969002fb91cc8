#include "necoops/conf/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/internal.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define FILE_NAME "necoops.yaml"

void conf_put(struct conf *conf, const char *name, cJSON *value, const char *origin)
{
    for (size_t i = 0; i < conf->count; i++) {
        struct setting *at = &conf->settings[i];
        if (strcmp(at->name, name) == 0) {
            cJSON_Delete(at->value);
            free(at->origin);
            at->value = value;
            at->origin = xstrdup(origin);
            return;
        }
    }
    conf->settings = xrealloc(conf->settings, (conf->count + 1) * sizeof *conf->settings);
    conf->settings[conf->count++] =
        (struct setting){.name = xstrdup(name), .value = value, .origin = xstrdup(origin)};
}

static const struct setting *find_setting(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->count; i++) {
        if (strcmp(conf->settings[i].name, name) == 0)
            return &conf->settings[i];
    }
    return NULL;
}

/* ---- finding the file ---- */

static char *find_file(const struct run *run)
{
    autofree char *dir = getcwd(NULL, 0);
    while (dir) {
        autofree char *path = path_join(dir, FILE_NAME);
        if (fs_exists(path))
            return steal(path);
        char *slash = strrchr(dir, '/');
        if (!slash || dir[1] == '\0')
            break;
        slash[slash == dir ? 1 : 0] = '\0';
    }
    log_debug(run->log, "no " FILE_NAME " here or in a parent folder");
    return NULL;
}

/* ---- environment and --set ---- */

static char *variable_name(const char *key)
{
    char *name = xasprintf("NECOOPS_%s", key);
    for (char *at = name; *at; at++)
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
    return name;
}

static int apply_environment(const struct run *run, struct conf *conf, struct err *err)
{
    for (size_t i = 0; i < conf_key_count; i++) {
        const struct key *key = &conf_keys[i];
        if (strchr(key->name, '*'))
            continue;
        autofree char *variable = variable_name(key->name);
        const char *text = run_env(run, variable);
        if (!text)
            continue;
        cJSON *value;
        if (key_parse(key, text, &value, err) < 0)
            return err_prefix(err, "environment variable %s", variable);
        autofree char *origin = xasprintf("environment variable %s", variable);
        conf_put(conf, key->name, value, origin);
    }
    return 0;
}

static int apply_set(struct conf *conf, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return err_set(err, ERR_USAGE, "--set wants KEY=VALUE, not '%s'", text);
    autofree char *name = xstrndup(text, (size_t)(equals - text));
    const struct key *key = key_find(name);
    if (!key)
        return conf_unknown_key("--set", name, err);
    cJSON *value;
    if (key_parse(key, equals + 1, &value, err) < 0)
        return err_prefix(err, "--set: '%s'", name);
    conf_put(conf, name, value, "--set");
    return 0;
}

int conf_unknown_key(const char *where, const char *name, struct err *err)
{
    autofree char *near = key_suggest(name);
    if (near && strcmp(near, name) == 0)
        return err_set(
            err, ERR_USAGE,
            "%s: '%s' only holds keys; set them one by one, as necoops.yaml(5) lists them", where,
            name);
    if (near)
        return err_set(err, ERR_USAGE, "%s: unknown key '%s'; did you mean '%s'?", where, name,
                       near);
    return err_set(err, ERR_USAGE, "%s: unknown key '%s'; necoops.yaml(5) lists the keys", where,
                   name);
}

/* ---- loading ---- */

static int load_all(const struct run *run, struct conf *conf, const char *file,
                    const struct strv *sets, struct err *err)
{
    const char *named_by = file ? "--config" : "NECOOPS_CONFIG";
    if (!file)
        file = run_env(run, "NECOOPS_CONFIG");
    if (file && !fs_exists(file))
        return err_set(err, ERR_USAGE, "there is no file '%s', which %s names", file, named_by);
    conf->file = file ? xstrdup(file) : find_file(run);
    if (conf->file && conf_apply_file(run, conf, conf->file, err) < 0)
        return -1;
    if (apply_environment(run, conf, err) < 0)
        return -1;
    for (size_t i = 0; sets && i < sets->len; i++) {
        if (apply_set(conf, sets->items[i], err) < 0)
            return -1;
    }
    return 0;
}

int conf_load(const struct run *run, const char *file, const struct strv *sets, struct conf **out,
              struct err *err)
{
    struct conf *conf = xcalloc(1, sizeof *conf);
    conf->defaults = json_object();
    if (load_all(run, conf, file, sets, err) < 0) {
        conf_free(conf);
        return -1;
    }
    *out = conf;
    return 0;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->count; i++) {
        free(conf->settings[i].name);
        free(conf->settings[i].origin);
        cJSON_Delete(conf->settings[i].value);
    }
    free(conf->settings);
    free(conf->file);
    cJSON_Delete(conf->defaults);
    free(conf);
}

const char *conf_file(const struct conf *conf)
{
    return conf->file;
}

/* ---- reading ---- */

static _Noreturn void no_such_key(const char *name)
{
    fprintf(stderr, "defect: the configuration has no key '%s'\n", name);
    abort();
}

/* The default's value, parsed once and kept (a cache: the configuration stays the same). */
static const cJSON *default_value(const struct conf *conf, const struct key *key)
{
    if (!key->fallback)
        return NULL;
    const cJSON *known = cJSON_GetObjectItemCaseSensitive(conf->defaults, key->name);
    if (known)
        return known;
    cJSON *value;
    autoerr struct err err = ERR_INIT;
    if (key_parse(key, key->fallback, &value, &err) < 0)
        no_such_key(key->name);
    return json_set(conf->defaults, key->name, value);
}

const cJSON *conf_value(const struct conf *conf, const char *name, const char **origin)
{
    const struct setting *setting = find_setting(conf, name);
    if (setting) {
        *origin = setting->origin;
        return setting->value;
    }
    const struct key *key = key_find(name);
    if (!key)
        no_such_key(name);
    *origin = "default";
    return default_value(conf, key);
}

const cJSON *conf_json(const struct conf *conf, const char *key)
{
    const char *origin;
    return conf_value(conf, key, &origin);
}

const char *conf_str(const struct conf *conf, const char *key)
{
    const char *text = cJSON_GetStringValue(conf_json(conf, key));
    return text && *text ? text : NULL;
}

bool conf_bool(const struct conf *conf, const char *key)
{
    return cJSON_IsTrue(conf_json(conf, key));
}

int64_t conf_int(const struct conf *conf, const char *key, int64_t fallback)
{
    int64_t number;
    const cJSON *value = conf_json(conf, key);
    return value && json_i64(value, "", &number) ? number : fallback;
}

int64_t conf_duration_ms(const struct conf *conf, const char *key, int64_t fallback)
{
    int64_t ms;
    autoerr struct err err = ERR_INIT;
    const char *text = conf_str(conf, key);
    return text && duration_parse(text, &ms, &err) == 0 ? ms : fallback;
}

void conf_strs(const struct conf *conf, const char *key, struct strv *out)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, conf_json(conf, key)) strv_add(out, item->valuestring);
}

bool conf_has(const struct conf *conf, const char *key)
{
    return conf_json(conf, key) != NULL;
}

void conf_names(const struct conf *conf, const char *group, struct strv *out)
{
    size_t len = strlen(group);
    for (size_t i = 0; i < conf->count; i++) {
        const char *name = conf->settings[i].name;
        if (strncmp(name, group, len) != 0 || name[len] != '.')
            continue;
        autofree char *part = xstrndup(name + len + 1, strcspn(name + len + 1, "."));
        if (!strv_has(out, part))
            strv_add(out, part);
    }
}

/* `text`, the key's value or one of its items, as a path. */
static char *path_of(const struct run *run, const struct conf *conf, const char *key,
                     const char *text)
{
    autofree char *path = path_expand_home(text, run_env(run, "HOME"));
    const struct setting *setting = find_setting(conf, key);
    bool from_file = setting && conf->file && text_starts(setting->origin, conf->file);
    const char *slash = from_file ? strrchr(conf->file, '/') : NULL;
    if (!slash)
        return steal(path);
    autofree char *dir = xstrndup(conf->file, (size_t)(slash - conf->file) + 1);
    return path_join(dir, path);
}

char *conf_path(const struct run *run, const struct conf *conf, const char *key)
{
    const char *text = conf_str(conf, key);
    return text ? path_of(run, conf, key, text) : NULL;
}

void conf_places(const struct run *run, const struct conf *conf, const char *key, struct strv *out)
{
    autostrv struct strv texts = STRV_INIT;
    conf_strs(conf, key, &texts);
    for (size_t i = 0; i < texts.len; i++)
        strv_take(out, text_starts(texts.items[i], "gs://")
                           ? xstrdup(texts.items[i])
                           : path_of(run, conf, key, texts.items[i]));
}

int conf_require(const struct conf *conf, const char *key, struct err *err)
{
    const cJSON *value = conf_json(conf, key);
    bool empty = !value || (cJSON_IsArray(value) && cJSON_GetArraySize(value) == 0) ||
                 (cJSON_IsString(value) && value->valuestring[0] == '\0');
    if (!empty)
        return 0;
    if (conf->file)
        return err_set(err, ERR_USAGE, "%s: '%s' is not set; add it there or give --set %s=VALUE",
                       conf->file, key, key);
    return err_set(err, ERR_USAGE,
                   "'%s' is not set and no " FILE_NAME
                   " was found here or above; write one, name it with --config, or give --set "
                   "%s=VALUE",
                   key, key);
}
