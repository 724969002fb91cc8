/* Is this value what its key wants? */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "conf/keys.h"
#include "necoops/base/strv.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/yaml/yaml.h"

static int check_text(const cJSON *value, const char *want, cJSON **out, struct err *err)
{
    if (cJSON_IsString(value)) {
        *out = json_copy(value);
        return 0;
    }
    if (cJSON_IsObject(value) || cJSON_IsArray(value) || cJSON_IsNull(value))
        return err_set(err, ERR_USAGE, "wants %s", want);
    autofree char *is = json_print(value);
    return err_set(err, ERR_USAGE, "wants %s, and %s is none: put it in quotes", want, is);
}

static int check_choice(const struct key *key, const cJSON *value, cJSON **out, struct err *err)
{
    autostrv struct strv choices = STRV_INIT;
    strv_split(&choices, key->choices, '|');
    if (cJSON_IsString(value) && strv_has(&choices, value->valuestring)) {
        *out = json_copy(value);
        return 0;
    }
    autofree char *list = strv_join(&choices, ", ");
    return err_set(err, ERR_USAGE, "wants one of: %s", list);
}

static int check_int(const struct key *key, const cJSON *value, cJSON **out, struct err *err)
{
    int64_t number;
    if (cJSON_IsString(value) || !json_i64(value, "", &number))
        return err_set(err, ERR_USAGE, "wants a whole number");
    if (number < key->min || number > key->max)
        return err_set(err, ERR_USAGE, "wants a number from %lld to %lld", (long long)key->min,
                       (long long)key->max);
    *out = json_copy(value);
    return 0;
}

static int check_duration(const struct key *key, const cJSON *value, cJSON **out, struct err *err)
{
    int64_t ms;
    if (!cJSON_IsString(value))
        return err_set(err, ERR_USAGE, "wants a duration with its unit, such as 90s or 1h30m");
    if (duration_parse(value->valuestring, &ms, err) < 0)
        return -1;
    if (ms < key->min)
        return err_set(err, ERR_USAGE, "'%s' is too short: it wants at least %s",
                       value->valuestring, duration_format(key->min).text);
    *out = json_copy(value);
    return 0;
}

static int check_clock(const cJSON *value, cJSON **out, struct err *err)
{
    const char *text = cJSON_GetStringValue(value);
    bool digits = text && strlen(text) == 5 && isdigit((unsigned char)text[0]) &&
                  isdigit((unsigned char)text[1]) && text[2] == ':' &&
                  isdigit((unsigned char)text[3]) && isdigit((unsigned char)text[4]);
    if (!digits || strncmp(text, "23", 2) > 0 || text[3] > '5')
        return err_set(err, ERR_USAGE, "wants a time of day such as \"07:30\"");
    *out = json_copy(value);
    return 0;
}

static int check_strings(const cJSON *value, cJSON **out, struct err *err)
{
    if (!cJSON_IsArray(value))
        return err_set(err, ERR_USAGE, "wants a list of texts");
    autojson cJSON *list = json_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        cJSON *text;
        if (check_text(item, "a list of texts", &text, err) < 0)
            return -1;
        json_push(list, text);
    }
    *out = steal(list);
    return 0;
}

static int check_commands(const cJSON *value, cJSON **out, struct err *err)
{
    if (!cJSON_IsArray(value))
        return err_set(err, ERR_USAGE, "wants a list of commands, each a list of words");
    autojson cJSON *list = json_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        cJSON *command;
        if (check_strings(item, &command, err) < 0)
            return err_set(err, ERR_USAGE, "wants a list of commands, each a list of words");
        json_push(list, command);
    }
    *out = steal(list);
    return 0;
}

static int check_map(const cJSON *value, cJSON **out, struct err *err)
{
    if (!cJSON_IsObject(value))
        return err_set(err, ERR_USAGE, "wants a mapping of names to texts");
    autojson cJSON *map = json_object();
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        cJSON *text;
        if (check_text(item, "a mapping of names to texts", &text, err) < 0)
            return err_prefix(err, "'%s'", item->string);
        json_set(map, item->string, text);
    }
    *out = steal(map);
    return 0;
}

int key_check(const struct key *key, const cJSON *value, cJSON **out, struct err *err)
{
    if (key->fallback && cJSON_IsString(value) && value->valuestring[0] == '\0')
        return err_set(err, ERR_USAGE, "must not be empty; leave it out for its default, %s",
                       key->fallback);
    switch (key->type) {
    case KEY_STRING:
        return check_text(value, "a text", out, err);
    case KEY_PATH:
        return check_text(value, "a path", out, err);
    case KEY_BOOL:
        if (!cJSON_IsBool(value))
            return err_set(err, ERR_USAGE, "wants true or false");
        *out = json_copy(value);
        return 0;
    case KEY_INT:
        return check_int(key, value, out, err);
    case KEY_DURATION:
        return check_duration(key, value, out, err);
    case KEY_CLOCK:
        return check_clock(value, out, err);
    case KEY_CHOICE:
        return check_choice(key, value, out, err);
    case KEY_STRINGS:
        return check_strings(value, out, err);
    case KEY_COMMANDS:
        return check_commands(value, out, err);
    case KEY_MAP:
        return check_map(value, out, err);
    }
    return err_set(err, ERR_USAGE, "a key of no type");
}

static bool is_textual(enum key_type type)
{
    return type == KEY_STRING || type == KEY_PATH || type == KEY_DURATION || type == KEY_CLOCK ||
           type == KEY_CHOICE;
}

int key_parse(const struct key *key, const char *text, cJSON **out, struct err *err)
{
    autojson cJSON *value = NULL;
    if (is_textual(key->type)) {
        value = cJSON_CreateString(text);
    } else if (key->type == KEY_STRINGS && *text != '[') {
        autostrv struct strv items = STRV_INIT;
        strv_split(&items, text, ',');
        value = json_array();
        for (size_t i = 0; i < items.len; i++)
            json_push_str(value, items.items[i]);
    } else if (yaml_parse_one(text, strlen(text), "value", &value, err) < 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    return key_check(key, value, out, err);
}
