/* --print-config: every effective value with where it came from. */
#include <string.h>
#include "conf/internal.h"

typedef void (*visit)(void *arg, const char *name, const cJSON *value, const char *origin);

static void visit_key(const struct conf *conf, const char *name, visit fn, void *arg)
{
    const char *origin;
    const cJSON *value = conf_value(conf, name, &origin);
    if (value)
        fn(arg, name, value, origin);
}

/* Visits the rows from `first` that stand below the same "GROUP.*.", once for each name given;
 * returns how many rows those were. */
static size_t visit_named(const struct conf *conf, size_t first, visit fn, void *arg)
{
    size_t stem = (size_t)(strstr(conf_keys[first].name, ".*.") - conf_keys[first].name);
    size_t rows = 1;
    while (first + rows < conf_key_count &&
           strncmp(conf_keys[first].name, conf_keys[first + rows].name, stem + 3) == 0)
        rows++;
    autofree char *group = xstrndup(conf_keys[first].name, stem);
    autostrv struct strv names = STRV_INIT;
    conf_names(conf, group, &names);
    for (size_t n = 0; n < names.len; n++) {
        for (size_t row = first; row < first + rows; row++) {
            autofree char *name =
                xasprintf("%s.%s%s", group, names.items[n], conf_keys[row].name + stem + 2);
            visit_key(conf, name, fn, arg);
        }
    }
    return rows;
}

/* Visits every key that has a value, in the table's order. */
static void visit_all(const struct conf *conf, visit fn, void *arg)
{
    for (size_t row = 0; row < conf_key_count;) {
        if (strstr(conf_keys[row].name, ".*.")) {
            row += visit_named(conf, row, fn, arg);
        } else {
            visit_key(conf, conf_keys[row].name, fn, arg);
            row++;
        }
    }
}

struct printing {
    FILE *stream;
    char *last; /* dotted name printed before */
};

/* Prints the groups of `name` that differ from the last one's; returns the leaf's depth. */
static int print_groups(struct printing *printing, const char *name)
{
    int depth = 0;
    bool same = true;
    const char *last = printing->last ? printing->last : "";
    for (const char *part = name; strchr(part, '.'); depth++) {
        size_t len = strcspn(part, ".") + 1;
        same = same && strncmp(part, last, len) == 0;
        if (!same)
            fprintf(printing->stream, "%*s%.*s:\n", depth * 2, "", (int)len - 1, part);
        last = same ? last + len : "";
        part += len;
    }
    return depth;
}

static void print_value(void *arg, const char *name, const cJSON *value, const char *origin)
{
    struct printing *printing = arg;
    int depth = print_groups(printing, name);
    const char *dot = strrchr(name, '.');
    autofree char *text = json_print(value);
    fprintf(printing->stream, "%*s%s: %s  # %s\n", depth * 2, "", dot ? dot + 1 : name, text,
            origin);
    free_charp(&printing->last);
    printing->last = xstrdup(name);
}

void conf_print(const struct conf *conf, FILE *stream)
{
    struct printing printing = {.stream = stream};
    visit_all(conf, print_value, &printing);
    free_charp(&printing.last);
}

static void add_value(void *arg, const char *name, const cJSON *value, const char *origin)
{
    cJSON *entry = json_set_object(arg, name);
    json_set(entry, "value", json_copy(value));
    json_set_str(entry, "origin", origin);
}

cJSON *conf_to_json(const struct conf *conf)
{
    cJSON *all = json_object();
    visit_all(conf, add_value, all);
    return all;
}
