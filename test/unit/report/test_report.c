#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/repository.h"
#include "necoops/report/events.h"
#include "necoops/report/junit.h"
#include "necoops/report/table.h"

static char *printed(const struct table *table, bool color)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);

    table_print(table, stream, color);
    fclose(stream);
    return text;
}

static void test_columns_are_aligned_by_characters(void **state)
{
    static const char *const heading[] = {"A", "B", "C", NULL};
    autotable struct table table;

    (void)state;
    table_init(&table, heading);
    struct table_row *row = table_add(&table, TABLE_GOOD);
    strv_add(&row->cells, "één");
    strv_add(&row->cells, "x");
    strv_add(&row->cells, "last\033[2J");
    row = table_add(&table, TABLE_PLAIN);
    strv_add(&row->cells, "y");
    autofree char *text = printed(&table, false);
    assert_string_equal(text, "A    B  C\néén  x  last\\x1b[2J\ny       \n");
    autofree char *colored = printed(&table, true);
    assert_non_null(strstr(colored, "\033[32méén\033[0m  x"));
}

static void test_junit(void **state)
{
    struct repository folder;
    autoerr struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    const struct junit_case cases[] = {
        {.name = "a", .classname = "c", .ms = 1234},
        {.name = "b<&\">",
         .classname = "c",
         .ms = 5,
         .outcome = JUNIT_FAILED,
         .message = "bad\x01",
         .text = "1 < 2\nand more",
         .file = "x/y.yaml",
         .line = 7},
        {.name = "d", .classname = "c", .outcome = JUNIT_SKIPPED, .message = "no turn"},
    };
    struct junit_suite suite = {"s", 0, 2000, cases, 3};

    (void)state;
    repository_make(&folder);
    autofree char *path = path_join(folder.dir, "j.xml");
    assert_int_equal(junit_write(path, &suite, &err), 0);
    assert_int_equal(fs_read(path, &text, &err), 0);
    assert_string_equal(
        text.data,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites tests=\"3\" failures=\"1\" errors=\"0\" time=\"2.000\">\n"
        " <testsuite name=\"s\" tests=\"3\" failures=\"1\" errors=\"0\" time=\"2.000\" "
        "skipped=\"1\""
        " timestamp=\"1970-01-01T00:00:00Z\">\n"
        "  <testcase name=\"a\" classname=\"c\" time=\"1.234\"/>\n"
        "  <testcase name=\"b&lt;&amp;&quot;&gt;\" classname=\"c\" file=\"x/y.yaml\" line=\"7\" "
        "time=\"0.005\">\n"
        "    <failure message=\"bad\\x01\">1 &lt; 2\nand more</failure>\n  </testcase>\n"
        "  <testcase name=\"d\" classname=\"c\" time=\"0.000\">\n"
        "    <skipped message=\"no turn\"></skipped>\n  </testcase>\n"
        " </testsuite>\n</testsuites>\n");
    assert_int_equal(junit_write("/nowhere/j.xml", &suite, &err), -1);
    assert_non_null(strstr(err_text(&err), "/nowhere/j.xml"));
    repository_remove(&folder);
}

#define HOSTILE "]]><b>&\"'\x1b[31m\xff\xed\xa0\x80\xe2\x80\xae\xef\xbf\xbe"
#define SHOWN   "]]&gt;&lt;b&gt;&amp;&quot;&#39;\\x1b[31m\\xff\\xed\\xa0\\x80\\u202e\\ufffe"

/* A message of 1 MB, with a character over the place where it is cut. */
static char *long_text(void)
{
    size_t len = (size_t)1 << 20;
    char *text = xmalloc(len + 1);

    for (size_t i = 0; i + 1 < len; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    memcpy(text, "abc", 3); /* what was the character's second half is broken */
    text[len] = '\0';
    return text;
}

static void test_hostile_text_in_junit(void **state)
{
    struct repository folder;
    autoerr struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    autofree char *long_one = long_text();
    const struct junit_case cases[] = {
        {.name = HOSTILE,
         .classname = HOSTILE,
         .outcome = JUNIT_FAILED,
         .message = HOSTILE,
         .text = HOSTILE,
         .file = HOSTILE},
        {.name = "long",
         .classname = "c",
         .outcome = JUNIT_ERROR,
         .message = long_one,
         .text = long_one},
    };
    struct junit_suite suite = {HOSTILE, 0, 0, cases, 2};

    (void)state;
    repository_make(&folder);
    autofree char *path = path_join(folder.dir, "j.xml");
    assert_int_equal(junit_write(path, &suite, &err), 0);
    assert_int_equal(fs_read(path, &text, &err), 0);
    assert_non_null(strstr(text.data, "<testsuite name=\"" SHOWN "\""));
    assert_non_null(strstr(text.data, "<testcase name=\"" SHOWN "\" classname=\"" SHOWN
                                      "\" file=\"" SHOWN "\""));
    assert_non_null(strstr(text.data, "message=\"" SHOWN "\">" SHOWN "</failure>"));
    assert_non_null(strstr(text.data, "message=\"abc\\xa9\xc3\xa9"));
    assert_non_null(strstr(text.data, "\xc3\xa9… (1046528 more bytes)\">abc"));
    assert_non_null(strstr(text.data, "\xc3\xa9… (786432 more bytes)</error>"));
    assert_true(text.len < (size_t)300 << 10);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        assert_true(byte == '\n' || (byte >= ' ' && byte != 0x7f && byte != 0xff));
    }
    repository_remove(&folder);
}

static int64_t fixed_time(void *arg)
{
    (void)arg;
    return 1500;
}

static void test_events(void **state)
{
    struct repository folder;
    autoerr struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    struct clock clock = {fixed_time, fixed_time, NULL};
    struct run run = {.clock = &clock, .wake_fd = -1};
    struct events *events;
    cJSON *fields = json_object();

    (void)state;
    repository_make(&folder);
    autofree char *path = path_join(folder.dir, "e.jsonl");
    assert_int_equal(events_open(&run, path, &events, &err), 0);
    json_set_str(fields, "app", "web");
    events_emit(events, "app", fields);
    events_emit(events, "end", NULL);
    /* complete at once, not only when it is closed */
    assert_int_equal(fs_read(path, &text, &err), 0);
    assert_string_equal(text.data,
                        "{\"version\":1,\"time\":\"1970-01-01T00:00:01.500Z\",\"type\":\"app\","
                        "\"app\":\"web\"}\n"
                        "{\"version\":1,\"time\":\"1970-01-01T00:00:01.500Z\",\"type\":\"end\"}\n");
    events_close(events);
    events_emit(NULL, "end", json_object());
    assert_int_equal(events_open(&run, "/nowhere/e", &events, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    repository_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned_by_characters),
        cmocka_unit_test(test_junit),
        cmocka_unit_test(test_hostile_text_in_junit),
        cmocka_unit_test(test_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
