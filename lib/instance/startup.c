#include "necoops/instance/startup.h"

#include <string.h>
#include "necoops/base/json.h"
#include "necoops/base/text.h"

/* lib/instance/startup.sh, as it is in the source. */
__asm__(".section .rodata\n"
        ".global startup_sh\n"
        "startup_sh:\n"
        ".incbin \"lib/instance/startup.sh\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char startup_sh[];

/* 'text' for a shell. */
static void add_quoted(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "%s='", name);
    for (; text && *text; text++) {
        if (*text == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *text);
    }
    buf_adds(out, "'\n");
}

char *startup_script(const struct conf *conf)
{
    struct buf out = BUF_INIT(BUF_MEDIUM);
    const char *marker = strchr(startup_sh, '\n');
    buf_add(&out, startup_sh, (size_t)(marker - startup_sh) + 1);
    add_quoted(&out, "programs_archive", conf_str(conf, "instance.programs.archive"));
    add_quoted(&out, "programs_sha256", conf_str(conf, "instance.programs.sha256"));
    add_quoted(&out, "snapshot_source", conf_str(conf, "snapshot.source"));
    add_quoted(&out, "snapshot_to", conf_str(conf, "snapshot.to"));
    buf_addf(&out, "local_ssds=%lld\n", (long long)conf_int(conf, "instance.localSsds", 0));
    buf_addf(&out, "setup_timeout=%lld\n",
             (long long)conf_duration_ms(conf, "instance.setupTimeout", 0) / 1000);
    buf_adds(&out, marker + 1);
    return buf_steal(&out);
}

/* `${` of a value must not be expanded again on the instance. */
static cJSON *escaped(const cJSON *value)
{
    cJSON *copy = json_copy(value);
    if (cJSON_IsString(value) && strstr(value->valuestring, "${")) {
        autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
        for (const char *at = value->valuestring; *at; at++) {
            if (text_starts(at, "${"))
                buf_addc(&text, '$');
            buf_addc(&text, *at);
        }
        cJSON_Delete(copy);
        return cJSON_CreateString(text.data);
    }
    if (cJSON_IsArray(value)) {
        cJSON_Delete(copy);
        copy = json_array();
        const cJSON *item;
        cJSON_ArrayForEach(item, value) json_push(copy, escaped(item));
    } else if (cJSON_IsObject(value)) {
        cJSON_Delete(copy);
        copy = json_object();
        const cJSON *item;
        cJSON_ArrayForEach(item, value) json_set(copy, item->string, escaped(item));
    }
    return copy;
}

static void put_nested(cJSON *root, const char *name, cJSON *value)
{
    autostrv struct strv parts = STRV_INIT;
    strv_split(&parts, name, '.');
    cJSON *at = root;
    for (size_t i = 0; i + 1 < parts.len; i++) {
        cJSON *next = cJSON_GetObjectItemCaseSensitive(at, parts.items[i]);
        at = next ? next : json_set_object(at, parts.items[i]);
    }
    json_set(at, parts.items[parts.len - 1], value);
}

char *startup_config(const struct conf *conf)
{
    autojson cJSON *all = conf_to_json(conf);
    autojson cJSON *nested = json_object();
    const cJSON *entry;
    cJSON_ArrayForEach(entry, all)
    {
        bool set = strcmp(json_str_or(entry, "origin", ""), "default") != 0;
        /* The setup script travels as a text of its own. */
        if (set && strcmp(entry->string, "instance.setup") != 0)
            put_nested(nested, entry->string, escaped(json_at(entry, "value")));
    }
    return json_print_pretty(nested);
}
