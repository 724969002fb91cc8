#include "yaml/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "necoops/base/buf.h"
#include "necoops/base/text.h"

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

static bool is_null(const char *text)
{
    return one_of(text, (const char *const[]){"", "~", "null", "Null", "NULL", NULL});
}

static bool is_true(const char *text)
{
    return one_of(text, (const char *const[]){"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE",
                                              "on", "On", "ON", NULL});
}

static bool is_false(const char *text)
{
    return one_of(text, (const char *const[]){"n", "N", "no", "No", "NO", "false", "False", "FALSE",
                                              "off", "Off", "OFF", NULL});
}

/* The digits' base after sign and prefix; moves `text` past the prefix. */
static int number_base(const char **text)
{
    const char *at = *text;
    if (at[0] != '0' || at[1] == '\0')
        return 10;
    switch (at[1]) {
    case 'x':
    case 'X':
        *text += 2;
        return 16;
    case 'b':
    case 'B':
        *text += 2;
        return 2;
    case 'o':
    case 'O':
        *text += 2;
        return 8;
    default:
        *text += 1;
        return 8;
    }
}

/* An integer that fits 64 bits (signed, or unsigned when positive), as its decimal text. */
static cJSON *resolve_int(const char *text)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    int base = number_base(&text);
    if (!isalnum((unsigned char)*text))
        return NULL;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (*end != '\0' || errno == ERANGE)
        return NULL;
    if (negative && value > (unsigned long long)INT64_MAX + 1)
        return NULL;
    char decimal[32];
    snprintf(decimal, sizeof decimal, "%s%llu", negative && value != 0 ? "-" : "", value);
    return json_number_from_text(decimal);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text)
{
    if (*text == '-' || *text == '+')
        text++;
    size_t whole = strspn(text, "0123456789");
    text += whole;
    if (*text == '.') {
        text++;
        size_t fraction = strspn(text, "0123456789");
        if (whole == 0 && fraction == 0)
            return false;
        text += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '-' || *text == '+')
            text++;
        size_t digits = strspn(text, "0123456789");
        if (digits == 0)
            return false;
        text += digits;
    }
    return *text == '\0';
}

static cJSON *resolve_float(const char *text)
{
    if (!is_float(text))
        return NULL;
    double value = strtod(text, NULL);
    return isfinite(value) ? cJSON_CreateNumber(value) : NULL;
}

static cJSON *resolve_number(const char *text)
{
    if (!isdigit((unsigned char)*text) && !strchr("+-.", *text))
        return NULL;
    char digits[128];
    size_t len = 0;
    for (const char *at = text; *at; at++) {
        if (len + 1 == sizeof digits)
            return NULL;
        if (*at != '_')
            digits[len++] = *at;
    }
    digits[len] = '\0';
    cJSON *value = resolve_int(digits);
    return value ? value : resolve_float(digits);
}

cJSON *scalar_resolve(const char *text)
{
    if (is_null(text))
        return cJSON_CreateNull();
    if (is_true(text))
        return cJSON_CreateTrue();
    if (is_false(text))
        return cJSON_CreateFalse();
    cJSON *number = resolve_number(text);
    return number ? number : cJSON_CreateString(text);
}

static cJSON *decode_binary(const char *text)
{
    autobuf struct buf bytes = BUF_INIT(BUF_LARGE);
    if (base64_decode(text, strlen(text), &bytes) < 0 || memchr(bytes.data, '\0', bytes.len))
        return NULL;
    return cJSON_CreateString(bytes.data);
}

cJSON *scalar_with_tag(const char *text, const char *tag)
{
    const char *core = "tag:yaml.org,2002:";
    if (!text_starts(tag, core))
        return cJSON_CreateString(text);
    const char *type = tag + strlen(core);
    if (strcmp(type, "int") == 0)
        return resolve_int(text);
    if (strcmp(type, "float") == 0) {
        cJSON *value = resolve_float(text);
        return value ? value : resolve_int(text);
    }
    if (strcmp(type, "bool") == 0)
        return is_true(text) ? cJSON_CreateTrue() : is_false(text) ? cJSON_CreateFalse() : NULL;
    if (strcmp(type, "null") == 0)
        return is_null(text) ? cJSON_CreateNull() : NULL;
    if (strcmp(type, "binary") == 0)
        return decode_binary(text);
    return cJSON_CreateString(text);
}

char *scalar_key(const cJSON *value)
{
    if (cJSON_IsString(value))
        return xstrdup(value->valuestring);
    if (cJSON_IsNull(value))
        return NULL;
    return json_print(value);
}
