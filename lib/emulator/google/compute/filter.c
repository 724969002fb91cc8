/* See filter.h. */
#include "emulator/google/compute/filter.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <strings.h>
#include "necoops/base/strv.h"
#include "necoops/base/text.h"

#define MAX_DEPTH 32

enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };

enum filter_op { OP_EQ, OP_NE, OP_LT, OP_GT, OP_LE, OP_GE, OP_HAS, OP_RE_EQ, OP_RE_NE };

struct filter {
    enum filter_kind kind;
    struct filter *left, *right; /* right NULL for FILTER_NOT */
    struct strv path;
    enum filter_op op;
    char *value;
    regex_t regex;
    bool compiled;
};

struct parser {
    const char *text, *p;
    const char *known;
    bool regex_form, aip_form;
    int depth;
};

static int fail(const struct parser *parser, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "Invalid value for field 'filter': '%s'. Invalid list filter expression.",
                   parser->text);
}

static void skip_blanks(struct parser *parser)
{
    while (isspace((unsigned char)*parser->p))
        parser->p++;
}

/* Consumes a word written in capitals when it stands here. */
static bool take_word(struct parser *parser, const char *word)
{
    skip_blanks(parser);
    size_t len = strlen(word);
    if (strncmp(parser->p, word, len) != 0 ||
        (!isspace((unsigned char)parser->p[len]) && parser->p[len] != '('))
        return false;
    parser->p += len;
    return true;
}

/* ---- terms ---- */

static bool path_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* name, labels.team, disks.source, labels."odd key" */
static int parse_path(struct parser *parser, struct strv *path)
{
    for (;;) {
        size_t len = 0;
        if (*parser->p == '"') {
            len = strcspn(parser->p + 1, "\"");
            if (parser->p[len + 1] != '"')
                return -1;
            strv_take(path, xstrndup(parser->p + 1, len));
            parser->p += len + 2;
        } else {
            while (path_char(parser->p[len]))
                len++;
            if (len == 0)
                return -1;
            strv_take(path, xstrndup(parser->p, len));
            parser->p += len;
        }
        if (*parser->p != '.')
            return 0;
        parser->p++;
    }
}

static bool field_known(const struct parser *parser, const char *name)
{
    autostrv struct strv known = STRV_INIT;
    strv_split(&known, parser->known, ' ');
    return strv_has(&known, name);
}

static int parse_op(struct parser *parser, enum filter_op *op)
{
    static const struct {
        const char *text;
        enum filter_op op;
    } ops[] = {{"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"=", OP_EQ},
               {"<", OP_LT},  {">", OP_GT},  {":", OP_HAS}};
    bool blank = isspace((unsigned char)*parser->p);
    skip_blanks(parser);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        size_t len = strlen(ops[i].text);
        if (strncmp(parser->p, ops[i].text, len) != 0)
            continue;
        parser->p += len;
        parser->aip_form = true;
        *op = ops[i].op;
        return 0;
    }
    if (!blank || (strncasecmp(parser->p, "eq ", 3) != 0 && strncasecmp(parser->p, "ne ", 3) != 0))
        return -1;
    *op = tolower((unsigned char)parser->p[0]) == 'e' ? OP_RE_EQ : OP_RE_NE;
    parser->regex_form = true;
    parser->p += 3;
    return 0;
}

static int parse_quoted(struct parser *parser, struct buf *value)
{
    char quote = *parser->p++;
    for (; *parser->p != quote; parser->p++) {
        /* Only the quote is escaped here; what else a backslash means is the expression's. */
        if (*parser->p == '\\' && parser->p[1] == quote)
            parser->p++;
        if (*parser->p == '\0')
            return -1;
        buf_addc(value, *parser->p);
    }
    parser->p++;
    return 0;
}

static int parse_value(struct parser *parser, struct filter *term)
{
    autobuf struct buf value = BUF_INIT(BUF_SMALL);
    skip_blanks(parser);
    if (*parser->p == '"' || *parser->p == '\'') {
        if (parse_quoted(parser, &value) < 0)
            return -1;
    } else {
        /* A regular expression may have parentheses of its own. */
        int open = 0;
        for (; *parser->p != '\0' && !isspace((unsigned char)*parser->p); parser->p++) {
            if (*parser->p == '(')
                open++;
            if (*parser->p == ')' && open-- == 0)
                break;
            buf_addc(&value, *parser->p);
        }
        if (value.len == 0)
            return -1;
    }
    term->value = buf_steal(&value);
    return 0;
}

static int compile(struct filter *term)
{
    if (term->op != OP_RE_EQ && term->op != OP_RE_NE)
        return 0;
    autofree char *whole = xasprintf("^(%s)$", term->value);
    if (regcomp(&term->regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return -1;
    term->compiled = true;
    return 0;
}

static struct filter *parse_term(struct parser *parser)
{
    struct filter *term = xcalloc(1, sizeof *term);
    term->kind = FILTER_TERM;
    skip_blanks(parser);
    if (parse_path(parser, &term->path) == 0 && field_known(parser, term->path.items[0]) &&
        parse_op(parser, &term->op) == 0 && parse_value(parser, term) == 0 && compile(term) == 0)
        return term;
    filter_free(term);
    return NULL;
}

/* ---- expressions ---- */

static struct filter *join(enum filter_kind kind, struct filter *left, struct filter *right)
{
    struct filter *both = xcalloc(1, sizeof *both);
    both->kind = kind;
    both->left = left;
    both->right = right;
    return both;
}

static struct filter *parse_and(struct parser *parser);

static struct filter *parse_group(struct parser *parser)
{
    skip_blanks(parser);
    if (take_word(parser, "NOT") || *parser->p == '-') {
        if (*parser->p == '-')
            parser->p++;
        struct filter *inner = ++parser->depth > MAX_DEPTH ? NULL : parse_group(parser);
        parser->depth--;
        return inner != NULL ? join(FILTER_NOT, inner, NULL) : NULL;
    }
    if (*parser->p != '(')
        return parse_term(parser);
    parser->p++;
    struct filter *inner = ++parser->depth > MAX_DEPTH ? NULL : parse_and(parser);
    parser->depth--;
    skip_blanks(parser);
    if (inner == NULL || *parser->p != ')') {
        filter_free(inner);
        return NULL;
    }
    parser->p++;
    return inner;
}

/* In AIP-160 OR binds closer than AND. */
static struct filter *parse_or(struct parser *parser)
{
    struct filter *left = parse_group(parser);
    while (left != NULL && take_word(parser, "OR")) {
        struct filter *right = parse_group(parser);
        if (right == NULL) {
            filter_free(left);
            return NULL;
        }
        left = join(FILTER_OR, left, right);
    }
    return left;
}

static struct filter *parse_and(struct parser *parser)
{
    struct filter *left = parse_or(parser);
    while (left != NULL) {
        (void)take_word(parser, "AND");
        skip_blanks(parser);
        if (*parser->p == '\0' || *parser->p == ')')
            break;
        struct filter *right = parse_or(parser);
        if (right == NULL) {
            filter_free(left);
            return NULL;
        }
        left = join(FILTER_AND, left, right);
    }
    return left;
}

int filter_parse(const char *text, const char *known, struct filter **out, struct err *err)
{
    struct parser parser = {.text = text, .p = text, .known = known};
    struct filter *filter = parse_and(&parser);
    if (filter == NULL || *parser.p != '\0' || (parser.regex_form && parser.aip_form)) {
        filter_free(filter);
        return fail(&parser, err);
    }
    *out = filter;
    return 0;
}

void filter_free(struct filter *filter)
{
    if (filter == NULL)
        return;
    filter_free(filter->left);
    filter_free(filter->right);
    strv_clear(&filter->path);
    free(filter->value);
    if (filter->compiled)
        regfree(&filter->regex);
    free(filter);
}

/* ---- matching ---- */

/* A scalar as text; NULL for what is none. Caller frees. */
static char *scalar_text(const cJSON *value)
{
    if (cJSON_IsString(value))
        return xstrdup(value->valuestring);
    if (cJSON_IsBool(value))
        return xstrdup(cJSON_IsTrue(value) ? "true" : "false");
    if (cJSON_IsNumber(value) || cJSON_IsRaw(value))
        return json_print(value);
    return NULL;
}

static bool number_of(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0';
}

static int compare(const char *a, const char *b)
{
    double x = 0, y = 0;
    if (number_of(a, &x) && number_of(b, &y))
        return x < y ? -1 : x > y;
    return strcmp(a, b);
}

static bool equals(const struct filter *term, const char *text)
{
    if (strchr(term->value, '*') != NULL)
        return glob_match(term->value, text);
    return strcasecmp(term->value, "true") == 0 || strcasecmp(term->value, "false") == 0
               ? strcasecmp(term->value, text) == 0
               : strcmp(term->value, text) == 0;
}

static bool contains(const struct filter *term, const char *text)
{
    autofree char *pattern = NULL;
    if (strchr(term->value, '*') != NULL)
        return glob_match(term->value, text);
    pattern = xasprintf("*%s*", term->value);
    return glob_match(pattern, text);
}

static bool term_scalar(const struct filter *term, const char *text)
{
    switch (term->op) {
    case OP_EQ:
    case OP_NE:
        return equals(term, text);
    case OP_LT:
        return compare(text, term->value) < 0;
    case OP_GT:
        return compare(text, term->value) > 0;
    case OP_LE:
        return compare(text, term->value) <= 0;
    case OP_GE:
        return compare(text, term->value) >= 0;
    case OP_HAS:
        return contains(term, text);
    default:
        return regexec(&term->regex, text, 0, NULL, 0) == 0;
    }
}

/* Whether anything at the path (through lists) fits, the negative operators taken as positive. */
static bool term_finds(const struct filter *term, const cJSON *value, size_t depth)
{
    if (value == NULL)
        return false;
    if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item != NULL; item = item->next) {
            if (term_finds(term, item, depth))
                return true;
        }
        return false;
    }
    if (depth < term->path.len)
        return term_finds(term, cJSON_GetObjectItemCaseSensitive(value, term->path.items[depth]),
                          depth + 1);
    if (term->op == OP_HAS && strcmp(term->value, "*") == 0)
        return true;
    autofree char *text = scalar_text(value);
    return text != NULL && term_scalar(term, text);
}

bool filter_matches(const struct filter *filter, const cJSON *value)
{
    switch (filter->kind) {
    case FILTER_AND:
        return filter_matches(filter->left, value) && filter_matches(filter->right, value);
    case FILTER_OR:
        return filter_matches(filter->left, value) || filter_matches(filter->right, value);
    case FILTER_NOT:
        return !filter_matches(filter->left, value);
    default: {
        bool negative = filter->op == OP_NE || filter->op == OP_RE_NE;
        return term_finds(filter, value, 0) != negative;
    }
    }
}
