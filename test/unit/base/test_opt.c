#include "unit.h"
#include "necoops/base/opt.h"

/* One of each kind. */
struct values {
    bool follow;
    int verbose;
    const char *output;
    struct strv labels;
    int64_t jobs;
    int64_t any;
    int64_t timeout;
    const char *format;
    struct strv rest;
    struct err err;
};

#define TABLE(v)                                                                                    \
    {                                                                                               \
        {OPT_HEADING, .help = "Options"},                                                           \
            {OPT_FLAG, 'f', "follow", NULL, "Go on as lines come.", &(v)->follow},                  \
            {OPT_COUNT, 'v', "verbose", NULL, "Say more; twice, still more.", &(v)->verbose},       \
            {OPT_STRING,  'o', "output", "FILE", "Write there.\n\"-\" is standard output.",         \
             &(v)->output},                                                                         \
            {OPT_STRINGS, 0, "label", "KEY=VALUE", "Add a label.", &(v)->labels},                   \
            {OPT_HEADING, .help = "Limits"},                                                        \
            {OPT_INT, 'n', "jobs", "N", "At once.", &(v)->jobs, .min = 1, .max = 64},               \
            {OPT_INT, 0, "any", "N", "Any number.", &(v)->any},                                     \
            {OPT_DURATION, 't', "timeout", "DURATION", "Give up after it.", &(v)->timeout},         \
            {OPT_CHOICE, 0, "format", NULL, "How to print.", &(v)->format, .choices = "text|json"}, \
            {OPT_FLAG, 0, "a-name-that-is-longer-than-the-others", NULL, "Below.", &(v)->follow},   \
            {.type = OPT_FLAG},                                                                     \
    }

static void clear(struct values *v)
{
    strv_clear(&v->labels);
    strv_clear(&v->rest);
    err_clear(&v->err);
}

#define autovalues CLEANUP(clear)

/* Arguments between spaces. */
static int parse(struct values *v, const char *line)
{
    const struct opt table[] = TABLE(v);
    /* Kept until the next call: strings are borrowed from it. */
    static struct strv argv;

    strv_clear(&argv);
    strv_add(&argv, "tool");
    strv_split(&argv, line, ' ');
    return opt_parse(table, (int)argv.len, argv.items, &v->rest, &v->err);
}

static void every_kind_in_its_long_form(void **state)
{
    autovalues struct values v = {.follow = false};

    (void)state;
    assert_ok(parse(&v, "--follow --verbose --verbose --output a --label x=1 --label=y --jobs 7 "
                        "--any=-5 --timeout 1m30s --format json"),
              v.err);
    assert_true(v.follow);
    assert_int_equal(v.verbose, 2);
    assert_string_equal(v.output, "a");
    assert_text(strv_join(&v.labels, " "), "x=1 y");
    assert_int_equal(v.jobs, 7);
    assert_int_equal(v.any, -5);
    assert_int_equal(v.timeout, 90000);
    assert_string_equal(v.format, "json");
    assert_int_equal(v.rest.len, 0);
}

static void letters_may_be_bundled(void **state)
{
    autovalues struct values v = {.follow = false};

    (void)state;
    assert_ok(parse(&v, "-vfv -n5 -o out"), v.err);
    assert_true(v.follow);
    assert_int_equal(v.verbose, 2);
    assert_int_equal(v.jobs, 5);
    assert_string_equal(v.output, "out");
    assert_ok(parse(&v, "-vn 6"), v.err);
    assert_int_equal(v.jobs, 6);
    assert_ok(parse(&v, "-vofile"), v.err);
    assert_string_equal(v.output, "file");
}

static void operands_may_stand_between(void **state)
{
    autovalues struct values v = {.follow = false};

    (void)state;
    assert_ok(parse(&v, "a -f - b --output x c -- -v --nonsense --"), v.err);
    assert_true(v.follow);
    assert_int_equal(v.verbose, 0);
    assert_text(strv_join(&v.rest, " "), "a - b c -v --nonsense --");
}

static void a_value_is_taken_as_it_is(void **state)
{
    autovalues struct values v = {.follow = false};

    (void)state;
    assert_ok(parse(&v, "--output --follow"), v.err);
    assert_string_equal(v.output, "--follow");
    assert_false(v.follow);
    assert_ok(parse(&v, "--output= --label=a=b"), v.err);
    assert_string_equal(v.output, "");
    assert_string_equal(v.labels.items[0], "a=b");
    assert_ok(parse(&v, "-o -"), v.err);
    assert_string_equal(v.output, "-");
}

static void the_last_one_counts(void **state)
{
    autovalues struct values v = {.follow = false};

    (void)state;
    assert_ok(parse(&v, "-n1 -n2 --output a --output b"), v.err);
    assert_int_equal(v.jobs, 2);
    assert_string_equal(v.output, "b");
}

static void wrong_use_is_explained(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } rows[] = {
        {"--folow", "unknown option '--folow'; did you mean '--follow'?"},
        {"--ouptut=x", "unknown option '--ouptut'; did you mean '--output'?"},
        {"--nonsense", "unknown option '--nonsense'"},
        {"--fol", "unknown option '--fol'"},
        {"---", "unknown option '---'"},
        {"--=x", "unknown option '--'"},
        {"-x", "unknown option '-x'"},
        {"-vx", "unknown option '-x'"},
        {"--follow=yes", "option '--follow' takes no value"},
        {"--output", "option '--output' needs a value"},
        {"-f -o", "option '-o' needs a value"},
        {"--jobs x", "option '--jobs': 'x' is no whole number"},
        {"--jobs 5x", "option '--jobs': '5x' is no whole number"},
        {"--jobs=", "option '--jobs': '' is no whole number"},
        {"--jobs 1.5", "option '--jobs': '1.5' is no whole number"},
        {"--jobs 0x5", "option '--jobs': '0x5' is no whole number"},
        {"--jobs 0", "option '--jobs': '0' is not between 1 and 64"},
        {"-n65", "option '--jobs': '65' is not between 1 and 64"},
        {"-n -1", "option '--jobs': '-1' is not between 1 and 64"},
        {"-n 99999999999999999999",
         "option '--jobs': '99999999999999999999' is not between 1 and 64"},
        {"--any 9223372036854775808", "option '--any': '9223372036854775808' is too large"},
        {"-t 90", "option '--timeout': '90' is no duration; write it like '90s', '30m', '1h30m' or "
                  "'2d'"},
        {"--format xml", "option '--format': 'xml' is none of text, json"},
        {"--format text|json", "option '--format': 'text|json' is none of text, json"},
        {"--format=", "option '--format': '' is none of text, json"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autovalues struct values v = {.jobs = 33, .timeout = 44, .format = "text"};

        if (parse(&v, rows[i].line) != -1)
            fail_msg("'%s' was taken", rows[i].line);
        assert_err(v.err, ERR_USAGE, rows[i].message);
        assert_int_equal(v.jobs, 33);
        assert_int_equal(v.timeout, 44);
        assert_string_equal(v.format, "text");
    }
}

static void without_a_place_for_operands_there_are_none(void **state)
{
    static const struct opt none[] = {{.type = OPT_FLAG}};
    char *argv[] = {(char *)"tool", (char *)"x", NULL};
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(opt_parse(none, 2, argv, NULL, &err), -1);
    assert_err(err, ERR_USAGE, "unexpected argument 'x'");
    assert_ok(opt_parse(none, 1, argv, NULL, &err), err);
    assert_ok(opt_parse(none, 0, argv, NULL, &err), err);
}

static void help_is_aligned(void **state)
{
    struct values v = {.follow = false};
    const struct opt table[] = TABLE(&v);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);

    (void)state;
    opt_help(table, stream);
    fclose(stream);
    assert_string_equal(text, "Options:\n"
                              "  -f, --follow            Go on as lines come.\n"
                              "  -v, --verbose           Say more; twice, still more.\n"
                              "  -o, --output FILE       Write there.\n"
                              "                          \"-\" is standard output.\n"
                              "      --label KEY=VALUE   Add a label.\n"
                              "\n"
                              "Limits:\n"
                              "  -n, --jobs N            At once.\n"
                              "      --any N             Any number.\n"
                              "  -t, --timeout DURATION  Give up after it.\n"
                              "      --format text|json  How to print.\n"
                              "      --a-name-that-is-longer-than-the-others\n"
                              "                          Below.\n");
    free(text);
}

static int end_of_all(void **state)
{
    struct values v = {.follow = false};

    (void)state;
    parse(&v, ""); /* lets go of the last arguments */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_in_its_long_form),
        cmocka_unit_test(letters_may_be_bundled),
        cmocka_unit_test(operands_may_stand_between),
        cmocka_unit_test(a_value_is_taken_as_it_is),
        cmocka_unit_test(the_last_one_counts),
        cmocka_unit_test(wrong_use_is_explained),
        cmocka_unit_test(without_a_place_for_operands_there_are_none),
        cmocka_unit_test(help_is_aligned),
    };

    return cmocka_run_group_tests(tests, NULL, end_of_all);
}
