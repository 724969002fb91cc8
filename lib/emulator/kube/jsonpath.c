#include "emulator/kube/jsonpath.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/mem.h"

/* A name up to '.', '[' or the end; "\." is a dot of the name. */
static char *read_name(const char **path)
{
    char *name = xmalloc(strlen(*path) + 1);
    size_t len = 0;

    while (**path != '\0' && **path != '.' && **path != '[') {
        if ((*path)[0] == '\\' && (*path)[1] != '\0')
            (*path)++;
        name[len++] = *(*path)++;
    }
    name[len] = '\0';
    return name;
}

static bool literal_equals(const cJSON *value, const char *text, size_t len)
{
    autofree char *wanted = xstrndup(text, len);

    if (cJSON_IsString(value) && len >= 2 && (text[0] == '"' || text[0] == '\'')) {
        wanted[len - 1] = '\0';
        return strcmp(value->valuestring, wanted + 1) == 0;
    }
    if (cJSON_IsBool(value))
        return strcmp(wanted, cJSON_IsTrue(value) ? "true" : "false") == 0;
    return cJSON_IsNumber(value) && strtod(wanted, NULL) == value->valuedouble;
}

/* ?(@.type=="Ready") */
static bool filter_fits(const cJSON *item, const char *filter, size_t len)
{
    const char *end = filter + len;
    const char *start = memchr(filter, '@', len);
    const char *equals;
    autofree char *left = NULL;

    if (start == NULL || end[-1] != ')')
        return false;
    equals = strstr(start, "==");
    if (equals == NULL || equals >= end)
        return false;
    left = xstrndup(start + 1, (size_t)(equals - start - 1));
    for (char *c = left + strlen(left); c > left && isspace((unsigned char)c[-1]);)
        *--c = '\0';
    equals += 2 + strspn(equals + 2, " ");
    return literal_equals(jsonpath_first(item, left), equals, (size_t)(end - 1 - equals));
}

/* What stands in brackets; `rest` is the path behind them. */
static const cJSON *step_bracket(const cJSON *value, const char *inside, size_t len,
                                 const char *rest)
{
    const cJSON *item;

    if (inside[0] == '\'' || inside[0] == '"') {
        autofree char *name = xstrndup(inside + 1, len >= 2 ? len - 2 : 0);

        return jsonpath_first(cJSON_GetObjectItemCaseSensitive(value, name), rest);
    }
    if (inside[0] != '*' && inside[0] != '?') {
        long index = strtol(inside, NULL, 10);
        int size = cJSON_GetArraySize(value);

        return jsonpath_first(cJSON_GetArrayItem(value, (int)(index < 0 ? index + size : index)),
                              rest);
    }
    cJSON_ArrayForEach(item, value)
    {
        const cJSON *found;

        if (inside[0] == '?' && !filter_fits(item, inside, len))
            continue;
        found = jsonpath_first(item, rest);
        if (found != NULL)
            return found;
    }
    return NULL;
}

const cJSON *jsonpath_first(const cJSON *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        if (*path == '.' || *path == '$') {
            path++;
        } else if (*path == '[') {
            const char *end = strchr(path, ']');

            if (end == NULL)
                return NULL;
            return step_bracket(value, path + 1, (size_t)(end - path - 1), end + 1);
        } else {
            autofree char *name = read_name(&path);

            value = cJSON_GetObjectItemCaseSensitive(value, name);
        }
    }
    return value;
}
