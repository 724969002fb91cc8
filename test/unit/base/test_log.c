#include "unit.h"
#include <pthread.h>
#include "necoops/base/json.h"
#include "necoops/base/log.h"

struct sink {
    FILE *stream;
    char *text;
    size_t len;
};

static void open_sink(struct sink *sink)
{
    *sink = (struct sink){.stream = NULL};
    sink->stream = open_memstream(&sink->text, &sink->len);
    assert_non_null(sink->stream);
}

static void close_sink(struct sink *sink)
{
    fclose(sink->stream);
    free(sink->text);
}

static void levels_have_their_words(void **state)
{
    struct sink sink;
    struct log *log;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "necoops-x", LOG_TEXT, LOG_TRACE);
    log_error(log, "cannot %s", "a");
    log_warning(log, "b");
    log_info(log, "c");
    log_debug(log, "d");
    log_trace(log, "e");
    assert_string_equal(sink.text, "necoops-x: error: cannot a\n"
                                   "necoops-x: warning: b\n"
                                   "necoops-x: c\n"
                                   "necoops-x: debug: d\n"
                                   "necoops-x: debug: e\n");
    log_free(log);
    close_sink(&sink);
}

static void what_is_beyond_the_level_is_left_out(void **state)
{
    struct sink sink;
    struct log *log;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "t", LOG_TEXT, LOG_WARNING);
    assert_true(log_wants(log, LOG_ERROR));
    assert_true(log_wants(log, LOG_WARNING));
    assert_false(log_wants(log, LOG_INFO));
    log_info(log, "no");
    log_warning(log, "yes");
    assert_string_equal(sink.text, "t: warning: yes\n");
    assert_false(log_wants(NULL, LOG_ERROR));
    log_error(NULL, "nowhere");
    log_free(log);
    log_free(NULL);
    close_sink(&sink);
}

static void a_message_is_one_line_without_controls(void **state)
{
    struct sink sink;
    struct log *log;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "t", LOG_TEXT, LOG_INFO);
    log_info(log, "a\nb\x1b[31m%s", "\r\t");
    assert_string_equal(sink.text, "t: a\\x0ab\\x1b[31m\\x0d\\x09\n");
    log_free(log);
    close_sink(&sink);
}

static void json_lines_are_objects(void **state)
{
    autoerr struct err err = ERR_INIT;
    struct sink sink;
    struct log *log;
    cJSON *line = NULL;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "t", LOG_JSON, LOG_INFO);
    log_warning(log, "say \"%s\"", "\x1b");
    assert_int_equal(sink.text[sink.len - 1], '\n');
    assert_ptr_equal(strchr(sink.text, '\n'), sink.text + sink.len - 1);
    assert_ok(json_parse(sink.text, sink.len, "log", &line, &err), err);
    assert_int_equal(strlen(json_str(line, "time")), strlen("2026-01-02T03:04:05.678Z"));
    assert_string_equal(json_str(line, "level"), "warning");
    assert_string_equal(json_str(line, "tool"), "t");
    assert_string_equal(json_str(line, "message"), "say \"\\x1b\"");
    json_freep(&line);
    log_free(log);
    close_sink(&sink);
}

static void mark_before(void *arg)
{
    fputs("<", arg);
}

static void mark_after(void *arg)
{
    fputs(">", arg);
    fflush(arg);
}

static void hooks_surround_a_line(void **state)
{
    struct sink sink;
    struct log *log;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "t", LOG_TEXT, LOG_INFO);
    log_set_hooks(log, mark_before, mark_after, sink.stream);
    log_info(log, "a");
    log_debug(log, "not shown, no hooks");
    log_set_hooks(log, NULL, NULL, NULL);
    log_info(log, "b");
    assert_string_equal(sink.text, "<t: a\n>t: b\n");
    log_free(log);
    close_sink(&sink);
}

static void *write_many(void *log)
{
    for (int i = 0; i < 200; i++)
        log_info(log, "%s", "0123456789");
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    struct sink sink;
    struct log *log;
    pthread_t threads[4];
    size_t lines = 0;

    (void)state;
    open_sink(&sink);
    log = log_new(sink.stream, "t", LOG_TEXT, LOG_INFO);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, log), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    for (const char *at = sink.text; *at != '\0'; at = strchr(at, '\n') + 1, lines++)
        assert_memory_equal(at, "t: 0123456789\n", 14);
    assert_int_equal(lines, 800);
    log_free(log);
    close_sink(&sink);
}

static void visible(const char *text, bool keep_lines, const char *wanted)
{
    assert_text(text_visible(text, strlen(text), keep_lines), wanted);
}

static void hidden_characters_become_visible(void **state)
{
    (void)state;
    visible("plain äöü € 😀", false, "plain äöü € 😀");
    visible("a\nb\tc", true, "a\nb\tc");
    visible("a\nb\tc", false, "a\\x0ab\\x09c");
    visible("\r\x7f\x1b", true, "\\x0d\\x7f\\x1b");
    visible("\xc2\x85\xc2\x9b", true, "\\u0085\\u009b");
    visible("\xe2\x80\xae"
            "evil",
            false, "\\u202eevil");
    visible("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd", false, "\\ufffe\\uffff\xef\xbf\xbd");
    visible("\xe2\x81\xa6\xe2\x80\xa8", false, "\\u2066\\u2028");
    assert_text(text_visible("a\0b", 3, false), "a\\x00b");
    assert_text(text_visible("", 0, false), "");
}

static void broken_utf8_becomes_visible(void **state)
{
    (void)state;
    visible("\xff"
            "a\x80",
            false, "\\xffa\\x80");
    visible("\xc0\xaf", false, "\\xc0\\xaf");                   /* overlong */
    visible("\xe0\x80\xaf", false, "\\xe0\\x80\\xaf");          /* overlong */
    visible("\xed\xa0\x80", false, "\\xed\\xa0\\x80");          /* surrogate */
    visible("\xf4\x90\x80\x80", false, "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
    visible("\xe2\x82", false, "\\xe2\\x82");                   /* cut off */
    visible("\xe2(\xa1", false, "\\xe2(\\xa1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_their_words),
        cmocka_unit_test(what_is_beyond_the_level_is_left_out),
        cmocka_unit_test(a_message_is_one_line_without_controls),
        cmocka_unit_test(json_lines_are_objects),
        cmocka_unit_test(hooks_surround_a_line),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(hidden_characters_become_visible),
        cmocka_unit_test(broken_utf8_becomes_visible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
