/* necoops.yaml: every member is held against the table; `${VAR}` is expanded in texts. */
#include <ctype.h>
#include <string.h>
#include "conf/internal.h"
#include "necoops/base/fs.h"
#include "necoops/yaml/yaml.h"

#define FILE_CAP ((size_t)1 << 20)

struct reading {
    const struct run *run;
    struct conf *conf;
    const char *file;
    const struct yaml_stream *yaml;
};

static char *position(const struct reading *reading, const cJSON *value)
{
    int line = 1, column = 1;
    yaml_position(reading->yaml, value, &line, &column);
    return xasprintf("%s:%d:%d", reading->file, line, column);
}

/* Expands ${VAR}; `$${` is a literal "${". */
static int expand(const struct run *run, const char *text, struct buf *out, struct err *err)
{
    for (const char *at = text; *at;) {
        if (strncmp(at, "$${", 3) == 0) {
            buf_adds(out, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            const char *end = strchr(at, '}');
            autofree char *name = end ? xstrndup(at + 2, (size_t)(end - at) - 2) : NULL;
            if (!name || !*name)
                return err_set(err, ERR_USAGE, "'${' without a name and '}'");
            const char *value = run_env(run, name);
            if (!value)
                return err_set(err, ERR_USAGE, "environment variable %s is not set", name);
            buf_adds(out, value);
            at = end + 1;
        } else {
            buf_addc(out, *at++);
        }
    }
    return out->overflowed ? err_set(err, ERR_USAGE, "the value is too long") : 0;
}

/* A copy of `value` in which every text is expanded. */
static int expand_all(const struct run *run, const cJSON *value, cJSON **out, struct err *err)
{
    autojson cJSON *copy = json_copy(value);
    if (cJSON_IsString(value) && strchr(value->valuestring, '$')) {
        autobuf struct buf text = BUF_INIT(BUF_SMALL);
        if (expand(run, value->valuestring, &text, err) < 0)
            return -1;
        cJSON_Delete(copy);
        copy = cJSON_CreateString(text.data);
    }
    for (cJSON *child = copy->child; child;) {
        cJSON *next = child->next;
        cJSON *expanded;
        if (expand_all(run, child, &expanded, err) < 0)
            return -1;
        if (child->string && expanded)
            expanded->string = xstrdup(child->string);
        cJSON_ReplaceItemViaPointer(copy, child, expanded);
        child = next;
    }
    *out = steal(copy);
    return 0;
}

static int apply_leaf(const struct reading *reading, const struct key *key, const char *name,
                      const cJSON *member, const char *where, struct err *err)
{
    if (cJSON_IsNull(member))
        return 0;
    autojson cJSON *expanded = NULL;
    cJSON *value;
    if (expand_all(reading->run, member, &expanded, err) < 0 ||
        key_check(key, expanded, &value, err) < 0)
        return err_prefix(err, "%s: '%s'", where, name);
    conf_put(reading->conf, name, value, where);
    return 0;
}

static bool plain_name(const char *name)
{
    size_t len = strspn(
        name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return len > 0 && name[len] == '\0';
}

static int apply_mapping(const struct reading *reading, const char *prefix, const cJSON *mapping,
                         struct err *err)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, mapping)
    {
        autofree char *where = position(reading, member);
        autofree char *name = *prefix ? xasprintf("%s.%s", prefix, member->string)
                                      : xstrdup(member->string);
        const struct key *key = plain_name(member->string) ? key_find(name) : NULL;
        if (key) {
            if (apply_leaf(reading, key, name, member, where, err) < 0)
                return -1;
        } else if (!plain_name(member->string) || !key_is_group(name)) {
            return conf_unknown_key(where, name, err);
        } else if (cJSON_IsObject(member)) {
            if (apply_mapping(reading, name, member, err) < 0)
                return -1;
        } else if (!cJSON_IsNull(member)) {
            return err_set(err, ERR_USAGE, "%s: '%s' wants keys below it", where, name);
        }
    }
    return 0;
}

int conf_apply_file(const struct run *run, struct conf *conf, const char *file, struct err *err)
{
    autobuf struct buf text = BUF_INIT(FILE_CAP);
    autoyaml struct yaml_stream *yaml = NULL;
    if (fs_read(file, &text, err) < 0 || yaml_parse(text.data, text.len, file, &yaml, err) < 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    const cJSON *document = yaml_document(yaml, 0);
    if (!document)
        return 0;
    if (yaml_count(yaml) > 1 || !cJSON_IsObject(document))
        return err_set(err, ERR_USAGE, "%s: one mapping of keys is expected", file);
    struct reading reading = {.run = run, .conf = conf, .file = file, .yaml = yaml};
    return apply_mapping(&reading, "", document, err);
}
