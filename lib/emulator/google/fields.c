/* The `fields` parameter; see fields.h. */
#include "emulator/google/fields.h"

#define MAX_DEPTH 32

/* One level: names, and below each what is selected there (no children: all). */
struct fields {
    char *name; /* NULL at the top */
    struct fields *children;
    struct fields *next;
};

static int invalid(const char *text, struct err *err)
{
    return err_set(err, ERR_INVALID, "Invalid field selection %s", text);
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '*' || c == '@';
}

static struct fields *child_named(struct fields *parent, const char *name, size_t len)
{
    struct fields **at = &parent->children;
    for (; *at != NULL; at = &(*at)->next) {
        if (strlen((*at)->name) == len && memcmp((*at)->name, name, len) == 0)
            return *at;
    }
    *at = xcalloc(1, sizeof **at);
    (*at)->name = xstrndup(name, len);
    return *at;
}

static int parse_list(const char **p, struct fields *parent, int depth);

/* a, a/b, a(b,c), a/b(c) */
static int parse_item(const char **p, struct fields *parent, int depth)
{
    size_t len = 0;
    while (name_char((*p)[len]))
        len++;
    if (len == 0 || depth > MAX_DEPTH)
        return -1;
    struct fields *child = child_named(parent, *p, len);
    *p += len;
    if (**p == '/') {
        (*p)++;
        return parse_item(p, child, depth + 1);
    }
    if (**p == '(') {
        (*p)++;
        if (parse_list(p, child, depth + 1) < 0 || **p != ')')
            return -1;
        (*p)++;
    }
    return 0;
}

static int parse_list(const char **p, struct fields *parent, int depth)
{
    for (;;) {
        if (parse_item(p, parent, depth) < 0)
            return -1;
        if (**p != ',')
            return 0;
        (*p)++;
    }
}

int fields_parse(const char *text, struct fields **out, struct err *err)
{
    struct fields *top = xcalloc(1, sizeof *top);
    const char *p = text;
    if (parse_list(&p, top, 0) < 0 || *p != '\0') {
        fields_free(top);
        return invalid(text, err);
    }
    *out = top;
    return 0;
}

void fields_free(struct fields *fields)
{
    while (fields != NULL) {
        struct fields *next = fields->next;
        fields_free(fields->children);
        free(fields->name);
        free(fields);
        fields = next;
    }
}

void fields_freep(struct fields **fields)
{
    fields_free(*fields);
}

static const struct fields *find(const struct fields *fields, const char *name)
{
    for (const struct fields *child = fields->children; child != NULL; child = child->next) {
        if (strcmp(child->name, name) == 0 || strcmp(child->name, "*") == 0)
            return child;
    }
    return NULL;
}

void fields_apply(const struct fields *fields, cJSON *value)
{
    if (fields == NULL || fields->children == NULL)
        return;
    for (cJSON *item = value->child, *next; item != NULL; item = next) {
        next = item->next;
        if (cJSON_IsArray(value)) {
            fields_apply(fields, item);
            continue;
        }
        const struct fields *below = find(fields, item->string);
        if (below != NULL)
            fields_apply(below, item);
        else
            cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
    }
}

cJSON *fields_copy(const struct fields *fields, const cJSON *value)
{
    bool array = cJSON_IsArray(value);
    if (fields == NULL || fields->children == NULL || !(array || cJSON_IsObject(value)))
        return json_copy(value);
    cJSON *copy = array ? json_array() : json_object();
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        const struct fields *below = array ? fields : find(fields, item->string);
        if (array)
            json_push(copy, fields_copy(below, item));
        else if (below != NULL)
            json_set(copy, item->string, fields_copy(below, item));
    }
    return copy;
}

bool fields_has(const struct fields *fields, const char *name)
{
    return fields == NULL || fields->children == NULL || find(fields, name) != NULL;
}

const struct fields *fields_below(const struct fields *fields, const char *name)
{
    return fields == NULL || fields->children == NULL ? NULL : find(fields, name);
}
