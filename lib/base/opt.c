#include "necoops/base/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define HELP_COLUMN_MAX 30 /* longer options have their help on the next line */

static bool is_end(const struct opt *opt)
{
    return opt->name == NULL && opt->type != OPT_HEADING;
}

static bool takes_value(const struct opt *opt)
{
    return opt->type != OPT_FLAG && opt->type != OPT_COUNT;
}

/* ---- finding the row ---- */

static const struct opt *find_name(const struct opt *opts, const char *name, size_t len)
{
    for (const struct opt *opt = opts; !is_end(opt); opt++) {
        if (opt->type != OPT_HEADING && strncmp(opt->name, name, len) == 0 &&
            opt->name[len] == '\0')
            return opt;
    }
    return NULL;
}

static const struct opt *find_letter(const struct opt *opts, char letter)
{
    for (const struct opt *opt = opts; !is_end(opt); opt++) {
        if (opt->type != OPT_HEADING && opt->letter == letter)
            return opt;
    }
    return NULL;
}

static int unknown_name(const struct opt *opts, const char *name, size_t len, struct err *err)
{
    autofree char *given = xstrndup(name, len);
    const char **names;
    const char *nearest;
    size_t count = 0;

    while (!is_end(&opts[count]))
        count++;
    names = xcalloc(count, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = opts[i].type != OPT_HEADING ? opts[i].name : "";
    nearest = text_suggest(given, names, count);
    free(names);
    if (nearest != NULL)
        return err_set(err, ERR_USAGE, "unknown option '--%s'; did you mean '--%s'?", given,
                       nearest);
    return err_set(err, ERR_USAGE, "unknown option '--%s'", given);
}

/* ---- values ---- */

static int set_int(const struct opt *opt, const char *value, struct err *err)
{
    bool any = opt->min == 0 && opt->max == 0;
    const char *digits = value + (*value == '-' || *value == '+');
    char *end;
    intmax_t number;

    errno = 0;
    number = strtoimax(value, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0')
        return err_set(err, ERR_USAGE, "option '--%s': '%s' is no whole number", opt->name, value);
    if (errno == ERANGE && any)
        return err_set(err, ERR_USAGE, "option '--%s': '%s' is too large", opt->name, value);
    if (errno == ERANGE || (!any && (number < opt->min || number > opt->max)))
        return err_set(err, ERR_USAGE,
                       "option '--%s': '%s' is not between %" PRId64 " and %" PRId64, opt->name,
                       value, opt->min, opt->max);
    *(int64_t *)opt->value = number;
    return 0;
}

static int set_duration(const struct opt *opt, const char *value, struct err *err)
{
    int64_t ms;

    if (duration_parse(value, &ms, err) < 0)
        return err_prefix(err, "option '--%s'", opt->name);
    if (ms < opt->min)
        return err_set(err, ERR_USAGE, "option '--%s': '%s' is too short: it wants at least %s",
                       opt->name, value, duration_format(opt->min).text);
    *(int64_t *)opt->value = ms;
    return 0;
}

static int set_choice(const struct opt *opt, const char *value, struct err *err)
{
    autostrv struct strv choices = STRV_INIT;
    autofree char *list = NULL;

    strv_split(&choices, opt->choices, '|');
    if (strv_has(&choices, value)) {
        *(const char **)opt->value = value;
        return 0;
    }
    list = strv_join(&choices, ", ");
    return err_set(err, ERR_USAGE, "option '--%s': '%s' is none of %s", opt->name, value, list);
}

static int set_value(const struct opt *opt, const char *value, struct err *err)
{
    switch (opt->type) {
    case OPT_FLAG:
        *(bool *)opt->value = true;
        return 0;
    case OPT_COUNT:
        ++*(int *)opt->value;
        return 0;
    case OPT_STRING:
        *(const char **)opt->value = value;
        return 0;
    case OPT_STRINGS:
        strv_add(opt->value, value);
        return 0;
    case OPT_INT:
        return set_int(opt, value, err);
    case OPT_DURATION:
        return set_duration(opt, value, err);
    case OPT_CHOICE:
        return set_choice(opt, value, err);
    case OPT_HEADING:
        break;
    }
    return 0;
}

/* ---- the command line ---- */

struct args {
    const struct opt *opts;
    int count;
    char **items;
    int next;
    struct err *err;
};

/* "--name", "--name=value", "--name value" */
static int parse_long(struct args *args, const char *name)
{
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct opt *opt = find_name(args->opts, name, len);

    if (opt == NULL)
        return unknown_name(args->opts, name, len, args->err);
    if (!takes_value(opt) && value != NULL)
        return err_set(args->err, ERR_USAGE, "option '--%s' takes no value", opt->name);
    if (takes_value(opt) && value == NULL) {
        if (args->next == args->count)
            return err_set(args->err, ERR_USAGE, "option '--%s' needs a value", opt->name);
        value = args->items[args->next++];
    }
    return set_value(opt, value, args->err);
}

/* "-v", "-vq", "-n5", "-n 5", "-vn5" */
static int parse_letters(struct args *args, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct opt *opt = find_letter(args->opts, *letters);
        const char *value = letters + 1;

        if (opt == NULL)
            return err_set(args->err, ERR_USAGE, "unknown option '-%c'", *letters);
        if (!takes_value(opt)) {
            if (set_value(opt, NULL, args->err) < 0)
                return -1;
            continue;
        }
        if (*value == '\0') {
            if (args->next == args->count)
                return err_set(args->err, ERR_USAGE, "option '-%c' needs a value", *letters);
            value = args->items[args->next++];
        }
        return set_value(opt, value, args->err);
    }
    return 0;
}

int opt_parse(const struct opt *opts, int argc, char **argv, struct strv *rest, struct err *err)
{
    struct args args = {.opts = opts, .count = argc, .items = argv, .next = 1, .err = err};
    bool ended = false;

    while (args.next < args.count) {
        const char *arg = args.items[args.next++];

        if (!ended && strcmp(arg, "--") == 0) {
            ended = true;
        } else if (ended || arg[0] != '-' || arg[1] == '\0') {
            if (rest == NULL)
                return err_set(err, ERR_USAGE, "unexpected argument '%s'", arg);
            strv_add(rest, arg);
        } else if ((arg[1] == '-' ? parse_long(&args, arg + 2) : parse_letters(&args, arg + 1)) <
                   0) {
            return -1;
        }
    }
    return 0;
}

/* ---- help ---- */

static char *left_of(const struct opt *opt)
{
    char letter[5] = "    ";

    if (opt->letter != '\0')
        snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
    return xasprintf("  %s--%s%s%s", letter, opt->name, takes_value(opt) ? " " : "",
                     !takes_value(opt)      ? ""
                     : opt->arg != NULL     ? opt->arg
                     : opt->choices != NULL ? opt->choices
                                            : "VALUE");
}

static int help_column(const struct opt *opts)
{
    size_t widest = 0;

    for (const struct opt *opt = opts; !is_end(opt); opt++) {
        autofree char *left = opt->type != OPT_HEADING ? left_of(opt) : xstrdup("");
        size_t width = strlen(left);

        if (width > widest && width <= HELP_COLUMN_MAX)
            widest = width;
    }
    return (int)widest + 2;
}

static void print_option(const struct opt *opt, int column, FILE *stream)
{
    autofree char *left = left_of(opt);
    const char *help = opt->help != NULL ? opt->help : "";

    fprintf(stream, "%s", left);
    if ((int)strlen(left) + 2 > column)
        fprintf(stream, "\n%*s", column, "");
    else
        fprintf(stream, "%*s", column - (int)strlen(left), "");
    for (; *help != '\0'; help++) {
        fputc(*help, stream);
        if (*help == '\n')
            fprintf(stream, "%*s", column, "");
    }
    fputc('\n', stream);
}

void opt_help(const struct opt *opts, FILE *stream)
{
    int column = help_column(opts);

    for (const struct opt *opt = opts; !is_end(opt); opt++) {
        if (opt->type == OPT_HEADING)
            fprintf(stream, "%s%s:\n", opt == opts ? "" : "\n",
                    opt->help != NULL ? opt->help : opt->name);
        else
            print_option(opt, column, stream);
    }
}
